"""Which program the phase controller chooses for a batch (paper section 3.5)."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

ROWS = 8
"""Rows of the table in the phase controller."""

MODE_ADAPTIVE = 2
"""The bit of the MODE register."""

_MOST = 0xFFFF
_STATE = "row", "row_batches", "position", "streak", "adapted"
_BATCHES = 0xFFFFFFFF


class Phase(IntEnum):
    """Index of a program in the PROGRAM registers and of a phase in the counters.

    ENTER and LEAVE are no batches: they fill the predictor memory before the first batch of a run,
    and write it back after the last one or on request.
    """

    WARMUP = 0
    BP = 1
    GP = 2
    EVALUATE = 3
    ENTER = 4
    LEAVE = 5


@dataclass(frozen=True, kw_only=True)
class Row:
    """For ``batches`` batches (0: for ever), cycles of ``gp`` predicted batches, then ``bp`` true ones."""

    batches: int = 0
    gp: int = 0
    bp: int = 1

    def __post_init__(self):
        for name, most in (("batches", _BATCHES), ("gp", _MOST), ("bp", _MOST)):
            value = getattr(self, name)
            if not isinstance(value, int) or not 0 <= value <= most:
                raise ValueError(f"Row.{name} must be an integer from 0 to {most}, not {value!r}")
        if self.gp + self.bp == 0:
            raise ValueError("Row.gp and Row.bp must not both be 0")


@dataclass(frozen=True, kw_only=True)
class Adaptive:
    """Lets the measured quality of the predictions choose k, the length of a Phase GP.

    At the end of every Phase BP the quality (a cosine, in the register QUALITY[0]) counts for one
    side: at least ``raise_at`` for more, below ``lower_at`` (or NaN) for fewer, else for neither, with
    −0 below +0. After ``patience`` counts in a row for one side k moves by one, within ``least`` and
    ``most``; it begins at ``least``. A Phase BP takes the ``bp`` batches of the table's current row;
    one that the end of the row cuts short is not counted.
    """

    least: int
    most: int
    raise_at: float
    lower_at: float
    patience: int = 1

    def __post_init__(self):
        for name, low, high in (("least", 0, _MOST), ("most", self.least, _MOST), ("patience", 1, 255)):
            value = getattr(self, name)
            if not isinstance(value, int) or not low <= value <= high:
                raise ValueError(f"Adaptive.{name} must be an integer from {low} to {high}, not {value!r}")
        if not -1 <= self.lower_at <= self.raise_at <= 1:
            raise ValueError(f"Adaptive.lower_at must be from -1 to raise_at, and that at most 1, "
                             f"not {self.lower_at!r} and {self.raise_at!r}")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """``warmup`` batches of back-propagation, then the ``rows`` one after the other; the last one goes
    on for ever. With ``adaptive`` the quality of the predictions decides instead of the rows' ``gp``.

    ``Schedule(warmup=…, gp=…, bp=…)`` is short for one row.
    """

    warmup: int
    rows: tuple[Row, ...] = ()
    adaptive: Adaptive | None = None

    def __init__(self, *, warmup: int, gp: int = 0, bp: int = 1, rows: tuple[Row, ...] = (),
                 adaptive: Adaptive | None = None):
        if not isinstance(warmup, int) or not 0 <= warmup <= _BATCHES:
            raise ValueError(f"Schedule.warmup must be an integer from 0 to {_BATCHES}, not {warmup!r}")
        if rows and (gp, bp) != (0, 1):
            raise ValueError(f"Schedule must get rows, or gp and bp, not both: gp={gp!r} and bp={bp!r}")
        rows = tuple(rows) or (Row(gp=gp, bp=bp),)
        if len(rows) > ROWS:
            raise ValueError(f"Schedule.rows must be at most {ROWS}, not {len(rows)}")
        if any(row.batches == 0 for row in rows[:-1]):
            raise ValueError("Schedule.rows must have a number of batches in all but the last")
        if adaptive and any(row.bp == 0 for row in rows):
            raise ValueError("Schedule.adaptive needs a Phase BP in every row, not bp=0")
        for name, value in (("warmup", warmup), ("rows", rows), ("adaptive", adaptive)):
            object.__setattr__(self, name, value)

    def registers(self) -> dict[str, int]:
        """The registers that say so to a machine, with MODE at its other bits' reset values."""
        rule, last = self.adaptive, len(self.rows) - 1
        values = {"WARMUP_BATCHES": self.warmup, "MODE": MODE_ADAPTIVE if rule else 0}
        for index, row in enumerate(self.rows):
            values[f"SCHEDULE[{index}].BATCHES"] = row.batches if index < last else 0
            values[f"SCHEDULE[{index}].RATIO"] = row.gp | row.bp << 16
        if rule:
            values |= {"ADAPTIVE.BOUNDS": rule.least | rule.most << 16, "ADAPTIVE.PATIENCE": rule.patience,
                       "ADAPTIVE.RAISE": float32_bits(rule.raise_at),
                       "ADAPTIVE.LOWER": float32_bits(rule.lower_at)}
        return values

    @classmethod
    def paper(cls, *, batches: int) -> "Schedule":
        """The paper's schedule in a run of ``batches`` batches.

        Of 90 epochs ten are warm-up, then four each have k:m = 4:1, 3:1 and 2:1, then 1:1. A run of any
        length is divided like these, in whole k:m cycles.
        """
        if not isinstance(batches, int) or batches < 1:
            raise ValueError(f"Schedule.paper's batches must be an integer of at least 1, not {batches!r}")
        cycles = {k: max(1, round(batches * 4 / 90 / (k + 1))) for k in (4, 3, 2)}
        return cls(warmup=cls.paper_warmup(batches), rows=(
            *(Row(batches=count * (k + 1), gp=k, bp=1) for k, count in cycles.items()), Row(gp=1, bp=1)))

    @staticmethod
    def paper_warmup(batches: int) -> int:
        """Warm-up batches of the paper's ten epochs of 90, in a run of ``batches`` batches."""
        return round(batches * 10 / 90)


