"""Models that are no chain of layers with one output, and what happens when a batch does not go as planned."""

import gc
import weakref
from collections import namedtuple
from copy import deepcopy
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint

from adagp.training import CONTROLS, PREDICTORS, AdaGP, Adaptive, LearnedFeedback, PaperPredictor, Phase, Row, Schedule

from .networks import batches, same_bits, weights

PREDICTED = Schedule(warmup=3, gp=1000, bp=0)
"""Three batches of warm-up, then Phase GP."""


def make(model, predictor, schedule=PREDICTED, lr=0.05, **options):
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return AdaGP(model, optimizer, predictor=predictor, schedule=schedule, **options)


def train(adagp, samples, criterion=functional.cross_entropy):
    for inputs, labels in samples:
        if adagp.runs:
            output = adagp.model(inputs)
            adagp.backward(criterion(output, labels) if adagp.needs_loss else None)
        adagp.step()


def changed(model, before):
    """Names of the parameters that are no longer as in ``before``."""
    return {name for (name, parameter), old in zip(model.named_parameters(), before) if not torch.equal(parameter, old)}


class Network(nn.Module):
    """A convolution and two linear layers; ``forward`` is what a test makes of them."""

    def __init__(self, forward=None):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.hidden, self.head = nn.Conv2d(2, 3, 3, padding=1), nn.Linear(108, 10), nn.Linear(10, 4)
        self._forward = forward or (lambda net, x: net.head(net.features(x)))

    def features(self, x):
        return torch.relu(self.hidden(torch.relu(self.conv(x)).flatten(1)))

    def forward(self, x):
        return self._forward(self, x)


# layers

