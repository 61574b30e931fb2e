"""Layers become stages, and a predictor beside the main array overlaps with them layer by layer."""

import random
from itertools import combinations, pairwise

import pytest

from adagp.cost.pipelines import LayerTime, Pipeline, PipelineCost, StageCost, balance, timeline
from adagp.spec.config import Design
from adagp.spec.schedule import Phase

LAYERS = [LayerTime(forward=forward, backward=2 * forward, prediction=1, training=3) for forward in (4, 1, 1, 2, 3, 5)]


def test_balance_is_the_best_of_all_partitions():
    rng = random.Random(0)
    for _ in range(200):
        times = [rng.randint(0, 9) for _ in range(rng.randint(1, 9))]
        parts = rng.randint(1, len(times))
        bounds = balance(times, parts)
        assert len(bounds) == parts + 1 and all(first < end for first, end in pairwise(bounds))
        assert (bounds[0], bounds[-1]) == (0, len(times))

        def largest(bounds):
            return max(sum(times[first:end]) for first, end in pairwise(bounds))

        assert largest(bounds) == min(largest((0, *inner, len(times)))
                                      for inner in combinations(range(1, len(times)), parts - 1))


def test_stages_are_sums_of_their_layers():
    costs = PipelineCost.of(LAYERS, 3, Design.EFFICIENT)
    assert [(stage.forward, stage.backward) for stage in costs.stages] == [(5, 10), (6, 12), (5, 10)]
    assert [(stage.prediction, stage.training) for stage in costs.stages] == [(2, 6), (3, 9), (1, 3)]
    assert not costs.predictor_array
    assert PipelineCost.of(LAYERS, 3, Design.LOW) == costs


def test_baseline_predicts_nothing():
    assert PipelineCost.of(LAYERS, 2, Design.BASELINE).stages == (
        StageCost(forward=8, backward=16), StageCost(forward=8, backward=16))


def layer_by_layer(layers, phases, micro_batches):
    """The time of predicted batches on one device with a predictor array, one layer at a time."""
    main = predictor = 0
    updated = [0.0] * len(layers)
    for _ in range(phases):
        for micro_batch in range(micro_batches):
            for index, layer in enumerate(layers):
                main = max(main, updated[index]) + layer.forward
                if micro_batch == micro_batches - 1:
                    predictor = max(predictor, main) + layer.prediction
                    updated[index] = predictor
    return max(main, predictor)


def test_a_predictor_array_takes_as_long_as_layer_by_layer():
    rng = random.Random(1)
    exposed = 0
    for _ in range(100):
        layers = [LayerTime(forward=rng.uniform(1, 5), backward=0, prediction=rng.choice([0.1, 1, 2]) * rng.uniform(0, 5))
                  for _ in range(rng.randint(1, 6))]
        for batches in (1, 3):
            costs = PipelineCost.of(layers, 1, Design.MAX)
            done = timeline(Pipeline.GPIPE, [Phase.GP] * batches, devices=1, micro_batches=4, costs=costs)
            assert done.steps == pytest.approx(layer_by_layer(layers, batches, 4), rel=1e-12)
        exposed += done.passes(0)[-1].end > 12 * sum(layer.forward for layer in layers) + 1e-9
    assert 10 < exposed < 90  # predictions are both hidden and not


def test_small_predictions_hide_behind_the_layers_of_their_stage():
    layers = [LayerTime(forward=10, backward=20, prediction=1, training=3)] * 8
    steps = [timeline(Pipeline.GPIPE, [Phase.GP] * count, devices=4, micro_batches=4,
                      costs=PipelineCost.of(layers, 4, Design.MAX)).passes(3)[-1].end for count in (3, 4)]
    assert steps[1] - steps[0] == 4 * 20


@pytest.mark.parametrize("make, message", [
    (lambda: PipelineCost.of(LAYERS, 7, Design.LOW), "devices must be at most the number of layers, 6, not 7"),
    (lambda: PipelineCost.of(LAYERS, 0, Design.LOW), "devices must be an integer of at least 1, not 0"),
    (lambda: PipelineCost.steps(-1), "devices must be an integer of at least 1, not -1"),
    (lambda: PipelineCost(stages=()), r"PipelineCost.stages must have at least one stage, not ()"),
    (lambda: PipelineCost(stages=(StageCost(prediction=2, late=1),)),
     "PipelineCost.stages must have early and late 0 without a predictor_array, not 0 and 1 in stage 0"),
    (lambda: StageCost(forward=0), "StageCost.forward must be positive, not 0"),
    (lambda: StageCost(backward=-1), "StageCost.backward must be finite and not negative, not -1"),
    (lambda: StageCost(training=float("nan")), "StageCost.training must be finite and not negative, not nan"),
    (lambda: StageCost(early=2), "StageCost.early must be at most forward, 1, not 2"),
    (lambda: StageCost(prediction=1, late=2), "StageCost.late must be at most prediction, 1, not 2"),
    (lambda: LayerTime(forward=1, backward=float("inf")), "LayerTime.backward must be finite and not negative, not inf")])
def test_impossible_costs_are_refused(make, message):
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value) == message
