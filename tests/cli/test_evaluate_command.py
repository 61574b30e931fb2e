"""``adagp evaluate`` as a user meets it."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from adagp import cli
from adagp.cost.dataflows import Dataflow
from adagp.cost.energy import energy, saving, table
from adagp.cost.grid import DESIGNS, network_cost
from adagp.cost.pipelines import Pipeline, network_speedups
from adagp.cost.schedules import Shares
from adagp.models import build
from adagp.spec.config import Design
from adagp.spec.schedule import Phase
from adagp_flows.evaluation import layer_times

NETWORKS = """
import torch
from torch import nn

def one_layer():
    return nn.Linear(12, 15, bias=False)

def two_layers():
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 64, 10))

def words():
    return nn.Sequential(nn.Embedding(100, 16), nn.Linear(16, 16))

def volume():
    return nn.Sequential(nn.Conv3d(1, 4, 3))

def no_layers():
    return nn.ReLU()

class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x

def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    threads = torch.get_num_threads()
    yield tmp_path
    torch.set_num_threads(threads)


def evaluate(*arguments):
    """Exit status, in this process."""
    try:
        return cli.main(["evaluate", *map(str, arguments)])
    except SystemExit as left:
        return left.code


def report(folder, *arguments):
    assert evaluate(*arguments, "-o", "out.json") == 0
    return json.loads((folder / "out.json").read_text(), parse_constant=pytest.fail)


def test_figures_are_those_of_the_cost_models(folder):
    found = report(folder, "--network", "resnet50", "vgg13", "--dataset", "cifar10", "--dataflow", "WS", "RS",
                   "--energy", "eyeriss", "--pipeline", "gpipe", "chimera")
    entries = {(each["network"], each["dataflow"]): each for each in found["evaluations"]}
    assert list(entries) == [("resnet50", "WS"), ("resnet50", "RS"), ("vgg13", "WS"), ("vgg13", "RS")]
    shares, eyeriss = Shares.paper(), table("eyeriss")
    for (network, flow), entry in entries.items():
        cost = network_cost("cifar10", network, dataflow=Dataflow(flow))
        assert (entry["b"], entry["alpha"], entry["batches"]) == (cost.b, cost.alpha, 90 * 391)
        plain = energy(cost.mean_traffic(Design.BASELINE, shares), eyeriss)
        assert entry["designs"]["BASELINE"]["cycles"] == {"bp": cost.batch_cycles(Design.BASELINE, Phase.BP)}
        for design in DESIGNS:
            own = entry["designs"][design.name]
            assert own["cycles"] == {phase.name.lower(): cost.batch_cycles(design, phase) for phase in (Phase.BP, Phase.GP)}
            assert own["speedup"] == cost.speedup(design, shares)
            assert own["energy_saving"] == saving(energy(cost.mean_traffic(design, shares), eyeriss), plain)
    micro = network_cost("cifar10", "resnet50", batch=32)
    exact = network_speedups({Design.LOW: layer_times(micro, Design.LOW)})
    for name, gain in entries["resnet50", "WS"]["designs"]["LOW"]["pipelines"].items():
        assert gain["speedup"] == exact[Pipeline(name)][Design.LOW].speedup
        assert gain["speedup_with_schedule"] == pytest.approx(exact[Pipeline(name)][Design.LOW].speedup_with_warmup, rel=1e-3)


def test_by_default_it_is_vgg13_on_imagenet_and_its_text_tells_the_speedups(capsys):
    assert evaluate() == 0
    lines = capsys.readouterr().out.splitlines()
    cost = network_cost("imagenet", "vgg13")
    assert lines[0] == f"vgg13 on imagenet, WS on 12×15: b = {cost.b:.3f}, alpha = {cost.alpha:.4f}"
    assert lines[1] == "900,900 batches of 128 samples: warm-up 11.1%, Phase BP 41.3%, Phase GP 47.6%"
    row, = (line.split() for line in lines if line.startswith("speed-up"))
    assert row[1:] == ["–", *(f"{cost.speedup(design, Shares.paper()):.3f}" for design in DESIGNS)]


def test_own_layer_takes_what_the_closed_forms_say(folder):
    entry, = report(folder, "--model", "mine:one_layer", "--input", "12", "--batch", "100", "--samples", "1000",
                    "--epochs", "9")["evaluations"]
    layer, = entry["layers"]
    assert (layer["layer"], layer["forward"], layer["input gradient"]) == ("", 2 * 12 + 15 + 100 - 2, 0)
    assert layer["weight gradient"] == 9 * (2 * 12 + 15 + 12 - 2)  # 100 samples are nine folds of 12 rows
    assert entry["b"] == layer["weight gradient"] / layer["forward"] and entry["batches"] == 90
    assert entry["designs"]["BASELINE"]["run_cycles"] == 90 * (layer["forward"] + layer["weight gradient"])


