"""Steps, gaps and memory of whole timelines, against the paper and what others publish."""

import pytest

from adagp.cost.pipelines import Pipeline, PipelineCost, StageCost, timeline, weights_seen
from adagp.spec.schedule import Phase

WARMUP, BP, GP = Phase.WARMUP, Phase.BP, Phase.GP
SIZES = [(2, 2), (2, 8), (4, 4), (4, 8), (4, 32), (6, 6), (6, 12), (8, 8), (8, 32)]


def run(pipeline, phases, devices=4, micro_batches=4, costs=None):
    return timeline(pipeline, phases, devices=devices, micro_batches=micro_batches, costs=costs)


@pytest.mark.parametrize("pipeline, batch, pair", [
    (Pipeline.GPIPE, 21, 25), (Pipeline.DAPPLE, 21, 25), (Pipeline.CHIMERA, 16, 20)])
def test_steps_of_the_paper(pipeline, batch, pair):
    assert run(pipeline, [BP]).steps == batch
    assert run(pipeline, [GP, BP]).steps == pair
    assert run(pipeline, [BP, GP, BP]).steps == batch + pair
    assert run(pipeline, [WARMUP, WARMUP, GP, GP, BP, GP, BP]).steps == 2 * batch + 4 + 2 * pair


@pytest.mark.parametrize("devices, micro_batches", [*SIZES, (1, 3), (3, 5), (5, 2), (7, 9)])
@pytest.mark.parametrize("pipeline", [Pipeline.GPIPE, Pipeline.DAPPLE])
def test_one_direction_fills_and_drains_once(pipeline, devices, micro_batches):
    assert run(pipeline, [BP], devices, micro_batches).steps == 3 * (micro_batches + devices - 1)


@pytest.mark.parametrize("devices", [2, 4, 6, 8])
def test_chimera_has_as_many_bubbles_as_its_inventors_say(devices):
    done = run(Pipeline.CHIMERA, [BP], devices, devices)
    bubbles = (devices - 2) / (3 * devices / 2 + devices - 2)  # with backward twice as long as forward passes
    assert [done.busy(device) for device in range(devices)] == pytest.approx([1 - bubbles] * devices)


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_chimera_has_fewer_bubbles_still_with_passes_of_equal_length(devices, micro_batches):
    costs = PipelineCost(stages=(StageCost(forward=1, backward=1),) * devices)
    done = run(Pipeline.CHIMERA, [BP], devices, micro_batches, costs)
    assert done.steps == 2 * micro_batches + devices - 2


@pytest.mark.parametrize("devices, micro_batches", SIZES)
@pytest.mark.parametrize("pipeline", Pipeline)
def test_a_predicted_batch_adds_its_forward_passes_on_one_device(pipeline, devices, micro_batches):
    batch = run(pipeline, [BP], devices, micro_batches).steps
    for count in (1, 2, 5):
        assert run(pipeline, [GP] * count + [BP], devices, micro_batches).steps == batch + count * micro_batches


