from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn import functional

from adagp.training import (CONTROLS, PREDICTORS, AdaGP, Adaptive, LearnedFeedback, PaperPredictor, Phase,
                            RemappedPredictor, Row, Schedule)

from .networks import batches, mixed, same_bits, weights

OPTIMIZERS = {"sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-3),
              "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-3)}
ALL = {**PREDICTORS, **CONTROLS}
PREDICTED = Schedule(warmup=2, gp=1000, bp=0)
"""Two batches of warm-up, then Phase GP."""


def make(predictor, schedule=PREDICTED, optimizer="sgd", model=None, **options):
    model = model or mixed()
    return AdaGP(model, OPTIMIZERS[optimizer](model.parameters()), predictor=predictor, schedule=schedule, **options)


def train(adagp, samples):
    for inputs, labels in samples:
        if adagp.runs:
            output = adagp.model(inputs)
            adagp.backward(functional.cross_entropy(output, labels) if adagp.needs_loss else None)
        adagp.step()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ALL)
def test_back_propagation_is_that_of_pytorch_bit_for_bit(name, optimizer):
    plain, samples = mixed(), batches(4)
    step = OPTIMIZERS[optimizer](plain.parameters())
    for inputs, labels in samples:
        functional.cross_entropy(plain(inputs), labels).backward()
        step.step()
        step.zero_grad()
    adagp = make(ALL[name](), Schedule(warmup=1, gp=0, bp=1), optimizer)
    train(adagp, samples)
    assert adagp.batches == {Phase.WARMUP: 1, Phase.BP: 3}
    assert same_bits(weights(adagp.model), weights(plain))
    assert same_bits(list(adagp.model.buffers())[:2], list(plain.buffers())[:2])


def test_prediction_updates_by_the_predictors_output():
    """By hand: mean output, predictor's network, momentum, for each layer in turn with the others as they were."""
    adagp = make(PaperPredictor(lr=0.01), clip=None)
    train(adagp, batches(3))
    model, inputs = adagp.model, batches(4)[3][0]
    copy, predictor = deepcopy(model), deepcopy(adagp.predictor.network)
    momenta = {name: adagp.optimizer.state[parameter]["momentum_buffer"].clone()
               for name, parameter in model.named_parameters() if name.endswith("weight")}
    expected, outputs = {}, {}
    hooks = [module.register_forward_hook(lambda module, _, output, name=name: outputs.update({name: output.clone()}))
             for name, module in copy.named_modules()]
    with torch.no_grad():
        copy(inputs)
        for layer in adagp.layers:
            module = copy.get_submodule(layer.name)
            mean = outputs[layer.name].mean(0)
            image = mean[:, None, None, None] if isinstance(module, nn.Linear) else mean[:, None]
            rows = predictor(image, layer.weights_per_output)
            gradient = layer.from_rows(rows) + 1e-3 * module.weight
            momentum = 0.9 * momenta[f"{layer.name}.weight"] + gradient
            expected[layer.name] = module.weight - 0.05 * momentum
    before = dict(zip(dict(model.named_parameters()), weights(model)))
    assert adagp.phase is Phase.GP
    train(adagp, batches(4)[3:])
    for name, parameter in model.named_parameters():
        layer, _, kind = name.rpartition(".")
        if kind == "weight" and layer in expected:
            torch.testing.assert_close(parameter.data, expected[layer], rtol=0, atol=1e-7)
            assert not torch.equal(parameter.data, before[name])
        else:
            assert torch.equal(parameter.data, before[name]), name  # biases and normalisation wait for Phase BP


def test_feedback_updates_by_maps_times_error():
    """By hand: δ' = e·A for each sample, and autograd's gradients for it."""
    adagp = make(LearnedFeedback(), clip=None)
    samples = batches(8)
    train(adagp, samples[:7])
    model, (inputs, labels) = adagp.model, samples[7]
    copy, outputs = deepcopy(model), {}
    for layer in adagp.layers:
        copy.get_submodule(layer.name).register_forward_hook(
            lambda module, _, output, name=layer.name: outputs.update({name: output}) or output.clone())
    logits = copy(inputs)
    error = torch.softmax(logits.detach(), 1) - functional.one_hot(labels, 4)
    sums = adagp.predictor.state_dict()
    square = sums["error_sums"]
    ridge = 0.1 * sums["peak"] * torch.eye(4)
    assert sums["peak"] >= square.diagonal().mean() * 0.9
    expected = {}
    for layer in adagp.layers:
        maps = torch.linalg.solve(square + ridge, sums["layers"][layer.name]["sums"].flatten(1))
        gradient = (error / len(labels) @ maps).view_as(outputs[layer.name])
        module = copy.get_submodule(layer.name)
        expected[layer.name] = torch.autograd.grad(outputs[layer.name], list(module.parameters()), gradient, retain_graph=True)
    momenta = {parameter: adagp.optimizer.state[parameter]["momentum_buffer"].clone() for parameter in model.parameters()}
    before = dict(model.named_parameters())
    before = {name: parameter.detach().clone() for name, parameter in before.items()}
    train(adagp, samples[7:])
    for layer in adagp.layers:
        for (kind, parameter), gradient in zip(layer.module.named_parameters(), expected[layer.name]):
            old = before[f"{layer.name}.{kind}"]
            step = 0.9 * momenta[parameter] + gradient + 1e-3 * old
            torch.testing.assert_close(parameter.data, old - 0.05 * step, rtol=1e-4, atol=1e-6)