@pytest.mark.parametrize("name", PREDICTORS)
def test_layers_may_be_called_with_keywords(name):
    positional, keywords = Network(), Network(lambda net, x: net.head(input=torch.relu(net.hidden(
        input=torch.relu(net.conv(input=x)).flatten(1)))))
    for model in (positional, keywords):
        torch.manual_seed(1)
        train(make(model, PREDICTORS[name]()), batches(5))
    assert same_bits(weights(positional), weights(keywords))


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_layer_whose_forward_is_never_called_waits_for_back_propagation(name):
    """``nn.MultiheadAttention`` multiplies by the weight of its ``out_proj`` itself."""
    class Attentive(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.attention, self.head = nn.MultiheadAttention(12, 2, batch_first=True), nn.Linear(72, 4)

        def forward(self, x):
            x = x.reshape(len(x), 6, 12)
            return self.head(self.attention(x, x, x, need_weights=False)[0].flatten(1))

    adagp = make(Attentive(), PREDICTORS[name]())
    before = weights(adagp.model)
    train(adagp, batches(3))
    assert "attention.out_proj.weight" in changed(adagp.model, before)
    before = weights(adagp.model)
    train(adagp, batches(4)[3:])
    assert "head.weight" in changed(adagp.model, before)
    assert not any(name.startswith("attention") for name in changed(adagp.model, before))


@pytest.mark.parametrize("compute", [
    lambda layer: parametrizations.weight_norm(layer), lambda layer: parametrizations.spectral_norm(layer),
    lambda layer: prune.l1_unstructured(layer, "weight", 0.5)], ids=("weight norm", "spectral norm", "pruning"))
def test_computed_weights_wait_for_back_propagation(compute):
    model = Network()
    compute(model.hidden)
    adagp = make(model, PaperPredictor(lr=0.01))
    assert [layer.name for layer in adagp.layers] == ["conv", "head"]
    train(adagp, batches(3))
    before = weights(model)
    train(adagp, batches(4)[3:])
    assert changed(model, before) == {"conv.weight", "head.weight"}


def test_a_computed_bias_waits_for_back_propagation():
    model = Network()
    prune.random_unstructured(model.hidden, "bias", 0.5)
    adagp = make(model, LearnedFeedback())
    train(adagp, batches(3))
    before = weights(model)
    train(adagp, batches(4)[3:])
    assert "hidden.bias_orig" not in changed(model, before) and "hidden.weight" in changed(model, before)


def test_layers_without_a_shape_yet_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    with pytest.raises(ValueError, match="layer '1' must have its shape before AdaGP is made; run the model once"):
        make(model, LearnedFeedback())
    model(batches(1)[0][0])
    train(make(model, LearnedFeedback()), batches(4))


def test_a_shared_weight_is_refused_by_name():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.back = nn.Embedding(9, 6), nn.Linear(6, 9, bias=False)
            self.back.weight = self.words.weight
            self.other = nn.Linear(6, 9)

    with pytest.raises(ValueError, match="layer 'back' must not share its weight with 'words'; exclude='back' leaves it to Phase BP"):
        make(Tied(), PaperPredictor())
    assert [layer.name for layer in make(Tied(), PaperPredictor(), exclude=("back",)).layers] == ["other"]


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_layer_frozen_on_the_way_stays_as_it_is(name):
    adagp = make(Network(), PREDICTORS[name]())
    train(adagp, batches(2))
    adagp.model.hidden.requires_grad_(False)
    train(adagp, batches(3)[2:])
    before = weights(adagp.model)
    train(adagp, batches(4)[3:])
    assert "conv.weight" in changed(adagp.model, before)
    assert not {"hidden.weight", "hidden.bias"} & changed(adagp.model, before)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_layer_that_never_had_a_true_gradient_is_not_predicted(name):
    def forward(net, x):
        with torch.no_grad():
            x = torch.relu(net.conv(x))
        return net.head(torch.relu(net.hidden(x.flatten(1))))

    adagp = make(Network(forward), PREDICTORS[name]())
    before = adagp.model.conv.weight.detach().clone()
    train(adagp, batches(6))
    assert torch.equal(adagp.model.conv.weight, before) and adagp.batches[Phase.GP] == 3


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_layer_may_run_in_some_batches_only(name):
    model = Network(lambda net, x: net.head(net.features(x)) if net.whole else net.head(net.features(x).detach()))
    skipping = Network(lambda net, x: net.head(net.features(x)) if net.whole else net.head(x.flatten(1)[:, :10]))
    for net in (model, skipping):
        adagp = make(net, PREDICTORS[name](), Schedule(warmup=4, gp=2, bp=2))
        for whole, sample in zip((True, False, False, True, True, False, True, False, True), batches(9)):
            net.whole = whole
            train(adagp, [sample])
        assert all(weight.isfinite().all() for weight in weights(net))


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_layer_that_runs_in_the_first_of_two_passes_is_updated(name):
    model = Network(lambda net, x: net.head(net.features(x)) if net.whole else net.head(x.flatten(1)[:, :10]))
    adagp = make(model, PREDICTORS[name](), accumulate=2)
    torch.manual_seed(0)

    def batch():
        for whole, (inputs, labels) in zip((True, False), batches(2)):
            model.whole = whole
            adagp.backward(functional.cross_entropy(model(inputs), labels))
        adagp.step()

    for _ in range(3):
        batch()
    before = weights(model)
    batch()
    assert {"conv.weight", "hidden.weight", "head.weight"} <= changed(model, before)


def test_a_sample_without_a_batch_is_refused_by_name():
    for predictor in (PaperPredictor(), LearnedFeedback()):
        adagp = make(Network(lambda net, x: net.head(torch.relu(net.hidden(torch.relu(net.conv(x)).flatten())))), predictor)
        with pytest.raises(ValueError, match=r"layer 'conv' must get a batch, not one sample: its output is \(3, 6, 6\)"):
            adagp.model(batches(1)[0][0][0])


def test_excluding_a_block_excludes_its_layers():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 3)), nn.Flatten(), nn.Linear(12, 4), nn.Linear(4, 4))
    assert [layer.name for layer in make(model, PaperPredictor(), exclude=("0", "3")).layers] == ["2"]


@pytest.mark.parametrize("kind", (torch.float64, torch.bfloat16))
@pytest.mark.parametrize("name", PREDICTORS)
def test_weights_of_other_types(name, kind):
    adagp = make(Network().to(kind), PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
    train(adagp, [(inputs.to(kind), labels) for inputs, labels in batches(6)])
    assert all(parameter.dtype is kind and parameter.isfinite().all() for parameter in adagp.model.parameters())


@pytest.mark.parametrize("dims, length", ((1, 9), (3, 3)))
def test_masks_of_layers_that_are_no_images(dims, length):
    samples = [(torch.randn(5, 2, *[length] * dims), torch.arange(5) % 4) for _ in range(5)]
    some = []
    for masks in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential((None, nn.Conv1d, None, nn.Conv3d)[dims](2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(),
                              nn.Linear(3 * (length - 2) ** dims, 4))
        train(make(model, LearnedFeedback(masks=masks)), samples)
        some.append(model[0].weight)
    assert not torch.equal(*some)


def test_linear_layers_on_images_have_no_masks():
    some = []
    for masks in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4))
        train(make(model, LearnedFeedback(masks=masks)), batches(5))
        some.append(model[0].weight)
    assert torch.equal(*some)


