"""The compiler's entry: from a PyTorch model to programs, memory image and register values."""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd, prod
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import INSTRUCTION_BYTES
from adagp.spec.machine import Machine
from adagp.spec.schedule import Phase, Schedule

from .capture import capture
from .embedding import Embedding
from .emitter import Emitter
from .feedback import FeedbackConfig, FeedbackProgram
from .ordering import MAIN, Recorder, TakesThreads, emitters
from .network import Convolution, Network
from .operation import INPUT, Operation
from .optimizer import SGD, Adam
from .phases import GradientPredictor, Phases
from .placement import Placement
from .predictor import Predictor, PredictorConfig, PredictorProgram
from .program import Purpose
from .quality import Quality
from .residence import Residence
from .tensors import ALIGNMENT, BASES, Base, Tensor


Takes, Result = TypeVar("Takes", bound=TakesThreads), TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Training:
    """A model, compiled for a configuration, a batch size and an input shape.

    ``programs`` holds the encoded program of each phase; a design without a predictor has none for
    Phase GP. ``purposes`` say of each instruction but the ``End`` what it is there for. ``tensors`` are all tensors in external memory by name: ``{layer}.weight``,
    ``{layer}.weight.momentum``, ``{layer}.output``, ``loss``, ``predictor.…``, and so on (see
    :class:`.Placement`). ``resident`` names those of the predictor that live from batch to batch: in the
    predictor memory where the design has one, with ``tensors`` as the copies outside.
    """

    config: AcceleratorConfig
    batch: int
    network: Network
    programs: dict[Phase, bytes]
    purposes: dict[Phase, tuple[Purpose, ...]]
    tensors: dict[str, Tensor]
    state_bytes: int
    predictor: PredictorConfig | FeedbackConfig | None
    resident: tuple[str, ...]
    constants: dict[str, torch.Tensor]

    @property
    def layers(self) -> tuple[Operation, ...]:
        """The operations of the network, in order; the last gives the logits. The number of one is that of
        its counters LAYER_CYCLES and LAYER_MACS (the last counters are shared from there on)."""
        return self.network.operations

    @property
    def convolutions(self) -> list[Convolution]:
        return self.network.convolutions

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

    def new_predictor(self) -> Predictor | None:
        """A freshly initialised predictor of the right size for :meth:`write_predictor`, if the
        predictor is one that is initialised."""
        if not isinstance(self.predictor, PredictorConfig):
            return None
        return Predictor(self.predictor, self.tensors["predictor.linear.weight"].shape[0])

    def image_bytes(self, batches: int) -> int:
        """External memory that an image with ``batches`` batches of samples needs."""
        end = self._labels_address(batches) + batches * self.tensors["labels"].bytes
        return -(-end // ALIGNMENT) * ALIGNMENT

    def image(self, memory: np.ndarray, model: nn.Module, data: torch.Tensor, labels: torch.Tensor,
              predictor: Predictor | None = None) -> None:
        """Writes everything a run needs: parameters, zeroed optimiser state, programs and samples.

        ``data`` is (samples, channels, height, width), (samples, tokens, features) or (samples,
        features), ``labels`` (samples,) class numbers; the number of samples is a multiple of the batch.
        """
        samples = len(data)
        if samples == 0 or samples % self.batch:
            raise ValueError(f"data must hold a positive multiple of {self.batch} samples, not {samples}")
        if len(labels) != samples:
            raise ValueError(f"labels must hold {samples} class numbers, not {len(labels)}")
        classes = self.layers[-1].channels
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}, not {labels.min()} to {labels.max()}")
        for reader in self.network.readers(INPUT):
            if isinstance(reader, Embedding) and (data.min() < 0 or data.max() >= reader.entries):
                raise ValueError(f"data must hold numbers of the entries of {reader.name}, from 0 to "
                                 f"{reader.entries - 1}, not {data.min()} to {data.max()}")
        batches = samples // self.batch
        if memory.size < self.image_bytes(batches):
            raise ValueError(f"memory must have at least {self.image_bytes(batches)} bytes, not {memory.size}")
        memory[:self.state_bytes] = 0
        self.write_model(memory, model)
        if predictor := predictor or self.new_predictor():
            self.write_predictor(memory, predictor)
        for name, values in self.constants.items():
            self.tensors[name].write(memory, values)
        for phase, address in self.program_addresses.items():
            program = self.programs[phase]
            memory[address:address + len(program)] = np.frombuffer(program, np.uint8)
        pixels, classes = self.tensors["input"], self.tensors["labels"]
        for number in range(batches):
            some = slice(number * self.batch, (number + 1) * self.batch)
            pixels.write(memory, _pixels(data[some]), self.data_address + number * pixels.bytes)
            classes.write(memory, labels[some].float(), self._labels_address(batches) + number * classes.bytes)

    def write_model(self, memory: np.ndarray, model: nn.Module) -> None:
        """Writes the parameters and buffers of ``model`` (float32)."""
        for operation, name, values in self._state_of(model):
            self.tensors[f"{operation.name}.{name}"].write(memory, operation.to_memory(name, values))

    def read_model(self, memory: np.ndarray, model: nn.Module) -> None:
        """Copies the parameters and buffers in ``memory`` into ``model``."""
        with torch.no_grad():
            for operation, name, values in self._state_of(model):
                kept = self.tensors[f"{operation.name}.{name}"].read(memory)
                values.copy_(operation.from_memory(name, kept, tuple(values.shape)))

    def _state_of(self, model: nn.Module):
        """(operation, name, parameter or buffer of the model) of all that the network keeps."""
        state = dict(model.named_parameters()) | dict(model.named_buffers())
        for operation in self.network.operations:
            for name in (*operation.parameters, *operation.buffers):
                yield operation, name, self.network.values(operation, name, state)

    def write_predictor(self, memory: np.ndarray, predictor: Predictor) -> None:
        for name, parameter in predictor.named_parameters():
            if name == "conv.weight":
                parameter = parameter.permute(0, 2, 3, 1)
            tensor = self.tensors[f"predictor.{name}"]
            tensor.write(memory, parameter.reshape(tensor.shape))

    def configure(self, machine: Machine, batches: int, schedule: Schedule, *, epochs: int = 1,
                  epoch: int | None = None, step: int = 1) -> None:
        """Writes all registers for a run over the ``batches`` batches of samples of the image, or
        ``epochs`` times over the first ``epoch`` of them. An epoch takes them in steps of ``step``,
        which must have no divisor in common with their number."""
        epoch = batches if epoch is None else epoch
        if not 1 <= epoch <= batches:
            raise ValueError(f"epoch must be from 1 to {batches} batches, not {epoch!r}")
        if not 1 <= step <= epoch or gcd(step, epoch) != 1:
            raise ValueError(f"step must be from 1 to {epoch} without a divisor in common with it, not {step!r}")
        for phase, address in self.program_addresses.items():
            machine.write(f"PROGRAM[{phase.value}].ADDRESS", address)
            machine.write(f"PROGRAM[{phase.value}].SIZE", len(self.programs[phase]))
        for base, address, stride in self._bases(batches):
            machine.write(f"BASE[{base.value}]", address)
            machine.write(f"STRIDE[{base.value}]", step * stride)
            machine.write(f"REWIND[{base.value}]", (step - epoch) * stride % (1 << 32))
        machine.write("EPOCH_BATCHES", epoch)
        machine.write("ORDER_STEP", step % epoch)
        machine.write("ORDER", 0)
        machine.write("WINDOW_FIRST", 0)
        machine.write("WINDOW_LAST", machine.memory.size - 1)
        machine.write("BATCH", 0)
        machine.write("BATCHES", epochs * epoch)
        for register, value in schedule.registers().items():
            machine.write(register, value)

    def seek(self, machine: Machine, batches: int, batch: int) -> None:
        """Lets the machine's next batch read the samples of batch number ``batch`` of ``batches``."""
        for base, address, stride in self._bases(batches):
            machine.write(f"BASE[{base.value}]", address + batch * stride)
        machine.write("ORDER", batch % machine.read("EPOCH_BATCHES"))

    def bases(self, batches: int) -> tuple[int, ...]:
        """The base registers as :meth:`configure` sets them for ``batches`` batches of samples."""
        values = {base.value: address for base, address, _ in self._bases(batches)}
        return tuple(values.get(base, 0) for base in range(BASES))

    def _bases(self, batches: int) -> list[tuple[Base, int, int]]:
        return [(Base.STATE, 0, 0),
                (Base.DATA, self.data_address, self.tensors["input"].bytes),
                (Base.LABELS, self._labels_address(batches), self.tensors["labels"].bytes)]

    def _labels_address(self, batches: int) -> int:
        end = self.data_address + batches * self.tensors["input"].bytes
        return -(-end // ALIGNMENT) * ALIGNMENT


def compile_training(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...],
                     optimizer: SGD = SGD(lr=0.01), predictor: PredictorConfig | FeedbackConfig = PredictorConfig(),
                     predictor_optimizer: Adam = Adam(), measure: bool = False) -> Training:
    """Compiles the training of ``model`` with softmax and cross-entropy.

    ``input_shape`` is (channels, height, width), (tokens, features) or (features,) of one sample. With
    ``measure`` Phase BP compares predicted with true gradients, for the QUALITY registers and the
    adaptive schedule. Raises :class:`CompileError` naming layer, rule and value for what cannot be mapped.
    """
    prepared = prepare(model, config, batch=batch, input_shape=input_shape, optimizer=optimizer, predictor=predictor,
                       predictor_optimizer=predictor_optimizer, measure=measure)
    programs = prepared.emitted(lambda: Recorder(config), Recorder.program)
    placement, layout = prepared.placement, prepared.placement.layout
    return Training(config=config, batch=batch, network=placement.network,
                    programs={phase: builder.finish() for phase, builder in programs.items()},
                    purposes={phase: tuple(builder.purposes) for phase, builder in programs.items()},
                    tensors=layout.tensors | {"input": placement.input, "labels": placement.labels},
                    state_bytes=-(-layout.size // INSTRUCTION_BYTES) * INSTRUCTION_BYTES,
                    predictor=predictor if prepared.predictor else None, resident=tuple(prepared.residence.names),
                    constants=prepared.predictor.constants() if prepared.predictor else {})


@dataclass(frozen=True)
class Sequence:
    """The instructions of a phase, before they are recorded: ``emit`` takes the emitter of the model's work
    and that of the predictor's; with ``beside`` the latter runs on its own array, as a second thread."""

    emit: Callable[[Emitter, Emitter], None]
    beside: bool = False

    def emit_into(self, recorder: TakesThreads) -> None:
        if self.beside:
            self.emit(*emitters(recorder))
        else:
            e = Emitter(recorder.config, builder=recorder.thread(MAIN))
            self.emit(e, e)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training with everything placed and nothing emitted. Equal sequences are one program."""

    placement: Placement
    residence: Residence
    predictor: GradientPredictor | None
    sequences: dict[Phase, Sequence]

    def emitted(self, new: Callable[[], Takes], result: Callable[[Takes], Result]) -> dict[Phase, Result]:
        """Each phase's ``result`` of what took its instructions, which ``new`` makes; equal sequences share one."""
        results = {}
        for sequence in dict.fromkeys(self.sequences.values()):
            taker = new()
            sequence.emit_into(taker)
            results[sequence] = result(taker)
        return {phase: results[sequence] for phase, sequence in self.sequences.items()}


def prepare(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...], optimizer: SGD,
            predictor: PredictorConfig | FeedbackConfig, predictor_optimizer: Adam, measure: bool = False) -> Prepared:
    """Everything that :func:`compile_training` does before instructions are emitted, with its arguments."""
    if not isinstance(batch, int) or batch < 1:
        raise ValueError(f"batch must be an integer of at least 1, not {batch!r}")
    network = capture(model, input_shape)
    placement = Placement(network, batch, optimizer)
    residence = Residence(config, placement.layout)
    gradient_predictor = quality = None
    if config.design is not Design.BASELINE:
        gradient_predictor = _predictor(predictor, predictor_optimizer, placement, residence)
        residence.settle()
        if measure:
            quality = Quality(placement.layout, {layer.name: prod(layer.weight_shape) for layer in network.convolutions})
    placement.place_activations()
    phases = Phases(placement, gradient_predictor, quality)
    beside = config.design.has_predictor_array and gradient_predictor.timely
    backward = Sequence(phases.backpropagation, beside)
    sequences = {Phase.WARMUP: backward, Phase.BP: backward}
    if gradient_predictor:
        sequences[Phase.GP] = Sequence(phases.predicted, beside)
    sequences[Phase.EVALUATE] = Sequence(phases.evaluation)
    if config.design.has_predictor_memory:
        sequences[Phase.ENTER] = Sequence(residence.enter)
        sequences[Phase.LEAVE] = Sequence(residence.leave)
    return Prepared(placement=placement, residence=residence, predictor=gradient_predictor, sequences=sequences)


def _predictor(config: PredictorConfig | FeedbackConfig, optimizer: Adam, placement: Placement,
               residence: Residence) -> GradientPredictor:
    layers = placement.network.convolutions
    if isinstance(config, FeedbackConfig):
        return FeedbackProgram(config, placement.layout, residence, layers, placement.batch, layers[-1].channels)
    return PredictorProgram(config, optimizer, placement.layout, residence, layers)


def _pixels(data: torch.Tensor) -> torch.Tensor:
    """Samples as (samples, height, width, channels)."""
    if data.dim() == 4:
        return data.permute(0, 2, 3, 1)
    return data.reshape(len(data), *(1,) * (4 - data.dim()), *data.shape[1:])
