"""Approximated weight gradients against PyTorch's own of the same losses."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from adagp.training.approximation import Approximation
from adagp.training.approximation_schedule import ApproximationSchedule, Method, Pattern

FULL, ZERO, RANDOM, TOP1 = Method
ALL_FULL = ApproximationSchedule([[FULL]])


class Network(nn.Module):
    """Three convolutions, with biases and activations in place."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, stride=2),
                                      nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3, groups=2))
        self.classifier = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(x).mean((2, 3)))


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def batch(seed: int = 1, images: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(images, 3, 9, 10, generator=numbers), torch.randint(5, (images,), generator=numbers)


def backward(model: nn.Module, seed: int = 1) -> None:
    inputs, labels = batch(seed)
    functional.cross_entropy(model(inputs), labels).backward()


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def plain(model: nn.Module, seed: int = 1) -> dict[str, torch.Tensor]:
    """Gradients of a copy of ``model`` that no approximation has seen."""
    model = copy.deepcopy(model)
    backward(model, seed)
    return gradients(model)


def only(layer: int, method: Method) -> ApproximationSchedule:
    return ApproximationSchedule([[method if each == layer else FULL] for each in range(3)])


def sparse(gradient: torch.Tensor) -> torch.Tensor:
    """Of each image and channel the sum, at the place of the largest magnitude."""
    result = torch.zeros_like(gradient)
    for image, channel in itertools.product(range(gradient.shape[0]), range(gradient.shape[1])):
        values = gradient[image, channel]
        result[image, channel].view(-1)[values.abs().argmax()] = values.sum()
    return result


def dense_top1(layer: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """PyTorch's weight gradient, in double precision, of the sparse output gradient."""
    layer = copy.deepcopy(layer).double()
    return torch.autograd.grad(layer(inputs.double()), layer.weight, sparse(gradient.double()))[0]


def top1_of(layer: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Of a layer that stands alone."""
    Approximation(layer, ApproximationSchedule([[TOP1]]))
    layer(inputs).backward(gradient)
    return layer.weight.grad


GEOMETRIES = {
    "3×3": lambda: (nn.Conv2d(6, 8, 3, padding=1), (9, 7)),
    "1×1": lambda: (nn.Conv2d(6, 8, 1), (9, 7)),
    "stride": lambda: (nn.Conv2d(6, 8, 3, stride=(2, 3), padding=(1, 0)), (9, 11)),
    "stride that leaves a rest": lambda: (nn.Conv2d(3, 4, 3, stride=2), (8, 10)),
    "dilation": lambda: (nn.Conv2d(6, 8, (3, 2), dilation=(1, 3), padding=2), (9, 11)),
    "groups": lambda: (nn.Conv2d(6, 9, 3, padding=1, groups=3), (5, 6)),
    "depthwise": lambda: (nn.Conv2d(6, 12, 3, padding=1, groups=6), (5, 6)),
    "same": lambda: (nn.Conv2d(6, 8, (4, 3), padding="same", dilation=(1, 2)), (9, 11)),
    "valid": lambda: (nn.Conv2d(6, 8, 3, padding="valid"), (9, 11)),
    "reflected": lambda: (nn.Conv2d(6, 8, 3, padding=(1, 2), padding_mode="reflect"), (9, 11)),
    "circular": lambda: (nn.Conv2d(6, 8, 3, padding="same", padding_mode="circular", stride=1), (9, 11)),
    "small": lambda: (nn.Conv2d(6, 8, 5, padding=2), (1, 2)),
    "long planes": lambda: (nn.Conv2d(20, 3, 3, padding=1), (32, 16)),
    "several parts": lambda: (nn.Conv2d(2, 2, 3, padding=1), (320, 330)),
    "sequence": lambda: (nn.Conv1d(6, 8, 5, padding=3, stride=2), (20,)),
    "volume": lambda: (nn.Conv3d(3, 4, 3, padding=(0, 1, 2), stride=(1, 2, 1)), (5, 6, 7)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels last"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_top1_is_the_dense_gradient_of_the_sparse_output_gradient(geometry, dtype, memory_format):
    torch.manual_seed(0)
    layer, size = GEOMETRIES[geometry]()
    if memory_format is torch.channels_last and len(size) != 2:
        memory_format = torch.preserve_format
    layer = layer.to(dtype)
    inputs = torch.randn(13 if geometry == "several parts" else 5, layer.in_channels, *size, dtype=dtype)
    gradient = torch.randn_like(layer(inputs))
    got = top1_of(layer, inputs.clone(memory_format=memory_format), gradient.clone(memory_format=memory_format))
    want = dense_top1(layer, inputs, gradient)
    assert got.dtype == dtype
    assert torch.allclose(got.double(), want, rtol=0, atol=want.abs().max().item() * 100 * torch.finfo(dtype).eps)


def test_top1_of_one_image_without_a_batch_and_of_none():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3)
    inputs = torch.randn(3, 6, 6)
    gradient = torch.randn_like(layer(inputs))
    want = dense_top1(layer, inputs[None], gradient[None])
    assert torch.allclose(top1_of(layer, inputs, gradient).double(), want, atol=1e-5)
    layer.zero_grad()
    layer(torch.empty(0, 3, 6, 6)).sum().backward()
    assert not layer.weight.grad.any()


def test_top1_of_an_input_by_name():
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3)
    inputs = torch.randn(2, 3, 6, 6)
    gradient = torch.randn_like(layer(inputs))
    Approximation(layer, ApproximationSchedule([[TOP1]]))
    layer(input=inputs).backward(gradient)
    assert torch.allclose(layer.weight.grad.double(), dense_top1(layer, inputs, gradient), atol=1e-5)


@pytest.mark.parametrize("method", [ZERO, RANDOM, TOP1])
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_only_the_weight_gradient_of_the_approximated_layer_changes(layer, method):
    model = network()
    want = plain(model)
    names = list(Approximation(model, only(layer, method)).layers)
    backward(model)
    for name, got in gradients(model).items():
        if name == f"{names[layer]}.weight":
            assert not torch.allclose(got, want[name], rtol=0.1)
        elif name == f"{names[layer]}.bias":
            assert torch.allclose(got, want[name], rtol=1e-5, atol=1e-7)
        else:
            assert torch.equal(got, want[name]), name


def test_full_gradients_are_those_of_plain_pytorch_bit_for_bit():
    model = network()
    reference = copy.deepcopy(model)
    approximation = Approximation(model, ALL_FULL)
    for seed in range(3):
        for each in (model, reference):
            each.zero_grad()
            backward(each, seed)
        assert all(torch.equal(got, want) for got, want in zip(gradients(model).values(), gradients(reference).values()))
    assert approximation.batches == 3


class Products(TorchDispatchMode):
    """Which gradients of input, weight and bias PyTorch computed by convolutions."""

    def __init__(self):
        super().__init__()
        self.masks = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.convolution_backward.default:
            self.masks.append(tuple(args[-1]))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", [ZERO, RANDOM, TOP1])
def test_the_dense_product_of_an_approximated_layer_is_not_computed(method):
    model = network()
    Approximation(model, only(1, method))
    with Products() as products:
        backward(model)
    assert products.masks == [(True, True, True), (True, False, False), (False, True, True)]  # from the last layer to the first


def test_the_first_layer_has_no_product_at_all():
    model = network()
    Approximation(model, only(0, ZERO))
    with Products() as products:
        backward(model)
    assert len(products.masks) == 2 and not model.features[0].weight.grad.any() and model.features[0].bias.grad.any()


def test_methods_follow_the_schedule():
    model = network()
    schedule = ApproximationSchedule([["full", "zero"], ["zero", "full", "full"], ["full"]])
    approximation = Approximation(model, schedule)
    for number in range(7):
        model.zero_grad()
        backward(model, number)
        zero = [not layer.weight.grad.any() for layer in approximation.layers.values()]
        assert zero == [schedule.method(layer, number) is ZERO for layer in range(3)]
        assert zero == [number % 2 == 1, number % 3 == 0, False]


def test_gradients_are_accumulated():
    model = network()
    Approximation(model, only(1, TOP1))
    backward(model, 1)
    first = model.features[2].weight.grad.clone()
    model.zero_grad()
    backward(model, 2)
    second = model.features[2].weight.grad.clone()
    model.zero_grad()
    backward(model, 1)
    backward(model, 2)
    assert torch.allclose(model.features[2].weight.grad, first + second, atol=1e-7)


def test_momentum_goes_on_with_zero_gradients():
    model = network()
    Approximation(model, Pattern("-x").using(ZERO))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.5)
    weight, places = model.features[2].weight, [model.features[2].weight.detach().clone()]
    for seed in range(2):
        optimizer.zero_grad()
        backward(model, seed)
        optimizer.step()
        places.append(weight.detach().clone())
    assert torch.allclose(places[2] - places[1], 0.5 * (places[1] - places[0]), atol=1e-7)


def test_random_gradients_are_normal_of_one_over_the_batch():
    torch.manual_seed(0)
    layer = nn.Conv2d(64, 64, 3)
    Approximation(layer, ApproximationSchedule([[RANDOM]]))
    draws = []
    for _ in range(2):
        layer.zero_grad()
        layer(torch.randn(8, 64, 4, 4)).sum().backward()
        draws.append(layer.weight.grad.flatten())
    scaled = torch.cat(draws) * 8
    assert abs(scaled.mean()) < 0.02 and abs(scaled.std() - 1) < 0.02
    assert abs((scaled.abs() < 1).float().mean() - 0.6827) < 0.01
    assert abs(torch.corrcoef(torch.stack(draws))[0, 1]) < 0.03


def test_random_gradients_are_not_scaled_with_the_loss():
    torch.manual_seed(0)
    layer, scaler = nn.Conv2d(64, 64, 3), torch.amp.GradScaler("cpu", init_scale=1024.0)
    Approximation(layer, ApproximationSchedule([[RANDOM]]), scaler=scaler)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    scaler.scale(layer(torch.randn(8, 64, 4, 4)).sum()).backward()
    scaler.unscale_(optimizer)
    assert abs(layer.weight.grad.std() * 8 - 1) < 0.03


def test_a_generator_and_the_state_repeat_a_run():
    def run(approximation, model, seeds):
        for seed in seeds:
            model.zero_grad()
            backward(model, seed)
        return gradients(model)["features.2.weight"]

    schedule = Pattern("x-").using(RANDOM)
    model = network()
    approximation = Approximation(model, schedule, generator=torch.Generator().manual_seed(3))
    run(approximation, model, [0])
    state, want = approximation.state_dict(), run(approximation, model, [1, 2])
    other = network()
    resumed = Approximation(other, schedule, generator=torch.Generator())
    resumed.load_state_dict(state)
    assert torch.equal(run(resumed, other, [1, 2]), want)
    assert resumed.batches == 3


def test_evaluation_and_no_grad_neither_count_nor_approximate():
    model = network()
    approximation = Approximation(model, ApproximationSchedule([[ZERO]]))
    with torch.no_grad():
        model(batch()[0])
    model.eval()
    want = plain(model)
    backward(model)
    assert approximation.batches == 0
    assert all(torch.equal(got, want[name]) for name, got in gradients(model).items())


def test_a_layer_without_training_gets_no_gradient():
    model = network()
    model.features[2].weight.requires_grad_(False)
    Approximation(model, ApproximationSchedule([[TOP1]]))
    backward(model)
    weight = model.features[2].weight
    assert weight.grad is None and not weight.requires_grad
    assert model.features[2].bias.grad.any()


def test_a_layer_called_twice_adds_both_gradients():
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, 3, padding=1)
    model = nn.Sequential(layer, nn.ReLU(inplace=True), layer)
    inputs = torch.randn(2, 4, 6, 6)
    gradient = torch.randn(2, 4, 6, 6)
    hidden = layer(inputs).relu()
    inner = torch.autograd.grad(layer(hidden), hidden, gradient)[0] * (hidden > 0)
    want = dense_top1(layer, inputs, inner) + dense_top1(layer, hidden.detach(), gradient)
    Approximation(model, ApproximationSchedule([[TOP1]]))
    model(inputs).backward(gradient)
    assert torch.allclose(layer.weight.grad.double(), want, atol=1e-5)


def test_parameters_need_gradients_again_after_a_forward_that_raises():
    model = network()
    Approximation(model, ApproximationSchedule([[TOP1]]))
    with pytest.raises(RuntimeError, match="channels"):
        model(torch.randn(2, 4, 9, 9))
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_interrupt_in_a_layer_is_mended_at_the_next_batch():
    class Interrupted(torch.Tensor):
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            raise KeyboardInterrupt

    model = network()
    approximation = Approximation(model, ApproximationSchedule([[TOP1]]))
    with pytest.raises(KeyboardInterrupt):
        model(batch()[0].as_subclass(Interrupted))
    backward(model)
    assert model.features[0].weight.grad.any()
    with pytest.raises(KeyboardInterrupt):
        model(batch()[0].as_subclass(Interrupted))
    approximation.close()
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("reentrant", [True, False])
def test_activations_may_be_computed_again(reentrant):
    class Recomputed(Network):
        def forward(self, x):
            return self.classifier(checkpoint(self.features, x.requires_grad_(), use_reentrant=reentrant).mean((2, 3)))

    model = network()
    Approximation(model, ApproximationSchedule([[TOP1]]))
    backward(model)
    torch.manual_seed(0)
    other = Recomputed()
    approximation = Approximation(other, ApproximationSchedule([[TOP1]]))
    backward(other)
    assert approximation.batches == 1
    assert all(torch.allclose(got, want, atol=1e-7) for got, want in zip(gradients(other).values(), gradients(model).values()))


def test_autocast_computes_in_the_weight_type():
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, 3, padding=1)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), layer)
    seen = {}
    Approximation(model, ApproximationSchedule([[FULL], [TOP1]]))
    layer.register_forward_hook(lambda _, arguments, output: (
        seen.update(inputs=arguments[0].detach()), output.register_hook(lambda gradient: seen.update(gradient=gradient)))[0])
    with torch.autocast("cpu", torch.bfloat16):
        output = model(torch.randn(4, 3, 9, 9))
        # magnitudes that bfloat16 holds, each once in a channel: which is largest must not be open
        magnitudes = torch.stack([torch.randperm(49) + 1.0 for _ in range(4 * 8)]).view(4, 8, 7, 7)
        (output * magnitudes * torch.randn(4, 8, 7, 7).sign()).sum().backward()
    assert output.dtype is torch.bfloat16 and seen["gradient"].dtype is torch.bfloat16
    assert layer.weight.grad.dtype is torch.float32
    assert torch.allclose(layer.weight.grad.double(), dense_top1(layer, seen["inputs"], seen["gradient"]), atol=1e-3)


def test_gradients_of_gradients_are_refused():
    model = network()
    Approximation(model, ApproximationSchedule([[TOP1]]))
    loss = model(batch()[0]).square().sum()
    first = torch.autograd.grad(loss, model.features[2].weight, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_closed_it_leaves_the_model_alone():
    model = network()
    want = plain(model)
    approximation = Approximation(model, ApproximationSchedule([[ZERO]]))
    approximation.close()
    backward(model)
    assert all(torch.equal(got, want[name]) for name, got in gradients(model).items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_excluded_modules_are_not_counted():
    model = network()
    schedule = ApproximationSchedule([[FULL], [ZERO]])
    assert list(Approximation(model, schedule, exclude=["features.2"]).layers) == ["features.0", "features.5"]
    backward(model)
    assert [not model.features[index].weight.grad.any() for index in (0, 2, 5)] == [False, False, True]
    with pytest.raises(ValueError, match="model must have a Conv1d, Conv2d or Conv3d that is not excluded"):
        Approximation(model, schedule, exclude=["features"])


def test_errors_say_what_is_wrong():
    schedule = ApproximationSchedule([[ZERO]])
    with pytest.raises(ValueError, match="model must have a Conv1d, Conv2d or Conv3d"):
        Approximation(nn.Linear(2, 2), schedule)
    with pytest.raises(ValueError, match="exclude must name modules of the model, not 'conv9'"):
        Approximation(network(), schedule, exclude=["conv9"])
    with pytest.raises(ValueError, match="compute their weight from other parameters.*such as '0'"):
        Approximation(nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1))), schedule)

    class Standardised(nn.Conv2d):
        def forward(self, x):
            return functional.conv2d(x, self.weight - self.weight.mean())

    with pytest.raises(ValueError, match=r"forward\(\) of their own, such as '0'"):
        Approximation(nn.Sequential(Standardised(2, 2, 1)), schedule)
    with pytest.raises(ValueError, match="rows must be as many as the model's 3 layers if they are not repeated, not 4"):
        Approximation(network(), ApproximationSchedule([[ZERO]] * 4, repeat_layers=False))