def test_a_layer_is_updated_as_soon_as_its_output_is_there():
    adagp = make(PaperPredictor(lr=0.01))
    train(adagp, batches(2))
    model, inputs = adagp.model, batches(3)[2][0]
    first, old = model[0], model[0].weight.detach().clone()
    expected = first(inputs)
    seen = []
    model[1].register_forward_pre_hook(lambda module, arguments: seen.append((arguments[0].clone(), first.weight.detach().clone())))
    model(inputs)
    (output, updated), = seen
    assert torch.equal(output, expected) and not torch.equal(updated, old)


@pytest.mark.parametrize("name", PREDICTORS)
def test_prediction_builds_no_graph(name):
    adagp = make(PREDICTORS[name]())
    train(adagp, batches(2))
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: packed.append(tensor) or tensor, lambda tensor: tensor):
        output = adagp.model(batches(3)[2][0])
    assert not packed and output.requires_grad == adagp.predictor.needs_error
    if output.requires_grad:  # to get the error of
        (leaf, _), = output.grad_fn.next_functions
        assert leaf.name() == "torch::autograd::AccumulateGrad"


@pytest.mark.parametrize("name", [name for name in PREDICTORS if name != "feedback"])
def test_prediction_without_error_needs_no_loss(name):
    adagp = make(PREDICTORS[name]())
    assert adagp.needs_loss
    train(adagp, batches(2))
    assert not adagp.needs_loss
    before = weights(adagp.model)
    adagp.model(batches(1)[0][0])
    adagp.step()  # no backward, no label
    assert not same_bits(weights(adagp.model), before)


def test_feedback_asks_for_the_loss():
    adagp = make(LearnedFeedback())
    train(adagp, batches(2))
    assert adagp.phase is Phase.GP and adagp.needs_loss
    with pytest.raises(ValueError, match="backward must get the loss in this phase, not None"):
        adagp.backward(None)


@pytest.mark.parametrize("name", ALL)
def test_evaluation_changes_nothing(name):
    adagp = make(ALL[name]())
    train(adagp, batches(3))
    before, inputs = weights(adagp.model), batches(1)[0][0]
    adagp.model.eval()
    output = adagp.model(inputs)
    assert output.requires_grad and same_bits(weights(adagp.model), before)
    adagp.model.train()
    with torch.no_grad():
        adagp.model(inputs)
    assert same_bits(weights(adagp.model), before)


def test_the_gradient_mode_is_restored_when_the_model_fails():
    adagp = make(PaperPredictor())
    train(adagp, batches(2))
    with pytest.raises(RuntimeError):
        adagp.model(torch.zeros(1, 3, 6, 6))
    assert torch.is_grad_enabled()


def test_accumulation_is_that_of_pytorch_bit_for_bit():
    plain, samples = mixed(), batches(4)
    optimizer = OPTIMIZERS["sgd"](plain.parameters())
    adagp = make(LearnedFeedback(), Schedule(warmup=2), accumulate=2)
    for first in (0, 2):
        for inputs, labels in samples[first:first + 2]:
            (functional.cross_entropy(plain(inputs), labels) / 2).backward()
            adagp.backward(functional.cross_entropy(adagp.model(inputs), labels) / 2)
        optimizer.step()
        optimizer.zero_grad()
        adagp.step()
    assert same_bits(weights(adagp.model), weights(plain))


