"""Checkpoints on the disk."""

import os
import pickle
import random

import pytest
import torch

from adagp.training.checkpoint import (CheckpointError, Checkpoints, first_line, load, require_same, require_shapes,
                                       save)

STATE = {"weights": torch.arange(3000.0), "strided": torch.arange(24.0).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last),
         "random": random.Random(1).getstate(), "list": [1, None, 2.5, "text"]}


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "checkpoint.pt", {"model": "mine"}, STATE)
    return tmp_path / "checkpoint.pt"


def test_what_is_loaded_is_what_was_saved(path):
    description, state = load(path)
    assert description == {"model": "mine"}
    assert torch.equal(state["weights"].view(torch.int32), STATE["weights"].view(torch.int32))
    assert state["strided"].stride() == STATE["strided"].stride()
    assert state["random"] == STATE["random"] and state["list"] == STATE["list"]


def test_cut_short_anywhere_it_is_refused_in_a_line(path):
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=rf"^{path} is no checkpoint[^\n]*$"):
            load(path)


def test_a_flipped_bit_in_the_weights_is_noticed(path):
    content = bytearray(path.read_bytes())
    place = content.index(STATE["weights"].numpy().tobytes()) + 5000
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged: .* does not match its checksum"):
        load(path)


class _Malicious:
    def __reduce__(self):
        return os.mkdir, (os.environ["ADAGP_TEST_TARGET"],)


def test_code_in_a_checkpoint_is_not_run(path, tmp_path, monkeypatch):
    monkeypatch.setenv("ADAGP_TEST_TARGET", str(tmp_path / "ran"))
    save(path, {}, {"weights": _Malicious()})
    with pytest.raises(CheckpointError, match=r"is no checkpoint of a training run: [^\n]*$"):
        load(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have


@pytest.mark.parametrize("content, message", [
    ({"epoch": 3}, "is no checkpoint of a training run$"), ([1, 2], "is no checkpoint of a training run$"),
    ({"format": "adagp training checkpoint 0"}, "has the format 'adagp training checkpoint 0', not ")])
def test_what_others_saved_is_refused(path, content, message):
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=message):
        load(path)


def test_a_pickle_is_refused(path):
    path.write_bytes(pickle.dumps(STATE["list"]))
    with pytest.raises(CheckpointError, match="is no checkpoint, or was cut short$"):
        load(path)


def test_missing_file_is_no_checkpoint_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent.pt")


def test_former_checkpoint_stays_if_the_state_cannot_be_saved(path):
    with pytest.raises(Exception, match="pickle"):
        save(path, {}, {"function": lambda: None})
    assert load(path)[0] == {"model": "mine"} and os.listdir(path.parent) == ["checkpoint.pt"]


def test_difference_of_runs_is_named(path):
    require_same(path, {"batch": 16, "lr": 0.1}, {"lr": 0.1, "batch": 16})
    with pytest.raises(CheckpointError, match="checkpoint.pt does not fit: its batch is 16, not 32$"):
        require_same(path, {"lr": 0.1, "batch": 16}, {"lr": 0.1, "batch": 32})


@pytest.mark.parametrize("wanted, message", [
    ({"a": torch.zeros(2, 3)}, r"a has the shape \(2,\) in the checkpoint, \(2, 3\) in the model$"),
    ({}, "a is only in the checkpoint$"),
    ({"a": torch.zeros(2), "b": torch.zeros(1)}, "b is only in the model$")])
def test_difference_of_models_is_named(wanted, message):
    with pytest.raises(CheckpointError, match=message):
        require_shapes({"a": torch.zeros(2)}, wanted)


def test_checkpoints_are_due_after_batches_or_seconds(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    often = Checkpoints(tmp_path / "checkpoint.pt", {}, batches=3, seconds=10)
    assert [often.due() for _ in range(3)] == [False, False, True]
    often.save({})
    assert not often.due()
    now += 10
    assert often.due()
    often.save({})
    assert not often.due()
    assert not any(Checkpoints(tmp_path / "checkpoint.pt", {}).due() for _ in range(5))


@pytest.mark.parametrize("name", ["batches", "seconds"])
def test_interval_of_nothing_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=f"Checkpoints.{name} must be above 0, not 0"):
        Checkpoints(tmp_path / "checkpoint.pt", {}, **{name: 0})


def test_error_without_text_is_told_by_its_name():
    assert first_line(EOFError()) == "EOFError" and first_line(ValueError("one\ntwo")) == "one"
