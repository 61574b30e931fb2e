"""Whether a timeline could have happened, told from its events alone."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from adagp.spec.schedule import Phase

from .events import Event, Timeline
from .slots import Kind, Pipeline

_EXACT = 1e-9  # of the time so far: what sums of floats may differ by


class ImpossibleTimeline(ValueError):
    """A timeline that breaks a rule; the message names the rule and the event."""


def check(timeline: Timeline) -> None:
    """Raises :class:`ImpossibleTimeline` unless the events are complete and could have happened.

    - Every micro-batch passes every stage once, forward and (but in Phase GP) backward, on one device that
      holds a replica of it; in a Chimera it goes in one direction, and as many go down as up.
    - Events last as long as the costs say, and no two overlap on one array.
    - A forward pass starts after that of the stage before; a backward pass after that of the stage behind
      and the forward pass of its own.
    - Replicas of a stage update their weights once per batch, after all of its micro-batches passed either
      replica; every forward pass starts with the weights of the batch before (:func:`weights_seen`).
    - A device trains its predictor after the stage's last backward pass, and predicts with all of the
      training of the batches before.
    """
    index = _index(timeline)
    _check_places(timeline, index)
    _check_durations(timeline)
    _check_order(timeline, index)
    _check_predictor(timeline, index)
    for event, version in weights_seen(timeline).items():
        if version != event.batch:
            raise ImpossibleTimeline(f"a forward pass must see the weights after {event.batch} updates, "
                                     f"not {version}: {event}")


def weights_seen(timeline: Timeline) -> dict[Event, int]:
    """How many updates the weights have had that each forward pass starts with.

    In Phase BP a stage is updated when the last backward pass through any of its replicas has ended, in
    Phase GP when a replica's prediction has ended (``late`` before that for a batch that enters then).
    """
    updates = defaultdict(dict)  # by replica, then batch
    for event in timeline.events:
        if event.kind is Kind.PREDICTION:
            updates[event.stage, event.device][event.batch] = event.end - timeline.costs.stages[event.stage].late
        elif event.kind is Kind.BACKWARD:
            for device in timeline.pipeline.hosts(event.stage, timeline.devices):
                replica = updates[event.stage, device]
                replica[event.batch] = max(replica.get(event.batch, event.end), event.end)
    seen, ordered = {}, {replica: sorted(times.values()) for replica, times in updates.items()}
    taken = defaultdict(int)
    for event in sorted(timeline.events, key=lambda event: event.start):
        if event.kind is Kind.FORWARD:
            replica = event.stage, event.device
            while taken[replica] < len(ordered[replica]) and _before(ordered[replica][taken[replica]], event.start):
                taken[replica] += 1
            seen[event] = taken[replica]
    return seen


def _before(earlier: float, later: float) -> bool:
    return earlier <= later + _EXACT * abs(later)


def _require(holds: bool, rule: str, event: Event) -> None:
    if not holds:
        raise ImpossibleTimeline(f"{rule}: {event}")


def _index(timeline: Timeline) -> dict[tuple, Event]:
    """Events by batch, kind, stage and micro-batch; those of whole batches by device in its place."""
    index = {}
    for event in timeline.events:
        place = event.micro_batch if event.micro_batch is not None else f"on {event.device}"
        _require((event.batch, event.kind, event.stage, place) not in index, "nothing may happen twice", event)
        index[event.batch, event.kind, event.stage, place] = event
    expected = set(_expected(timeline))
    if missing := expected - set(index):
        raise ImpossibleTimeline(f"something must happen: {min(missing, key=str)}")
    if surplus := set(index) - expected:
        raise ImpossibleTimeline(f"something must not happen: {index[min(surplus, key=str)]}")
    return index


def _expected(timeline: Timeline) -> Iterable[tuple]:
    for batch, phase in enumerate(timeline.phases):
        kinds = (Kind.FORWARD,) if phase is Phase.GP else (Kind.FORWARD, Kind.BACKWARD)
        once = Kind.PREDICTION if phase is Phase.GP else Kind.TRAINING
        for stage in range(timeline.devices):
            for micro_batch in range(timeline.micro_batches):
                for kind in kinds:
                    yield batch, kind, stage, micro_batch
            for device in timeline.pipeline.hosts(stage, timeline.devices):
                yield batch, once, stage, f"on {device}"


def _check_places(timeline: Timeline, index: dict[tuple, Event]) -> None:
    for batch in range(len(timeline.phases)):
        up = 0
        for micro_batch in range(timeline.micro_batches):
            first = index[batch, Kind.FORWARD, 0, micro_batch]
            upward = timeline.pipeline is Pipeline.CHIMERA and first.device != 0
            up += upward
            for stage in range(timeline.devices):
                for kind in (Kind.FORWARD, Kind.BACKWARD):
                    if event := index.get((batch, kind, stage, micro_batch)):
                        want = timeline.devices - 1 - stage if upward else stage
                        _require(event.device == want, f"the pass must be on device {want}", event)
        if timeline.pipeline is Pipeline.CHIMERA and 2 * up != timeline.micro_batches:
            raise ImpossibleTimeline(f"as many micro-batches must go down as up, not {up} of "
                                     f"{timeline.micro_batches} in batch {batch}")


def _check_durations(timeline: Timeline) -> None:
    arrays = defaultdict(list)
    for event in timeline.events:
        cost = timeline.costs.stages[event.stage]
        lasts = {Kind.FORWARD: cost.forward, Kind.BACKWARD: cost.backward, Kind.PREDICTION: cost.prediction,
                 Kind.TRAINING: cost.training}[event.kind]
        _require(abs(event.end - event.start - lasts) <= _EXACT * max(abs(event.end), lasts),
                 f"the event must last {lasts}", event)
        _require(event.start >= 0, "nothing may start before 0", event)
        arrays[event.device, event.micro_batch is None and timeline.costs.predictor_array].append(event)
    for events in arrays.values():
        for first, second in pairwise(sorted(events, key=lambda event: (event.start, event.end))):
            _require(_before(first.end, second.start), f"an array must do one thing at a time, not with {first}", second)


def _check_order(timeline: Timeline, index: dict[tuple, Event]) -> None:
    for (batch, kind, stage, place), event in index.items():
        before = []
        if kind is Kind.FORWARD and stage:
            before = [index[batch, kind, stage - 1, place]]
        if kind is Kind.BACKWARD:
            before = [index[batch, Kind.FORWARD, stage, place]]
            if stage < timeline.devices - 1:
                before.append(index[batch, kind, stage + 1, place])
        for other in before:
            _require(_before(other.end, event.start), f"the event must come after {other}", event)


def _check_predictor(timeline: Timeline, index: dict[tuple, Event]) -> None:
    trained = defaultdict(list)  # by device
    for event in timeline.events:
        if event.micro_batch is None:
            predicts = event.kind is Kind.PREDICTION
            needed = Kind.FORWARD if predicts else Kind.BACKWARD
            early = timeline.costs.stages[event.stage].early if predicts else 0
            for micro_batch in range(timeline.micro_batches):
                other = index[event.batch, needed, event.stage, micro_batch]
                _require(_before(other.end - early, event.start), f"the event must come after {other}", event)
            if not predicts:
                trained[event.device].append(event)
    for event in timeline.events:
        if event.kind is Kind.PREDICTION:
            for training in trained[event.device]:
                _require(training.batch > event.batch or _before(training.end, event.start),
                         f"a prediction must come after the training before, {training}", event)
