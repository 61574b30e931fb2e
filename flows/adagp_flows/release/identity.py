"""What a machine says of itself: the registers by which software and bench recognise a configuration."""

from importlib.metadata import version

from adagp.spec.config import AcceleratorConfig
from adagp.spec.registers import REGISTERS


def release_version() -> str:
    """The version of the generator, which is that of the machine: VERSION reads it."""
    return version("adagp")


def identity(config: AcceleratorConfig) -> dict[str, tuple[int, int]]:
    """Register → (value, mask of the fields that never change), in the order of their addresses."""
    major, minor, patch = (int(part) for part in release_version().split(".")[:3])
    predictor = {"rows": 0, "columns": 0, "memory_log2": 0}
    if config.design.has_predictor_memory:
        predictor["memory_log2"] = _log2(config.predictor_elements)
    if config.design.has_predictor_array:
        predictor |= {"rows": config.predictor_rows, "columns": config.predictor_columns}
    fields = {
        "ID": {"value": REGISTERS["ID"].field("value").reset},
        "VERSION": {"major": major, "minor": minor, "patch": patch},
        "ARRAY": {"rows": config.rows, "columns": config.columns, "design": config.design.value,
                  "bus_bytes": config.bus_bytes},
        "MEMORIES": {"stream_log2": _log2(config.stream_elements), "stationary_log2": _log2(config.stationary_elements),
                     "vector_log2": _log2(config.vector_words), "vector_lanes": config.vector_lanes},
        "PREDICTOR": predictor}
    return {name: (sum(value << REGISTERS[name].field(part).lsb for part, value in parts.items()),
                   sum(REGISTERS[name].field(part).mask for part in parts))
            for name, parts in fields.items()}


def _log2(value: int) -> int:
    return value.bit_length() - 1
