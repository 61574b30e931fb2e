"""Training runs on the simulated machine, from the doorbell to the result."""

from dataclasses import replace
from math import gcd

import pytest
import torch
from torch import nn

from adagp.compiler import FeedbackConfig, PredictorConfig
from adagp.spec.config import Design, preset
from adagp.spec.schedule import Adaptive, Phase, Schedule
from adagp_flows import simulation
from adagp_flows.predictor_traffic import predictor_bytes
from adagp_flows.simulation import BitMismatch, compile_workload, rehearse, simulate
from adagp_flows.workload import Workload, digits

BASELINE, LOW, EFFICIENT, MAX = (preset("tiny").with_design(design) for design in Design)


def workload(**options) -> Workload:
    """Five batches an epoch of a task that can be learnt: which channel is the brighter one."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(2, (48,), generator=generator)
    data = torch.randn(48, 2, 6, 6, generator=generator)
    data[torch.arange(48), labels] += 1.0
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
    return Workload(**{"model": model, "data": data[:20], "labels": labels[:20], "test_data": data[20:],
                       "test_labels": labels[20:], "batch": 4, "epochs": 3, "epochs_per_start": 3,
                       "predictor": PredictorConfig(size=4, channels=2), "schedule": Schedule(warmup=4, gp=2, bp=1),
                       **options})


@pytest.fixture(scope="module")
def one_doorbell():
    return simulate(workload(), EFFICIENT)


def test_three_epochs_take_one_doorbell_and_no_register_write(one_doorbell):
    assert [stretch.epochs for stretch in one_doorbell.stretches] == [3] and one_doorbell.epochs == 3
    assert one_doorbell.register_writes == 0
    assert [one_doorbell.batches(phase) for phase in Phase] == [4, 3, 8, 0, 1, 1]  # WWWWGGBGGBGGBGG, enter, leave


def test_an_epoch_a_doorbell_is_the_same_run(one_doorbell):
    several = simulate(workload(epochs_per_start=1), EFFICIENT)
    assert [stretch.epochs for stretch in several.stretches] == [1, 1, 1] and several.register_writes == 0
    assert [several.batches(phase) for phase in (Phase.WARMUP, Phase.BP, Phase.GP)] == [4, 3, 8]
    assert several.accuracy == one_doorbell.accuracy
    for which in ("PASS_MACS[0]", "PASS_MACS[2]", "PHASE_CYCLES[2]"):
        assert several.counters[which] == pytest.approx(one_doorbell.counters[which], rel=0.01), which


def test_a_rehearsal_tells_batches_and_accuracy_of_the_run(one_doorbell):
    batches, accuracy = rehearse(workload(), EFFICIENT)
    assert batches == {phase: one_doorbell.batches(phase) for phase in Phase}
    assert accuracy == one_doorbell.accuracy


def test_the_machine_learns_and_evaluation_is_no_training(one_doorbell):
    work = workload()
    with torch.no_grad():
        right = (work.model(work.test_data).argmax(1) == work.test_labels).double().mean().item()
    assert one_doorbell.accuracy_before == right < 0.7 < 0.85 < one_doorbell.accuracy
    assert one_doorbell.batches(Phase.EVALUATE) == 0
    assert one_doorbell.cycles == sum(one_doorbell.counters[f"PASS_CYCLES[{index}]"] for index in range(4))


def test_the_baseline_has_neither_schedule_nor_predictor():
    result = simulate(workload(epochs=1), BASELINE)
    assert result.schedule is None and result.predictor is None and not any(result.predictor_bytes.values())
    assert [result.batches(phase) for phase in Phase] == [0, 5, 0, 0, 0, 0]


def test_progress_tells_batches_and_accuracy(monkeypatch):
    monkeypatch.setattr("adagp_tb.rtl_machine._PROGRESS_CYCLES", 5000)
    seen = []
    result = simulate(workload(epochs=2, epochs_per_start=1), BASELINE, progress=lambda *some: seen.append(some))
    assert seen == sorted(seen, key=lambda some: some[0]) and len(seen) > 4
    assert seen[-1] == (10, result.accuracy) and seen[0][1] == result.accuracy_before


def test_adapted_k_and_quality_are_told(monkeypatch):
    monkeypatch.setattr("adagp_tb.rtl_machine._PROGRESS_CYCLES", 1000)
    rule = Adaptive(least=1, most=3, raise_at=-1, lower_at=-1)  # k always grows
    result = simulate(workload(schedule=Schedule(warmup=3, adaptive=rule), predictor=FeedbackConfig()), EFFICIENT)
    assert [k for _, k in result.gp] == [1, 2, 3] and [batch for batch, _ in result.gp] == [3, 5, 8]
    assert set(result.quality) == {"0", "3"} and all(0 < cosine <= 1 for cosine in result.quality.values())


def test_a_difference_names_byte_tensor_and_batches(monkeypatch):
    class Wrong(simulation.GoldenMachine):
        def run(self):
            super().run()
            if self.read("BATCH") == 10:
                self.memory[place + 1] ^= 1
    place = compile_workload(workload(), BASELINE).tensors["3.weight"].offset
    monkeypatch.setattr(simulation, "GoldenMachine", Wrong)
    with pytest.raises(BitMismatch, match=rf"after batches 5 to 9 byte {place + 1:#x} \(3.weight\) is"):
        simulate(workload(epochs_per_start=1), BASELINE)


@pytest.mark.parametrize("predictor", [PredictorConfig(size=4, channels=2), FeedbackConfig()])
def test_only_the_design_without_predictor_memory_reads_the_predictor_from_outside(predictor):
    traffic = {}
    for config in (LOW, EFFICIENT, MAX):
        training = compile_workload(workload(predictor=predictor), config)
        traffic[config.design] = {phase: predictor_bytes(training, phase) for phase in training.programs}
        resident = sum(training.tensors[name].bytes for name in training.resident)
        if config is not LOW:
            assert traffic[config.design].pop(Phase.ENTER) == resident
            assert not any(traffic[config.design].values())
    assert traffic[Design.LOW][Phase.BP] > traffic[Design.LOW][Phase.GP] > 0 == traffic[Design.LOW][Phase.EVALUATE]


def test_every_batch_of_an_epoch_is_visited_once():
    for batches in range(1, 100):
        work = workload(batch=1, data=torch.zeros(batches, 2, 6, 6))
        assert work.epoch == batches and gcd(work.step, batches) == 1 <= work.step <= batches


def test_digits_are_centred():
    data, labels, test_data, test_labels = digits()
    assert (len(data), len(labels), len(test_data), len(test_labels)) == (1437, 1437, 360, 360)
    assert abs(data.mean()) < 1e-5 and abs(data.std() - 1) < 1e-5 and abs(test_data.mean()) < 0.05


@pytest.mark.parametrize("name, value", [("epochs", 0), ("epochs_per_start", 0), ("batch", 0)])
def test_errors_name_parameter_rule_and_value(name, value):
    with pytest.raises(ValueError, match=f"Workload.{name} must be at least 1, not {value}"):
        replace(workload(), **{name: value})
