"""The log for TensorBoard."""

import sys
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adagp.spec.schedule import Phase
from adagp.training.log import TensorBoardLog
from adagp.training.quality import Quality
from adagp.training.records import BatchRecord, EpochRecord

QUALITY = {"conv1": Quality(mse=0.5, mape=80.0, cosine=0.25, batches=2)}


def batch(step, loss=1.0):
    return BatchRecord(step=step, epoch=step // 3, batch=step % 3, phase=Phase.GP if loss is None else Phase.BP, loss=loss,
                       cosine=0.125)


def epoch(number, metric=0.5):
    return EpochRecord(epoch=number, steps=3 * number, loss=1.5, test_loss=2.5, metric=metric, batches={"bp": 3},
                       seconds={"bp": 1.0}, test_seconds=1.0, learning_rate=0.1, predictor_learning_rate=None, quality=QUALITY)


def scalars(folder):
    read = EventAccumulator(str(folder))
    read.Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_figures_of_batches_and_epochs_are_there(tmp_path):
    log = TensorBoardLog(tmp_path, metric="token accuracy")
    for record in (batch(0), batch(1, None), batch(2)):
        log.hooks.batch(record)
    log.hooks.epoch(epoch(1))
    log.hooks.notice("read this")
    log.close()
    assert scalars(tmp_path) == {
        "loss/batch": [(0, 1.0), (2, 1.0)], "phase": [(0, 1.0), (1, 2.0), (2, 1.0)],
        "cosine/mean": [(step, 0.125) for step in range(3)], "loss/training": [(3, 1.5)], "loss/test": [(3, 2.5)],
        "token_accuracy": [(3, 0.5)], "learning_rate/model": [(3, pytest.approx(0.1))], "cosine/conv1": [(3, 0.25)],
        "mse/conv1": [(3, 0.5)], "mape/conv1": [(3, 80.0)]}
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    event, = read.Tensors("notice/text_summary")
    assert event.step == 2 and event.tensor_proto.string_val == [b"read this"]


@pytest.mark.parametrize("step, history", [(0, ()), (2, ()), (3, (epoch(1),)), (3, ()), (4, (epoch(1),))])
def test_run_that_goes_on_logs_nothing_twice_and_loses_nothing(tmp_path, monkeypatch, step, history):
    """The former process died after batch 4, its last checkpoint is from before batch ``step``."""
    former = TensorBoardLog(tmp_path, metric="accuracy")
    for record in map(batch, range(3)):
        former.hooks.batch(record)
    former.hooks.epoch(epoch(1, metric=0.5 if history else 0.25))
    former.hooks.batch(batch(3))
    former.hooks.batch(batch(4))
    former.close()
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2)  # TensorBoard reads files in the order of their seconds
    log = TensorBoardLog(tmp_path, metric="accuracy", step=step, history=history)
    for number in range(step, 6):
        log.hooks.batch(batch(number))
        if number % 3 == 2:
            log.hooks.epoch(epoch(number // 3 + 1))
    if step == 3 and not history:  # the epoch's batches were done, but not its test
        log.hooks.epoch(epoch(1))
    log.close()
    found = scalars(tmp_path)
    assert [at for at, _ in found["loss/batch"]] == list(range(6))
    assert sorted(found["accuracy"]) == [(3, 0.5), (6, 0.5)] and len(found["mse/conv1"]) == 2


def test_missing_package_is_an_import_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    with pytest.raises(ImportError, match="tensorboard"):
        TensorBoardLog(tmp_path, metric="accuracy")
