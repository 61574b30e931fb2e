"""Array utilisation of single passes of one layer, from external memory to external memory."""

from dataclasses import dataclass

import numpy as np
import torch

from adagp.compiler import SGD, convolution, finish
from adagp.compiler.emitter import Emitter
from adagp.compiler.images import Images
from adagp.compiler.network import Convolution
from adagp.compiler.operation import Activation, Target
from adagp.compiler.ordering import MAIN, Recorder
from adagp.compiler.tensors import Layout
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Format, Pass
from adagp.spec.machine import Machine

from .rtl_machine import RtlMachine

OPTIMIZER = SGD(lr=0.01)
PASSES = (Pass.FORWARD, Pass.INPUT_GRADIENT, Pass.WEIGHT_GRADIENT)


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """``cycles`` from doorbell to the last write acknowledged, loading and storing included; the
    weight gradient includes the bias gradient and the momentum update. ``least_cycles``: what the
    array's multiply-accumulates, reading each tensor once or writing each once takes, whichever is
    most; no program can be faster."""

    config: AcceleratorConfig
    which: Pass
    cycles: int
    macs: int
    bytes_read: int
    bytes_written: int
    least_cycles: float

    @property
    def utilisation(self) -> float:
        return self.macs / (self.cycles * self.config.rows * self.config.columns)

    @property
    def of_roofline(self) -> float:
        return self.least_cycles / self.cycles


def pass_program(config: AcceleratorConfig, layer: Convolution, batch: int, which: Pass,
                 forward=convolution.forward) -> tuple[bytes, Layout]:
    """A program that is one pass of ``layer``, and the tensors that it works on."""
    layout, recorder = Layout(), Recorder(config)
    e = Emitter(config, builder=recorder.thread(MAIN))
    in_height, in_width, channels = layer.image
    height, width, outputs = layer.output
    x = layout.place("x", (batch, in_height, in_width, channels), Format.OPERAND)
    dx = layout.place("dx", x.shape, Format.OPERAND)
    y = layout.place("y", (batch, height, width, outputs), Format.OPERAND)
    weight = layout.place("weight", layer.weight_shape, Format.FLOAT32)
    momentum = layout.place("momentum", layer.weight_shape, Format.FLOAT32)
    bias = layout.place("bias", (outputs,), Format.FLOAT32)
    bias_momentum = layout.place("bias.momentum", (outputs,), Format.FLOAT32)
    e.scratch.begin(layer.name)
    if which is Pass.FORWARD:
        store = finish.StoreActivations(e, y.view(batch * height * width, outputs), layer.activation)
        forward(e, layer, Images(tensor=x), weight, bias, store)
    elif which is Pass.INPUT_GRADIENT:
        pixels = batch * in_height * in_width
        target = Target(tensor=dx, activations=x, activation=Activation())
        store = finish.StoreGradient(e, target, min(e.scratch.bank_words, pixels))
        convolution.input_gradient(e, layer, y, weight, store)
    else:
        rows = min(outputs, e.scratch.bank_words // 4)
        matrix, column = (outputs, weight.elements // outputs), (outputs, 1)
        update = finish.MomentumUpdate(e, OPTIMIZER, weight.view(*matrix), momentum.view(*matrix), rows, slots=4)
        update_bias = update.sharing(bias.view(*column), bias_momentum.view(*column))
        convolution.weight_gradient(e, layer, Images(tensor=x), y, update, update_bias, most_rows=rows)
    return recorder.program().finish(), layout


_READ = {Pass.FORWARD: ("x", "weight", "bias"), Pass.INPUT_GRADIENT: ("x", "y", "weight"),
         Pass.WEIGHT_GRADIENT: ("x", "y", "weight", "momentum", "bias", "bias.momentum")}
_WRITTEN = {Pass.FORWARD: ("y",), Pass.INPUT_GRADIENT: ("dx",),
            Pass.WEIGHT_GRADIENT: ("weight", "momentum", "bias", "bias.momentum")}


def least_cycles(config: AcceleratorConfig, layout: Layout, which: Pass, macs: int) -> float:
    """See :class:`PassResult`."""
    def beats(names):
        return sum(layout.tensors[name].bytes for name in names) / config.bus_bytes
    return max(macs / (config.rows * config.columns), beats(_READ[which]), beats(_WRITTEN[which]))


def memory_bytes(program: bytes, layout: Layout) -> int:
    return -(-(layout.size + len(program)) // 64) * 64


def run(machine: Machine, program: bytes, layout: Layout, values: dict[str, torch.Tensor]) -> None:
    """Writes ``values`` and the program behind them, and executes it once."""
    for name, tensor in layout.tensors.items():
        tensor.write(machine.memory, values[name])
    machine.memory[layout.size:layout.size + len(program)] = np.frombuffer(program, np.uint8)
    for register, value in (("PROGRAM[3].ADDRESS", layout.size), ("PROGRAM[3].SIZE", len(program)), ("MODE", 1),
                            ("WINDOW_LAST", machine.memory.size - 1), ("BATCHES", 1)):
        machine.write(register, value)
    machine.run()


def measure(config: AcceleratorConfig, layer: Convolution, batch: int, which: Pass, **memory) -> PassResult:
    """Runs the pass on the RTL with random data and checks every bit against the golden machine."""
    program, layout = pass_program(config, layer, batch, which)
    size = memory_bytes(program, layout)
    rtl, golden = RtlMachine(config, size, **memory), GoldenMachine(config, size)
    generator = torch.Generator().manual_seed(0)
    values = {name: torch.randn(tensor.shape, generator=generator) for name, tensor in layout.tensors.items()}
    for machine in (rtl, golden):
        run(machine, program, layout, values)
    if not np.array_equal(rtl.memory, golden.memory):
        raise AssertionError(f"{which.name} of {layer.name} differs from the golden machine")
    macs = rtl.counter(f"PASS_MACS[{which.value}]")
    result = PassResult(config=config, which=which, cycles=rtl.counter("CYCLES"), macs=macs,
                        bytes_read=rtl.counter("BYTES_READ"), bytes_written=rtl.counter("BYTES_WRITTEN"),
                        least_cycles=least_cycles(config, layout, which, macs))
    rtl.close()
    return result


def reference_layer() -> Convolution:
    """The 3×3 convolution 64→64 on 16×16 pixels by which utilisation is judged (batch 4)."""
    return Convolution(name="3×3 64→64 @16²", image=(16, 16, 64), channels=64, kernel=(3, 3), padding=(1, 1))


def vgg_layers() -> list[Convolution]:
    """The convolutions of VGG13 on images of 32×32 pixels after the first, each shape once."""
    shapes = ((64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8), (256, 256, 8), (256, 512, 4),
              (512, 512, 4), (512, 512, 2))
    return [Convolution(name=f"{channels}→{outputs} @{size}²", image=(size, size, channels), channels=outputs,
                        kernel=(3, 3), padding=(1, 1), activation=Activation()) for channels, outputs, size in shapes]
