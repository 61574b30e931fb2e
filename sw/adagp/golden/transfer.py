"""Load, Fill and Store: between external memory and scratchpads, with conversion."""

from dataclasses import dataclass

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause, Fill, Format, Load, Memory, Store
from adagp.spec.machine import MachineFault

from .arithmetic import bits, round_to_operand, widen
from .walk import Walk

ADDRESS_SPACE = 1 << 32


def memory_elements(config: AcceleratorConfig, memory: Memory) -> int:
    return {Memory.STREAM: config.stream_elements, Memory.STATIONARY: config.stationary_elements,
            Memory.VECTOR: config.vector_elements, Memory.PREDICTOR_STREAM: config.predictor_stream_elements,
            Memory.PREDICTOR_STATIONARY: config.predictor_stationary_elements}[memory]


def scratchpad_walk(instruction: Load | Fill | Store, config: AcceleratorConfig) -> Walk:
    """Elements of the scratchpad; axes are the loops 2, 1, 0 and the element of the run."""
    i = instruction
    counts = (i.count2, i.count1, i.count0, i.length)
    if isinstance(i, Store):
        return Walk(config.vector_elements, i.source, counts,
                    (i.source_stride2, i.source_stride1, i.source_stride0, 1))
    strides = (i.destination_stride2, i.destination_stride1, i.destination_stride0, 1)
    if isinstance(i, Load) and i.transpose:
        strides = (i.destination_stride2, i.destination_stride1, 1, i.destination_stride0)
    return Walk(memory_elements(config, i.memory), i.destination, counts, strides)


@dataclass(frozen=True)
class External:
    """The runs of a Load or Store in external memory."""

    walk: Walk
    """First bytes of the runs, without the base: axes are the loops that are not fetched as one."""
    run_bytes: int
    format: Format
    shape: tuple[int, ...]
    """Elements in the order of the scratchpad walk."""

    @classmethod
    def of(cls, instruction: Load | Store) -> "External":
        i = instruction
        side = "destination" if isinstance(i, Store) else "source"
        strides = tuple(getattr(i, f"{side}_stride{loop}") for loop in (2, 1, 0))
        counts, run = (i.count2, i.count1, i.count0), i.length * i.format.bytes
        if i.dense:
            counts, strides, run = counts[:2], strides[:2], run * i.count0
        return cls(Walk(ADDRESS_SPACE, i.offset, counts, strides), run, i.format,
                   (i.count2, i.count1, i.count0, i.length))

    def at(self, base: int) -> Walk:
        """First bytes of the runs when the base register holds ``base``."""
        return Walk(ADDRESS_SPACE, (base + self.walk.base) % ADDRESS_SPACE, self.walk.counts, self.walk.strides)

    def check(self, runs: Walk, window: tuple[int, int], memory_bytes: int, bus_error: FaultCause) -> None:
        """Raises the fault of the first run that is misaligned, leaves the window or the memory."""
        size, (first, last) = self.format.bytes, window
        aligned = runs.base % size == 0 and all(stride % size == 0 for stride in runs.strides)
        end = runs.last + self.run_bytes - 1
        if aligned and first <= runs.first and end <= last and end < memory_bytes and runs.straight:
            return
        for start in map(int, runs.addresses().ravel()):
            end = start + self.run_bytes - 1
            if start % size:
                raise MachineFault(FaultCause.MISALIGNED, start)
            if start < first or end > last:
                raise MachineFault(FaultCause.WINDOW, start)
            if end >= memory_bytes:
                raise MachineFault(bus_error, start)

    def elements(self, runs: Walk) -> Walk:
        """The elements of checked runs as a walk over the memory in units of the format."""
        size = self.format.bytes
        return Walk(ADDRESS_SPACE // size, runs.base // size, (*runs.counts, self.run_bytes // size),
                    (*(stride // size for stride in runs.strides), 1))


def compile_load(instruction: Load, config: AcceleratorConfig):
    """A function (scratchpad elements, external memory, base, window) that executes ``instruction``."""
    external, destination = External.of(instruction), scratchpad_walk(instruction, config)
    into_vector = instruction.memory == Memory.VECTOR

    def execute(scratchpad: np.ndarray, memory: np.ndarray, base: int, window: tuple[int, int]) -> None:
        runs = external.at(base)
        external.check(runs, window, memory.size, FaultCause.READ_ERROR)
        values = external.elements(runs).read(_as_elements(memory, external.format)).reshape(external.shape)
        if into_vector and external.format == Format.OPERAND:
            values = bits(widen(values))
        elif not into_vector and external.format == Format.FLOAT32:
            values = round_to_operand(values)
        destination.write(scratchpad, values)

    return execute


def compile_fill(instruction: Fill, config: AcceleratorConfig):
    """A function of the scratchpad's elements that executes ``instruction``."""
    destination = scratchpad_walk(instruction, config)
    value = (np.uint32(instruction.value) if instruction.memory == Memory.VECTOR
             else np.uint16(instruction.value >> 16))

    def execute(scratchpad: np.ndarray) -> None:
        destination.write(scratchpad, value)

    return execute


def compile_store(instruction: Store, config: AcceleratorConfig):
    """A function (vector elements, external memory, base, window) that executes ``instruction``."""
    external, source = External.of(instruction), scratchpad_walk(instruction, config)

    def execute(scratchpad: np.ndarray, memory: np.ndarray, base: int, window: tuple[int, int]) -> None:
        runs = external.at(base)
        external.check(runs, window, memory.size, FaultCause.WRITE_ERROR)
        values = source.read(scratchpad)
        if external.format == Format.OPERAND:
            values = round_to_operand(values)
        elements = external.elements(runs)
        elements.write(_as_elements(memory, external.format), values.reshape(elements.counts))

    return execute


def transferred_bytes(instruction: Load | Store) -> int:
    """Bytes of external memory that the instruction reads or writes."""
    i = instruction
    return i.count0 * i.count1 * i.count2 * i.length * i.format.bytes


def _as_elements(memory: np.ndarray, format: Format) -> np.ndarray:
    return memory.view(np.uint32 if format == Format.FLOAT32 else np.uint16)