class PhaseCounter:
    """Chooses phases batch by batch, as the phase controller does.

    ``registers`` gives the value of a register of the map by its name; it is asked anew for every
    batch. ``choose`` is the phase of batch number ``batch``; ``complete`` moves on after it.
    """

    def __init__(self, registers: Callable[[str], int]):
        self._registers = registers
        self._row = self._row_batches = self._position = self._streak = self._adapted = 0

    def state_dict(self) -> dict[str, int]:
        """Where in the schedule it is, between two batches."""
        return {name: getattr(self, f"_{name}") for name in _STATE}

    def load_state_dict(self, state: dict[str, int]) -> None:
        for name in _STATE:
            setattr(self, f"_{name}", int(state[name]))

    @property
    def begins(self) -> bool:
        """Whether the next batch after warm-up is the first of a cycle."""
        return self._position == 0

    @property
    def gp(self) -> int:
        """k of the running cycle."""
        if not self._registers("MODE") & MODE_ADAPTIVE:
            return self._ratio() & _MOST
        bounds = self._registers("ADAPTIVE.BOUNDS")
        return min(max(self._adapted, bounds & _MOST), bounds >> 16)

    def choose(self, batch: int) -> Phase:
        if batch < self._registers("WARMUP_BATCHES"):
            return Phase.WARMUP
        return Phase.GP if self._position < self.gp else Phase.BP

    def complete(self, phase: Phase) -> None:
        if phase not in (Phase.GP, Phase.BP):
            return
        self._position += 1
        self._row_batches += 1
        if self._position >= self.gp + (self._ratio() >> 16):
            self._position = 0
            if self._registers("MODE") & MODE_ADAPTIVE:
                self._adapt()
        if self._row < ROWS - 1 and self._row_batches == self._registers(f"SCHEDULE[{self._row}].BATCHES"):
            self._row, self._row_batches, self._position = self._row + 1, 0, 0

    def _ratio(self) -> int:
        return self._registers(f"SCHEDULE[{self._row}].RATIO")

    def _adapt(self) -> None:
        quality, raise_at, lower_at = (ordered(self._registers(name)) for name in (
            "QUALITY[0]", "ADAPTIVE.RAISE", "ADAPTIVE.LOWER"))
        side = 1 if quality >= raise_at else 0 if quality >= lower_at else -1
        if self._registers("QUALITY[0]") & 0x7FFFFFFF > 0x7F800000:
            side = -1
        self._streak = self._streak + side if self._streak * side > 0 else side
        if side and abs(self._streak) >= self._registers("ADAPTIVE.PATIENCE"):
            self._streak, self._adapted = 0, max(self.gp + side, 0)


def ordered(bits: int) -> int:
    """An integer in the order of the float32 with these bits, -0 below +0."""
    return bits if bits < 1 << 31 else (1 << 31) - 1 - bits


def float32_bits(value: float) -> int:
    """``value`` as a float32 in a register."""
    return struct.unpack("<I", struct.pack("<f", value))[0]
