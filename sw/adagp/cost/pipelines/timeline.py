"""Runs batches through a pipeline, event by event."""

from collections import defaultdict
from collections.abc import Sequence

from adagp.spec.schedule import Phase

from .check import check
from .costs import PipelineCost
from .events import Event, Timeline
from .slots import Action, Kind, Pipeline, batch_actions

_PHASES = (Phase.WARMUP, Phase.BP, Phase.GP)


def timeline(pipeline: Pipeline, phases: Sequence[Phase], *, devices: int, micro_batches: int,
             costs: PipelineCost | None = None) -> Timeline:
    """One batch of each of ``phases``, each of ``micro_batches``, on ``devices`` that begin idle.

    Each device works in the order of its slots and starts everything as soon as the device is free and
    what it needs is there. Without ``costs`` they are :meth:`PipelineCost.steps`. The result has been
    through :func:`check`. Raises ValueError for what cannot be built: no batch or micro-batch, an odd
    Chimera, a phase that is no batch of training, costs of another number of stages.
    """
    pipeline.check(devices, micro_batches)
    costs = PipelineCost.steps(devices) if costs is None else costs
    if len(costs.stages) != devices:
        raise ValueError(f"costs.stages must be {devices}, one for each device, not {len(costs.stages)}")
    if not phases:
        raise ValueError("phases must have at least one batch, not none")
    for phase in phases:
        if phase not in _PHASES:
            raise ValueError(f"phases must be WARMUP, BP or GP, not {phase!r}")

    run = _Run(pipeline, devices, micro_batches, costs)
    base, planned = 0, []
    for batch, phase in enumerate(phases):
        actions, length = batch_actions(pipeline, phase, devices, micro_batches)
        planned += [(base + action.slot, batch, action) for action in actions]
        base += length
    events = [run.event(batch, action) for _, batch, action in sorted(planned, key=lambda each: each[0])]
    events.sort(key=lambda event: (event.start, event.end, event.device))
    result = Timeline(pipeline=pipeline, phases=tuple(phases), devices=devices, micro_batches=micro_batches,
                      costs=costs, events=tuple(events))
    check(result)
    return result


class _Run:
    """Times so far: when arrays are free, passes done, weights updated."""

    def __init__(self, pipeline: Pipeline, devices: int, micro_batches: int, costs: PipelineCost):
        self._pipeline, self._devices, self._micro_batches, self._costs = pipeline, devices, micro_batches, costs
        self._free = defaultdict(int)     # by device, and whether it is the predictor's array
        self._done = {}                   # by batch, kind, stage, micro-batch
        self._passed = defaultdict(int)   # by batch, kind and stage: the last micro-batch's end
        self._updated = defaultdict(int)  # by batch, stage and device: when the next batch may enter

    def event(self, batch: int, action: Action) -> Event:
        cost = self._costs.stages[action.stage]
        apart = action.micro_batch is None and self._costs.predictor_array
        start = max(self._free[action.device, apart], self._ready(batch, action))
        end = start + {Kind.FORWARD: cost.forward, Kind.BACKWARD: cost.backward,
                       Kind.PREDICTION: cost.prediction, Kind.TRAINING: cost.training}[action.kind]
        self._free[action.device, apart] = end
        self._complete(batch, action, end)
        return Event(start, end, action.device, action.stage, batch, action.kind, action.micro_batch)

    def _ready(self, batch: int, action: Action) -> float:
        """When everything that the action needs is there."""
        stage, micro_batch = action.stage, action.micro_batch
        match action.kind:
            case Kind.FORWARD:
                input_ = self._done[batch, Kind.FORWARD, stage - 1, micro_batch] if stage else 0
                return max(input_, self._updated[batch - 1, stage, action.device])
            case Kind.BACKWARD if stage < self._devices - 1:
                return self._done[batch, Kind.BACKWARD, stage + 1, micro_batch]
            case Kind.BACKWARD:
                return self._done[batch, Kind.FORWARD, stage, micro_batch]
            case Kind.PREDICTION:
                return self._passed[batch, Kind.FORWARD, stage] - self._costs.stages[stage].early
            case Kind.TRAINING:
                return self._passed[batch, Kind.BACKWARD, stage]

    def _complete(self, batch: int, action: Action, end: float) -> None:
        stage = action.stage
        if action.micro_batch is not None:
            self._done[batch, action.kind, stage, action.micro_batch] = end
            self._passed[batch, action.kind, stage] = max(self._passed[batch, action.kind, stage], end)
        if action.kind is Kind.BACKWARD:
            for device in self._pipeline.hosts(stage, self._devices):
                self._updated[batch, stage, device] = self._passed[batch, Kind.BACKWARD, stage]
        if action.kind is Kind.PREDICTION:
            self._updated[batch, stage, action.device] = end - self._costs.stages[stage].late