# outputs

Pair = namedtuple("Pair", "logits features")


@dataclass
class Unknown:
    logits: torch.Tensor


def test_outputs_that_the_loss_does_not_use():
    """The features have no gradient of their own; the error is that of the logits alone."""
    alone, samples = Network(), batches(8)
    expected = make(alone, LearnedFeedback(rank=1000), lr=0.01)
    train(expected, samples)
    for wrap, pick in ((lambda a, b: (a, b), lambda out: out[0]), (lambda a, b: {"b": b, "a": a}, lambda out: out["a"]),
                       (Pair, lambda out: out.logits)):
        model = Network(lambda net, x, wrap=wrap: (lambda features: wrap(net.head(features), features))(net.features(x)))
        train(make(model, LearnedFeedback(rank=1000, ridge=0.1 * 14 / 4), lr=0.01), samples,
              lambda output, labels, pick=pick: functional.cross_entropy(pick(output), labels))
        for one, other in zip(weights(model), weights(alone)):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_outputs_without_a_gradient_in_back_propagation_have_none_in_prediction():
    anchors = torch.rand(7, 4)
    alone, model = Network(), Network(lambda net, x: (anchors, net.head(net.features(x)), torch.arange(3)))
    train(make(alone, LearnedFeedback()), batches(8))
    train(make(model, LearnedFeedback()), batches(8), lambda output, labels: functional.cross_entropy(output[1], labels))
    assert same_bits(weights(model), weights(alone))


def test_a_flat_output():
    """One value per sample, (samples,)."""
    adagp = make(Network(lambda net, x: net.head(net.features(x))[:, 0]), LearnedFeedback())
    before = weights(adagp.model)
    train(adagp, batches(6), lambda output, labels: functional.binary_cross_entropy_with_logits(output, (labels > 1).float()))
    assert {"conv.weight", "hidden.weight", "head.weight"} <= changed(adagp.model, before)


def test_a_criterion_may_change_the_output_in_place():
    def criterion(output, labels):
        return functional.mse_loss(output.sigmoid_(), functional.one_hot(labels, 4).float())

    def outside(output, labels):
        return functional.mse_loss(output.sigmoid(), functional.one_hot(labels, 4).float())

    some = [Network(), Network()]
    for model, loss in zip(some, (criterion, outside)):
        train(make(model, LearnedFeedback()), batches(6), loss)
    assert same_bits(*map(weights, some))


@pytest.mark.parametrize("output", (lambda logits: logits.mean(), lambda logits: (logits, logits.mean()),
                                    lambda logits: (logits, logits.flatten())))
def test_feedback_refuses_outputs_without_samples(output):
    adagp = make(Network(lambda net, x: output(net.head(net.features(x)))), LearnedFeedback())
    with pytest.raises(ValueError, match=r"model's outputs must have the samples in dimension 0, not the shapes .*"):
        train(adagp, batches(1), lambda output, labels: sum(part.sum() for part in output) if isinstance(output, tuple) else output)


def test_outputs_of_unknown_type_are_refused_where_the_error_is_needed():
    def forward(net, x):
        return Unknown(net.head(net.features(x)))

    def loss(output, labels):
        return functional.cross_entropy(output.logits, labels)

    train(make(Network(forward), PaperPredictor()), batches(5), loss)
    with pytest.raises(ValueError, match="model's output must hold its tensors in tuples, lists or dicts, not Unknown"):
        train(make(Network(forward), LearnedFeedback()), batches(1), loss)


def test_a_loss_of_two_forward_passes_is_refused():
    adagp = make(Network(), LearnedFeedback())
    one, other = (adagp.model(inputs) for inputs, _ in batches(2))
    with pytest.raises(RuntimeError, match="loss must be that of one forward pass"):
        adagp.backward((one - other).square().mean())


# recomputed activations

