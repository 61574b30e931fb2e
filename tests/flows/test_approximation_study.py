"""The study of approximated gradients, at its smallest."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch

from adagp.data import Batches, load
from adagp.training.approximation import Approximation
from adagp.training.approximation_schedule import EVERY_FOURTH_LAYER, Method
from adagp_flows import approximation_study
from adagp_flows.approximation_kernels import LayerTime, time_layers
from adagp_flows.approximation_study import NETWORKS, Part, Settings, projections, resized, run, runs, study, tables
from adagp_flows.approximation_tables import layer_table, schedule_table, trade_off_table

TINY = Settings(epochs=2, batch=4, rounds=1)
DATA = load("synthetic-digits", samples=8)
PART = Part(data=DATA, settings=TINY, timed=resized(DATA, 12))


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


@pytest.mark.parametrize("name, convolutions, approximated", [("ResNet-20", 19, 5), ("VGG-19", 16, 4), ("2-layer CNN", 2, 1)])
def test_schedule_1_approximates_as_many_layers_as_in_the_paper(name, convolutions, approximated):
    model = NETWORKS[name].build(10, (3, 32, 32))
    schedule = EVERY_FOURTH_LAYER.using(Method.TOP1)
    layers = Approximation(model, schedule, exclude=projections(model)).layers
    assert len(layers) == convolutions
    assert len(schedule.approximated(len(layers))) == approximated


def test_runs_of_a_seed_begin_with_the_same_weights():
    first, *others = [run.model(DATA, TINY, seed=3)[0].state_dict() for run in runs(NETWORKS["2-layer CNN"]).values()]
    assert len(others) == 3
    for other in others:
        assert all(torch.equal(value, other[name]) for name, value in first.items())


def test_study_measures_every_run_and_prints_the_tables(capsys):
    result = json.loads(json.dumps(study({"2-layer CNN": PART, "ResNet-20": PART}, layers=((3, 4, 5),))))
    assert [(each["inputs"], each["outputs"], each["size"]) for each in result["layers"]] == [(3, 4, 5)]
    approximated = [f"{method} {schedule}" for schedule in (1, 2, 3) for method in ("zero", "random", "top1")]
    assert list(result["networks"]["2-layer CNN"]["runs"]) == ["full", "zero 2", "random 2", "top1 2"]
    assert list(result["networks"]["ResNet-20"]["runs"]) == ["full", *approximated, "ResNet-14"]
    for network in result["networks"].values():
        for run in network["runs"].values():
            assert run["seconds_per_batch"] > 0
            (epochs,) = run["accuracies"]
            assert len(epochs) == 2 and run["accuracy"] == [max(epochs)] and all(0 <= each <= 1 for each in epochs)
    printed = capsys.readouterr().out
    assert printed == tables(result)
    assert "synthetic-digits, batch 4, 2 epochs; times at 12×12; the paper: CIFAR-10" in printed.splitlines()
    assert [line.split(".")[0] for line in printed.splitlines() if line.startswith("Table")] == [
        "Table 1", "Table 2", "Table 3", "Table 5"]


def test_whole_study_is_of_every_network_and_leaves_the_tables(tmp_path, monkeypatch):
    parts = approximation_study._parts(tmp_path)
    assert list(parts) == list(NETWORKS) and all((part.timed or part.data).shape[1:] == (32, 32) for part in parts.values())
    monkeypatch.setattr(approximation_study, "_parts", lambda root: {"2-layer CNN": PART})
    monkeypatch.setattr(approximation_study, "study", partial(study, layers=()))
    result = run(tmp_path / "new")
    assert list(result["networks"]) == ["2-layer CNN"]
    assert (tmp_path / "new/approximation.txt").read_text() == tables(result)


def test_networks_and_data_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="networks must be among 2-layer CNN, ResNet-20, VGG-19, not 'AlexNet'"):
        study({"AlexNet": PART})
    with pytest.raises(ValueError, match=r"Part.data must be images .* not sentences of shape \(7,\)"):
        Part(data=replace(DATA, name="sentences", shape=(7,)))
    with pytest.raises(ValueError, match="Settings.rounds must be at least 1, not 0"):
        Settings(rounds=0)
    with pytest.raises(ValueError, match="Settings.evaluate_every must be at most the 2 epochs, not 3"):
        Settings(epochs=2, evaluate_every=3)


def test_resized_images_keep_labels_and_mean():
    large = resized(DATA, 16)
    assert large.shape == (1, 16, 16) and large.name == "synthetic-digits at 16×16"
    for small, big in zip(Batches(DATA.train, batch=4).epoch(0), Batches(large.train, batch=4).epoch(0), strict=True):
        assert big[0].shape == (4, 1, 16, 16) and torch.equal(big[1], small[1])
        assert torch.allclose(torch.nn.functional.avg_pool2d(big[0], 2)[..., 1:-1, 1:-1].mean(),
                              small[0][..., 1:-1, 1:-1].mean(), atol=0.1)


def test_layer_table_has_sums_and_quotients():
    time = LayerTime(inputs=512, outputs=512, size=2, dense=30.0, total=15.0, dense_channels_last=28.0, kernel=14.0)
    assert lines(layer_table([time]))[-1] == ["512", "512", "2", "30.00", "14.00", "1.00", "15.00", "2.0", "2.0", "10.4"]
    assert all(each.dense > 0 and each.total > 0 and each.kernel > 0 for each in time_layers(((2, 3, 4),), batch=2, rounds=1))


RUNS = {"full": {"seconds_per_batch": 0.2, "accuracy": [0.9, 0.92]},
        "zero 1": {"seconds_per_batch": 0.18, "accuracy": [0.89, 0.91]},
        "random 1": {"seconds_per_batch": 0.5, "accuracy": [0.93, 0.93]},
        "top1 1": {"seconds_per_batch": 0.19, "accuracy": [0.9, 0.915]},
        "ResNet-14": {"seconds_per_batch": 0.15, "accuracy": [0.88, 0.9]}}


def test_trade_offs_are_time_saved_and_points_lost():
    assert lines(trade_off_table(3, "ResNet-20", RUNS, 1))[2:] == [
        "Full gradient 200.0 0.0 % 0.0 % 0.0 0".split(),
        "Zero gradient 180.0 10.0 % 7.1 % 1.0 1.5".split(),
        "Random gradient 500.0 -150.0 % -1.4 % -2.0 1.8".split(),
        "Approximated gradient 190.0 5.0 % 3.5 % 0.3 0.75".split(),
        "ResNet-14 150.0 25.0 % 22.0 % 2.0 1".split()]


def test_accuracies_stand_under_their_schedules():
    third = {f"{method} 3": {"accuracy": [accuracy]} for method, accuracy in (("zero", 0.25), ("random", 0.75), ("top1", 0.5))}
    text = schedule_table("ResNet-20", RUNS | third, (1, 3))
    assert lines(text)[2:] == [
        "Full gradient 91.0 % 91.8 %".split(),
        "Zero gradient 90.0 % 25.0 % 90.3 % 91.6 % 91.1 %".split(),
        "Random gradient 93.0 % 75.0 % 90.0 % 88.8 % 87.9 %".split(),
        "Approximated gradient 90.8 % 50.0 % 91.1 % 91.6 % 91.7 %".split(),
        "ResNet-14 89.0 % 90.8 %".split()]
