"""Energy of what was counted, by tables that others have published and that are never mixed."""

from dataclasses import dataclass
from enum import Enum

from .traffic import Traffic


class Level(Enum):
    """Of the memory hierarchy."""

    REGISTERS = "registers"
    ARRAY = "array"
    BUFFER = "buffer"
    EXTERNAL = "external"


@dataclass(frozen=True, kw_only=True)
class EnergyTable:
    """Energy of an access of ``access_bytes``, read and write, at the levels that its source knows, and of a
    multiply-accumulate, None if it knows none. ``unit`` is "J" or "MAC": energies of one multiply-accumulate."""

    name: str
    source: str
    unit: str
    access_bytes: int
    levels: dict[Level, tuple[float, float]]
    multiply_accumulate: float | None = None


@dataclass(frozen=True, kw_only=True)
class EnergyBreakdown:
    """In ``unit``; None where the table has no figure."""

    table: str
    unit: str
    levels: dict[Level, float | None]
    arithmetic: float | None

    @property
    def memory(self) -> float:
        """Of all levels that the table knows."""
        return sum(value for value in self.levels.values() if value is not None)

    @property
    def absent(self) -> tuple[str, ...]:
        """What the table has no figure for."""
        missing = [level.value for level, value in self.levels.items() if value is None]
        return (*missing, *["arithmetic"] * (self.arithmetic is None))

    @property
    def total(self) -> float:
        """Of all that the table knows."""
        return self.memory + (self.arithmetic or 0.0)

    def as_dict(self) -> dict:
        return {"table": self.table, "unit": self.unit, "memory": self.memory, "arithmetic": self.arithmetic,
                "total": self.total, "levels": {level.value: value for level, value in self.levels.items()},
                "absent": list(self.absent)}


_HOROWITZ = "Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm"


def _horowitz(name: str, dram: float) -> EnergyTable:
    return EnergyTable(
        name=name, unit="J", access_bytes=8, multiply_accumulate=(3.7 + 0.9) * 1e-12,
        source=f"{_HOROWITZ}: multiplication and addition in float32, a buffer of 8 kB banks, DRAM at {dram} nJ",
        levels={Level.BUFFER: (10e-12, 10e-12), Level.EXTERNAL: (dram * 1e-9, dram * 1e-9)})


def _cacti(size: str, read: float, write: float) -> EnergyTable:
    return EnergyTable(name=f"cacti-{size}", source=f"CACTI, 45 nm, 64 bits of an SRAM of {size}", unit="J",
                       access_bytes=8, levels={Level.BUFFER: (read * 1e-12, write * 1e-12)})


TABLES = {table.name: table for table in (
    EnergyTable(name="eyeriss", source="Chen et al., Eyeriss, ISCA 2016, table IV: ratios to a 16-bit multiply-accumulate",
                unit="MAC", access_bytes=2, multiply_accumulate=1.0,
                levels={Level.REGISTERS: (1.0, 1.0), Level.ARRAY: (2.0, 2.0), Level.BUFFER: (6.0, 6.0),
                        Level.EXTERNAL: (200.0, 200.0)}),
    _horowitz("horowitz-low", 1.3), _horowitz("horowitz-high", 2.6),
    _cacti("8kB", 6.1, 7.9), _cacti("64kB", 25.9, 19.6), _cacti("108kB", 29.4, 24.2), _cacti("1MB", 93.5, 76.2))}


def table(name: str) -> EnergyTable:
    """The table of that name; ValueError."""
    if name not in TABLES:
        raise ValueError(f"table must be one of {', '.join(TABLES)}, not {name!r}")
    return TABLES[name]


def energy(traffic: Traffic, table: EnergyTable) -> EnergyBreakdown:
    """Of what ``traffic`` counts. What arrives at an element over the array counts as a write of that level."""
    moved = {Level.REGISTERS: (traffic.register_reads, traffic.register_writes), Level.ARRAY: (0, traffic.array),
             Level.BUFFER: (traffic.buffer_reads, traffic.buffer_writes),
             Level.EXTERNAL: (traffic.external_reads, traffic.external_writes)}
    levels = {level: _of(bytes_moved, table.levels[level], table.access_bytes) if level in table.levels else None
              for level, bytes_moved in moved.items()}
    arithmetic = None
    if table.multiply_accumulate is not None:
        arithmetic = float(traffic.multiply_accumulates) * table.multiply_accumulate
    return EnergyBreakdown(table=table.name, unit=table.unit, levels=levels, arithmetic=arithmetic)


def _of(moved: tuple[float, float], each: tuple[float, float], access_bytes: int) -> float:
    return sum(float(count) / access_bytes * joules for count, joules in zip(moved, each))


def saving(ours: EnergyBreakdown, baseline: EnergyBreakdown) -> dict[str, float | None]:
    """Shares of the baseline's energy that are not spent: of memory, of arithmetic, in all."""
    if ours.table != baseline.table:
        raise ValueError(f"ours and baseline must be of one table, not {ours.table!r} and {baseline.table!r}")
    pairs = {name: (getattr(ours, name), getattr(baseline, name)) for name in ("memory", "arithmetic", "total")}
    return {name: 1 - own / other if own is not None else None for name, (own, other) in pairs.items()}
