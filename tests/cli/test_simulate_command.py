"""``adagp simulate`` as a user meets it."""

import argparse
import json
import subprocess
import sys

import numpy as np
import pytest

from adagp.cli import simulate as command


def simulate(*arguments, folder):
    return subprocess.run([sys.executable, "-m", "adagp.cli", "simulate", *arguments], cwd=folder,
                          capture_output=True, text=True, check=False)


def prepare(folder):
    rng = np.random.default_rng(0)
    np.savez(folder / "data.npz", data=rng.random((20, 2, 6, 6), np.float32), labels=rng.integers(0, 3, 20),
             test_data=rng.random((4, 2, 6, 6), np.float32), test_labels=rng.integers(0, 3, 4))
    (folder / "mine.py").write_text(
        "from torch import nn\n"
        "def network():\n"
        "    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))\n")
    return ("--preset", "tiny", "--model", "mine:network", "--data", "data.npz", "--batch", "4", "-o", "out")


def test_run_leaves_report_table_pictures_and_timelines(tmp_path):
    result = simulate(*prepare(tmp_path), "--designs", "baseline", "efficient", "--schedule", "2:1", "--epochs", "2",
                      "--warmup", "4", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "speed-up over baseline" in result.stdout and "efficient 2:1: 4 warm-up, 2:1" in result.stdout
    report = json.loads((tmp_path / "out/report.json").read_text())["runs"]
    runs = {run["name"]: run for run in report}
    batches = {name: {phase: what["batches"] for phase, what in run["phases"].items()} for name, run in runs.items()}
    assert batches == {"baseline": {"bp": 10}, "efficient 2:1": {"warmup": 4, "bp": 2, "gp": 4}}
    for run in report:
        assert run["bit_exact"] and run["doorbells"] == run["epochs"] == 2 and run["register_writes_while_running"] == 0
        assert sum(run["pass_cycles"].values()) == run["cycles"] == run["accuracy"]["cycles"][-1]
        assert len(run["accuracy"]["after"]) == 2
        assert 0 < run["utilisation"]["forward"] < 1 and run["bytes"]["read"] > 0
    moves = runs["efficient 2:1"]["cycles_of_moves"]
    phases = [what["batches"] * what["mean_cycles"] for what in runs["efficient 2:1"]["phases"].values()]
    assert sum(phases) + sum(moves.values()) == pytest.approx(runs["efficient 2:1"]["cycles"])
    read = runs["efficient 2:1"]["predictor_bytes_read"]
    assert read["enter"] > 0 == read["warmup"] == read["bp"] == read["gp"]
    assert runs["baseline"]["speedup"] == 1.0
    assert runs["efficient 2:1"]["speedup"] == runs["baseline"]["cycles"] / runs["efficient 2:1"]["cycles"]
    assert (tmp_path / "out/training.png").stat().st_size > 10_000
    assert (tmp_path / "out/table.txt").read_text() in result.stdout
    assert (tmp_path / "out/timeline.png").stat().st_size > 10_000
    recorded = {"baseline-bp": 10, "efficient-2:1-gp": 10, "efficient-2:1-bp": 11}
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {
        "report.json", *(f"timeline-{name}.json" for name in recorded)}
    for name, number in recorded.items():
        events = json.loads((tmp_path / f"out/timeline-{name}.json").read_text())["traceEvents"]
        batches = [event for event in events if event["ph"] == "X" and event["cat"] == "batch"]
        assert [event["name"] for event in batches] == [f"batch {number}"]
        phase = runs["baseline" if number == 10 and name.startswith("base") else "efficient 2:1"]["phases"][name[-2:]]
        assert batches[0]["dur"] == pytest.approx(phase["mean_cycles"], rel=0.01)
        tracks = {thread: sorted((event["ts"], event["ts"] + event["dur"]) for event in events
                                 if event["ph"] == "X" and event["tid"] == thread)
                  for thread in {event["tid"] for event in events if event["ph"] == "X"}}
        assert len(tracks) == 5  # the batch, and four engines
        assert all(first[1] <= second[0] for track in tracks.values() for first, second in zip(track, track[1:]))
        layers = {event["args"].get("layer") for event in events if event["ph"] == "X"}
        assert {None, "0", "3"} <= layers


@pytest.mark.parametrize("options, want", [
    ([], ["baseline", "low", "efficient", "max", "max adaptive", "efficient feedback 4:1"]),
    (["--predictor", "feedback"], ["baseline", "low feedback", "efficient feedback", "max feedback"]),
    (["--schedule", "adaptive", "--designs", "max", "baseline", "max"], ["max adaptive", "baseline"])])
def test_runs_are_chosen(options, want):
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert [choice.name for choice in command._choices(parser.parse_args(options))] == want


@pytest.mark.parametrize("arguments, message", [
    (["--preset", "huge"], "invalid choice: 'huge'"),
    (["--rows", "1"], "AcceleratorConfig.rows must be an integer from 2 to 128, not 1"),
    (["--batch", "2000"], "Workload.data must hold at least one batch of 2000 samples, not 1437"),
    (["--epochs", "0"], "Workload.epochs must be at least 1, not 0"),
    (["--timeline", "-1"], "--timeline must be at least 0, not -1"),
    (["--schedule", "0:0"], "Row.gp and Row.bp must not both be 0"),
    (["--schedule", "sometimes"], "schedule must be paper, adaptive, K:M in batches or K:Me in epochs, not 'sometimes'"),
    (["--schedule", "adaptive", "--k-most", "-1"], "Adaptive.most must be an integer from 1 to 65535, not -1"),
    (["--predictor", "oracle"], "invalid choice: 'oracle'"),
    (["--predictor-size", "3"], "PredictorConfig.size must be an even integer of at least 2, not 3"),
    (["--model", "nowhere:network"], "--model must be PACKAGE:FUNCTION"),
    (["--model", "mine:sigmoid"], "1: Sigmoid is not mapped"),
    (["--data", "absent.npz"], "absent.npz"),
    (["--data", "partial.npz"], "test_data, test_labels missing")])
def test_user_errors_are_one_line_and_keep_the_former_report(arguments, message, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def sigmoid():\n"
        "    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 10))\n")
    np.savez(tmp_path / "partial.npz", data=np.zeros(3), labels=np.zeros(3))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.json").write_text("former")
    result = simulate(*arguments, "-o", "out", folder=tmp_path)
    assert result.returncode == 2 and message in result.stderr, result.stderr
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "out/report.json").read_text() == "former"
