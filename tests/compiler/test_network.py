"""What is captured from a PyTorch model, and what is refused with which words."""

import pytest
import torch
from torch import nn

from adagp.compiler import CompileError, compile_training
from adagp.compiler.capture import capture
from adagp.compiler.network import Add, Convolution, MaxPool
from adagp.compiler.operation import Activation
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


def test_functional_style_is_captured():
    conv, pool, linear = capture(Functional(), (1, 8, 8)).operations
    assert isinstance(conv, Convolution) and conv.activation == Activation() and conv.output == (6, 6, 4)
    assert isinstance(pool, MaxPool) and pool.output == (3, 3, 4)
    assert linear.flattened == (4, 3, 3) and linear.activation is None


def test_linear_weight_is_reordered_to_channels_last_and_back():
    linear = capture(Functional(), (1, 8, 8)).operations[-1]
    weight = torch.arange(5 * 36, dtype=torch.float32).reshape(5, 36)
    stored = linear.weight_to_memory(weight)
    assert stored[2, 0, 0].reshape(3, 3, 4)[1, 2, 3] == weight[2].reshape(4, 3, 3)[3, 1, 2]
    assert torch.equal(linear.weight_from_memory(stored, linear=True), weight)


class Tokens(nn.Module):
    """``rearrange`` between an image and a Linear over tokens."""

    def __init__(self, rearrange):
        super().__init__()
        self.conv, self.linear, self.head = nn.Conv2d(1, 4, 2, stride=2), nn.Linear(4, 3), nn.Linear(48, 2)
        self.rearrange = rearrange

    def forward(self, x):
        return self.head(self.linear(self.rearrange(self.conv(x))).flatten(1))


@pytest.mark.parametrize("rearrange, image", [
    (lambda x: x.flatten(2).transpose(1, 2), (1, 16, 4)),
    (lambda x: x.view(x.shape[0], 4, -1).permute(0, 2, 1), (1, 16, 4)),
    (lambda x: x.permute(0, 2, 3, 1), (4, 4, 4)),
])
def test_image_is_read_as_tokens_where_it_lies(rearrange, image):
    _, linear, head = capture(Tokens(rearrange), (1, 8, 8)).operations
    assert linear.image == image and linear.inputs == ("conv",)
    assert head.image == (1, 1, 48) and head.flattened is None


def test_order_that_the_machine_does_not_have_is_refused():
    with pytest.raises(CompileError, match=r"linear: needs .* not \(16, 4\) out of the \(4, 4, 4\).* of conv"):
        capture(Tokens(lambda x: x.flatten(2).reshape(-1, 16, 4)), (1, 8, 8))


