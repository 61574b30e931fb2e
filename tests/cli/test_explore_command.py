"""``adagp explore`` as a user meets it."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from adagp import cli

NETWORKS = """
from torch import nn

def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))

def volume():
    return nn.Sequential(nn.Conv3d(1, 4, 3))
"""
OPTIONS = ("explore", "--model", "mine:network", "--input", "1x8x8", "--preset", "tiny", "--batches", "2", "--processes", "1",
           "--predictor-size", "2", "--predictor-channels", "1", "-o", "out")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def test_points_are_compared_and_known_ones_are_not_computed_again(capsys, folder):
    assert cli.main([*OPTIONS, "--arrays", "4x4", "--designs", "baseline", "max"]) == 0
    first = capsys.readouterr().out
    assert "4×4 baseline, batch 2" in first and "front in cycles, elements, memory: " in first
    assert {path.name for path in Path("out").iterdir()} == {"points.jsonl", "points.csv", "report.json", "front.png", "front.svg"}
    assert cli.main([*OPTIONS, "--arrays", "2x2", "4x4", "--designs", "baseline", "--objectives", "cycles", "elements"]) == 0
    second = capsys.readouterr().out
    assert "1 of 2 points are known from out" in second and "4×4 baseline, batch 2, bus 64, 1024 words" not in second
    assert "front in cycles, elements: 2 of 2 points" in second
    with open("out/points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["rows"], row["front"]) for row in rows] == [("2", "True"), ("4", "True")]
    assert float(rows[0]["cycles"]) > float(rows[1]["cycles"]) and (rows[0]["elements"], rows[1]["elements"]) == ("4", "16")
    assert json.loads(Path("out/report.json").read_text())["sweep"]["network"] == "mine:network"


def test_estimates_are_a_sweep_of_their_own(capsys):
    sizes = "--arrays", "4x4", "--designs", "baseline", "max"
    found = []
    for options in (), ("--estimate", "-o", "estimated"):
        assert cli.main([*OPTIONS, *sizes, *options]) == 0
        with open(f"{options[-1] if options else 'out'}/points.csv", newline="") as file:
            found.append([float(row["cycles"]) for row in csv.DictReader(file)])
    assert found[1] == pytest.approx(found[0], rel=0.25) and found[0] != found[1]
    capsys.readouterr()
    assert cli.main([*OPTIONS, *sizes, "--estimate"]) == 2  # a folder holds outcomes of one kind


def test_several_processes_find_the_same(folder):
    sizes = "--arrays", "2x2", "4x4", "--designs", "baseline"
    assert cli.main([*OPTIONS, *sizes]) == 0
    processes = OPTIONS.index("--processes") + 1
    assert cli.main([*OPTIONS[:processes], "2", *OPTIONS[processes + 1:-1], "other", *sizes]) == 0
    assert Path("other/points.csv").read_text() == Path("out/points.csv").read_text()


def test_machine_that_is_too_small_is_an_outcome(capsys):
    assert cli.main([*OPTIONS, "--designs", "baseline", "max", "--predictor-size", "8", "--predictor-channels", "64"]) == 0
    out = capsys.readouterr().out
    assert "4×4 max" in out and "AcceleratorConfig.predictor_elements" in out and "; 1 cannot be mapped" in out


def test_interrupted_sweep_goes_on(folder):
    sweep = *OPTIONS, "--arrays", "2x2", "2x4", "4x2", "4x4", "--designs", "baseline"
    command = [sys.executable, "-m", "adagp.cli", *sweep]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a job in the background ignores it
    assert "left" in running.stdout.readline()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 130 and err == "adagp explore: interrupted\n" and "front in" not in out
    lines = Path("out/points.jsonl").read_text().splitlines()
    assert 2 <= len(lines) < 5
    assert cli.main(sweep) == 0
    assert Path("out/points.jsonl").read_text().splitlines()[:len(lines)] == lines
    assert len(Path("out/points.jsonl").read_text().splitlines()) == 5


@pytest.mark.parametrize(("arguments", "message"), [
    (["--vector-words", "0"], "AcceleratorConfig.vector_words must be a power of two from 64 to"),
    (["--designs", "huge"], "--designs must be of baseline, low, efficient, max, not 'huge'"),
    (["--objectives", "area"], "objective must be one of cycles, bytes, elements, memory, not 'area'"),
    (["--processes", "0"], "--processes must be at least 1, not 0"),
    (["--preset", "huge"], "preset must be one of tiny, small, paper, large, not 'huge'"),
    (["--network", "vgg13"], "--model is instead of --network and --dataset"),
    (["--predictor-size", "3"], "PredictorConfig.size must be an even integer of at least 2, not 3")])
def test_wrong_options_are_one_line(capsys, arguments, message):
    assert cli.main([*OPTIONS, *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("adagp explore: ") and message in err and err.count("\n") == 1 and not Path("out").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--network", "nonet"], "--network on imagenet must be one of vgg11, "),
    (["--network", "vgg13", "resnet50"], "--network and --dataset must be one each, not 2 pairs"),
    (["--arrays", "8"], "must be rows and columns such as 8x8, not '8'")])
def test_wrong_networks_and_arrays_are_one_line(capsys, arguments, message):
    try:
        assert cli.main(["explore", *arguments]) == 2
    except SystemExit as exit:
        assert exit.code == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_other_sweep_in_the_folder_stays(capsys):
    assert cli.main([*OPTIONS, "--designs", "baseline"]) == 0
    before = Path("out/points.jsonl").read_bytes()
    assert cli.main([*OPTIONS, "--designs", "baseline", "--latency", "50"]) == 2
    assert "out/points.jsonl holds another sweep" in capsys.readouterr().err and Path("out/points.jsonl").read_bytes() == before


def test_network_without_mapping_names_its_layer(capsys):
    options = [option if option != "mine:network" else "mine:volume" for option in OPTIONS]
    options[options.index("1x8x8")] = "1x8x8x8"
    assert cli.main([*options, "--designs", "baseline"]) == 2
    assert "mine:volume has no mapping on any of these machines: 0: Conv3d is not mapped" in capsys.readouterr().err
