"""``adagp train``, killed again and again, ends with the weights of the undisturbed run."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adagp import cli
from adagp.training import checkpoint

RUN = ("train", "--model", "digits", "--predictor", "feedback", "--schedule", "2:1", "--epochs", "4",
       "--batch", "64", "--warmup", "1", "--lr", "0.02", "--lr-schedule", "plateau", "--threads", "1", "--checkpoint-every", "2")
KILLS = 10
HEAVY = ["torch._dynamo", "sklearn.datasets", "matplotlib.pyplot", "torch.utils.tensorboard", "adagp_flows.training_report"]


def train(folder, *options):
    """As the command, on a disk that takes its time."""
    fsync = os.fsync
    os.fsync = lambda file: (time.sleep(0.003), fsync(file))
    os._exit(cli.main([*RUN, "-o", str(folder), *options]))


@pytest.fixture(scope="module")
def start():
    """Starts the command in a process of its own, forked from one that has imported what is slow to."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)

    def start(*arguments):
        process = context.Process(target=train, args=arguments)
        process.start()
        return process
    return start


def kill_at_some_time(process, folder, rng):
    """After some more checkpoints, every other time in the middle of one; whether it was alive until then."""
    path, partial = folder / "checkpoint.pt", folder / ".checkpoint.partial.pt"

    def version():
        return path.stat().st_ino if path.exists() else None

    former = version()
    wanted, in_writing = rng.randint(0, 4), rng.random() < 0.5
    while process.is_alive() and wanted:
        if version() != former:
            former, wanted = version(), wanted - 1
        time.sleep(0.0005)
    pause = time.monotonic() + rng.uniform(0, 0.01)
    while process.is_alive() and (not partial.exists() if in_writing else time.monotonic() < pause):
        time.sleep(0.0005)
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive and process.exitcode == -signal.SIGKILL


@pytest.mark.timeout(180)
def test_run_that_is_killed_ten_times_ends_with_the_same_bits(tmp_path, start):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    undisturbed = start(whole)
    undisturbed.join()
    assert undisturbed.exitcode == 0
    rng, kills, torn, places = random.Random(4), 0, 0, []
    process = start(killed)
    while kills < KILLS:
        assert kill_at_some_time(process, killed, rng), f"the run has ended after {kills} kills"
        kills += 1
        torn += (killed / ".checkpoint.partial.pt").exists()
        begun = (killed / "checkpoint.pt").exists()
        if begun:
            state = checkpoint.load(killed / "checkpoint.pt")[1]  # whole, whenever it was
            places.append((state["epoch"], state["batch"]))
        process = start(killed, *(["--resume"] if begun else []))
    process.join()
    assert process.exitcode == 0
    assert torn and len(set(places)) > 5, (torn, places)
    assert places == sorted(places)
    (_, one), (_, other) = (checkpoint.load(folder / "checkpoint.pt") for folder in (whole, killed))
    assert (other["epoch"], other["batch"]) == (4, 0)
    for name, value in one["model"].items():
        assert torch.equal(value.view(torch.int32), other["model"][name].view(torch.int32)), name
    for record in (*one["history"], *other["history"]):
        record["seconds"] = record["test_seconds"] = None
    assert one["history"] == other["history"]
    assert sorted(os.listdir(killed)) == sorted(os.listdir(whole)) == ["checkpoint.pt", "curves.png", "log", "report.json"]
    steps = [logged(folder) for folder in (whole, killed)]
    assert steps[0] == steps[1] and max(Counter(steps[0]).values()) == 1


def logged(folder):
    """Tag, step and value of every scalar that TensorBoard shows, in their order."""
    read = EventAccumulator(str(folder / "log"))
    read.Reload()
    return sorted((tag, event.step, event.value) for tag in read.Tags()["scalars"] for event in read.Scalars(tag))
