"""The training loop: against one written by hand, interrupted everywhere, and with what goes wrong."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import MultiStepLR, ReduceLROnPlateau

from adagp.data import Batches, arrays
from adagp.spec.schedule import Phase, Schedule
from adagp.training import AdaGP
from adagp.training.approximation import Approximation
from adagp.training.approximation_schedule import ApproximationSchedule
from adagp.training.backpropagation import Backpropagation
from adagp.training.checkpoint import CheckpointError, Checkpoints, load
from adagp.training.predictors import CONTROLS, PREDICTORS
from adagp.training.rates import Rate
from adagp.training.records import EpochRecord, Hooks
from adagp.training.trainer import NotFinite, Trainer

PREDICTOR = partial(PREDICTORS["paper"], size=2, channels=2)
SCHEDULE = Schedule(warmup=2, gp=2, bp=1)


def samples(count=23):
    generator = torch.Generator().manual_seed(5)
    data = torch.randn(count, 2, 6, 6, generator=generator)
    labels = torch.randint(3, (count,), generator=generator)
    return arrays(data, labels, data[:9] + 0.1, labels[:9], classes=3)


def network(dropout=0.2):
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(dropout), nn.Linear(64, 3))


def trainer(*, predictor=PREDICTOR, schedule=SCHEDULE, accumulate=1, lr=0.05, model=None, source=None, scaler=None,
            task=None, rates=(), gate=None, approximate=None, **options):
    """One of six batches per epoch; back-propagation without ``predictor``."""
    source = source or samples()
    model = model or network()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    if predictor is None:
        adagp = Backpropagation(model, optimizer, accumulate=accumulate, scaler=scaler,
                                approximation=approximate and approximate(model))
    else:
        adagp = AdaGP(model, optimizer, predictor=predictor(), schedule=schedule, accumulate=accumulate, scaler=scaler, gate=gate)
    made = [rate(optimizer, adagp.predictor.optimizer) for rate in rates]
    return Trainer(adagp, task or source.task, Batches(source.train, batch=4, seed=1),
                   Batches(source.test, batch=4, shuffle=False), rates=made, **options)


def weights(trainer):
    return [value.clone() for value in trainer.model.state_dict().values()]


def equal(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


# against a loop by hand

@pytest.mark.parametrize("accumulate", [1, 2, 4])
def test_back_propagation_is_that_of_an_ordinary_loop(accumulate):
    source, model = samples(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = MultiStepLR(optimizer, [1], gamma=0.5)
    for epoch in range(2):
        model.train()
        batches = list(Batches(source.train, batch=4, seed=1).epoch(epoch))
        for first in range(0, len(batches) - len(batches) % accumulate, accumulate):
            for inputs, labels in batches[first:first + accumulate]:
                (cross_entropy(model(inputs), labels) / accumulate).backward()
            optimizer.step()
            optimizer.zero_grad()
        scheduler.step()
    tested = trainer(predictor=None, accumulate=accumulate, rates=[lambda optimizer, _: Rate(MultiStepLR(optimizer, [1], gamma=0.5))])
    history = tested.fit(2)
    # the loop by hand does not evaluate in between, which draws nothing
    assert equal(weights(tested), [value.clone() for value in model.state_dict().values()])
    assert [record.learning_rate for record in history] == [0.05, 0.025]
    assert [record.batches for record in history] == 2 * [{"bp": 6 // accumulate}]


def test_loop_with_prediction_is_the_loop_of_three_lines():
    source, model = samples(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    adagp = AdaGP(model, optimizer, predictor=PREDICTOR(), schedule=SCHEDULE)
    for epoch in range(2):
        for inputs, labels in Batches(source.train, batch=4, seed=1).epoch(epoch):
            adagp.backward(cross_entropy(model(inputs), labels))
            adagp.step()
    tested = trainer()
    tested.fit(2)
    assert equal(weights(tested), [value.clone() for value in model.state_dict().values()])


def test_test_figures_are_means_over_samples():
    tested = trainer(predictor=None)
    loss, accuracy = tested.evaluate()
    data, labels = next(Batches(samples().test, batch=9, shuffle=False).epoch(0))
    with torch.no_grad():
        logits = tested.model.eval()(data)
    assert loss == pytest.approx(float(cross_entropy(logits, labels)), rel=1e-6)
    assert accuracy == float((logits.argmax(1) == labels).double().mean())


# what it tells

def test_records_count_phases_and_measure_quality():
    batches, epochs = [], []
    tested = trainer(hooks=[Hooks(batch=batches.append, epoch=epochs.append)])
    history = tested.fit(2)
    assert tuple(epochs) == history and [record.epoch for record in history] == [1, 2]
    assert [record.batches for record in history] == [{"warmup": 2, "gp": 3, "bp": 1}, {"bp": 2, "gp": 4}]
    assert [(record.step, record.epoch, record.batch) for record in batches] == [
        (step, step // 6, step % 6) for step in range(12)]
    assert [record.phase for record in batches] == 2 * [Phase.WARMUP] + 3 * [Phase.GP, Phase.GP, Phase.BP] + [Phase.GP]
    assert [record.loss is None for record in batches] == [record.phase is Phase.GP for record in batches]
    for record, part in zip(history, (batches[:6], batches[6:]), strict=True):
        losses = [batch.loss for batch in part if batch.loss is not None]
        assert record.loss == pytest.approx(sum(losses) / len(losses))
        assert set(record.seconds) == set(record.batches) and all(value > 0 for value in record.seconds.values())
        assert set(record.quality) == {"0", "5"} and record.predictor_learning_rate == 1e-4
        assert all(layer.batches == len(losses) and -1 <= layer.cosine <= 1 for layer in record.quality.values())
        assert record.mse == pytest.approx(sum(layer.mse for layer in record.quality.values()) / 2)
        assert record.cosine == pytest.approx(sum(layer.cosine for layer in record.quality.values()) / 2)
    assert history[1].steps == 12 and EpochRecord.from_state(history[1].as_state()) == history[1]


def test_notices_are_told_once():
    told = []
    tested = trainer(hooks=[Hooks(notice=told.append)])
    tested.adagp.notices.append("read this")
    tested.fit(1)
    assert told == ["read this"] and tested.adagp.notices == []


# what is left out

class _Labels:
    """Fails when anything is done with it."""

    def __getattr__(self, name):
        raise AssertionError(f"the labels' {name} was read")


class _LabelsOnlyWhereNeeded:
    """Batches whose labels may be touched in warm-up and Phase BP only."""

    def __init__(self, source):
        self.batches, self.trainer = Batches(source.train, batch=4, seed=1), None

    def __len__(self):
        return len(self.batches)

    def epoch(self, number, first=0):
        for inputs, labels in self.batches.epoch(number, first):
            yield inputs, _Labels() if self.trainer.adagp.phase is Phase.GP else labels


def test_labels_are_not_read_where_the_predictor_does_not_need_them():
    source = samples()
    reference = trainer()
    reference.fit(2)
    tested = trainer()
    tested.train = _LabelsOnlyWhereNeeded(source)
    tested.train.trainer = tested
    tested.fit(2)
    assert equal(weights(tested), weights(reference))
    needing = trainer(predictor=PREDICTORS["feedback"])
    needing.train = _LabelsOnlyWhereNeeded(source)
    needing.train.trainer = needing
    with pytest.raises((AssertionError, TypeError), match="labels|_Labels"):
        needing.fit(2)


def test_batches_that_need_not_run_are_not_run():
    runs = []
    tested = trainer(predictor=CONTROLS["skip"])
    tested.model.register_forward_hook(lambda model, inputs, output: runs.append(model.training))
    tested.fit(2)
    assert tested.adagp.batches[Phase.GP] == 7 and sum(runs) == 5


# learning rates

def test_plateau_follows_the_loss_that_it_is_told_to():
    seen = {}

    class Spy(ReduceLROnPlateau):
        def step(self, value, *_):
            seen.setdefault(id(self), []).append(value)

    tested = trainer(rates=[lambda model, _: Rate(Spy(model), "loss"), lambda model, _: Rate(Spy(model), "test_loss"),
                            lambda _, predictor: Rate(Spy(predictor), "mse")])
    history = tested.fit(3)
    assert list(seen.values()) == [[getattr(record, name) for record in history] for name in ("loss", "test_loss", "mse")]


def test_plateau_is_not_stepped_without_what_it_follows():
    tested = trainer(predictor=CONTROLS["skip"], schedule=Schedule(warmup=6, gp=6, bp=6),
                     rates=[lambda model, _: Rate(ReduceLROnPlateau(model), "loss"),
                            lambda model, _: Rate(ReduceLROnPlateau(model), "mse")])
    history = tested.fit(3)
    assert [record.loss is None for record in history] == [False, True, False]
    assert [rate.scheduler.last_epoch for rate in tested.rates] == [2, 0]


@pytest.mark.parametrize("scheduler, follows", [(ReduceLROnPlateau, None), (ReduceLROnPlateau, "accuracy"),
                                                (partial(MultiStepLR, milestones=[1]), "loss")])
def test_rate_that_follows_the_wrong_thing_is_refused(scheduler, follows):
    optimizer = torch.optim.SGD(network().parameters(), lr=1)
    with pytest.raises(ValueError, match="Rate.follows of a .* must be .*, not "):
        Rate(scheduler(optimizer), follows)


# interrupted

PLATEAUS = [lambda model, _: Rate(ReduceLROnPlateau(model, patience=0, factor=0.5), "loss"),
            lambda model, _: Rate(MultiStepLR(model, [1]))]


def approximated(model, **options):
    """By a table that does not end with an epoch."""
    return Approximation(model, ApproximationSchedule([["full", "random", "top1", "zero"]]), **options)


RUNS = {
    "none": dict(predictor=None), **{name: dict(predictor=control) for name, control in CONTROLS.items()},
    "paper": dict(), "feedback": dict(predictor=PREDICTORS["feedback"]),
    "remapped": dict(predictor=partial(PREDICTORS["remapped"], size=2, channels=2, outputs=50)),
    "rates": dict(rates=[*PLATEAUS, lambda _, predictor: Rate(ReduceLROnPlateau(predictor, patience=0), "mse")]),
    "approximated": dict(predictor=None, approximate=approximated),
    "approximated, own generator": dict(predictor=None, approximate=lambda model: approximated(
        model, generator=torch.Generator().manual_seed(7))),
    "accumulated": dict(accumulate=2), "gated": dict(gate=0.1),
    "bfloat16": dict(autocast=torch.bfloat16), "channels_last": dict(channels_last=True)}


@pytest.mark.parametrize("name", RUNS)
def test_run_goes_on_bit_for_bit_wherever_it_was_stopped(name, tmp_path):
    make = partial(trainer, **RUNS[name])
    undisturbed = make()
    history = undisturbed.fit(3)
    for batches in range(1, 3 * undisturbed.batches_per_epoch + 1):
        first = make(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}))
        first.hooks.append(Hooks(batch=lambda record: record.step + 1 < batches or first.stop()))
        first.fit(3)
        assert first.batches_done == batches
        torch.manual_seed(batches)  # what the other process would not have
        second = make()
        second.load_state_dict(load(tmp_path / "checkpoint.pt")[1])
        again = second.fit(3)
        assert equal(weights(second), weights(undisturbed)), batches
        timeless = [dict(record.as_state(), seconds=None, test_seconds=None) for record in history]
        assert [dict(record.as_state(), seconds=None, test_seconds=None) for record in again] == timeless


def test_run_with_scaled_gradients_goes_on_bit_for_bit(tmp_path):
    def make(**options):
        return trainer(scaler=torch.amp.GradScaler("cpu", init_scale=2.0 ** 60, growth_interval=3), autocast=torch.float16, **options)

    undisturbed = make()
    undisturbed.fit(3)
    first = make(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}))
    first.hooks.append(Hooks(batch=lambda record: record.step < 8 or first.stop()))
    first.fit(3)
    second = make()
    second.load_state_dict(load(tmp_path / "checkpoint.pt")[1])
    second.fit(3)
    assert equal(weights(second), weights(undisturbed))
    assert second.adagp.scaler.get_scale() == undisturbed.adagp.scaler.get_scale() != 2.0 ** 60


def test_run_that_is_stopped_in_the_test_goes_on_bit_for_bit(tmp_path):
    undisturbed = trainer()
    undisturbed.fit(2)
    first = trainer(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}))
    first.model.register_forward_pre_hook(lambda model, _: None if model.training else first.stop())
    assert first.fit(2) == () and first.batch == first.batches_per_epoch
    second = trainer()
    second.load_state_dict(load(tmp_path / "checkpoint.pt")[1])
    assert len(second.fit(2)) == 2 and equal(weights(second), weights(undisturbed))


def test_approximated_run_is_an_ordinary_loop_over_the_approximated_model():
    source, model = samples(), network()
    approximated(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for epoch in range(2):
        for inputs, labels in Batches(source.train, batch=4, seed=1).epoch(epoch):
            cross_entropy(model(inputs), labels).backward()
            optimizer.step()
            optimizer.zero_grad()
    tested, exact = trainer(predictor=None, approximate=approximated), trainer(predictor=None)
    for each in (tested, exact):
        each.fit(2)
    assert equal(weights(tested), [value.clone() for value in model.state_dict().values()])
    assert not equal(weights(tested), weights(exact))
    tested.adagp.close()
    tested.fit(3)
    assert tested.adagp.approximation.batches == 12


def test_longer_run_is_the_run_continued():
    once = trainer()
    once.fit(3)
    twice = trainer()
    twice.fit(1)
    twice.fit(3)
    assert equal(weights(once), weights(twice))


def test_checkpoints_are_written_at_the_start_when_due_and_after_each_epoch(tmp_path):
    saved = []
    tested = trainer(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}, batches=4))
    tested.hooks.append(Hooks(checkpoint=lambda: saved.append((tested.epoch, tested.batch))))
    tested.fit(2)
    assert saved == [(0, 0), (0, 4), (1, 0), (1, 4), (2, 0)]


@pytest.mark.parametrize("other, message", [
    (dict(model=nn.Sequential(nn.Conv2d(2, 4, 3))), "1.weight is only in the checkpoint|5.weight is only in the checkpoint"),
    (dict(predictor=PREDICTORS["feedback"]), "the checkpoint is of another run: "),
    (dict(rates=PLATEAUS), "the checkpoint is of another run: ")])
def test_checkpoint_of_another_run_is_refused(other, message):
    state = trainer().state_dict()
    with pytest.raises(CheckpointError, match=message):
        trainer(**other).load_state_dict(state)


@pytest.mark.parametrize("missing", sorted(trainer().state_dict()))
def test_checkpoint_without_a_part_is_refused(missing):
    tested = trainer(scaler=torch.amp.GradScaler("cpu"))
    state = tested.state_dict()
    del state[missing]
    with pytest.raises(CheckpointError, match=f"the checkpoint is of another run: '{missing}'$"):
        tested.load_state_dict(state)


# what is not finite

def test_loss_that_is_not_finite_ends_the_run_with_the_last_good_checkpoint(tmp_path):
    losses = iter([1.0] * 4 + [math.nan])

    class Spoiled:
        metric, score = "accuracy", staticmethod(samples().task.score)

        @staticmethod
        def loss(logits, labels):
            return cross_entropy(logits, labels) * next(losses)

    tested = trainer(predictor=PREDICTORS["feedback"], task=Spoiled(),
                     checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}, batches=1))
    with pytest.raises(NotFinite, match=r"^loss is nan in epoch 1, batch 5 of 6, Phase BP$"):
        tested.fit(2)
    state = load(tmp_path / "checkpoint.pt")[1]
    assert state["batch"] == 4 and all(value.isfinite().all() for value in state["model"].values())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_weight_that_is_not_finite_ends_the_run_with_the_last_good_checkpoint(tmp_path, bad):
    tested = trainer(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}, batches=1))

    def spoil(record):
        if record.step == 2:  # Phase GP; the next one is as well
            with torch.no_grad():
                tested.model[0].weight[1, 1, 1, 1] = bad

    tested.hooks.append(Hooks(batch=spoil))
    tested.checkpoints.due = lambda: tested.batch == 2
    with pytest.raises(NotFinite, match=r"^norm of the weights is (nan|inf) in epoch 1, batch 4 of 6, Phase GP$"):
        tested.fit(2)
    assert load(tmp_path / "checkpoint.pt")[1]["batch"] == 2


def test_test_loss_that_is_not_finite_ends_the_run(tmp_path):
    tested = trainer(checkpoints=Checkpoints(tmp_path / "checkpoint.pt", {}))
    tested.hooks.append(Hooks(batch=lambda _: tested.model[1].running_var.fill_(math.nan)))
    with pytest.raises(NotFinite, match="^loss of the test samples is nan after epoch 1$"):
        tested.fit(1)
    assert load(tmp_path / "checkpoint.pt")[1]["batch"] == 0


@pytest.mark.parametrize("accumulate, message", [(0, "accumulate must be an integer of at least 1, not 0"),
                                                 (7, "must hold at least accumulate=7 batches, not 6")])
@pytest.mark.parametrize("predictor", [None, PREDICTOR])
def test_accumulation_that_cannot_be_is_refused(accumulate, message, predictor):
    with pytest.raises(ValueError, match=message):
        trainer(accumulate=accumulate, predictor=predictor)
