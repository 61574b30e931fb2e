"""Runs one operation alone, forward and backward, on the checking golden machine."""

import numpy as np
import torch

from adagp.compiler.emitter import Emitter
from adagp.compiler.operation import Activation, Operation, Target, Work
from adagp.compiler.optimizer import SGD
from adagp.compiler.tensors import Layout, Tensor
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Format

SMALL = AcceleratorConfig(rows=4, columns=4, bus_bits=64, stream_elements=4096, stationary_elements=4096,
                          vector_words=512)
WIDE = AcceleratorConfig(rows=4, columns=16, bus_bits=64, stream_elements=4096, stationary_elements=4096,
                         vector_words=512)

OPTIMIZER = SGD(lr=0.1, momentum=0.5)


class Standalone:
    """``operation`` for a number of images. Tensors are called "x", "y", "dy", "dx", "addend",
    "{parameter}", "{parameter}.momentum", and as buffers and saved ones are; further inputs "x1" and
    so on. ``module`` has its ``forward`` and ``backward``. The inputs came out of ``activation``;
    with ``accumulate`` "addend" is another share of their gradient."""

    def __init__(self, config: AcceleratorConfig, module, operation: Operation, images: int, *, training: bool = True,
                 activation: Activation | None = None, accumulate: bool = False, want_input_gradient: bool = True):
        layout = Layout()

        def place(name: str, form: Format = Format.OPERAND) -> list[Tensor]:
            return [layout.place(f"{name}{number or ''}", (images, *shape), form)
                    for number, shape in enumerate(operation.input_shapes)]
        inputs = place("x", operation.input_format)
        y = layout.place("y", (images, *operation.output), Format.OPERAND)
        addends = place("addend") if accumulate else [None] * len(inputs)
        targets = [Target(tensor=dx, activation=activation, activations=x if activation else None, addend=addend)
                   for x, dx, addend in zip(inputs, place("dx"), addends)]
        parameters = {name: layout.place(name, shape, Format.FLOAT32) for name, shape in operation.parameters.items()}
        forward = dict(
            inputs=tuple(inputs), output=y, training=training, parameters=parameters,
            buffers={name: layout.place(name, shape, Format.FLOAT32) for name, shape in operation.buffers.items()},
            saved={name: layout.place(name, *placed) for name, placed in operation.saved(images).items()})
        backward = dict(
            gradient=layout.place("dy", y.shape, Format.OPERAND),
            targets=tuple(targets if want_input_gradient else [None] * len(inputs)),
            momenta={name: layout.place(f"{name}.momentum", tensor.shape, Format.FLOAT32)
                     for name, tensor in parameters.items()}, optimizer=OPTIMIZER)
        e = Emitter(config)
        e.scratch.begin(operation.name)
        module.forward(e, operation, Work(**forward))
        if training:
            e.scratch.begin(operation.name)
            module.backward(e, operation, Work(**forward, **backward))
        self._program, self._layout = e.builder.finish(), layout
        self._start = -(-layout.size // 64) * 64
        self.machine = GoldenMachine(config, self._start + len(self._program), check=True)
        self.machine.vector[...] = np.nan  # what is read before it is written shows
        self.machine.memory[self._start:] = np.frombuffer(self._program, np.uint8)

    def run(self, **values: torch.Tensor) -> dict[str, torch.Tensor]:
        """All tensors after a run that began with ``values``, as float32."""
        for name, value in values.items():
            self._layout.tensors[name].write(self.machine.memory, value)
        for register, value in (("PROGRAM[3].ADDRESS", self._start), ("PROGRAM[3].SIZE", len(self._program)),
                                ("MODE", 1), ("WINDOW_LAST", self.machine.memory.size - 1), ("BATCHES", 1)):
            self.machine.write(register, value)
        self.machine.run()
        return {name: tensor.read(self.machine.memory).float() for name, tensor in self._layout.tensors.items()}

    def bytes_read(self) -> int:
        return self.machine.counter("BYTES_READ")


def samples(shape: tuple[int, ...], seed: int, mean: float = 0.0, deviation: float = 1.0) -> torch.Tensor:
    """Random numbers that are operands already."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(shape, generator=generator) * deviation + mean).bfloat16().float()


def gradient_at(activation: Activation, outputs: torch.Tensor) -> torch.Tensor:
    """The derivative of ``activation`` where it gave ``outputs``."""
    return torch.where(outputs <= 0, activation.slope, torch.where(outputs < activation.most, 1.0, 0.0))


def assert_close(got: torch.Tensor, want: torch.Tensor, bound: float) -> None:
    """‖got − want‖ ≤ bound·‖want‖."""
    assert want.norm() > 0
    error = ((got.flatten() - want.flatten()).norm() / want.norm()).item()
    assert error <= bound, f"off by {error:.5f}, more than {bound}"


OUTPUT, GRADIENT = 0.01, 0.03
"""Bounds of outputs and of gradients: operands have 8 significant bits."""