@pytest.mark.parametrize("whole", (False, True))
@pytest.mark.parametrize("reentrant", (False, True))
@pytest.mark.parametrize("name", PREDICTORS)
def test_recomputed_activations(name, reentrant, whole):
    """Phase BP is that of PyTorch bit for bit, Phase GP that without recomputation."""
    plain, model, kept = Network(), Network(), Network()
    if not whole:
        model._forward = lambda net, x: net.head(checkpoint(net.features, x, use_reentrant=reentrant))

    def run(x):
        x = x.clone().requires_grad_()  # without, reentrant checkpoints have no gradient
        return checkpoint(model, x, use_reentrant=reentrant) if whole else model(x)

    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    torch.manual_seed(2)
    adagp = make(model, PREDICTORS[name]())
    torch.manual_seed(2)
    other = make(kept, PREDICTORS[name]())
    for inputs, labels in batches(3):
        functional.cross_entropy(plain(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
        if whole and reentrant:  # the forward pass has no gradients: the hooks do nothing
            with pytest.raises(RuntimeError, match="backward must follow a forward pass of the model in training mode"):
                adagp.backward(functional.cross_entropy(run(inputs), labels))
            return
        adagp.backward(functional.cross_entropy(run(inputs), labels))
        adagp.step()
    assert same_bits(weights(plain), weights(model))
    if reentrant and name == "feedback":
        before = weights(model)
        train(adagp, batches(4)[3:])
        assert changed(model, before) == {"head.weight", "head.bias"}  # no gradient of the others' outputs to learn from
        return
    train(other, batches(3))
    for inputs, labels in batches(5)[3:]:
        adagp.backward(functional.cross_entropy(run(inputs), labels))
        adagp.step()
    train(other, batches(5)[3:])
    assert same_bits(weights(model), weights(kept))


# batches that come to nothing

@pytest.mark.parametrize("name", PREDICTORS)
def test_a_forward_pass_that_comes_to_nothing_leaves_no_trace(name):
    def fails(net, x):
        features = net.features(x)
        if net.failing:
            raise ArithmeticError
        return net.head(features)

    some = []
    for disturbed in (False, True):
        torch.manual_seed(4)
        model = Network(fails)
        model.failing = False
        adagp = make(model, PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
        for index, sample in enumerate(batches(6)):
            if disturbed and adagp.needs_loss:
                model(batches(9)[8][0])  # say, its loss was NaN
                model.failing = True
                with pytest.raises(ArithmeticError):
                    model(batches(9)[7][0])
                model.failing = False
            train(adagp, [sample])
        some.append(model)
    assert same_bits(*map(weights, some))


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "feedback"])
def test_forward_passes_beyond_those_of_the_batch_are_not_observed(name):
    some = []
    for more in (0, 2):
        torch.manual_seed(4)
        adagp = make(Network(), PREDICTORS[name]())
        train(adagp, batches(3))
        for _ in range(2):
            for inputs, _ in [batches(4)[3], *batches(more)]:
                adagp.model(inputs)
            adagp.step()
        some.append(adagp.model)
    assert same_bits(*map(weights, some))


def test_a_step_of_prediction_without_forward_pass_is_refused():
    adagp = make(Network(), PaperPredictor(), accumulate=2)
    inputs, labels = batches(1)[0]
    for _ in range(3):
        for _ in range(2):
            adagp.backward(functional.cross_entropy(adagp.model(inputs), labels))
        adagp.step()
    adagp.model(inputs)
    with pytest.raises(RuntimeError, match="step must follow 2 forward passes of the model in training mode, not 1"):
        adagp.step()


@pytest.mark.parametrize("name", PREDICTORS)
def test_an_interrupted_prediction_gives_the_gradients_back(name):
    model = Network(lambda net, x: net.interrupt() or net.head(net.features(x)))
    model.interrupt = lambda: None
    adagp = make(model, PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
    train(adagp, batches(2))
    assert adagp.phase is Phase.GP

    def interrupt():
        raise KeyboardInterrupt

    model.interrupt = interrupt
    with pytest.raises(KeyboardInterrupt):
        model(batches(1)[0][0])
    model.interrupt = lambda: None
    try:
        train(adagp, batches(4)[2:])
        assert torch.is_grad_enabled() and adagp.batches == {Phase.WARMUP: 2, Phase.GP: 1, Phase.BP: 1}
    finally:
        torch.set_grad_enabled(True)


@pytest.mark.parametrize("name", (*PREDICTORS, *CONTROLS))
def test_a_skipped_step_leaves_the_predictor_as_it_was(name):
    """A gradient overflows in half precision, so the scaler skips the optimizer's step."""
    adagp = make(nn.Sequential(Network(), nn.BatchNorm1d(4)), (PREDICTORS | CONTROLS)[name](), Schedule(warmup=4, gp=1, bp=0),
                 scaler=torch.amp.GradScaler("cpu", init_scale=64.0))
    train(adagp, batches(2))
    before, parameters = deepcopy(adagp.state_dict()["predictor"]), weights(adagp.model)
    for overflowing in (adagp.model[0].conv.weight, adagp.model[1].weight):
        hook = overflowing.register_hook(lambda gradient: gradient * torch.inf)
        train(adagp, batches(1))
        hook.remove()
        assert same_bits(weights(adagp.model), parameters)
        assert str(adagp.state_dict()["predictor"]) == str(before)
    train(adagp, batches(1))
    assert all(weight.isfinite().all() for weight in weights(adagp.model))


def test_overflowing_activations_leave_the_feedback_as_it_was():
    adagp = make(Network(lambda net, x: net.head(net.features(x) * net.factor)), LearnedFeedback(),
                 scaler=torch.amp.GradScaler("cpu", init_scale=64.0))
    adagp.model.factor = 1.0
    train(adagp, batches(2))
    before = deepcopy(adagp.predictor.state_dict())
    adagp.model.factor = torch.tensor(torch.nan)
    train(adagp, batches(1))
    assert str(adagp.predictor.state_dict()) == str(before)


@pytest.mark.parametrize("name", PREDICTORS)
def test_predictors_compute_in_float32_wherever_autocast_is(name):
    some = []
    for everywhere in (False, True):
        torch.manual_seed(4)
        adagp = make(Network(), PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
        for inputs, labels in batches(6):
            with torch.autocast("cpu", torch.bfloat16):
                loss = functional.cross_entropy(adagp.model(inputs), labels)
                if everywhere:
                    adagp.backward(loss)
                    adagp.step()
            if not everywhere:
                adagp.backward(loss)
                adagp.step()
        some.append(adagp)
    one, other = (str(adagp.predictor.state_dict()) for adagp in some)
    assert one == other and same_bits(*(weights(adagp.model) for adagp in some))


# memory

@pytest.mark.parametrize("name", (*PREDICTORS, "masks"))
def test_nothing_of_a_batch_is_kept(name):
    """Neither inputs nor outputs of layers, without the help of the cyclic garbage collector, and although the
    loss is still there."""
    adagp = make(Network(), LearnedFeedback(masks=True) if name == "masks" else PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
    kept = []
    model = adagp.model
    for layer in (model.hidden, model.head):  # the first one's input is the batch's, the last one's output the loss'
        layer.register_forward_pre_hook(lambda module, arguments: kept.append(weakref.ref(arguments[0].untyped_storage())))
    for layer in (model.conv, model.hidden):
        layer.register_forward_hook(lambda module, arguments, output: kept.append(weakref.ref(output.untyped_storage())))
    gc.collect()
    gc.disable()
    try:
        for inputs, labels in batches(6):
            loss = functional.cross_entropy(adagp.model(inputs), labels)
            adagp.backward(loss)
            adagp.step()
            del inputs, labels
            assert kept and not any(reference() is not None for reference in kept)
            kept.clear()
            adagp.model(batches(1)[0][0])  # comes to nothing
            kept.clear()
            if not adagp.needs_loss:
                adagp.step()
    finally:
        gc.enable()


# optimizers

def adam(parameters, **options):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1, **options)


@pytest.mark.parametrize("options", ({"fused": True}, {"foreach": True}, {"foreach": False, "amsgrad": True}, {"lr": torch.tensor(0.01)}),
                         ids=("fused", "foreach", "amsgrad", "tensor"))
@pytest.mark.parametrize("name", PREDICTORS)
def test_kinds_of_adam(name, options):
    """Two groups with other learning rates; each parameter moves as in an ordinary step with the same gradient."""
    model = Network()
    groups = [{"params": list(model.conv.parameters())}, {"params": [*model.hidden.parameters(), *model.head.parameters()], "lr": 0.002}]
    optimizer = torch.optim.AdamW(groups, **({"lr": 0.01, "weight_decay": 0.1} | options))
    adagp = AdaGP(model, optimizer, predictor=PREDICTORS[name](), schedule=PREDICTED)
    train(adagp, batches(3))
    gradients = {}
    copy = deepcopy(model)
    own = torch.optim.AdamW([{"params": list(copy.conv.parameters())},
                             {"params": [*copy.hidden.parameters(), *copy.head.parameters()], "lr": 0.002}],
                            **({"lr": 0.01, "weight_decay": 0.1} | options))
    own.load_state_dict(deepcopy(optimizer.state_dict()))
    optimizer.register_step_pre_hook(lambda *_: gradients.update(
        {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}))
    train(adagp, batches(4)[3:])
    assert {"conv.weight", "hidden.weight", "head.weight"} <= set(gradients)
    for name, parameter in copy.named_parameters():
        parameter.grad = gradients.get(name)
    own.step()
    assert same_bits(weights(model), weights(copy))
    assert [group["params"] for group in optimizer.param_groups] == [group["params"] for group in groups]


@pytest.mark.filterwarnings("error")
def test_a_scheduler_sees_the_steps_of_prediction():
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    adagp = AdaGP(model, optimizer, predictor=LearnedFeedback(), schedule=Schedule(warmup=1, gp=1, bp=1))
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.2, total_steps=6)
    for sample in batches(6):
        train(adagp, [sample])
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0]


def test_feedback_takes_one_step_of_the_optimizer_per_batch():
    adagp, steps = make(Network(), LearnedFeedback()), []
    adagp.optimizer.register_step_post_hook(lambda *_: steps.append(adagp.phase))
    train(adagp, batches(5))
    assert steps == 3 * [Phase.WARMUP] + 2 * [Phase.GP]


def test_a_zero_gradient_leaves_frozen_parameters():
    model = Network()
    model.hidden.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    adagp = AdaGP(model, optimizer, predictor=CONTROLS["zero"](), schedule=PREDICTED)
    before = weights(model)
    train(adagp, batches(5))
    assert changed(model, before) == {"conv.weight", "conv.bias", "head.weight", "head.bias"}


# several, and again

def test_two_models_at_once():
    """Each is trained as if it were alone."""
    alone = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        alone.append(make(Network(), PREDICTORS["paper" if seed == 1 else "feedback"](), Schedule(warmup=2, gp=seed, bp=1)))
        train(alone[-1], batches(7))
    torch.manual_seed(1)
    one = make(Network(), PREDICTORS["paper"](), Schedule(warmup=2, gp=1, bp=1))
    other = make(Network(), PREDICTORS["feedback"](), Schedule(warmup=2, gp=2, bp=1))
    for inputs, labels in batches(7):
        outputs = one.model(inputs), other.model(inputs)
        one.backward(functional.cross_entropy(outputs[0], labels))
        other.backward(functional.cross_entropy(outputs[1], labels))
        other.step()
        one.step()
    assert same_bits(weights(one.model), weights(alone[0].model)) and same_bits(weights(other.model), weights(alone[1].model))


@pytest.mark.parametrize("predictor", (lambda: PaperPredictor(samples=2), LearnedFeedback))
def test_learning_leaves_the_random_numbers_alone(predictor):
    """Dropout is that of PyTorch without prediction."""
    plain, model = (Network(lambda net, x: net.head(functional.dropout(net.features(x)))) for _ in range(2))
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9)
    adagp = make(model, predictor())
    torch.manual_seed(7)
    for inputs, labels in batches(3):
        functional.cross_entropy(plain(inputs), labels).backward()
        optimizer.step()
        optimizer.zero_grad()
    torch.manual_seed(7)
    train(adagp, batches(3))
    assert same_bits(weights(plain), weights(model))


