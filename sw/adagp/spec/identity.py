"""What a core says of itself in its registers, so that software can tell whether it fits."""

from dataclasses import fields
from enum import IntEnum
from hashlib import sha256
from importlib.metadata import version

from .config import AcceleratorConfig
from .registers import field


def configuration_digest(config: AcceleratorConfig) -> int:
    """32 bits that depend on every parameter of ``config``: the register CONFIGURATION. Programs run only
    on the configuration that they were compiled for, also where the sizes in other registers agree."""
    values = ((each.name, getattr(config, each.name)) for each in fields(config))
    text = "".join(f"{name}={int(value) if isinstance(value, IntEnum) else value}\n" for name, value in values)
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big")


def identity(config: AcceleratorConfig) -> dict[str, int]:
    """The values of the registers that the configuration and the version decide, PREDICTOR with k = 0."""
    design = config.design
    major, minor, patch = (int(part) for part in version("adagp").split(".")[:3])
    predictor = {}
    if design.has_predictor_memory:
        predictor["memory_log2"] = _log2(config.predictor_elements)
    if design.has_predictor_array:
        predictor |= {"rows": config.predictor_rows, "columns": config.predictor_columns}
    registers = {
        "VERSION": {"major": major, "minor": minor, "patch": patch},
        "ARRAY": {"rows": config.rows, "columns": config.columns, "design": design, "bus_bytes": config.bus_bytes},
        "MEMORIES": {"stream_log2": _log2(config.stream_elements), "stationary_log2": _log2(config.stationary_elements),
                     "vector_log2": _log2(config.vector_words), "vector_lanes": config.vector_lanes},
        "PREDICTOR": predictor,
        "CONFIGURATION": {"value": configuration_digest(config)}}
    return {path: sum(value << field(path, name).lsb for name, value in values.items())
            for path, values in registers.items()}


def _log2(value: int) -> int:
    return value.bit_length() - 1
