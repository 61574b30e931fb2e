"""The compiler's entry: from a PyTorch model to programs, memory image and register values."""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import nn

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import INSTRUCTION_BYTES, Format
from adagp.spec.machine import Machine
from adagp.spec.schedule import Phase, Schedule

from . import convolution, finish, loss, pooling
from .emitter import Emitter
from .finish import SGD, Adam
from .images import Images
from .network import Convolution, Layer, MaxPool, capture
from .predictor import Predictor, PredictorConfig, PredictorProgram
from .program import CompileError
from .tensors import ALIGNMENT, Base, Layout, Tensor


@dataclass(frozen=True, kw_only=True)
class Training:
    """A model, compiled for a configuration, a batch size and an input shape.

    ``programs`` holds the encoded program of each phase; a design without a predictor has none for
    Phase GP. ``tensors`` are all tensors in external memory by name: ``{layer}.weight``,
    ``{layer}.weight.momentum``, ``{layer}.output``, ``loss``, ``predictor.…``, and so on.
    """

    config: AcceleratorConfig
    batch: int
    layers: tuple[Layer, ...]
    programs: dict[Phase, bytes]
    tensors: dict[str, Tensor]
    state_bytes: int
    predictor: PredictorConfig | None

    @property
    def convolutions(self) -> list[Convolution]:
        """The layers with weights, linear ones included."""
        return [layer for layer in self.layers if isinstance(layer, Convolution)]

    @property
    def program_addresses(self) -> dict[Phase, int]:
        """Where the image holds each program; equal programs share one place."""
        places: dict[bytes, int] = {}
        end = self.state_bytes
        for program in self.programs.values():
            if program not in places:
                places[program] = end
                end += len(program)
        return {phase: places[program] for phase, program in self.programs.items()}

    @property
    def data_address(self) -> int:
        """Where the samples begin; the labels follow them."""
        return max(address + len(self.programs[phase]) for phase, address in self.program_addresses.items())

    def new_predictor(self) -> Predictor:
        """A freshly initialised predictor of the right size for :meth:`write_predictor`."""
        return Predictor(self.predictor, self.tensors["predictor.linear.weight"].shape[0])

    def image_bytes(self, batches: int) -> int:
        """External memory that an image with ``batches`` batches of samples needs."""
        end = self._labels_address(batches) + batches * self.tensors["labels"].bytes
        return -(-end // ALIGNMENT) * ALIGNMENT

    def image(self, memory: np.ndarray, model: nn.Module, data: torch.Tensor, labels: torch.Tensor,
              predictor: Predictor | None = None) -> None:
        """Writes everything a run needs: parameters, zeroed optimiser state, programs and samples.

        ``data`` is (samples, channels, height, width) or (samples, features), ``labels`` (samples,)
        class numbers; the number of samples is a multiple of the batch.
        """
        samples = len(data)
        if samples == 0 or samples % self.batch:
            raise ValueError(f"data must hold a positive multiple of {self.batch} samples, not {samples}")
        if len(labels) != samples:
            raise ValueError(f"labels must hold {samples} class numbers, not {len(labels)}")
        classes = self.layers[-1].channels
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}, not {labels.min()} to {labels.max()}")
        batches = samples // self.batch
        if memory.size < self.image_bytes(batches):
            raise ValueError(f"memory must have at least {self.image_bytes(batches)} bytes, not {memory.size}")
        memory[:self.state_bytes] = 0
        self.write_model(memory, model)
        if self.predictor:
            self.write_predictor(memory, predictor or self.new_predictor())
            self.tensors["predictor.beta_powers"].write(memory, torch.ones(2))
        for phase, address in self.program_addresses.items():
            program = self.programs[phase]
            memory[address:address + len(program)] = np.frombuffer(program, np.uint8)
        if data.dim() == 2:
            data = data[:, :, None, None]
        pixels, classes = self.tensors["input"], self.tensors["labels"]
        for number in range(batches):
            some = slice(number * self.batch, (number + 1) * self.batch)
            pixels.write(memory, data[some].permute(0, 2, 3, 1), self.data_address + number * pixels.bytes)
            classes.write(memory, labels[some].float(), self._labels_address(batches) + number * classes.bytes)

    def write_model(self, memory: np.ndarray, model: nn.Module) -> None:
        """Writes the parameters of ``model`` (float32)."""
        for layer in self.convolutions:
            module = model.get_submodule(layer.name)
            self.tensors[f"{layer.name}.weight"].write(memory, layer.weight_to_memory(module.weight))
            if layer.bias:
                self.tensors[f"{layer.name}.bias"].write(memory, module.bias)

    def read_model(self, memory: np.ndarray, model: nn.Module) -> None:
        """Copies the parameters in ``memory`` into ``model``."""
        with torch.no_grad():
            for layer in self.convolutions:
                module = model.get_submodule(layer.name)
                weight = self.tensors[f"{layer.name}.weight"].read(memory)
                module.weight.copy_(layer.weight_from_memory(weight, module.weight.dim() == 2))
                if layer.bias:
                    module.bias.copy_(self.tensors[f"{layer.name}.bias"].read(memory))

    def write_predictor(self, memory: np.ndarray, predictor: Predictor) -> None:
        for name, parameter in predictor.named_parameters():
            if name == "conv.weight":
                parameter = parameter.permute(0, 2, 3, 1)
            tensor = self.tensors[f"predictor.{name}"]
            tensor.write(memory, parameter.reshape(tensor.shape))

    def configure(self, machine: Machine, batches: int, schedule: Schedule) -> None:
        """Writes all registers for a run over ``batches`` batches of samples from the first on."""
        for phase, address in self.program_addresses.items():
            machine.write(f"PROGRAM[{phase.value}].ADDRESS", address)
            machine.write(f"PROGRAM[{phase.value}].SIZE", len(self.programs[phase]))
        for base, address, stride in self._bases(batches):
            machine.write(f"BASE[{base.value}]", address)
            machine.write(f"STRIDE[{base.value}]", stride)
        machine.write("WINDOW_FIRST", 0)
        machine.write("WINDOW_LAST", machine.memory.size - 1)
        machine.write("BATCH", 0)
        machine.write("BATCHES", batches)
        for register, value in schedule.registers().items():
            machine.write(register, value)

    def seek(self, machine: Machine, batches: int, batch: int) -> None:
        """Lets the machine's next batch read the samples of batch number ``batch`` of ``batches``."""
        for base, address, stride in self._bases(batches):
            machine.write(f"BASE[{base.value}]", address + batch * stride)

    def _bases(self, batches: int) -> list[tuple[Base, int, int]]:
        return [(Base.STATE, 0, 0),
                (Base.DATA, self.data_address, self.tensors["input"].bytes),
                (Base.LABELS, self._labels_address(batches), self.tensors["labels"].bytes)]

    def _labels_address(self, batches: int) -> int:
        end = self.data_address + batches * self.tensors["input"].bytes
        return -(-end // ALIGNMENT) * ALIGNMENT


def compile_training(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...],
                     optimizer: SGD = SGD(lr=0.01), predictor: PredictorConfig = PredictorConfig(),
                     predictor_optimizer: Adam = Adam()) -> Training:
    """Compiles the training of ``model`` with softmax and cross-entropy.

    ``input_shape`` is (channels, height, width) or (features,) of one sample. Raises
    :class:`CompileError` naming layer, rule and value for what cannot be mapped.
    """
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be an integer of at least 1, not {batch!r}")
    return _Compiler(capture(model, input_shape), config, batch, optimizer, predictor, predictor_optimizer).training()