def test_an_adaptive_schedule_goes_on_from_a_state():
    """Also where the quality is measured in some batches only, and from channels chosen at random."""
    rule = Adaptive(least=0, most=4, raise_at=0.05, lower_at=0.01)
    for predictor in (lambda: LearnedFeedback(measure_every=3), lambda: PaperPredictor(samples=2, lr=0.01)):
        for cut in range(4, 9):
            torch.manual_seed(3)
            whole = make(Network(), predictor(), Schedule(warmup=2, rows=(Row(gp=1, bp=1),), adaptive=rule))
            train(whole, batches(cut))
            state = deepcopy(SimpleNamespace(adagp=whole.state_dict(), model=whole.model.state_dict(),
                                             optimizer=whole.optimizer.state_dict()))
            train(whole, batches(16)[cut:])
            other = make(Network(), predictor(), Schedule(warmup=2, rows=(Row(gp=1, bp=1),), adaptive=rule))
            other.model.load_state_dict(state.model)
            other.optimizer.load_state_dict(state.optimizer)
            other.load_state_dict(state.adagp)
            train(other, batches(16)[cut:])
            assert other.batches == whole.batches and same_bits(weights(other.model), weights(whole.model)), cut


def test_where_training_is_cut_makes_no_difference():
    """In either phase, also while the error falls and the ridge falls with it."""
    def learner():
        torch.manual_seed(3)
        return make(Network(), LearnedFeedback(ridge=1.0, decay=0.5), Schedule(warmup=9, gp=3, bp=1), lr=0.2)

    samples = batches(1) * 24
    whole = learner()
    train(whole, samples)
    for cut in range(8, 14):
        first, other = learner(), learner()
        train(first, samples[:cut])
        other.model.load_state_dict(first.model.state_dict())
        other.optimizer.load_state_dict(first.optimizer.state_dict())
        other.load_state_dict(deepcopy(first.state_dict()))
        train(other, samples[cut:])
        assert same_bits(weights(other.model), weights(whole.model)), cut


