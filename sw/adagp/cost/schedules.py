"""How the batches of a run divide into phases, and what that makes of the costs of a batch."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational, Real
from pathlib import Path
from typing import TypeVar

from adagp.spec.schedule import Phase, Schedule

Value = TypeVar("Value")

PAPER_WARMUP = 10
PAPER_ROWS = ((4, 4), (4, 3), (4, 2))
"""Epochs, and batches of Phase GP for one of Phase BP; after these, 1."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Of a run's batches, by phase; their sum is 1. Fractions stay exact."""

    warmup: Real
    bp: Real
    gp: Real

    def __post_init__(self):
        values = self.warmup, self.bp, self.gp
        for name, value in zip(("warmup", "bp", "gp"), values):
            if not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(f"Shares.{name} must be a number from 0 to 1, not {value!r}")
        exact = all(isinstance(value, Rational) for value in values)
        if sum(values) != 1 if exact else abs(sum(values) - 1) > 1e-9:
            raise ValueError(f"Shares must add up to 1, not {sum(values)!r}")

    @classmethod
    def of_batches(cls, *, warmup: int, bp: int, gp: int) -> "Shares":
        """From numbers of batches."""
        total = warmup + bp + gp
        if total < 1 or min(warmup, bp, gp) < 0:
            raise ValueError(f"batches must be at least 1 in all and 0 of each phase, not {warmup}, {bp} and {gp}")
        return cls(warmup=Fraction(warmup, total), bp=Fraction(bp, total), gp=Fraction(gp, total))

    @classmethod
    def paper(cls, epochs: int = 90) -> "Shares":
        """The paper's schedule, exactly: ten epochs of warm-up, four each with 4, 3 and 2 batches of Phase GP for one
        of Phase BP, then as many of one as of the other. A shorter run ends earlier in it."""
        if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs < 1:
            raise ValueError(f"epochs must be an integer of at least 1, not {epochs!r}")
        warmup = min(PAPER_WARMUP, epochs)
        left, gp = epochs - warmup, Fraction(0)
        for row, ratio in (*PAPER_ROWS, (left, 1)):
            gp += min(row, left) * Fraction(ratio, ratio + 1)
            left -= min(row, left)
        return cls(warmup=Fraction(warmup, epochs), bp=1 - (warmup + gp) / epochs, gp=gp / epochs)

    @classmethod
    def of(cls, schedule: Schedule, batches: int) -> "Shares":
        """Of the first ``batches`` batches of a schedule, as the phase controller chooses them. An adaptive schedule
        has none before it has run: ValueError."""
        if not isinstance(batches, int) or isinstance(batches, bool) or batches < 1:
            raise ValueError(f"batches must be an integer of at least 1, not {batches!r}")
        if schedule.adaptive:
            raise ValueError("schedule must be one of fixed rows; the batches of an adaptive one are known when it has "
                             "run (Shares.recorded)")
        warmup = min(schedule.warmup, batches)
        left, gp = batches - warmup, 0
        for index, row in enumerate(schedule.rows):
            length = left if index == len(schedule.rows) - 1 else min(row.batches, left)
            cycles, rest = divmod(length, row.gp + row.bp)
            gp += cycles * row.gp + min(rest, row.gp)
            left -= length
        return cls.of_batches(warmup=warmup, bp=batches - warmup - gp, gp=gp)

    @classmethod
    def recorded(cls, path: Path) -> "Shares":
        """What a training run did: ``path`` is the folder of ``adagp train``, or the report.json in it."""
        path = Path(path)
        report = path / "report.json" if path.is_dir() else path
        try:
            epochs = json.loads(report.read_text())["epochs"]
            counts = sum((Counter(epoch["batches"]) for epoch in epochs), Counter())
        except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f"path must be that of a training report, not {str(path)!r}: {error!r}") from error
        return cls.of_batches(**{name: counts[name] for name in ("warmup", "bp", "gp")})

    def mean(self, cost: Callable[[Phase], Value]) -> Value:
        """Of what a batch of each phase costs; phases that do not occur are not asked for."""
        shares = (Phase.WARMUP, self.warmup), (Phase.BP, self.bp), (Phase.GP, self.gp)
        first, *others = [cost(phase) * share for phase, share in shares if share]
        for other in others:
            first = first + other
        return first

    def speedup(self, b: Real, alpha: Real = 0) -> Real:
        """Over back-propagation, where backward takes ``b`` times the forward pass and the predictor ``alpha`` of it
        forward, 2 ``alpha`` backward, and nothing overlaps (paper section 3.7)."""
        return (1 + b) / self.mean(lambda phase: 1 + alpha if phase is Phase.GP else 1 + b + 3 * alpha)


def recorded_phases(path: Path) -> tuple[Phase, ...]:
    """The phase of each batch of a training run, from its log for TensorBoard in the folder ``path``: the folder of
    ``adagp train``, or the log in it. ImportError without the package ``tensorboard``."""
    from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

    path = Path(path)
    log = path / "log" if (path / "log").is_dir() else path
    events = EventAccumulator(str(log), size_guidance={SCALARS: 0})
    events.Reload()
    if "phase" not in events.Tags()[SCALARS]:
        raise ValueError(f"path must be that of a training log with phases, not {str(path)!r}")
    return tuple(Phase(int(event.value)) for event in events.Scalars("phase"))
