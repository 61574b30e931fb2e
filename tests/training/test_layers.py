import pytest
import torch
from torch import nn

from adagp.training.layers import Layer, served_layers

CASES = {
    "linear": (lambda: nn.Linear(5, 3), (4, 5)),
    "linear on a sequence": (lambda: nn.Linear(5, 3), (4, 7, 5)),
    "1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, groups=2), (3, 4, 11)),
    "2d": (lambda: nn.Conv2d(3, 6, (3, 2), stride=2, padding=1, dilation=(1, 2)), (3, 3, 9, 8)),
    "3d": (lambda: nn.Conv3d(2, 4, 3, padding=1), (2, 2, 3, 4, 5)),
    "depthwise": (lambda: nn.Conv2d(4, 8, 3, groups=4, bias=False), (3, 4, 7, 7)),
    "same padding": (lambda: nn.Conv2d(2, 3, (4, 3), padding="same"), (3, 2, 6, 6)),
    "valid padding": (lambda: nn.Conv2d(2, 3, 3, padding="valid"), (3, 2, 6, 6)),
    "reflected padding": (lambda: nn.Conv2d(2, 3, 3, padding=2, padding_mode="reflect"), (3, 2, 6, 6)),
    "circular padding": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (3, 2, 6)),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (3, 4, 5, 5)),
    "transposed in groups": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=3, groups=2, dilation=2), (3, 4, 5, 4)),
    "transposed 1d": (lambda: nn.ConvTranspose1d(4, 2, 4, stride=2), (3, 4, 5)),
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    torch.manual_seed(0)
    make, shape = request.param
    return Layer("layer", make()), torch.randn(shape)


def test_weight_gradient_is_that_of_autograd(case):
    layer, inputs = case
    output = layer.module(inputs)
    gradient = torch.randn_like(output)
    output.backward(gradient)
    torch.testing.assert_close(layer.weight_gradient(inputs, gradient), layer.weight.grad)


def test_output_padding_follows_the_gradient():
    """A caller of a transposed convolution may ask for an output size."""
    torch.manual_seed(0)
    layer, inputs = Layer("layer", nn.ConvTranspose2d(2, 3, 3, stride=3)), torch.randn(2, 2, 4, 4)
    output = layer.module(inputs, output_size=(14, 13))
    gradient = torch.randn_like(output)
    output.backward(gradient)
    torch.testing.assert_close(layer.weight_gradient(inputs, gradient), layer.weight.grad)


def test_a_row_holds_the_weights_of_one_output_channel(case):
    layer, inputs = case
    for channel in range(layer.outputs):
        rows = torch.zeros(layer.outputs, layer.weights_per_output)
        rows[channel] = 1
        with torch.no_grad():
            layer.weight.copy_(layer.from_rows(rows))
            if layer.bias is not None:
                layer.bias.zero_()
        output = layer.module(torch.ones_like(inputs)).movedim(-1 if layer.linear else 1, 0)
        assert [bool(one.abs().sum()) for one in output] == [index == channel for index in range(layer.outputs)]


def test_rows_and_back(case):
    layer, _ = case
    rows = layer.rows(layer.weight)
    assert rows.shape == (layer.outputs, layer.weights_per_output)
    assert torch.equal(layer.from_rows(rows), layer.weight)


def test_images_are_means_over_the_batch(case):
    layer, inputs = case
    output = layer.module(inputs).detach()
    images = layer.images(output)
    channels_first = output.movedim(-1, 1) if layer.linear else output
    assert images.shape[0] == layer.outputs and images.dim() == 3
    assert images.shape[1:].numel() == channels_first.shape[2:].numel()
    torch.testing.assert_close(images.flatten(1), channels_first.mean(0).reshape(layer.outputs, -1))


def test_layers_without_trained_weight_are_not_served():
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Linear(1, 1), nn.BatchNorm2d(1))
    model[0].weight.requires_grad_(False)
    assert [layer.name for layer in served_layers(model)] == ["2"]


def test_frozen_bias_is_none():
    layer = Layer("layer", nn.Linear(2, 2))
    layer.module.bias.requires_grad_(False)
    assert layer.bias is None and layer.parameters == (layer.weight,)


def test_unknown_exclusion_is_refused():
    with pytest.raises(ValueError, match=r"exclude must name modules of the model, not 'x'"):
        served_layers(nn.Sequential(nn.Linear(1, 1)), ("x",))


def test_nothing_to_serve_is_refused():
    with pytest.raises(ValueError, match="model must have a convolution or linear layer"):
        served_layers(nn.Sequential(nn.Linear(1, 1)), ("0",))