@pytest.mark.parametrize("pipeline", Pipeline)
@pytest.mark.parametrize("last", [BP, GP])
def test_phase_gp_leaves_no_gap_once_the_pipeline_is_full(pipeline, last):
    done = run(pipeline, [GP, GP, GP, last])
    for device in range(4):
        starts = [event.start for event in done.passes(device) if 3 <= event.start < 12]
        assert starts == list(range(3, 12))  # each a step


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_activations_held(devices, micro_batches):
    held = {pipeline: run(pipeline, [BP], devices, micro_batches).peak_activations() for pipeline in Pipeline}
    assert held[Pipeline.GPIPE] == (micro_batches,) * devices
    assert held[Pipeline.DAPPLE] == tuple(min(micro_batches, devices - stage) for stage in range(devices))
    down = [devices // 2 + 1 + stage for stage in range(devices // 2)]  # from D/2 + 1 to D at the middle
    assert held[Pipeline.CHIMERA] == (*down, *reversed(down))


@pytest.mark.parametrize("pipeline", Pipeline)
def test_phase_gp_holds_only_what_is_being_computed(pipeline):
    assert run(pipeline, [GP] * 3).peak_activations() == (1,) * 4


def test_activations_have_sizes_of_their_stages():
    assert run(Pipeline.DAPPLE, [BP]).peak_activations([10, 20, 30, 40]) == (40, 60, 60, 40)
    assert run(Pipeline.CHIMERA, [BP]).peak_activations([10, 0, 0, 0]) == (20, 0, 0, 20)
    with pytest.raises(ValueError, match="sizes must be 4, one for each stage, not 3"):
        run(Pipeline.DAPPLE, [BP]).peak_activations([1, 2, 3])


@pytest.mark.parametrize("pipeline", Pipeline)
def test_every_micro_batch_sees_the_weights_after_the_batch_before(pipeline):
    done = run(pipeline, [BP, GP, GP, BP, GP])
    seen = weights_seen(done)
    assert len(seen) == 5 * 4 * 4
    assert all(version == event.batch for event, version in seen.items())


@pytest.mark.parametrize("pipeline", Pipeline)
def test_predictions_on_the_main_array_delay_the_next_batch_by_their_time(pipeline):
    costs = PipelineCost(stages=(StageCost(prediction=0.5),) * 4)
    stages = 2 if pipeline is Pipeline.CHIMERA else 1  # each device holds
    steps = [run(pipeline, [GP] * count, costs=costs).steps for count in (4, 5)]
    assert steps[1] - steps[0] == 4 + 0.5 * stages


@pytest.mark.parametrize("pipeline, late", [(Pipeline.GPIPE, 4.5), (Pipeline.DAPPLE, 4.5)])
def test_a_predictor_array_delays_the_next_batch_only_by_what_it_must_wait_for(pipeline, late):
    def per_batch(**more):
        costs = PipelineCost(stages=(StageCost(prediction=0.5, **more),) * 4, predictor_array=True)
        return run(pipeline, [GP] * 5, costs=costs).steps - run(pipeline, [GP] * 4, costs=costs).steps

    assert per_batch() == late
    assert per_batch(late=0.5) == per_batch(early=0.5) == 4


@pytest.mark.parametrize("pipeline", [Pipeline.GPIPE, Pipeline.DAPPLE])
def test_only_the_first_stage_shows_its_predictors_training(pipeline):
    for stage in range(4):
        costs = PipelineCost(stages=tuple(StageCost(training=0.5 * (stage == each)) for each in range(4)))
        assert run(pipeline, [BP] * 3, costs=costs).steps == 3 * (21.5 if stage == 0 else 21)


@pytest.mark.parametrize("change, message", [
    ({"devices": 0}, "devices must be an integer of at least 1, not 0"),
    ({"devices": 4.0}, "devices must be an integer of at least 1, not 4.0"),
    ({"micro_batches": 0}, "micro_batches must be an integer of at least 1, not 0"),
    ({"micro_batches": True}, "micro_batches must be an integer of at least 1, not True"),
    ({"pipeline": Pipeline.CHIMERA, "devices": 3}, "devices must be even in a Chimera pipeline, not 3"),
    ({"pipeline": Pipeline.CHIMERA, "micro_batches": 5}, "micro_batches must be even in a Chimera pipeline, not 5"),
    ({"phases": []}, "phases must have at least one batch, not none"),
    ({"phases": [BP, Phase.ENTER]}, "phases must be WARMUP, BP or GP, not <Phase.ENTER: 4>"),
    ({"costs": PipelineCost.steps(3)}, "costs.stages must be 4, one for each device, not 3")])
def test_what_cannot_be_built_is_refused(change, message):
    with pytest.raises(ValueError) as refused:
        run(**{"pipeline": Pipeline.GPIPE, "phases": [BP]} | change)
    assert str(refused.value) == message