class _Compiler:
    def __init__(self, layers: list[Layer], config, batch, optimizer, predictor, predictor_optimizer):
        self.layers, self.config, self.batch, self.optimizer = layers, config, batch, optimizer
        self.layout = Layout()
        self.convolutions = [layer for layer in layers if isinstance(layer, Convolution)]
        self._place_parameters()
        self.predictor_config = None if config.design is Design.BASELINE else predictor
        self.predictor, self.pooled = None, {}
        if self.predictor_config:
            self.predictor = PredictorProgram(
                predictor, predictor_optimizer, self.layout, max(layer.channels for layer in self.convolutions),
                max(self._matrix_shape(layer)[1] for layer in self.convolutions))
            self.pooled = {layer.name: self.predictor.place_pooled(self.layout, layer) for layer in self.convolutions}
        self._place_activations()

    def training(self) -> Training:
        backward = self._program(self._backpropagation)
        programs = {Phase.WARMUP: backward, Phase.BP: backward}
        if self.predictor:
            programs[Phase.GP] = self._program(lambda e: self._forward(e, predict=True))
        programs[Phase.EVALUATE] = self._program(lambda e: self._forward(e, predict=False))
        tensors = self.layout.tensors | {"input": self.input, "labels": self.labels}
        state = -(-self.layout.size // INSTRUCTION_BYTES) * INSTRUCTION_BYTES
        return Training(config=self.config, batch=self.batch, layers=tuple(self.layers), programs=programs,
                        tensors=tensors, state_bytes=state, predictor=self.predictor_config)

    def _program(self, emit) -> bytes:
        e = Emitter(self.config)
        emit(e)
        return e.builder.finish()

    @staticmethod
    def _matrix_shape(layer: Convolution) -> tuple[int, int]:
        return layer.channels, prod(layer.weight_shape[1:])

    def _place_parameters(self) -> None:
        for layer in self.convolutions:
            for name, shape in (("weight", layer.weight_shape), ("bias", (layer.channels,)))[:1 + layer.bias]:
                self.layout.place(f"{layer.name}.{name}", shape, Format.FLOAT32)
                self.layout.place(f"{layer.name}.{name}.momentum", shape, Format.FLOAT32)

    def _place_activations(self) -> None:
        self.input = Tensor(name="input", shape=(self.batch, *self.layers[0].image), format=Format.OPERAND,
                            base=Base.DATA, offset=0)
        self.labels = Tensor(name="labels", shape=(self.batch,), format=Format.FLOAT32, base=Base.LABELS, offset=0)
        self.outputs, self.gradients = {}, {}
        for layer in self.layers:
            shape, last = (self.batch, *layer.output), layer is self.layers[-1]
            self.outputs[layer.name] = self.layout.place(f"{layer.name}.output", shape,
                                                         Format.FLOAT32 if last else Format.OPERAND)
            self.gradients[layer.name] = self.layout.place(f"{layer.name}.output.grad", shape, Format.OPERAND)
        self.loss = self.layout.place("loss", (self.batch,), Format.FLOAT32)

    def _tensor(self, name: str, *shape: int) -> Tensor:
        return self.layout.tensors[name].view(*shape)

    def _input_of(self, index: int) -> Tensor:
        tensor = self.outputs[self.layers[index - 1].name] if index else self.input
        return tensor.view(self.batch, *self.layers[index].image)

    def _bias(self, layer: Convolution) -> Tensor | None:
        return self._tensor(f"{layer.name}.bias", layer.channels) if layer.bias else None

    def _forward(self, e: Emitter, predict: bool, pool: bool = False) -> None:
        """All layers; with ``predict`` each is updated from its predicted gradient at once, with
        ``pool`` the pooled outputs are kept for the predictor's training."""
        for index, layer in enumerate(self.layers):
            x, y = self._input_of(index), self.outputs[layer.name]
            e.scratch.begin(layer.name)
            if isinstance(layer, MaxPool):
                pooling.forward(e, layer, x, y)
                continue
            height, width, channels = layer.output
            mean = finish.PooledMean(e, self.pooled[layer.name], self.batch, height, width, e.scratch.bank_words
                                     ) if self.predictor and (predict or pool) else None
            store = finish.StoreActivations(e, y.view(self.batch * height * width, channels), layer.relu, mean)
            convolution.forward(e, layer, Images(tensor=x), self._tensor(f"{layer.name}.weight", *layer.weight_shape),
                                self._bias(layer), store)
            if predict:
                rows = min(channels, (e.scratch.bank_words - 8) // 2)
                self.predictor.predict(e, layer, self.pooled[layer.name],
                                       lambda: self._update(e, layer, "weight", rows, slots=2), rows)

    def _update(self, e: Emitter, layer: Convolution, parameter: str, rows: int, **options) -> finish.MomentumUpdate:
        return finish.MomentumUpdate(e, self.optimizer, *self._matrices(layer, parameter), rows, **options)

    def _matrices(self, layer: Convolution, parameter: str) -> tuple[Tensor, Tensor]:
        """A parameter and its momentum as (output channels, weights of one) matrices."""
        tensor = self.layout.tensors[f"{layer.name}.{parameter}"]
        shape = layer.channels, tensor.elements // layer.channels
        return tensor.view(*shape), self._tensor(f"{tensor.name}.momentum", *shape)

    def _backpropagation(self, e: Emitter) -> None:
        self._forward(e, predict=False, pool=True)
        classes = self.layers[-1].channels
        e.scratch.begin("cross entropy")
        loss.cross_entropy(e, self.outputs[self.layers[-1].name].view(self.batch, classes), self.labels, self.loss,
                           self.gradients[self.layers[-1].name].view(self.batch, classes))
        for index, layer in reversed(list(enumerate(self.layers))):
            x, dy = self._input_of(index), self.gradients[layer.name]
            before = self.layers[index - 1] if index else None
            dx = self.gradients[before.name].view(x.shape[0], *x.shape[1:]) if before else None
            if isinstance(layer, MaxPool):
                if before:
                    e.scratch.begin(layer.name)
                    pooling.backward(e, layer, x, self.outputs[layer.name], dy, dx, self._is_relu(index))
            else:
                self._convolution_backward(e, layer, x, dy, dx, index)

    def _is_relu(self, index: int) -> bool:
        """Whether the input of layer ``index`` is the output of a ReLU."""
        return index > 0 and isinstance(self.layers[index - 1], Convolution) and self.layers[index - 1].relu

    def _convolution_backward(self, e: Emitter, layer: Convolution, x: Tensor, dy: Tensor, dx: Tensor | None,
                              index: int) -> None:
        options = {}
        if self.predictor:
            prediction, error = self.predictor.matrices(layer)
            self.predictor.predict(e, layer, self.pooled[layer.name],
                                   lambda: finish.StorePrediction(e, prediction))
            options = {"prediction": prediction, "error": error}
        if dx:
            matrix = (x.elements // x.shape[3], x.shape[3])
            e.scratch.begin(layer.name)
            gate = x.view(*matrix) if self._is_relu(index) else None
            store = finish.StoreGradient(e, dx.view(*matrix), gate, min(e.scratch.bank_words, matrix[0]))
            convolution.input_gradient(e, layer, dy, self._tensor(f"{layer.name}.weight", *layer.weight_shape), store)
        e.scratch.begin(layer.name)
        rows = min(layer.channels, e.scratch.bank_words // (5 if options else 4))
        update = self._update(e, layer, "weight", rows, slots=4, **options)
        bias = update.sharing(*self._matrices(layer, "bias")) if layer.bias else None
        convolution.weight_gradient(e, layer, Images(tensor=x), dy, update, bias, most_rows=rows)
        if self.predictor:
            self.predictor.train(e, layer, self.pooled[layer.name])