def test_measuring_the_quality_changes_nothing():
    some = []
    for every in (1, 3):
        adagp = make(Network(), LearnedFeedback(ridge=1.0, measure_every=every), Schedule(warmup=9, gp=1, bp=2), lr=0.2)
        train(adagp, batches(1) * 24)
        some.append(adagp.model)
    assert same_bits(*map(weights, some))


def test_feedback_fades_of_a_layer_that_no_longer_runs():
    """As its gradient is zero."""
    model = Network(lambda net, x: net.head(net.features(x)) if net.whole else net.head(x.flatten(1)[:, :10]))
    adagp = make(model, LearnedFeedback(decay=0.5), Schedule(warmup=100))
    model.whole = True
    train(adagp, batches(3))
    before = adagp.predictor.state_dict()["layers"]["conv"]["sums"].clone()
    model.whole = False
    train(adagp, batches(4))
    assert torch.equal(adagp.predictor.state_dict()["layers"]["conv"]["sums"], before / 16)


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_backward_pass_of_the_users_own_teaches_nothing(name):
    """Say, of a penalty on the gradient of the input."""
    some = []
    for penalty in (False, True):
        torch.manual_seed(4)
        adagp = make(Network(), PREDICTORS[name](), Schedule(warmup=2, gp=1, bp=1))
        for inputs, labels in batches(7):
            learning = adagp.phase is not Phase.GP
            inputs = inputs.clone().requires_grad_(learning)
            loss = functional.cross_entropy(adagp.model(inputs), labels)
            if learning and penalty:
                torch.autograd.grad(loss, inputs, retain_graph=True)
            adagp.backward(loss)
            adagp.step()
        some.append(adagp)
    assert same_bits(*(weights(adagp.model) for adagp in some))
    assert str(some[0].predictor.state_dict()) == str(some[1].predictor.state_dict())


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_backward_pass_that_fails_leaves_no_trace(name):
    """Say, for lack of memory, after which the user goes on with another batch."""
    some = []
    for failing in (False, True):
        torch.manual_seed(4)
        adagp = make(Network(lambda net, x: net.head(net.watch(net.features(x)))), PREDICTORS[name](), Schedule(warmup=3, gp=1, bp=1))
        adagp.model.watch = lambda x: x
        for index, sample in enumerate(batches(7)):
            if failing and adagp.phase is not Phase.GP:
                def fail(gradient):
                    raise MemoryError

                adagp.model.watch = lambda x: (x.register_hook(fail), x)[1]
                inputs, labels = batches(9)[8]
                loss = functional.cross_entropy(adagp.model(inputs), labels)
                with pytest.raises(MemoryError):
                    adagp.backward(loss)
                adagp.optimizer.zero_grad()
                adagp.model.watch = lambda x: x
            train(adagp, [sample])
        some.append(adagp)
    assert same_bits(*(weights(adagp.model) for adagp in some))
