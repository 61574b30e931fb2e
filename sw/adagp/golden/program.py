"""Bytes of external memory → executable steps, decoded once and kept."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    INSTRUCTION_BYTES, Array, End, Engine, FaultCause, Fill, IllegalInstruction, Instruction, Load,
    Memory, PredictorArray, Store, Vector, decode)
from adagp.spec.machine import MachineFault

from .array_unit import array_of, compile_array
from .transfer import compile_fill, compile_load, compile_store
from .vector_unit import compile_vector


@dataclass(eq=False)
class Scratchpads:
    """On-chip memories and what they look like to the units that address them by element."""

    stream: np.ndarray      # uint16 [elements], operand bits
    stationary: np.ndarray  # uint16 [elements], operand bits
    vector: np.ndarray      # float32 [words, lanes]
    predictor_stream: np.ndarray
    predictor_stationary: np.ndarray
    local: np.ndarray       # uint8, the predictor memory
    quality: np.ndarray     # uint32, the QUALITY registers

    def __post_init__(self):
        self.elements = {Memory.STREAM: self.stream, Memory.STATIONARY: self.stationary,
                         Memory.VECTOR: self.vector.reshape(-1).view(np.uint32),
                         Memory.PREDICTOR_STREAM: self.predictor_stream,
                         Memory.PREDICTOR_STATIONARY: self.predictor_stationary}


@dataclass(frozen=True, eq=False)
class Step:
    """An instruction with the function (base registers, window) that executes it; None for End."""

    instruction: Instruction
    execute: Callable[[list[int], tuple[int, int]], None] | None


def check_config(instruction: Instruction, config: AcceleratorConfig) -> None:
    """Raises :class:`IllegalInstruction` for what a machine of this configuration lacks."""
    memory = getattr(instruction, "memory", None)
    if not config.design.has_predictor_array and (
            Engine.PREDICTOR in instruction.wait | instruction.signal or isinstance(instruction, PredictorArray)
            or memory in (Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY)):
        raise IllegalInstruction(f"design {config.design.name} has no array for the predictor")
    if getattr(instruction, "local", 0) and not config.design.has_predictor_memory:
        raise IllegalInstruction(f"design {config.design.name} has no predictor memory")
    if isinstance(instruction, Array) and instruction.columns > array_of(instruction, config).columns:
        raise IllegalInstruction(f"{type(instruction).__name__}.columns must be at most "
                                 f"{array_of(instruction, config).columns}, not {instruction.columns}")
    if isinstance(instruction, Vector) and instruction.lane >= config.vector_lanes:
        raise IllegalInstruction(f"Vector.lane must be below {config.vector_lanes}, not {instruction.lane}")
    if isinstance(instruction, Load) and instruction.transpose:
        array = config.predictor_array if memory >= Memory.PREDICTOR_STREAM else config.array
        streamed = memory in (Memory.STREAM, Memory.PREDICTOR_STREAM)
        lanes = array.stream_lanes if streamed else array.stationary_lanes
        if instruction.count0 > lanes:
            raise IllegalInstruction(f"Load.count0 must be at most {lanes} with transpose, not {instruction.count0}")


class Decoder:
    """Turns instruction bytes into steps on the given memories; equal bytes give the same step."""

    def __init__(self, config: AcceleratorConfig, memory: np.ndarray, scratchpads: Scratchpads):
        self.config, self.memory, self.scratchpads = config, memory, scratchpads
        self._steps: dict[bytes, Step] = {}
        self._programs: dict[bytes, list[Step | None]] = {}

    def program(self, address: int, size: int, window: tuple[int, int]) -> list[Step | None]:
        """Steps up to the first End; a None stands at the end for an illegal instruction or nothing.

        The program is fetched as one run of all its whole instructions, with the faults of a Load.
        """
        size -= size % INSTRUCTION_BYTES
        if address % INSTRUCTION_BYTES:
            raise MachineFault(FaultCause.MISALIGNED, address)
        if size and not window[0] <= address <= address + size - 1 <= window[1]:
            raise MachineFault(FaultCause.WINDOW, address)
        if address + size > self.memory.size:
            raise MachineFault(FaultCause.READ_ERROR, address)
        data = self.memory[address:address + size].tobytes()
        if data not in self._programs:
            self._programs[data] = self._decode(data)
        return self._programs[data]

    def _decode(self, data: bytes) -> list[Step | None]:
        steps: list[Step | None] = []
        for start in range(0, len(data), INSTRUCTION_BYTES):
            try:
                steps.append(self.step(data[start:start + INSTRUCTION_BYTES]))
            except IllegalInstruction:
                break
            if isinstance(steps[-1].instruction, End):
                return steps
        return [*steps, None]

    def step(self, data: bytes) -> Step:
        """The step of one instruction; raises :class:`IllegalInstruction`."""
        if data not in self._steps:
            instruction = decode(data)
            check_config(instruction, self.config)
            self._steps[data] = Step(instruction, self._compile(instruction))
        return self._steps[data]

    def _compile(self, instruction: Instruction):
        config, memory, pads = self.config, self.memory, self.scratchpads
        match instruction:
            case Load():
                run, target = compile_load(instruction, config), pads.elements[instruction.memory]
                if instruction.local:
                    return lambda bases, window: run(target, pads.local, 0, (0, pads.local.size - 1))
                return lambda bases, window: run(target, memory, bases[instruction.base], window)
            case Fill():
                run, target = compile_fill(instruction, config), pads.elements[instruction.memory]
                return lambda bases, window: run(target)
            case Array():
                run = compile_array(instruction, config)
                stream, stationary = ((pads.predictor_stream, pads.predictor_stationary)
                                      if isinstance(instruction, PredictorArray) else (pads.stream, pads.stationary))
                return lambda bases, window: run(stream, stationary, pads.vector)
            case Vector():
                run = compile_vector(instruction, config)
                return lambda bases, window: run(pads.vector, pads.quality)
            case Store():
                run, source = compile_store(instruction, config), pads.elements[Memory.VECTOR]
                if instruction.local:
                    return lambda bases, window: run(source, pads.local, 0, (0, pads.local.size - 1))
                return lambda bases, window: run(source, memory, bases[instruction.base], window)
        return None
