"""All passes of convolutions of every shape against autograd, exactly: on small integers no sum rounds."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler import CompileError
from adagp.compiler.network import Convolution
from adagp.compiler.operation import Activation
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, preset
from adagp.spec.isa import INSTRUCTION_BYTES, Load, Pass, decode
from adagp_tb import pass_bench

ODD = AcceleratorConfig(rows=5, columns=6, stream_elements=16384, stationary_elements=16384, vector_words=1024)
NARROW = AcceleratorConfig(rows=4, columns=4, bus_bits=64, stream_elements=1024, stationary_elements=1024, vector_words=256)
"""Memories so small that nothing fits at once: several tiles, slices of channels, parts of outputs."""
TALL = AcceleratorConfig(rows=16, columns=4, stream_elements=4096, stationary_elements=2048, vector_words=512)
CONFIGS = {"odd": ODD, "narrow": NARROW}


def conv(channels, outputs, size, kernel=(3, 3), padding=None, dilation=(1, 1), **options) -> Convolution:
    """'Same' padding by default."""
    if padding is None:
        padding = tuple((k - 1) * d // 2 for k, d in zip(kernel, dilation))
    return Convolution(name="conv", image=(*size, channels), channels=outputs, kernel=kernel, padding=padding,
                       dilation=dilation, **options)


LAYERS = {
    "dense": conv(5, 12, (7, 6)),
    "dense of many channels": conv(37, 19, (4, 4)),
    "dense of one pixel": conv(70, 17, (1, 1), (1, 1)),
    "wide 1x7": conv(5, 12, (6, 9), (1, 7)),
    "tall 7x1": conv(12, 5, (9, 6), (7, 1)),
    "1x7 with stride, padding of the other side": conv(3, 7, (6, 9), (1, 7), (2, 1), stride=(1, 2)),
    "stride beyond the kernel": conv(3, 5, (9, 8), (2, 2), (0, 0), stride=(3, 3)),
    "dilation 2": conv(5, 4, (8, 9), dilation=(2, 2)),
    "dilation 3, many channels": conv(17, 12, (8, 7), dilation=(3, 3)),
    "dilation down only": conv(3, 5, (9, 6), dilation=(2, 1)),
    "dilation across only": conv(12, 3, (6, 9), (3, 5), dilation=(1, 2)),
    "dilation 3, stride 2": conv(5, 3, (9, 10), dilation=(3, 3), stride=(2, 2)),
    "dilation 2, stride 2": conv(5, 3, (9, 10), dilation=(2, 2), stride=(2, 2)),
    "dilation 4, stride 6": conv(3, 4, (13, 9), (3, 2), (4, 2), dilation=(4, 4), stride=(6, 6)),
    "2 groups": conv(12, 34, (5, 6), groups=2),
    "3 groups": conv(15, 6, (6, 5), groups=3),
    "3 groups, stride 2": conv(12, 9, (7, 7), groups=3, stride=(2, 2)),
    "4 groups, dilation 2": conv(12, 8, (7, 7), groups=4, dilation=(2, 2)),
    "17 groups of one input and two outputs": conv(17, 34, (5, 5), groups=17),
    "5 groups of three inputs and one output": conv(15, 5, (6, 5), groups=5),
    "depthwise": conv(17, 17, (6, 7), groups=17),
    "depthwise 5x5, stride 2": conv(12, 12, (9, 8), (5, 5), groups=12, stride=(2, 2)),
    "depthwise, stride 2": conv(5, 5, (8, 7), groups=5, stride=(2, 2)),
    "depthwise 5x5, dilation 2": conv(6, 6, (9, 9), (5, 5), groups=6, dilation=(2, 2)),
    "depthwise 7x1": conv(13, 13, (9, 4), (7, 1), groups=13),
    "depthwise of one pixel per tap": conv(13, 13, (4, 4), (1, 1), groups=13),
}


def integers(shape, generator, most: int) -> torch.Tensor:
    return torch.randint(-most, most + 1, shape, generator=generator).float()


def run_pass(config, layer, batch, which, values) -> dict[str, torch.Tensor]:
    """All tensors after the pass on a machine that proves the program free of races."""
    program, layout = pass_bench.pass_program(config, layer, batch, which)
    machine = GoldenMachine(config, pass_bench.memory_bytes(program, layout), check=True)
    pass_bench.run(machine, program, layout, {name: torch.zeros(tensor.shape) for name, tensor in layout.tensors.items()}
                   | values)
    return {name: tensor.read(machine.memory).float() for name, tensor in layout.tensors.items()}


def values_of(layer: Convolution, batch: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"x": integers((batch, *layer.image), generator, 2), "y": integers((batch, *layer.output), generator, 2),
            "weight": integers(layer.weight_shape, generator, 1), "bias": integers((layer.channels,), generator, 9),
            "momentum": integers(layer.weight_shape, generator, 9),
            "bias.momentum": integers((layer.channels,), generator, 9)}


def autograd(layer: Convolution, values) -> dict[str, torch.Tensor]:
    """Output and gradients, channels last; the input gradient behind the ReLU that made x."""
    x, weight, bias = (values[name].clone().requires_grad_() for name in ("x", "weight", "bias"))
    y = functional.conv2d(x.permute(0, 3, 1, 2), weight.permute(0, 3, 1, 2), bias, layer.stride, layer.padding,
                          layer.dilation, layer.groups).permute(0, 2, 3, 1)
    y.backward(values["y"])
    return {"y": torch.relu(y) if layer.activation else y, "dx": x.grad * (x > 0), "weight": weight.grad, "bias": bias.grad}


def check(config, layer, batch):
    values = values_of(layer, batch)
    want = autograd(layer, values)
    inputs = {name: values[name] for name in ("x", "weight", "bias")}
    got = run_pass(config, layer, batch, Pass.FORWARD, inputs)
    assert torch.equal(got["y"], want["y"].bfloat16().float()), "forward"
    got = run_pass(config, layer, batch, Pass.INPUT_GRADIENT, values)
    assert torch.equal(got["dx"], want["dx"].bfloat16().float()), "input gradient"
    got = run_pass(config, layer, batch, Pass.WEIGHT_GRADIENT, values)
    for name, momentum in (("weight", "momentum"), ("bias", "bias.momentum")):
        step = pass_bench.OPTIMIZER.momentum * values[momentum] + want[name]
        torch.testing.assert_close(got[momentum], step, rtol=1e-6, atol=1e-6, msg=lambda text: f"{momentum}: {text}")
        torch.testing.assert_close(got[name], values[name] - pass_bench.OPTIMIZER.lr * step, rtol=1e-6, atol=1e-6,
                                   msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_all_passes_equal_autograd(layer, config):
    check(config, layer, batch=2)


@pytest.mark.parametrize("layer", ["dense", "depthwise", "3 groups, stride 2"])
def test_more_rows_than_columns(layer):
    check(TALL, LAYERS[layer], batch=3)


def test_relu_behind_and_before_a_grouped_convolution():
    check(ODD, conv(12, 12, (5, 5), groups=12, activation=Activation()), batch=2)


def test_sums_of_all_integers_here_are_exact():
    """Else the comparison above would be one of roundings."""
    for layer in LAYERS.values():
        values = values_of(layer, 2)
        most = max(tensor.abs().max() for tensor in autograd(layer, values).values())
        assert most < 2 ** 24


def test_many_channels_are_cut_into_slices_and_weights_loaded_once():
    """Whatever the batch, a layer of few pixels fetches each weight once."""
    layer = conv(96, 64, (2, 2))
    for which in (Pass.FORWARD, Pass.INPUT_GRADIENT):
        program, layout = pass_bench.pass_program(preset("small"), layer, 8, which)
        weight = layout.tensors["weight"]
        fetched = sum(bytes_of(i) for i in loads(program) if weight.offset <= i.offset < weight.offset + weight.bytes)
        assert fetched == weight.bytes, which.name


def test_layer_that_cannot_be_cut_small_enough_is_refused_by_name():
    with pytest.raises(CompileError, match=r"conv: one output row needs 300 words .* of which 64 are free"):
        pass_bench.pass_program(NARROW, conv(3, 4, (1, 300)), 1, Pass.FORWARD)
    with pytest.raises(CompileError, match=r"conv: 1 input rows need 300 words"):
        pass_bench.pass_program(NARROW, conv(3, 4, (1, 300)), 1, Pass.INPUT_GRADIENT)
    with pytest.raises(CompileError, match=r"conv: one row of pixels needs 1806 elements of half .*stationary_elements"):
        pass_bench.pass_program(NARROW, conv(3, 4, (1, 600)), 1, Pass.WEIGHT_GRADIENT)


def loads(program: bytes):
    instructions = [decode(program[at:at + INSTRUCTION_BYTES]) for at in range(0, len(program), INSTRUCTION_BYTES)]
    return [i for i in instructions if isinstance(i, Load)]


def bytes_of(load) -> int:
    return load.length * load.count0 * load.count1 * load.count2 * load.format.bytes