def test_size_of_arrays_and_predictor_is_the_users(folder):
    small = ("--model", "mine:two_layers", "--input", "3x8x8")
    one, = report(folder, *small)["evaluations"]
    other, = report(folder, *small, "--rows", "24", "--columns", "30", "--predictor-rows", "16", "--predictor-size", "4",
                    "--predictor-channels", "8", "--bus-bytes", "32")["evaluations"]
    for layer, larger in zip(one["layers"], other["layers"]):
        assert larger["forward"] < layer["forward"] and larger["predict"] < layer["predict"]
        assert larger["predict, own array"] < layer["predict, own array"]
    only, = report(folder, *small, "--predict", "convolution")["evaluations"]
    assert [bool(layer["predict"]) for layer in only["layers"]] == [True, False]


def test_words_are_embedded_and_their_first_layer_has_an_input_gradient(folder):
    entry, = report(folder, "--model", "mine:words", "--input", "int:32")["evaluations"]
    assert [layer["input gradient"] > 0 for layer in entry["layers"]] == [True]


@pytest.mark.parametrize("arguments, shares", [
    (["--schedule", "2:1", "--warmup", "9"], (0.1, 0.3, 0.6)), (["--schedule", "0:1"], (1 / 9, 8 / 9, 0)),
    (["--schedule", "3:1e", "--warmup", "10"], (1 / 9, 2 / 9, 6 / 9)),
    (["--schedule", "1:1e", "--epochs", "7", "--warmup", "0"], (0, 3 / 7, 4 / 7)),
    (["--schedule", "paper", "--epochs", "14"], (10 / 14, 4 / 5 / 14, 16 / 5 / 14))])
def test_schedules_divide_the_run(folder, arguments, shares):
    found = report(folder, "--model", "mine:one_layer", "--input", "12", *arguments)
    assert tuple(found["shares"].values()) == pytest.approx(shares)


def test_trace_of_a_training_run_is_its_schedule(folder):
    assert cli.main(["train", "--model", "mine:network", "--batch", "240", "--epochs", "3", "--warmup", "1", "--schedule", "2:1",
                     "--threads", "1", "--no-log", "-o", "run"]) == 0
    for path in ("run", "run/report.json"):
        found = report(folder, "--model", "mine:network", "--input", "1x8x8", "--trace", path)
        assert found["shares"] == {"warmup": 5 / 15, "bp": 3 / 15, "gp": 7 / 15}


def test_csv_has_a_row_for_each_design_or_layer(folder):
    assert evaluate("--network", "vgg13", "--dataset", "cifar10", "--dataflow", "all", "--design", "max",
                    "--energy", "horowitz-low", "--pipeline", "dapple", "-o", "out.csv") == 0
    rows = list(csv.DictReader((folder / "out.csv").open()))
    assert [(row["dataflow"], row["design"]) for row in rows] == [
        (flow.value, design) for flow in Dataflow for design in ("BASELINE", "MAX")]
    cost = network_cost("cifar10", "vgg13")
    assert float(rows[1]["speedup"]) == cost.speedup(Design.MAX, Shares.paper()) and rows[0]["speedup"] == ""
    assert 1 < float(rows[1]["dapple_speedup_with_schedule"]) < 2 and 0 < float(rows[1]["memory_saving"]) < 1
    assert evaluate("--network", "vgg13", "--dataset", "cifar10", "--layers", "-o", "out.csv") == 0
    rows = list(csv.DictReader((folder / "out.csv").open()))
    assert [int(row["forward"]) for row in rows] == [layer.forward for layer in cost.layers]


def test_layers_are_told(capsys):
    assert evaluate("--model", "mine:two_layers", "--input", "3x8x8", "--layers") == 0
    heads = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert heads[-4:-1] == ["layer", "0", "3"]


def test_networks_beyond_the_papers_and_all_of_a_data_set(folder):
    found = report(folder, "--network", "all", "--dataset", "multi30k", "voc", "--design", "efficient")
    assert [(each["network"], each["dataset"]) for each in found["evaluations"]] == [
        ("transformer", "multi30k"), ("yolov3", "voc")]
    entry, = report(folder, "--network", "resnet20", "--batch", "8", "--dataset", "cifar10")["evaluations"]
    linear = entry["layers"][-1]
    assert linear["forward"] == 6 * (2 * 12 + 15 + 8 - 2)  # 64 inputs are six folds, ten classes one
    assert len(entry["layers"]) == sum(hasattr(module, "weight") and module.weight.dim() > 1
                                       for module in build("resnet20", form="cifar", classes=10).modules())


