"""The checker refuses timelines that could not have happened, and accepts those of any costs."""

import random
from dataclasses import replace

import pytest

from adagp.cost.pipelines import (ImpossibleTimeline, Kind, Pipeline, PipelineCost, StageCost, check, timeline,
                                  weights_seen)
from adagp.spec.schedule import Phase

BP, GP = Phase.BP, Phase.GP


def changed(done, change, **where):
    """``done`` with ``change`` made to the one event that has the attributes ``where``."""
    (event,) = [event for event in done.events if all(getattr(event, name) == value for name, value in where.items())]
    events = [replace(event, **change(event)) if each is event else each for each in done.events]
    return replace(done, events=tuple(sorted(events, key=lambda each: each.start)))


def moved(by):
    return lambda event: {"start": event.start + by, "end": event.end + by}


F, B, P, T = Kind.FORWARD, Kind.BACKWARD, Kind.PREDICTION, Kind.TRAINING
FORWARD = {"batch": 0, "kind": F, "stage": 0, "micro_batch": 0}


@pytest.mark.parametrize("pipeline, phases, change, where, rule", [
    (Pipeline.GPIPE, [BP], lambda _: {"micro_batch": 1}, FORWARD, "nothing may happen twice"),
    (Pipeline.GPIPE, [BP], lambda _: {"micro_batch": 7}, FORWARD, "something must happen"),
    (Pipeline.GPIPE, [GP], lambda _: {"kind": B}, FORWARD, "something must happen"),
    (Pipeline.GPIPE, [BP], lambda _: {"device": 1}, FORWARD | {"micro_batch": 3}, "the pass must be on device 0"),
    (Pipeline.CHIMERA, [BP], lambda _: {"device": 0}, FORWARD | {"stage": 3}, "the pass must be on device 3"),
    (Pipeline.CHIMERA, [BP], lambda _: {"device": 0}, {"batch": 0, "kind": B, "stage": 0, "micro_batch": 2},
     "the pass must be on device 3"),
    (Pipeline.GPIPE, [BP], lambda event: {"end": event.end + 1}, FORWARD, "the event must last 1"),
    (Pipeline.GPIPE, [BP], moved(-1), FORWARD, "nothing may start before 0"),
    (Pipeline.GPIPE, [BP], moved(1), FORWARD, "an array must do one thing at a time"),
    (Pipeline.GPIPE, [BP], moved(-1), FORWARD | {"stage": 1}, "the event must come after"),
    (Pipeline.DAPPLE, [BP], moved(-1), {"batch": 0, "kind": B, "stage": 2, "micro_batch": 0},
     "the event must come after"),
    (Pipeline.GPIPE, [GP], moved(-1), {"kind": P, "stage": 2}, "the event must come after"),
    (Pipeline.GPIPE, [BP], moved(-2), {"kind": T, "stage": 0}, "the event must come after"),
    (Pipeline.GPIPE, [GP, GP], moved(0.5), {"batch": 0, "kind": P, "stage": 3},
     "an array must do one thing at a time"),
    (Pipeline.GPIPE, [GP, GP], moved(-0.5), FORWARD | {"batch": 1, "stage": 3, "micro_batch": 0},
     "an array must do one thing at a time")])
def test_impossible_timelines_are_refused(pipeline, phases, change, where, rule):
    done = timeline(pipeline, phases, devices=4, micro_batches=4)
    check(done)
    with pytest.raises(ImpossibleTimeline, match=rule):
        check(changed(done, change, **where))


def test_a_chimera_whose_micro_batches_all_go_down_is_refused():
    down = timeline(Pipeline.GPIPE, [GP], devices=4, micro_batches=4)
    up = [replace(event, device=3 - event.device) for event in down.events if event.kind is P]
    with pytest.raises(ImpossibleTimeline, match="as many micro-batches must go down as up, not 0 of 4 in batch 0"):
        check(replace(down, pipeline=Pipeline.CHIMERA, events=(*down.events, *up)))


def test_old_weights_are_refused():
    costs = PipelineCost(stages=(StageCost(prediction=1),) * 4, predictor_array=True)
    done = timeline(Pipeline.GPIPE, [GP, GP], devices=4, micro_batches=4, costs=costs)
    hasty = changed(done, moved(-1), **FORWARD | {"batch": 1})
    assert [version for event, version in weights_seen(hasty).items() if event.start == 4] == [0] * 4
    with pytest.raises(ImpossibleTimeline, match="must see the weights after 1 updates, not 0"):
        check(hasty)


def test_an_update_before_the_other_replica_has_done_its_half_is_refused():
    done = timeline(Pipeline.CHIMERA, [GP], devices=2, micro_batches=2)
    with pytest.raises(ImpossibleTimeline, match="the event must come after"):
        check(changed(done, moved(-1), kind=P, stage=1, device=1))


def test_predictions_without_the_training_before_are_refused():
    costs = PipelineCost(stages=(StageCost(training=0.5),) * 2, predictor_array=True)
    done = timeline(Pipeline.GPIPE, [BP, GP], devices=2, micro_batches=2, costs=costs)
    with pytest.raises(ImpossibleTimeline, match="a prediction must come after the training before"):
        check(changed(done, moved(100), kind=T, stage=0))


@pytest.mark.parametrize("pipeline", Pipeline)
def test_timelines_of_any_costs_and_phases_can_happen(pipeline):
    """``timeline`` checks its result; and no device could have done its work in less time."""
    rng = random.Random(0)
    for _ in range(60):
        devices, micro_batches = rng.choice([2, 4, 6, 8]), rng.choice([2, 4, 6, 10, 16])
        own = rng.random() < 0.5
        stages = []
        for _ in range(devices):
            forward, prediction = rng.uniform(0.5, 3), rng.choice([0, rng.uniform(0, 4)])
            stages.append(StageCost(
                forward=forward, backward=rng.uniform(0, 6), prediction=prediction, training=rng.uniform(0, 4),
                early=own * rng.uniform(0, forward), late=own * rng.uniform(0, prediction)))
        phases = rng.choices([BP, GP, Phase.WARMUP], k=rng.randint(1, 6))
        done = timeline(pipeline, phases, devices=devices, micro_batches=micro_batches,
                        costs=PipelineCost(stages=tuple(stages), predictor_array=own))
        times = [stage.forward + stage.backward for stage in stages]
        work = max(sum(times[stage] for stage in range(devices) if device in pipeline.hosts(stage, devices))
                   / len(pipeline.hosts(0, devices)) for device in range(devices))
        assert done.steps >= work * micro_batches * sum(phase is not GP for phase in phases) * (1 - 1e-9)