@pytest.mark.parametrize("name", ("paper", "feedback"))
def test_accumulated_halves_predict_as_the_whole_batch(name):
    """Without batch normalisation, whose statistics are of a half."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    whole = make(PREDICTORS[name](), model=model, optimizer="adam")
    halves = make(PREDICTORS[name](), model=deepcopy(model), optimizer="adam", accumulate=2)
    if name == "paper":
        halves.predictor.load_state_dict(deepcopy(whole.predictor.state_dict()))
    for inputs, labels in batches(4, 6):
        whole.backward(functional.cross_entropy(whole.model(inputs), labels))
        for half in (slice(0, 3), slice(3, 6)):
            halves.backward(functional.cross_entropy(halves.model(inputs[half]), labels[half]) / 2)
        whole.step()
        halves.step()
    assert whole.batches[Phase.GP] == 2
    for one, other in zip(weights(whole.model), weights(halves.model)):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_scaled_gradients_learn_the_same():
    adagp, scaled = (make(LearnedFeedback(), Schedule(warmup=2, gp=2, bp=1), scaler=scaler)
                     for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)))
    train(adagp, batches(6))
    train(scaled, batches(6))
    for one, other in zip(weights(adagp.model), weights(scaled.model)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", PREDICTORS)
def test_autocast(name):
    adagp = make(PREDICTORS[name](), Schedule(warmup=2, gp=2, bp=1))
    for inputs, labels in batches(6):
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(adagp.model(inputs), labels)
        adagp.backward(loss)
        adagp.step()
    assert all(parameter.dtype == torch.float32 and parameter.isfinite().all() for parameter in adagp.model.parameters())


@pytest.mark.parametrize("name", ALL)
def test_training_goes_on_from_a_state_bit_for_bit(name, tmp_path):
    samples, schedule = batches(9), Schedule(warmup=2, gp=2, bp=1)
    torch.manual_seed(3)
    whole = make(ALL[name](), schedule, "adam")
    train(whole, samples[:5])
    torch.save({"adagp": whole.state_dict(), "model": whole.model.state_dict(), "optimizer": whole.optimizer.state_dict(),
                "random": torch.get_rng_state()}, tmp_path / "state")
    train(whole, samples[5:])
    state = torch.load(tmp_path / "state", weights_only=True)
    other = make(ALL[name](), schedule, "adam")
    other.model.load_state_dict(state["model"])
    other.optimizer.load_state_dict(state["optimizer"])
    other.load_state_dict(state["adagp"])
    torch.set_rng_state(state["random"])
    assert other.phase is Phase.GP
    train(other, samples[5:])
    assert same_bits(weights(other.model), weights(whole.model))
    assert other.quality() == whole.quality() and other.batches == whole.batches


def test_a_deep_copy_of_the_model_is_free():
    adagp = make(PaperPredictor())
    train(adagp, batches(2))
    copy, inputs = deepcopy(adagp.model), batches(1)[0][0]
    before = weights(adagp.model), weights(copy)
    copy(inputs).sum().backward()
    assert same_bits(weights(adagp.model), before[0]) and same_bits(weights(copy), before[1])


def test_closed_model_is_as_before():
    adagp = make(PaperPredictor())
    adagp.close()
    before = weights(adagp.model)
    assert adagp.model(batches(1)[0][0]).requires_grad and same_bits(weights(adagp.model), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in adagp.model.modules())


def test_skip_leaves_everything():
    adagp = make(CONTROLS["skip"]())
    train(adagp, batches(2))
    before = weights(adagp.model)
    assert not adagp.runs
    train(adagp, batches(3))
    assert same_bits(weights(adagp.model), before) and adagp.batches[Phase.GP] == 3


def test_zero_gradient_goes_on_by_momentum():
    adagp = make(CONTROLS["zero"](), optimizer="sgd")
    train(adagp, batches(2))
    before = {name: (parameter.detach().clone(), adagp.optimizer.state[parameter]["momentum_buffer"].clone())
              for name, parameter in adagp.model.named_parameters()}
    train(adagp, batches(1))
    for name, parameter in adagp.model.named_parameters():
        old, momentum = before[name]
        torch.testing.assert_close(parameter.data, old - 0.05 * (0.9 * momentum + 1e-3 * old))


def test_last_gradient_comes_again():
    model, (inputs, labels) = mixed(), batches(1)[0]
    adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=0.1), predictor=CONTROLS["last"](),
                  schedule=Schedule(warmup=1, gp=1, bp=0), rate=0.5)
    before = weights(model)
    train(adagp, [(inputs, labels)])
    after = weights(model)
    train(adagp, [(inputs, labels)])
    for old, new, again in zip(before, after, weights(model)):
        torch.testing.assert_close(again - new, 0.5 * (new - old), rtol=1e-3, atol=1e-7)


def test_random_gradient_is_as_large_as_the_last_true_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 1000))
    adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=1.0), predictor=CONTROLS["random"](),
                  schedule=Schedule(warmup=1, gp=1, bp=0))
    inputs, labels = batches(1)[0]
    before = model[1].weight.detach().clone()
    train(adagp, [(inputs, labels)])
    first = model[1].weight.detach() - before
    before = model[1].weight.detach().clone()
    train(adagp, [(inputs, labels)])
    second = model[1].weight.detach() - before
    torch.testing.assert_close(second.square().mean(), first.square().mean(), rtol=0.02, atol=0)
    assert abs(functional.cosine_similarity(first.flatten(), second.flatten(), 0)) < 0.02


def test_prediction_uses_the_optimizers_learning_rate_times_the_rate():
    steps = []
    for rate, scheduled in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.25)):
        model = mixed()
        adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=0.1), predictor=LearnedFeedback(),
                      schedule=PREDICTED, rate=rate)
        schedule = torch.optim.lr_scheduler.StepLR(adagp.optimizer, 1, scheduled)
        train(adagp, batches(2))
        schedule.step()
        before = model[0].weight.detach().clone()
        train(adagp, batches(3)[2:])
        steps.append(model[0].weight.detach() - before)
    torch.testing.assert_close(steps[1], 0.5 * steps[0], rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(steps[2], 0.25 * steps[0], rtol=1e-3, atol=1e-7)


def test_predictions_are_no_larger_than_true_gradients_were():
    """Samples that are a thousand times as large give predictions that are as well."""
    steps = {}
    for clip in (None, 1.0, 0.5):
        model = mixed()
        adagp = AdaGP(model, torch.optim.SGD(model.parameters(), lr=1e-3), predictor=LearnedFeedback(), schedule=PREDICTED,
                      clip=clip)
        true = []
        for inputs, labels in batches(2):
            adagp.backward(functional.cross_entropy(model(inputs), labels))
            true.append(model[0].weight.grad.norm())
            adagp.step()
        before = model[0].weight.detach().clone()
        inputs, labels = batches(3)[2]
        train(adagp, [(1000 * inputs, labels)])
        steps[clip] = (model[0].weight.detach() - before).norm() / 1e-3
    limit = 0.9 * true[0] + 0.1 * true[1]
    assert steps[None] > 10 * limit
    torch.testing.assert_close(steps[1.0], limit, rtol=1e-2, atol=0)
    torch.testing.assert_close(steps[0.5], 0.5 * limit, rtol=1e-2, atol=0)


def test_a_gate_keeps_bad_layers():
    adagp = make(LearnedFeedback(), Schedule(warmup=6, gp=1, bp=0), gate=0.99)
    train(adagp, batches(6))
    cosines = {name: quality.cosine for name, quality in adagp.quality().items()}
    assert cosines["0"] < 0.9 and cosines["12"] > 0.99
    before = {name: parameter.detach().clone() for name, parameter in adagp.model.named_parameters()}
    train(adagp, batches(7)[6:])
    changed = [name for name, parameter in adagp.model.named_parameters() if not torch.equal(parameter, before[name])]
    assert {"12.weight", "12.bias"} <= set(changed) and "0.weight" not in changed


def adaptive(**rule):
    return Schedule(warmup=3, rows=(Row(gp=1, bp=1),), adaptive=Adaptive(least=0, most=4, **rule))


def test_the_adaptive_schedule_stops_where_nothing_is_predicted():
    adagp = make(PaperPredictor(), adaptive(raise_at=0.9, lower_at=0.8))
    train(adagp, batches(12))
    assert adagp.batches == {Phase.WARMUP: 3, Phase.BP: 9}
    notice, = adagp.notices
    assert notice.startswith("not predicting: the cosine of predicted and true gradients, ") and notice.endswith("is below 0.9")


def test_the_adaptive_schedule_predicts_where_it_helps():
    adagp = make(LearnedFeedback(), adaptive(raise_at=0.1, lower_at=0.05))
    train(adagp, batches(30))
    assert adagp.batches[Phase.GP] > adagp.batches[Phase.BP]
    notice, = adagp.notices
    assert notice.startswith("predicting: the cosine") and notice.endswith("reaches 0.1")


def test_patience_is_no_reason_to_say_that_nothing_is_predicted():
    adagp = make(LearnedFeedback(), adaptive(raise_at=0.1, lower_at=0.05, patience=3))
    train(adagp, batches(5))
    assert adagp.batches[Phase.GP] == 0 and not adagp.notices


def test_quality_is_that_of_predictions_before_learning():
    adagp = make(PaperPredictor(lr=0.01), Schedule(warmup=9))
    train(adagp, batches(1))
    first = adagp.quality()
    assert set(first) == {layer.name for layer in adagp.layers}
    assert all(quality.batches == 1 for quality in first.values())
    assert first["12"].cosine == 0  # the last layer's comes first, and the network begins as zero
    train(adagp, batches(3))
    later = adagp.quality()
    assert all(quality.batches == 3 for quality in later.values()) and any(quality.cosine != 0 for quality in later.values())
    assert adagp.quality() == {}


def test_excluded_layers_wait_for_back_propagation():
    adagp = make(PaperPredictor(lr=0.01), exclude=("0", "10"))
    train(adagp, batches(2))
    before = {name: parameter.detach().clone() for name, parameter in adagp.model.named_parameters()}
    train(adagp, batches(3)[2:])
    changed = {name for name, parameter in adagp.model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed == {"2.weight", "5.weight", "7.weight", "12.weight"}


def test_a_layer_that_runs_twice_is_refused_by_name():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = nn.Linear(72, 72)
            self.last = nn.Linear(72, 4)

        def forward(self, x):
            return self.last(self.shared(self.shared(x.flatten(1))))

    adagp = make(PaperPredictor(), model=Twice())
    with pytest.raises(ValueError, match="layer 'shared' must run once in a forward pass of the model, not twice"):
        adagp.model(batches(1)[0][0])
    adagp = make(PaperPredictor(), model=Twice(), exclude=("shared",))
    train(adagp, batches(4))


def test_feedback_refuses_layers_without_a_sample_each():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.pixel, self.last = nn.Linear(36, 3), nn.Linear(6, 4)

        def forward(self, x):
            return self.last(self.pixel(x.reshape(-1, 36)).reshape(len(x), 6))

    adagp = make(LearnedFeedback(), model=Folded())
    with pytest.raises(ValueError, match="output of layer 'pixel' must have as many samples as the model's, 5, not 10"):
        train(adagp, batches(1))


def test_feedback_refuses_a_changed_shape():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4))
    adagp = make(LearnedFeedback(), model=model)
    train(adagp, batches(1))
    with pytest.raises(ValueError, match=r"output of layer '0' must keep its shape, \(3, 4, 4\), not \(3, 6, 6\)"):
        train(adagp, [(torch.randn(5, 2, 8, 8), torch.zeros(5, dtype=torch.long))])


@pytest.mark.parametrize("options, message", [
    ({"gate": 2}, "AdaGP.gate must be a cosine, from -1 to 1, not 2"),
    ({"rate": 0}, "AdaGP.rate must be positive, not 0"),
    ({"clip": 0}, "AdaGP.clip must be positive or None, not 0"),
    ({"accumulate": 0}, "AdaGP.accumulate must be an integer of at least 1, not 0"),
    ({"exclude": ("head",)}, "exclude must name modules of the model, not 'head'")])
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(PaperPredictor(), **options)


def test_optimizers_that_mix_parameters_are_refused():
    model = mixed()
    with pytest.raises(ValueError, match="optimizer must treat parameters one by one, not LBFGS"):
        AdaGP(model, torch.optim.LBFGS(model.parameters()), predictor=PaperPredictor(), schedule=PREDICTED)


def test_a_layer_that_the_optimizer_lacks_is_refused():
    model = mixed()
    with pytest.raises(ValueError, match="optimizer must hold the weight of layer '12', or exclude name it"):
        AdaGP(model, torch.optim.SGD(list(model.parameters())[:-2], lr=0.1), predictor=PaperPredictor(), schedule=PREDICTED)


def test_a_step_without_backward_is_refused():
    adagp = make(PaperPredictor())
    adagp.model(batches(1)[0][0])
    with pytest.raises(RuntimeError, match="step must follow 1 calls of backward, not 0"):
        adagp.step()


@pytest.mark.parametrize("predictor, options, message", [
    (PaperPredictor, {"size": 3}, "PaperPredictor.size must be an even integer of at least 2, not 3"),
    (PaperPredictor, {"channels": 0}, "PaperPredictor.channels must be an integer of at least 1, not 0"),
    (RemappedPredictor, {"outputs": 0}, "RemappedPredictor.outputs must be an integer of at least 1, not 0"),
    (LearnedFeedback, {"decay": 1}, r"LearnedFeedback.decay must be in \(0, 1\), not 1"),
    (LearnedFeedback, {"ridge": 0}, "LearnedFeedback.ridge must be positive, not 0"),
    (LearnedFeedback, {"rank": 0}, "LearnedFeedback.rank must be an integer of at least 1, not 0")])
def test_bad_predictors_are_refused(predictor, options, message):
    with pytest.raises(ValueError, match=message):
        predictor(**options)
