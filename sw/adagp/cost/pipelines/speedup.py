"""What predicted gradients save on several devices (paper section 6.5, figure 20)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adagp.spec.config import Design
from adagp.spec.schedule import Phase, Schedule

from .costs import LayerTime, PipelineCost
from .slots import Pipeline
from .timeline import timeline

_SETTLED = 2
"""Cycles after which each further one takes the same time."""

_PAPER_BATCHES = 90 * 60
"""A run of 90 epochs whose parts are whole numbers of cycles."""


@dataclass(frozen=True, kw_only=True)
class PipelineSpeedup:
    """Times of a batch of back-propagation alone and of a Phase GP and a Phase BP of one batch each; how
    much faster the pair is than two batches, and a run with the paper's 90 epochs than one without
    predictions."""

    baseline_steps: float
    pair_steps: float
    speedup: float
    speedup_with_warmup: float


def period(pipeline: Pipeline, cycle: Sequence[Phase], *, devices: int, micro_batches: int,
           costs: PipelineCost) -> float:
    """The time by which one more ``cycle`` of batches prolongs a run of them.

    A cycle must have a Phase BP, which empties the pipeline: so the second cycle is like all that follow.
    """
    if not set(cycle) & {Phase.WARMUP, Phase.BP}:
        raise ValueError(f"cycle must have a batch of Phase BP, not only {list(cycle)!r}")
    shorter, longer = (timeline(pipeline, tuple(cycle) * count, devices=devices, micro_batches=micro_batches,
                                costs=costs).steps for count in (_SETTLED, _SETTLED + 1))
    return longer - shorter


def run_time(pipeline: Pipeline, schedule: Schedule, batches: int, *, devices: int, micro_batches: int,
             costs: PipelineCost) -> float:
    """The time of a run of ``batches`` batches: that of each of the schedule's cycles, by their numbers.

    A part of a cycle counts as that part of its time. Raises ValueError for an adaptive schedule, whose
    cycles depend on the data.
    """
    if schedule.adaptive:
        raise ValueError(f"schedule.adaptive must be None, as nothing is predicted here, not {schedule.adaptive!r}")

    def per_batch(gp: int, bp: int) -> float:
        cycle = (Phase.GP,) * gp + (Phase.BP,) * bp
        return period(pipeline, cycle, devices=devices, micro_batches=micro_batches, costs=costs) / len(cycle)

    left = batches - min(schedule.warmup, batches)
    time = (batches - left) * per_batch(0, 1)
    for row in schedule.rows:
        taken = min(left, row.batches) if row is not schedule.rows[-1] else left
        if taken:
            time += taken * per_batch(row.gp, row.bp)
        left -= taken
    return time


def speedup(pipeline: Pipeline, *, devices: int, micro_batches: int, costs: PipelineCost,
            baseline: PipelineCost) -> PipelineSpeedup:
    """Of a pipeline with these ``costs`` over the same one without a predictor, ``baseline``."""
    size = {"devices": devices, "micro_batches": micro_batches}
    batch = period(pipeline, [Phase.BP], costs=baseline, **size)
    pair = period(pipeline, [Phase.GP, Phase.BP], costs=costs, **size)
    run = run_time(pipeline, Schedule.paper(batches=_PAPER_BATCHES), _PAPER_BATCHES, costs=costs, **size)
    return PipelineSpeedup(baseline_steps=batch, pair_steps=pair, speedup=2 * batch / pair,
                           speedup_with_warmup=_PAPER_BATCHES * batch / run)


def paper_speedups(*, devices: int = 4, micro_batches: int = 4) -> dict[Pipeline, PipelineSpeedup]:
    """Of every pipeline, in the paper's steps."""
    costs = PipelineCost.steps(devices)
    return {pipeline: speedup(pipeline, devices=devices, micro_batches=micro_batches, costs=costs, baseline=costs)
            for pipeline in Pipeline}


def network_speedups(layers: Mapping[Design, Sequence[LayerTime]], *, devices: int = 4,
                     micro_batches: int = 4) -> dict[Pipeline, dict[Design, PipelineSpeedup]]:
    """Of every pipeline and design on one network, in the unit of its layers' times.

    ``layers`` has the network's layers for each design; each is compared with a baseline of the same
    forward and backward times.
    """
    return {pipeline: {design: speedup(
        pipeline, devices=devices, micro_batches=micro_batches, costs=PipelineCost.of(times, devices, design),
        baseline=PipelineCost.of(times, devices, Design.BASELINE)) for design, times in layers.items()}
        for pipeline in Pipeline}
