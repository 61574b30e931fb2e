"""The order of each device's work, against the paper's figures and PyTorch's own schedules."""

from collections import Counter
from unittest import mock

import pytest
from torch.distributed.pipelining import schedules as torch_schedules

from adagp.cost.pipelines import Kind, Pipeline, timeline
from adagp.cost.pipelines.slots import batch_actions
from adagp.spec.schedule import Phase

BP, GP = Phase.BP, Phase.GP
SIZES = [(2, 2), (2, 5), (3, 3), (4, 4), (4, 9), (8, 8), (8, 32)]


def rows(pipeline, phases):
    """Micro-batches by device, in order, numbered through as in the paper's figures."""
    run = timeline(pipeline, phases, devices=4, micro_batches=4)
    return [" ".join(str(4 * event.batch + event.micro_batch) for event in run.passes(device)) for device in range(4)]


@pytest.mark.parametrize("pipeline, bp, gp_bp", [
    (Pipeline.GPIPE, ["0 1 2 3 0 1 2 3"] * 4, ["0 1 2 3 4 5 6 7 4 5 6 7"] * 4),
    (Pipeline.DAPPLE,
     ["0 1 2 3 0 1 2 3", "0 1 2 0 3 1 2 3", "0 1 0 2 1 3 2 3", "0 0 1 1 2 2 3 3"],
     ["0 1 2 3 4 5 6 7 4 5 6 7", "0 1 2 3 4 5 6 4 7 5 6 7", "0 1 2 3 4 5 4 6 5 7 6 7", "0 1 2 3 4 4 5 5 6 6 7 7"]),
    (Pipeline.CHIMERA,
     ["0 1 2 2 3 3 0 1", "0 2 1 3 2 0 3 1", "2 0 3 1 0 2 1 3", "2 3 0 0 1 1 2 3"],
     ["0 1 2 4 3 5 6 6 7 7 4 5", "0 2 1 3 4 6 5 7 6 4 7 5", "2 0 3 1 6 4 7 5 4 6 5 7", "2 3 0 6 1 7 4 4 5 5 6 7"])])
def test_orders_of_figures_10_to_12(pipeline, bp, gp_bp):
    assert rows(pipeline, [BP]) == bp
    assert rows(pipeline, [GP, BP]) == gp_bp


def test_predicted_batches_of_figure_12_alternate_in_direction():
    starts = [row.rsplit(" ", 2)[0] for row in rows(Pipeline.CHIMERA, [GP] * 3)]
    assert starts == ["0 1 2 4 3 5 6 8 7 9", "0 2 1 3 4 6 5 7 8 10", "2 0 3 1 6 4 7 5 10 8", "2 3 0 6 1 7 4 10 5 11"]


class Recorder:
    """A stage for PyTorch's schedules that notes what they would have it do."""

    def __init__(self, rank, ranks):
        self.stage_index = self.group_rank = rank
        self.num_stages = self.group_size = ranks
        self.is_last = rank == ranks - 1
        self.group, self.actions = None, []

    def forward_one_chunk(self, micro_batch, *_, **__):
        self.actions.append((Kind.FORWARD, micro_batch))

    def backward_one_chunk(self, micro_batch, **_):
        self.actions.append((Kind.BACKWARD, micro_batch))

    def nothing(self, *_):
        return []

    get_fwd_recv_ops = get_fwd_send_ops = get_bwd_recv_ops = get_bwd_send_ops = perform_reduce_grad = nothing


def executed(schedule, devices, micro_batches):
    """What a schedule of PyTorch does with each rank's stage when it runs."""
    actions = []
    for rank in range(devices):
        stage = Recorder(rank, devices)
        running = schedule(stage, micro_batches)
        with mock.patch.object(running, "_initialize_stage"):
            running._step_microbatches()
        actions.append(stage.actions)
    return actions