class Unactivated(nn.Module):
    """Somebody else reads what the ReLU reads, so it cannot be fused."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 2, 1), nn.Linear(32, 3)

    def forward(self, x):
        x = self.conv(x)
        return self.head((x + torch.relu(x)).flatten(1))


def test_activation_is_fused_only_if_nobody_else_reads_its_input():
    conv, relu, add, _ = capture(Unactivated(), (1, 4, 4)).operations
    assert conv.activation is None
    assert relu == Add(name="relu", inputs=("conv",), image=(4, 4, 2), activation=Activation())
    assert add.inputs == ("conv", "relu")


@pytest.mark.parametrize("module, activation", [
    (nn.ReLU(), Activation()), (nn.LeakyReLU(0.25), Activation(slope=0.25)), (nn.ReLU6(), Activation(most=6)),
    (nn.Hardtanh(0, 2), Activation(most=2)),
])
def test_activation_is_fused_into_the_convolution_past_max_pooling(module, activation):
    conv, pool, _ = capture(nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(2), module, nn.Flatten(), nn.Linear(8, 3)),
                            (1, 4, 4)).operations
    assert conv.activation == activation and pool.inputs == ("0",)


def test_module_without_parameters_may_be_called_often():
    relu = nn.ReLU()
    conv, *_, linear = capture(nn.Sequential(nn.Conv2d(1, 2, 1), relu, relu, relu, nn.Flatten(), nn.Linear(32, 3)),
                               (1, 4, 4)).operations
    assert conv.activation == Activation() and [name for name in linear.inputs] == ["1_3"]


def test_capture_leaves_the_model_in_its_mode():
    model = Functional().eval()
    model.conv.train()
    capture(model, (1, 8, 8))
    assert [module.training for module in model.modules()] == [False, True, False]


def test_result_that_the_logits_do_not_need_is_left_out():
    class Aside(Functional):
        def forward(self, x):
            torch.cat((x, x), dim=1)
            return super().forward(x)
    assert [type(operation) for operation in capture(Aside(), (1, 8, 8)).operations] == [Convolution, MaxPool, Convolution]


class Apply(nn.Module):
    """A function of the sample, then a Linear."""

    def __init__(self, function):
        super().__init__()
        self.function, self.linear = function, nn.LazyLinear(3)

    def forward(self, x):
        return self.linear(self.function(x))


def shared():
    conv = nn.Conv2d(1, 1, 3, padding=1)
    return nn.Sequential(conv, conv, nn.Flatten(), nn.Linear(64, 3))


def tied():
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    return nn.Sequential(first, second, nn.Linear(8, 3))


def conv(**options):
    return nn.Sequential(nn.Conv2d(4, 4, 3, **options), nn.Flatten(), nn.LazyLinear(5))


@pytest.mark.parametrize("options", [
    dict(kernel_size=3, groups=4, stride=2, padding=1), dict(kernel_size=(1, 7), padding=(0, 3)),
    dict(kernel_size=(7, 1), padding="same"), dict(kernel_size=(3, 2), dilation=(3, 2), padding="same"),
    dict(kernel_size=2, dilation=2, stride=(1, 3), padding=1, groups=2)])
def test_convolutions_of_all_kinds_are_captured_with_the_shapes_that_torch_gives(options):
    module, linear = nn.Conv2d(4, 8, **options), nn.LazyLinear(3)
    model = nn.Sequential(module, nn.Flatten(), linear)
    model(torch.zeros(1, 4, 9, 11))
    layer, _ = capture(model, (4, 9, 11)).operations
    height, width, channels = layer.output
    assert module(torch.zeros(1, 4, 9, 11)).shape == (1, channels, height, width)
    assert layer.weight_to_memory(module.weight).shape == layer.weight_shape


@pytest.mark.parametrize("model, shape, words", [
    (conv(padding=1, padding_mode="circular"), (4, 8, 8), "0: Conv2d.padding_mode must be 'zeros', not 'circular'"),
    (nn.Sequential(nn.Conv2d(1, 2, 2, padding="same")), (1, 8, 8), "0: Conv2d.padding 'same' needs as many zeros"),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(72, 3)), (1, 8, 8), "1: Sigmoid is not mapped"),
    (nn.Sequential(nn.Conv2d(1, 2, 3)), (1, 8, 8), "the last layer must be a Linear"),
    (nn.Sequential(nn.Flatten(), nn.Linear(63, 3)), (1, 8, 8), "does not accept input of shape"),
    (shared(), (1, 8, 8), "0_2: must have parameters of its own, not share those of 0"),
    (tied(), (8,), "1: must have parameters of its own, not share those of 0"),
    (nn.Sequential(nn.Dropout(0.1), nn.Linear(4, 3)).eval(), (4,), "0: Dropout.p must be 0, not 0.1"),
    (nn.Sequential(nn.Linear(4, 3), nn.ReLU()), (4,), "the last layer must be a Linear"),
    (Apply(lambda x: x + x[:, :1]), (4,), "adds equal shapes that lie alike"),
    (Apply(lambda x: torch.add(x, x, alpha=2)), (4,), "add: adds two activations, without alpha"),
    (Apply(lambda x: x + 1), (4,), "add: adds two activations"),
    (Apply(lambda x: x[:, :, :2].flatten(1)), (2, 4), r"linear: needs \(features\).* not \(4,\) out of the \(1, 2, 4\)"),
    (Apply(lambda x: torch.cat((x, x), 1)), (2, 2), "cat: concatenates channels or features, not dimension 1 of 3"),
    (Apply(lambda x: nn.functional.hardtanh(x)), (4,), r"hardtanh: Hardtanh.min_val must be 0, not -1.0"),
    (Apply(lambda x: nn.functional.hardtanh(x, 0, 1.001)), (4,), r"exact in bfloat16, not 1.001"),
    (nn.Sequential(nn.Upsample(size=(6, 7)), nn.Flatten(), nn.Linear(42, 3)), (1, 4, 4),
     "0: Upsample must be 'nearest' with integer factors, not 'nearest' with 1.5 and 1.75"),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten(), nn.Linear(18, 3)), (1, 8, 8),
     "1: MaxPool2d needs ceil_mode False"),
])
def test_what_cannot_be_mapped_is_refused_with_layer_and_reason(model, shape, words):
    if isinstance(list(model.modules())[-1], nn.LazyLinear):
        model(torch.zeros(1, *shape))
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
