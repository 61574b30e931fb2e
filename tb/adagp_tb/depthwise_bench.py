"""Depthwise convolutions on the array and on the vector unit: ``nox -s bench -- depthwise``.

The compiler packs as many channels as the array has columns into one block-diagonal tile of
weights: k² cycles per pixel and tile. On the vector unit, channels in the lanes, each tap takes a
multiplication and an addition, for there is no third operand to add a product to: 2k² cycles per
pixel and word. The array wins by that factor, which this bench measures on the RTL.
"""

from dataclasses import dataclass

import numpy as np
import torch

from adagp.compiler import convolution
from adagp.compiler.convolution import Consume
from adagp.compiler.emitter import Emitter, Tile
from adagp.compiler.images import Images
from adagp.compiler.network import Convolution
from adagp.compiler.operation import Activation
from adagp.compiler.tensors import Tensor
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Memory, Pass
from torch.nn import functional

from . import pass_bench
from .rtl_machine import RtlMachine

MAPPINGS = ("array", "vector")


@dataclass(frozen=True, kw_only=True)
class DepthwiseResult:
    """``cycles`` from doorbell to the last write acknowledged."""

    mapping: str
    cycles: int
    macs: int


def layers() -> list[Convolution]:
    """As in MobileNet and its successors: 3×3 and 5×5, stride 1 and 2, 32 channels."""
    return [Convolution(name=f"{kernel}×{kernel} depthwise, stride {stride}", image=(12, 12, 32), channels=32, groups=32,
                        kernel=(kernel, kernel), stride=(stride, stride), padding=(kernel // 2, kernel // 2), activation=Activation())
            for kernel in (3, 5) for stride in (1, 2)]


def vector_forward(e: Emitter, layer: Convolution, x: Images, weight: Tensor, bias: Tensor, consume: Consume) -> None:
    """The forward pass of a depthwise layer on the vector unit, for comparison: a word holds the channels
    of a pixel, of the zeros around too. One image is worked on at a time."""
    lanes, taps = e.config.vector_lanes, layer.kernel[0] * layer.kernel[1]
    images, height, width, channels = x.shape
    (below, beside), (down, right) = layer.padding, layer.stride
    out_height, out_width, _ = layer.output
    pitch, words = width + 2 * beside, out_height * out_width
    sources, sums, products, weights = ([e.scratch.vector(size, bank) for _ in range(2)] for bank, size in enumerate(
        ((height + 2 * below) * pitch, words, words, taps + 1)))
    for source in sources:
        e.fill(Memory.VECTOR, source * lanes, (height + 2 * below) * pitch * lanes)
    turn = 0
    by_image, by_row, by_pixel, by_channel = x.tensor.strides()
    for block, channel in enumerate(range(0, channels, lanes)):
        count, kernel = min(lanes, channels - channel), weights[block % 2]
        e.load(weight, channel * weight.strides()[0], Memory.VECTOR, kernel * lanes, 1,
               ((taps, weight.strides()[2], lanes), (count, weight.strides()[0], 1)))
        e.load(bias, channel * bias.format.bytes, Memory.VECTOR, (kernel + taps) * lanes, count)
        for image in range(images):
            source, total, product = sources[turn], sums[turn], products[turn]
            turn ^= 1
            e.load(x.tensor, image * by_image + channel * by_channel, Memory.VECTOR, (source + below * pitch + beside) * lanes,
                   count, ((width, by_pixel, lanes), (height, by_row, pitch * lanes)))
            for tap in range(taps):
                seen = source + tap // layer.kernel[1] * pitch + tap % layer.kernel[1]
                e.vector(product if tap else total, seen, ((out_width, 1, right, 0), (out_height, out_width, down * pitch, 0)),
                         b=kernel + tap, times="b")
                if tap:
                    e.vector(total, total, words, b=product, plus="b")
            consume(Tile(word=total, row=image * words, loops=((words, 1),), column=channel, columns=count), kernel + taps)


def measure(config: AcceleratorConfig, layer: Convolution, batch: int, mapping: str) -> DepthwiseResult:
    """Runs the forward pass on the RTL; checks every bit against the golden machine, and against PyTorch
    on integers small enough that nothing rounds."""
    forward = convolution.forward if mapping == "array" else vector_forward
    program, layout = pass_bench.pass_program(config, layer, batch, Pass.FORWARD, forward)
    generator = torch.Generator().manual_seed(0)
    values = {name: torch.randint(-2, 3, tensor.shape, generator=generator).float()
              for name, tensor in layout.tensors.items()}
    rtl = RtlMachine(config, pass_bench.memory_bytes(program, layout))
    golden = GoldenMachine(config, rtl.memory.size, check=True)
    for machine in (rtl, golden):
        pass_bench.run(machine, program, layout, values)
    if not np.array_equal(rtl.memory, golden.memory):
        raise AssertionError(f"{mapping} mapping of {layer.name} differs from the golden machine")
    want = functional.conv2d(values["x"].permute(0, 3, 1, 2), values["weight"].permute(0, 3, 1, 2), values["bias"],
                             layer.stride, layer.padding, layer.dilation, layer.groups).relu().permute(0, 2, 3, 1)
    if not torch.equal(layout.tensors["y"].read(rtl.memory).float(), want.bfloat16().float()):
        raise AssertionError(f"{mapping} mapping of {layer.name} differs from PyTorch")
    result = DepthwiseResult(mapping=mapping, cycles=rtl.counter("CYCLES"), macs=layer.output[0] * layer.output[1]
                             * batch * layer.channels * layer.kernel[0] * layer.kernel[1])
    rtl.close()
    return result