def test_nothing_slow_is_imported_before_the_options_are_known():
    code = ("import sys; from adagp import cli\ntry: cli.main(['evaluate', '--help'])\n"
            "except SystemExit: assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules), sorted(sys.modules)")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--dataflow" in result.stdout


def test_documented_example_prints_what_is_documented(capsys):
    document = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    (command, printed), = re.findall("`adagp evaluate (.*)` prints\n\n```\n(.*?)\n```", document, re.DOTALL)
    assert evaluate(*command.split()) == 0
    assert capsys.readouterr().out.rstrip() == printed


OWN = ("--model", "mine:two_layers", "--input", "3x8x8")


@pytest.mark.parametrize("arguments, message", [
    (["--network", "vgg12"], "network on imagenet must be one of vgg11, "),
    (["--dataset", "mnist"], "dataset must be one of cifar10, "),
    (["--network", "transformer", "--dataset", "voc"], "network on voc must be one of yolov3, not 'transformer'"),
    (["--dataflow", "XS"], "--dataflow must be WS, RS, IS, OS or all, not 'XS'"),
    (["--design", "huge"], "--design must be low, efficient, max or all, not 'huge'"),
    (["--pipeline", "pipedream"], "--pipeline must be gpipe, dapple, chimera or all, not 'pipedream'"),
    (["--energy", "guess"], "--energy must be eyeriss, horowitz-low, "),
    (["--predict", "conv"], "--predict must be convolution, transposed, linear or all, not 'conv'"),
    *(([f"--{name}", "0"], f"--{name} must be at least 1, not 0") for name in (
        "batch", "epochs", "samples", "rows", "columns", "predictor-rows", "predictor-columns", "bus-bytes", "buffer-bytes",
        "devices", "micro-batches")),
    (["--rows", "many"], "argument --rows: invalid int value: 'many'"),
    (["--predictor-size", "3"], "Predictor.size must be an even integer of at least 2, not 3"),
    (["--predictor-channels", "0"], "Predictor.channels must be an integer of at least 1, not 0"),
    (["--schedule", "often"], "schedule must be paper, adaptive, K:M in batches or K:Me in epochs, not 'often'"),
    (["--schedule", "adaptive"], "--schedule adaptive is known when it has run: give --trace, what adagp train leaves"),
    (["--schedule", "0:0"], "Row.gp and Row.bp must not both be 0"), (["--warmup", "3"], "--warmup is of K:M and K:Me"),
    (["--schedule", "1:1", "--warmup", "91"], "--warmup must be from 0 to the epochs, 90, not 91"),
    (["--trace", "absent"], "--trace: path must be that of a training report, not 'absent': FileNotFoundError"),
    (["--trace", "mine.py"], "path must be that of a training report, not 'mine.py': JSONDecodeError"),
    (["--trace", "absent", "--schedule", "2:1"], "--trace is instead of --schedule and --warmup"),
    (["--pipeline", "gpipe", "--batch", "30"], "batch must be a multiple of the micro-batches, 4, not 30"),
    (["--pipeline", "chimera", "--devices", "3"], "devices must be even in a Chimera pipeline, not 3"),
    ([*OWN, "--pipeline", "gpipe"], "devices must be at most the number of layers, 2, not 4"),
    (["-o", "table.txt"], "output must end in .json or .csv, not 'table.txt'"),
    (["--input", "3x8x8"], "--input is of --model"), (["--model", "mine:two_layers"], "--model needs --input"),
    ([*OWN, "--network", "vgg13"], "--model is instead of --network and --dataset"),
    (["--model", "mine:two_layers", "--input", "3x0x8"], "must be extents of at least 1 such as 3x32x32, or int:32, not "),
    (["--model", "mine:two_layers", "--input", "3x9x9"], "model cannot take inputs of the shape (128, 3, 9, 9): "),
    (["--model", "mine:Branching", "--input", "3"], "model cannot take inputs of the shape (128, 3): "),
    (["--model", "mine:volume", "--input", "1x8x8x8"], "layer '0' must have one or two spatial dimensions, not 3"),
    (["--model", "mine:no_layers", "--input", "3"], "layers must be at least one layer, not none"),
    (["--model", "mine:absent", "--input", "3"], "--model must be PACKAGE:FUNCTION, a function without arguments")])