def planned(order):
    """What a list of PyTorch's actions says for each rank."""
    kinds = {torch_schedules.FORWARD: Kind.FORWARD, torch_schedules.FULL_BACKWARD: Kind.BACKWARD}
    return [[(kinds[action.computation_type], action.microbatch_index) for action in order[rank]
             if action and action.computation_type in kinds] for rank in sorted(order)]


def ours(pipeline, phase, devices, micro_batches):
    run = timeline(pipeline, [phase], devices=devices, micro_batches=micro_batches)
    return [[(event.kind, event.micro_batch) for event in run.passes(device)] for device in range(devices)]


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_gpipe_is_that_of_pytorch(devices, micro_batches):
    want = ours(Pipeline.GPIPE, BP, devices, micro_batches)
    assert executed(torch_schedules.ScheduleGPipe, devices, micro_batches) == want
    assert planned(torch_schedules.ScheduleGPipe(Recorder(0, devices), micro_batches).pipeline_order) == want


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_dapple_is_1f1b_of_pytorch(devices, micro_batches):
    assert executed(torch_schedules.Schedule1F1B, devices, micro_batches) == \
        ours(Pipeline.DAPPLE, BP, devices, micro_batches)


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_dapple_is_what_pytorch_plans_as_1f1b(devices, micro_batches):
    order = {}
    for rank in range(devices):
        warmup = torch_schedules._get_warmup_ops(rank, 1, micro_batches, devices, micro_batches, multiply_factor=1)
        order[rank] = torch_schedules._get_1f1b_rank_ops(
            1, devices, warmup, micro_batches - warmup, warmup, rank, lambda _: rank, lambda _: rank)
    assert planned(order) == ours(Pipeline.DAPPLE, BP, devices, micro_batches)


@pytest.mark.parametrize("pipeline", [Pipeline.GPIPE, Pipeline.DAPPLE])
@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_phase_gp_is_what_pytorch_does_for_evaluation(pipeline, devices, micro_batches):
    assert executed(torch_schedules._ScheduleForwardOnly, devices, micro_batches) == \
        ours(pipeline, GP, devices, micro_batches)


@pytest.mark.parametrize("devices, micro_batches", SIZES)
def test_pytorch_accepts_orders_and_runs_them_without_deadlock(devices, micro_batches):
    action = torch_schedules._Action
    for pipeline in (Pipeline.GPIPE, Pipeline.DAPPLE):
        order = {rank: [action(rank, torch_schedules.F if kind is Kind.FORWARD else torch_schedules.B, micro_batch)
                        for kind, micro_batch in actions]
                 for rank, actions in enumerate(ours(pipeline, BP, devices, micro_batches))}
        torch_schedules._validate_schedule(order, devices, devices, micro_batches)
        run = torch_schedules._add_send_recv(order, lambda stage: stage, devices)
        assert torch_schedules._simulate_comms_compute(run, lambda stage: stage, devices)


@pytest.mark.parametrize("devices", [2, 4, 6, 8])
@pytest.mark.parametrize("units", [1, 2, 3.5])
def test_directions_of_a_chimera_never_meet(devices, units):
    micro_batches = 2 * int(units * devices / 2)
    base, slots = 0, Counter()
    for phase in (BP, GP, GP, BP, GP, BP):
        actions, length = batch_actions(Pipeline.CHIMERA, phase, devices, micro_batches)
        slots.update((base + action.slot, action.device) for action in actions if action.micro_batch is not None)
        base += length
    assert set(slots.values()) == {1}


@pytest.mark.parametrize("devices", [2, 4, 6, 8])
def test_concatenated_units_of_a_chimera_leave_no_slot_but_at_both_ends(devices):
    _, one = batch_actions(Pipeline.CHIMERA, BP, devices, devices)
    _, four = batch_actions(Pipeline.CHIMERA, BP, devices, 4 * devices)
    assert (one, four) == (2 * devices + devices - 2, 4 * 2 * devices + devices - 2)
