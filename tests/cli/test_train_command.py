"""``adagp train`` as a user meets it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from importlib import import_module

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adagp import cli
from adagp.spec.schedule import Schedule
from adagp.training import checkpoint
from adagp.training.presets import PRESETS, Settings

SMALL = ("--model", "mine:network", "--batch", "240", "--epochs", "3", "--threads", "1")
"""Five batches per epoch."""
NETWORKS = """
import torch
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(36, 10))

def wide():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))

class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.last = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.last(self.layer(self.layer(x.flatten(1))))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The one that the commands run in, with networks of the user's own; PyTorch's threads are put back."""
    (tmp_path / "mine.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def train(*arguments, model=SMALL):
    """Exit status, in this process."""
    try:
        return cli.main(["train", *model, "-o", "out", *map(str, arguments)])
    except SystemExit as left:
        return left.code


def resume(*arguments):
    return train(*arguments, "--resume", model=())


def stored(path):
    return checkpoint.load(path / "checkpoint.pt")


def equal_weights(one, other):
    return all(torch.equal(value, stored(other)[1]["model"][name]) for name, value in stored(one)[1]["model"].items())


def test_run_leaves_checkpoint_report_curves_and_log(folder, capsys):
    assert train("--schedule", "2:1", "--warmup", "1", "--predictor-options", "size=2", "channels=2") == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in printed[:3]] == ["epoch 1", "epoch 2", "epoch 3"]
    report = json.loads((folder / "out/report.json").read_text())
    assert re.fullmatch(rf"accuracy {report['metric']['last']:.4f} after 3 epochs; batches: 5 warm-up of \S+ ms, "
                        r"3 Phase BP of \S+ ms, 7 Phase GP of \S+ ms", printed[3])
    assert report["batches"] == {"warmup": 5, "bp": 3, "gp": 7} and set(report["seconds_per_batch"]) == {"warmup", "bp", "gp"}
    assert report["settings"]["predictor_options"] == {"size": 2, "channels": 2} and report["settings"]["batch"] == 240
    assert report["schedule"] == json.loads(json.dumps(asdict(Schedule(warmup=5, gp=2, bp=1))))
    assert [set(epoch["quality"]) for epoch in report["epochs"]] == 3 * [{"0", "5"}]
    assert all({"mse", "mape", "cosine"} < set(layer) for layer in report["epochs"][0]["quality"].values())
    assert (folder / "out/curves.png").stat().st_size > 10_000
    description, state = stored(folder / "out")
    assert description["model"] == "mine:network" and (state["epoch"], state["batch"]) == (3, 0)
    log = EventAccumulator(str(folder / "out/log"))
    log.Reload()
    assert len(log.Scalars("phase")) == 15 and len(log.Scalars("accuracy")) == 3


def test_digits_are_learned(folder):
    assert train("--predictor", "feedback", "--schedule", "2:1", "--epochs", "8", "--batch", "32", "--lr", "0.02", "--no-log") == 0
    assert json.loads((folder / "out/report.json").read_text())["metric"]["last"] > 0.85


@pytest.mark.parametrize("predictor", ["paper", "remapped", "feedback", "skip", "zero", "random", "last", "none"])
def test_every_predictor_trains_and_every_phase_occurs(folder, predictor):
    options = ("--predictor-options", "outputs=50") if predictor == "remapped" else ()
    assert train("--predictor", predictor, *options, "--schedule", "1:1", "--no-log", "--amp", "bf16", "--channels-last",
                 "--accumulate", "2", "--optimizer", "adam", "--lr", "0.001") == 0
    assert set(json.loads((folder / "out/report.json").read_text())["batches"]) == (
        {"bp"} if predictor == "none" else {"warmup", "bp", "gp"})


def test_no_log_leaves_none(folder):
    assert train("--no-log", "--epochs", "1") == 0 and not (folder / "out/log").exists()


def test_without_tensorboard_a_line_is_printed_and_training_goes_on(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert train("--epochs", "1") == 0
    assert capsys.readouterr().err.startswith("no log for TensorBoard: ") and (folder / "out/report.json").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_options_override_the_preset(folder, name):
    assert train("--preset", name, "--epochs", "1", "--warmup", "1", "--lr", "0.02", "--no-log", model=SMALL[:4]) == 0
    settings = stored(folder / "out")[0]
    want = asdict(PRESETS[name]) | {"model": "mine:network", "batch": 240, "epochs": 1, "warmup": 1, "lr": 0.02}
    assert {key: settings[key] for key in want} == want


def test_options_of_the_presets_predictor_go_with_it(folder):
    assert train("--preset", "remapping", "--predictor", "feedback", "--epochs", "1", "--warmup", "1", "--no-log") == 0
    assert stored(folder / "out")[0]["predictor_options"] == {}


def test_every_setting_has_an_option_that_tells_its_default():
    parser = cli._Parser()
    import_module("adagp.cli.train").configure(parser)
    options = {action.dest: action for action in parser._actions}
    told = {name: re.search(r"\(default: ([^)]*)\)$", options[name].help) for name in asdict(Settings())}
    said = {name: found[1] for name, found in told.items() if found}
    silent = {name: value for name, value in asdict(Settings()).items() if name not in said}
    assert silent == {"predictor_options": {}, "exclude": (), "channels_last": False}
    none = {"form": "its usual one", "warmup": "a ninth of the run, as in the paper", "gate": "all are", "lr_milestones": "1/3 8/9"}
    assert said == {name: str(value) for name, value in asdict(Settings()).items() if name not in silent} | none


# again, and on

def test_folder_with_a_run_is_refused_and_kept(folder, capsys):
    assert train("--epochs", "1") == 0
    before = (folder / "out/checkpoint.pt").read_bytes(), (folder / "out/report.json").read_bytes()
    capsys.readouterr()
    assert train("--epochs", "2") == 2
    assert capsys.readouterr().err == (
        "adagp train: out holds a run already; --resume continues it, --overwrite begins anew\n")
    assert before == ((folder / "out/checkpoint.pt").read_bytes(), (folder / "out/report.json").read_bytes())
    assert train("--epochs", "2", "--overwrite") == 0 and stored(folder / "out")[1]["epoch"] == 2


def test_run_that_overwrites_and_fails_at_once_leaves_no_former_report(folder, capsys):
    assert train("--epochs", "1") == 0
    assert train("--overwrite", "--lr", "1e30", "--predictor", "none") == 2
    assert not (folder / "out/report.json").exists() and stored(folder / "out")[1]["epoch"] == 0


def test_run_can_be_made_longer(folder):
    options = ("--schedule", "2:1", "--warmup", "1", "--lr-schedule", "plateau", "--lr-patience", "0")
    assert train(*options) == 0
    os.rename("out", "whole")
    assert train(*options, "--epochs", "1") == 0 and resume("--epochs", "3") == 0
    assert equal_weights(folder / "out", folder / "whole")


def test_evaluate_prints_what_the_run_had_and_writes_nothing(folder, capsys):
    assert train() == 0
    last = capsys.readouterr().out.splitlines()[2]
    loss, accuracy = re.search(r"test loss (\S+), accuracy (\S+),", last).groups()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}
    assert train("--evaluate", model=()) == 0
    assert capsys.readouterr().out == f"accuracy {accuracy}, loss {loss} after epoch 3\n"
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*")}


@pytest.mark.parametrize("options, message", [
    (["--batch", "120"], "its batch is 240, not 120"), (["--model", "mine:wide"], "its model is mine:network, not mine:wide"),
    (["--predictor", "feedback"], "its predictor is paper, not feedback"), (["--seed", "1"], "its seed is 0, not 1"),
    (["--preset", "remapping", "--model", "mine:network"], "its batch is 240, not 32"), (["--lr", "0.1"], "its lr is 0.01, not 0.1"),
    (["--epochs", "50"], "its rows of the schedule is "),
    (["--data", "digits-noisy"], "its data is digits, not digits-noisy")])
def test_resuming_with_other_options_is_refused_in_a_line(folder, capsys, options, message):
    assert train("--epochs", "1", "--no-log") == 0
    before = (folder / "out/checkpoint.pt").read_bytes()
    capsys.readouterr()
    assert resume(*options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert (folder / "out/checkpoint.pt").read_bytes() == before


def test_resuming_a_changed_model_is_refused_in_a_line(folder, capsys):
    assert train("--epochs", "1", "--no-log") == 0
    capsys.readouterr()
    (folder / "mine.py").write_text(NETWORKS.replace("nn.Conv2d(1, 4, 3)", "nn.Conv2d(1, 8, 3)").replace("36, 10", "72, 10"))
    del sys.modules["mine"]
    assert resume("--epochs", "1") == 2
    assert capsys.readouterr().err == ("adagp train: 0.weight has the shape (4, 1, 3, 3) in the checkpoint, "
                                       "(8, 1, 3, 3) in the model\n")


@pytest.mark.parametrize("option", ["--resume", "--evaluate"])
@pytest.mark.parametrize("spoil, message", [
    (lambda whole: whole[:len(whole) // 2], "out/checkpoint.pt is no checkpoint, or was cut short"),
    (lambda whole: whole[:5000] + bytes(100) + whole[5100:], "out/checkpoint.pt is "), (lambda whole: b"", "out/checkpoint.pt is no ")])
def test_spoiled_checkpoint_is_refused_in_a_line_and_kept(folder, capsys, option, spoil, message):
    assert train("--epochs", "1", "--no-log") == 0
    capsys.readouterr()
    content = spoil((folder / "out/checkpoint.pt").read_bytes())
    (folder / "out/checkpoint.pt").write_bytes(content)
    assert train(option, model=()) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert (folder / "out/checkpoint.pt").read_bytes() == content


def test_checkpoint_of_another_program_is_refused_in_a_line(folder, capsys):
    (folder / "out").mkdir()
    checkpoint.save(folder / "out/checkpoint.pt", {"model": "mine"}, {})
    assert resume() == 2
    assert capsys.readouterr().err == "adagp train: the checkpoint is not of adagp train: its description has no form\n"


def test_two_processes_cannot_train_in_one_folder(folder, capsys):
    from adagp.cli.train import _alone_in

    with _alone_in(folder / "out"):
        assert train() == 2
    assert capsys.readouterr().err == "adagp train: another process is training in out\n"
    assert train("--epochs", "1", "--no-log") == 0


# what is wrong

@pytest.mark.parametrize("arguments, message", [
    (["--model", "vgg13"], "model cannot take inputs of the shape (1, 1, 8, 8): "),
    (["--model", "vgg12"], "model must be one of "), (["--model", "mine:absent"], "--model must be PACKAGE:FUNCTION"),
    (["--form", "cifar"], "--form is of networks of adagp.models, not of mine:network"),
    (["--model", "mine:Twice"], "layer 'layer' must run once in a forward pass of the model, not twice"),
    (["--data", "figures"], "data must be one of digits, "), (["--data", "cifar10", "--data-root", "absent"], "cifar10"),
    (["--predictor", "oracle"], "predictor must be paper, remapped, feedback, skip, zero, random, last or none, not 'oracle'"),
    (["--predictor-options", "extent=3"], "predictor option of paper must be size, channels, samples, not 'extent'"),
    (["--predictor", "skip", "--predictor-options", "size=3"], "predictor option of skip must be left out, not 'size'"),
    (["--predictor-options", "size=3"], "PaperPredictor.size must be an even integer of at least 2, not 3"),
    (["--predictor-options", "size"], "must be NAME=NUMBER, and '' is no number"),
    (["--schedule", "sometimes"], "schedule must be paper, adaptive, K:M in batches or K:Me in epochs, not 'sometimes'"),
    (["--schedule", "adaptive", "--k-most", "-1"], "Adaptive.most must be an integer from 1 to 65535, not -1"),
    (["--gate", "2"], "AdaGP.gate must be a cosine, from -1 to 1, not 2.0"),
    (["--exclude", "9"], "exclude must name modules of the model, not '9'"),
    (["--preset", "best"], "--preset must be paper or remapping, not 'best'"),
    (["--epochs", "0"], "Settings.epochs must be an integer of at least 1, not 0"),
    (["--warmup", "4"], "Settings.warmup must be an integer from 0 to epochs, which is 3, not 4"),
    (["--batch", "2000"], "must hold at least one batch of 2000 samples, not 1437"),
    (["--accumulate", "6"], "Settings.accumulate must be at most the 5 batches of an epoch, not 6"),
    (["--optimizer", "lion"], "Settings.optimizer must be sgd or adam, not 'lion'"),
    (["--checkpoint-every", "0"], "must be a number of batches such as 500, or of seconds such as 600s, not '0'"),
    (["--device", "toaster"], "device must be one that PyTorch can use, not 'toaster'"),
    (["--threads", "0"], "--threads must be at least 1, not 0"),
    (["--resume"], "out holds no checkpoint.pt"), (["--evaluate"], "out holds no checkpoint.pt"),
    (["--resume", "--overwrite"], "not allowed with argument --resume"),
    (["--predictor", "none", "--lr", "1e30"], "; out/checkpoint.pt is from before")])
def test_user_errors_are_one_line(capsys, arguments, message):
    assert train("--no-log", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("adagp train: ") and error.count("\n") == 1


# interrupted

@pytest.mark.parametrize("number, workers", [(signal.SIGINT, 0), (signal.SIGTERM, 2)])
def test_signal_ends_the_run_after_a_batch_and_it_goes_on_bit_for_bit(folder, number, workers):
    """The signal goes to all processes of the group, as from a terminal."""
    options = ("--schedule", "2:1", "--epochs", "40", "--no-log", "--warmup", "1")
    command = [sys.executable, "-m", "adagp.cli", "train", *SMALL, *options, "-o", "out", "--workers", str(workers)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                               start_new_session=True)
    assert process.stdout.readline().startswith("epoch 1:")
    time.sleep(0.03)
    os.killpg(process.pid, number)
    output, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert re.fullmatch(rf"adagp train: stopped by {number.name} after (batch \d of 5 in )?epoch \d+; --resume continues\n", error)
    assert 0 < stored(folder / "out")[1]["epoch"] < 40 and (folder / "out/report.json").exists()
    assert resume() == 0
    os.rename("out", "interrupted")
    assert train(*options) == 0
    assert equal_weights(folder / "out", folder / "interrupted")
