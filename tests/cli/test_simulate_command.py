"""``adagp simulate`` as a user meets it."""

import json
import subprocess
import sys

import numpy as np
import pytest


def simulate(*arguments, folder):
    return subprocess.run([sys.executable, "-m", "adagp.cli", "simulate", *arguments], cwd=folder,
                          capture_output=True, text=True, check=False)


def test_run_leaves_report_table_pictures_and_timelines(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", data=rng.random((12, 2, 6, 6), np.float32), labels=rng.integers(0, 3, 12),
             test_data=rng.random((4, 2, 6, 6), np.float32), test_labels=rng.integers(0, 3, 4))
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def network():\n"
        "    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3))\n")
    result = simulate("--preset", "tiny", "--model", "mine:network", "--data", "data.npz", "--batch", "4",
                      "--batches", "4", "--warmup", "1", "--gp", "1", "--bp", "1", "-o", "out", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "speed-up over baseline" in result.stdout
    report = json.loads((tmp_path / "out/report.json").read_text())
    phases = {name: [batch["phase"] for batch in design["batches"]] for name, design in report["designs"].items()}
    assert phases == {"baseline": ["bp"] * 4, "low": ["warmup", "gp", "bp", "gp"]}
    for design in report["designs"].values():
        assert all(batch["bit_exact"] and batch["cycles"] > 0 for batch in design["batches"])
        assert sum(design["pass_cycles"].values()) == sum(batch["cycles"] for batch in design["batches"])
        assert 0 < design["utilisation"]["forward"] < 1 and design["bytes"]["read"] > 0
    assert report["speedup"]["baseline"] == 1.0
    assert (tmp_path / "out/training.png").stat().st_size > 10_000
    assert (tmp_path / "out/table.txt").read_text() in result.stdout
    assert (tmp_path / "out/timeline.png").stat().st_size > 10_000
    recorded = {"baseline-bp": 0, "low-gp": 1, "low-bp": 2}
    assert {path.name for path in (tmp_path / "out").glob("*.json")} == {
        "report.json", *(f"timeline-{name}.json" for name in recorded)}
    for name, number in recorded.items():
        events = json.loads((tmp_path / f"out/timeline-{name}.json").read_text())["traceEvents"]
        batches = [event for event in events if event["ph"] == "X" and event["cat"] == "batch"]
        assert [event["name"] for event in batches] == [f"batch {number}"]
        assert batches[0]["dur"] == report["designs"][name.split("-")[0]]["batches"][number]["cycles"]
        tracks = {thread: sorted((event["ts"], event["ts"] + event["dur"]) for event in events
                                 if event["ph"] == "X" and event["tid"] == thread)
                  for thread in {event["tid"] for event in events if event["ph"] == "X"}}
        assert len(tracks) == 5  # the batch, and four engines
        assert all(first[1] <= second[0] for track in tracks.values() for first, second in zip(track, track[1:]))
        layers = {event["args"].get("layer") for event in events if event["ph"] == "X"}
        assert layers == {None, "0", "3"} | ({"cross entropy"} if name.endswith("bp") else set())


@pytest.mark.parametrize("arguments, message", [
    (["--preset", "huge"], "invalid choice: 'huge'"),
    (["--rows", "1"], "AcceleratorConfig.rows must be an integer from 2 to 128, not 1"),
    (["--batch", "2000"], "Workload.data must hold at least one batch of 2000 samples, not 1437"),
    (["--batches", "0"], "Workload.batches must be at least 1, not 0"),
    (["--timeline", "-1"], "--timeline must be at least 0, not -1"),
    (["--gp", "0", "--bp", "0"], "Schedule.gp and Schedule.bp must not both be 0"),
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
