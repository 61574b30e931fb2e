"""Speed-ups of the paper's section 6.5 and of networks with times of their own."""

import pytest

from adagp.cost.pipelines import (LayerTime, Pipeline, PipelineCost, StageCost, network_speedups, paper_speedups, period,
                                  run_time, timeline)
from adagp.spec.config import Design
from adagp.spec.schedule import Adaptive, Phase, PhaseCounter, Row, Schedule

BP, GP = Phase.BP, Phase.GP


def phases(schedule, batches):
    counter = PhaseCounter((schedule.registers()).__getitem__)
    chosen = []
    for batch in range(batches):
        chosen.append(counter.choose(batch))
        counter.complete(chosen[-1])
    return chosen


@pytest.mark.parametrize("pipeline, batch, pair, speedup, with_warmup", [
    (Pipeline.GPIPE, 21, 25, 1.68, 1.628), (Pipeline.DAPPLE, 21, 25, 1.68, 1.628),
    (Pipeline.CHIMERA, 16, 20, 1.60, 1.556)])
def test_speedups_of_the_paper(pipeline, batch, pair, speedup, with_warmup):
    result = paper_speedups()[pipeline]
    assert (result.baseline_steps, result.pair_steps) == (batch, pair)
    assert result.speedup == speedup
    assert round(result.speedup_with_warmup, 3) == with_warmup


def test_more_micro_batches_leave_fewer_bubbles_to_fill():
    assert round(paper_speedups(micro_batches=32)[Pipeline.GPIPE].speedup, 2) == 1.53


@pytest.mark.parametrize("pipeline", Pipeline)
def test_time_of_a_run_is_that_of_its_whole_timeline(pipeline):
    stages = tuple(StageCost(forward=1 + stage / 7, backward=2 + stage / 3, prediction=stage / 5, training=0.3)
                   for stage in range(4))
    costs = PipelineCost(stages=stages)
    schedule = Schedule(warmup=3, rows=(Row(batches=10, gp=4, bp=1), Row(batches=6, gp=1, bp=2), Row(gp=1, bp=1)))
    size = {"devices": 4, "micro_batches": 4, "costs": costs}
    for batches in (2, 3, 13, 19, 27):
        whole = timeline(pipeline, phases(schedule, batches), **size).steps
        assert run_time(pipeline, schedule, batches, **size) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize("pipeline", Pipeline)
@pytest.mark.parametrize("cycle", [[BP], [GP, BP], [GP, GP, GP, BP], [GP, GP, BP, BP]])
def test_every_cycle_but_the_first_takes_one_period(pipeline, cycle):
    layers = [LayerTime(forward=1 + index % 5, backward=3 + index % 7, prediction=index % 3, training=2 * (index % 3))
              for index in range(13)]
    for design in Design:
        size = {"devices": 4, "micro_batches": 8, "costs": PipelineCost.of(layers, 4, design)}
        ends = [timeline(pipeline, cycle * count, **size).steps for count in (3, 6)]
        assert ends[1] - ends[0] == pytest.approx(3 * period(pipeline, cycle, **size))


def test_networks_gain_less_the_more_their_predictor_takes():
    def layers(prediction, training):
        return [LayerTime(forward=10, backward=20, prediction=prediction, training=training)] * 8

    times = {Design.LOW: layers(4, 12), Design.EFFICIENT: layers(1, 3), Design.MAX: layers(1, 3)}
    ideal = paper_speedups()
    for pipeline, designs in network_speedups(times).items():
        low, efficient, best = (designs[design] for design in (Design.LOW, Design.EFFICIENT, Design.MAX))
        assert low.speedup < efficient.speedup < best.speedup <= ideal[pipeline].speedup
        assert low.speedup_with_warmup < efficient.speedup_with_warmup < best.speedup_with_warmup
        assert best.baseline_steps == 20 * ideal[pipeline].baseline_steps


def test_networks_without_a_predictors_time_gain_what_the_paper_says():
    layers = [LayerTime(forward=7, backward=14)] * 4
    for pipeline, designs in network_speedups(dict.fromkeys(Design, layers)).items():
        for result in designs.values():
            assert result.speedup == pytest.approx(paper_speedups()[pipeline].speedup)


def test_what_has_no_period_is_refused():
    size = {"devices": 4, "micro_batches": 4, "costs": PipelineCost.steps(4)}
    with pytest.raises(ValueError, match=r"cycle must have a batch of Phase BP, not only \[<Phase.GP: 2>\]"):
        period(Pipeline.CHIMERA, [GP], **size)
    with pytest.raises(ValueError, match="schedule.adaptive must be None"):
        run_time(Pipeline.GPIPE, Schedule(warmup=0, adaptive=Adaptive(least=0, most=2, raise_at=0.5, lower_at=0)), 9, **size)