def test_user_errors_are_one_line(capsys, folder, arguments, message):
    assert evaluate(*arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("adagp evaluate: ") and captured.err.count("\n") == 1
    assert not captured.out and [path.name for path in folder.iterdir() if path.suffix != ".py"] in ([], ["__pycache__"])


MACHINE = ("evaluate", "--model", "mine:network", "--input", "1x8x8", "--machine", "tiny", "--batch", "2", "--schedule", "2:1",
           "--predictor-size", "4", "--predictor-channels", "2")


def test_machine_tells_cycles_and_bytes_of_its_programs_by_design_and_layer(capsys, folder):
    assert cli.main([*MACHINE, "--layers", "-o", "machine.json"]) == 0
    out, err = capsys.readouterr()
    assert "mine:network on the 4×4 machine, bus of 64 bits, memory of 30 cycles, batch of 2" in out
    assert "mine:network, max: Phase GP," in err  # progress
    report, = json.loads((folder / "machine.json").read_text())
    assert list(report["designs"]) == ["BASELINE", "LOW", "EFFICIENT", "MAX"]
    assert list(report["designs"]["BASELINE"]["phases"]) == ["EVALUATE", "BP"]
    low = report["designs"]["LOW"]["phases"]
    for phase in low.values():
        assert phase["cycles"] == sum(work["cycles"] for work in phase["work"])
        assert phase["bytes_read"] == sum(work["bytes_read"] for work in phase["work"])
        assert f"{phase['cycles']:,}" in out
    shares, baseline = report["shares"], report["designs"]["BASELINE"]["phases"]["BP"]["cycles"]
    assert report["designs"]["LOW"]["speedup"] == pytest.approx(
        baseline / (shares["gp"] * low["GP"]["cycles"] + (1 - shares["gp"]) * low["BP"]["cycles"]))
    assert re.search(r"0 weight gradient +[\d,]+", out) and "4 predict" in out


def test_machine_is_estimated_without_compiling(capsys, folder):
    assert cli.main([*MACHINE, "-o", "followed.json"]) == 0
    assert cli.main([*MACHINE, "-o", "estimated.json", "--estimate"]) == 0
    out, err = capsys.readouterr()
    assert "batch of 2, estimated" in out and "mine:network, max: estimates" in err
    followed, estimated = (json.loads((folder / f"{name}.json").read_text())[0]["designs"] for name in ("followed", "estimated"))
    for design, phases in followed.items():
        assert set(phases["phases"]) == set(estimated[design]["phases"])
        for phase, cost in phases["phases"].items():
            guess = estimated[design]["phases"][phase]
            assert guess["cycles"] == pytest.approx(cost["cycles"], rel=0.25)
            assert guess["cycles"] == pytest.approx(sum(work["cycles"] for work in guess["work"]), abs=len(guess["work"]))
            assert all(guess[name] == cost[name] for name in ("bytes_read", "bytes_fetched", "bytes_written"))


def test_slower_memory_costs_the_machine_cycles(capsys):
    outputs = []
    for latency in ("5", "90"):
        assert cli.main([*MACHINE, "--latency", latency, "--design", "low"]) == 0
        line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("warm-up, Phase BP: cycles"))
        outputs.append([int(cell.replace(",", "")) for cell in line.split()[-2:]])
    assert all(fast < slow for fast, slow in zip(*outputs, strict=True))


@pytest.mark.parametrize(("arguments", "message"), [
    (["--machine", "huge"], "--machine must be tiny, small, paper, large, not 'huge'"),
    (["--machine", "tiny", "--network", "transformer"], "--dataset on this project's machine must be of images with a class each, not multi30k"),
    (["--machine", "tiny", "--model", "mine:network"], "--model on this project's machine needs one --input, the shape of a sample such as 3x32x32"),
    (["--estimate"], "--estimate is for --machine; everything else is in closed form"),
    (["--machine", "tiny", "--latency", "0"], "--latency must be at least 1, not 0"),
    (["--machine", "tiny", "-o", "x.csv"], "--output of --machine must end in .json, not x.csv"),
    (["--machine", "tiny", "--model", "mine:volume", "--input", "1x8x8x8"], "mine:volume has no mapping on this machine: 0: Conv3d"),
    (["--machine", "tiny", "--model", "mine:network", "--input", "1x8x8", "--batch", "2", "--predictor-size", "3"],
     "PredictorConfig.size must be an even integer of at least 2, not 3")])
def test_what_the_machine_cannot_do_is_one_line(capsys, arguments, message):
    assert cli.main(["evaluate", *arguments]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("adagp evaluate: ") and message in last
