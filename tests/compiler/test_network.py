"""What is captured from a PyTorch model, and what is refused with which words."""

import pytest
import torch
from torch import nn

from adagp.compiler import CompileError, compile_training
from adagp.compiler.network import Convolution, MaxPool, capture
from adagp.spec.config import AcceleratorConfig, preset


class Functional(nn.Module):
    """The style of PyTorch's own MNIST example."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.linear = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        x = nn.functional.relu(nn.functional.max_pool2d(self.conv(x), 2))
        return self.linear(x.view(x.size(0), -1))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1)
        self.linear = nn.Linear(2 * 8 * 8, 5)

    def forward(self, x):
        return self.linear(torch.flatten(x + self.conv(x), 1))


def test_functional_style_is_captured():
    conv, pool, linear = capture(Functional(), (1, 8, 8))
    assert isinstance(conv, Convolution) and conv.relu and conv.output == (6, 6, 4)
    assert isinstance(pool, MaxPool) and pool.output == (3, 3, 4)
    assert linear.flattened == (4, 3, 3) and not linear.relu


def test_linear_weight_is_reordered_to_channels_last_and_back():
    linear = capture(Functional(), (1, 8, 8))[-1]
    weight = torch.arange(5 * 36, dtype=torch.float32).reshape(5, 36)
    stored = linear.weight_to_memory(weight)
    assert stored[2, 0, 0].reshape(3, 3, 4)[1, 2, 3] == weight[2].reshape(4, 3, 3)[3, 1, 2]
    assert torch.equal(linear.weight_from_memory(stored, linear=True), weight)


def conv(**options):
    return nn.Sequential(nn.Conv2d(4, 4, 3, **options), nn.Flatten(), nn.LazyLinear(5))


@pytest.mark.parametrize("options", [
    dict(kernel_size=3, groups=4, stride=2, padding=1), dict(kernel_size=(1, 7), padding=(0, 3)),
    dict(kernel_size=(7, 1), padding="same"), dict(kernel_size=(3, 2), dilation=(3, 2), padding="same"),
    dict(kernel_size=2, dilation=2, stride=(1, 3), padding=1, groups=2)])
def test_convolutions_of_all_kinds_are_captured_with_the_shapes_that_torch_gives(options):
    module = nn.Conv2d(4, 8, **options)
    layer, _ = capture(nn.Sequential(module, nn.Flatten(), nn.LazyLinear(3)), (4, 9, 11))
    height, width, channels = layer.output
    assert module(torch.zeros(1, 4, 9, 11)).shape == (1, channels, height, width)
    assert layer.weight_to_memory(module.weight).shape == layer.weight_shape


@pytest.mark.parametrize("model, shape, words", [
    (Residual(), (2, 8, 8), "only chains"),
    (conv(padding=1, padding_mode="circular"), (4, 8, 8), "0: Conv2d.padding_mode must be 'zeros', not 'circular'"),
    (nn.Sequential(nn.Conv2d(1, 2, 2, padding="same")), (1, 8, 8), "0: Conv2d.padding 'same' needs as many zeros"),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8), "1: Sigmoid is not mapped"),
    (nn.Sequential(nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)), (1, 8, 8), "0: ReLU must follow"),
    (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 8, 8), "the last layer must be a Linear"),
    (nn.Sequential(nn.Flatten(), nn.Linear(63, 3)), (1, 8, 8), "does not accept input of shape"),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(18, 3)), (1, 8, 8),
     "1: MaxPool2d needs ceil_mode False"),
])
def test_what_cannot_be_mapped_is_refused_with_layer_and_reason(model, shape, words):
    model(torch.zeros(1, *shape)) if isinstance(list(model.modules())[-1], nn.LazyLinear) else None
    with pytest.raises(CompileError, match=words):
        capture(model, shape)


def test_layer_too_large_for_the_scratchpads_names_parameter_and_value():
    model = nn.Sequential(nn.Conv2d(64, 4, 3, padding=1), nn.Flatten(), nn.Linear(4 * 4 * 300, 2))
    with pytest.raises(CompileError, match=r"0: one output row needs 300 words .*AcceleratorConfig\.vector_words.* 256 are"):
        compile_training(model, preset("tiny"), batch=2, input_shape=(64, 4, 300))


def test_batch_of_zero_is_refused():
    with pytest.raises(ValueError, match="batch must be an integer of at least 1, not 0"):
        compile_training(Functional(), preset("tiny"), batch=0, input_shape=(1, 8, 8))


def test_labels_outside_the_classes_and_odd_sample_counts_are_refused():
    training = compile_training(Functional(), preset("tiny"), batch=4, input_shape=(1, 8, 8))
    memory = __import__("numpy").zeros(training.image_bytes(1), "uint8")
    with pytest.raises(ValueError, match="labels must be from 0 to 4, not 0 to 5"):
        training.image(memory, Functional(), torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 5, 2]))
    with pytest.raises(ValueError, match="positive multiple of 4 samples, not 3"):
        training.image(memory, Functional(), torch.zeros(3, 1, 8, 8), torch.zeros(3))
    with pytest.raises(ValueError, match="memory must have at least"):
        training.image(memory[:64], Functional(), torch.zeros(4, 1, 8, 8), torch.zeros(4))


def test_model_written_to_an_image_reads_back_equal():
    model, other = Functional(), Functional()
    training = compile_training(model, AcceleratorConfig(rows=3, columns=5), batch=4, input_shape=(1, 8, 8))
    memory = __import__("numpy").zeros(training.image_bytes(1), "uint8")
    training.image(memory, model, torch.zeros(4, 1, 8, 8), torch.zeros(4))
    training.read_model(memory, other)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, other.get_parameter(name)), name
