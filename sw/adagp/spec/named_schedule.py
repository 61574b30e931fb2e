"""Schedules by name, as users write them."""

import re

from .schedule import Adaptive, Row, Schedule


ADAPTIVE = Adaptive(least=1, most=4, raise_at=0.1, lower_at=0.05, patience=2)
"""The rule that users get if they give no other."""


def named_schedule(name: str, *, batches: int, epoch: int, warmup: int | None = None,
                   adaptive: Adaptive = ADAPTIVE) -> Schedule:
    """The schedule ``name`` of a run of ``batches`` batches, ``epoch`` of them in an epoch.

    ``paper``; ``adaptive``, after the rule ``adaptive``; ``K:M`` in batches or ``K:Me`` in epochs.
    ``warmup`` is in batches, None meaning a ninth of the run, as in the paper.
    """
    if warmup is None:
        warmup = Schedule.paper_warmup(batches)
    if name == "paper":
        return Schedule(warmup=warmup, rows=Schedule.paper(batches=batches).rows)
    if name == "adaptive":
        return Schedule(warmup=warmup, adaptive=adaptive)
    ratio = re.fullmatch("([0-9]+):([0-9]+)(e?)", name)
    if not ratio:
        raise ValueError(f"schedule must be paper, adaptive, K:M in batches or K:Me in epochs, not {name!r}")
    unit = epoch if ratio[3] else 1
    return Schedule(warmup=warmup, rows=(Row(gp=int(ratio[1]) * unit, bp=int(ratio[2]) * unit),))
