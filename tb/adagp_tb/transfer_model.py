"""Load, Fill and Store element by element, from the text of the instruction set."""

import random
from functools import cache
from itertools import product

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.formats import BFLOAT16, FLOAT32
from adagp.spec.isa import FaultCause, Fill, Format, Load, Memory, Store
from adagp.spec.machine import MachineFault

from .external_memory import ADDRESS_SPACE, PagedMemory


@cache
def rounded(single: int) -> int:
    """A float32 as the operand that the number contract makes of it."""
    value, sign = FLOAT32.decode(single), single >> 31
    if value == "nan":
        return BFLOAT16.nan
    if value in ("inf", "-inf"):
        return sign << 15 | BFLOAT16.infinity
    return BFLOAT16.encode(value, negative_zero=bool(sign))


class TransferModel:
    """The memories on chip and what the instructions do to them, to ``external`` and to the predictor
    memory ``local``."""

    def __init__(self, config: AcceleratorConfig, external: PagedMemory, seed: int):
        generator = np.random.default_rng(seed)
        self.config, self.external, self.local = config, external, PagedMemory(seed + 1)
        self.bases = [0] * 8
        self.window = (0, ADDRESS_SPACE - 1)
        self.lanes = {Memory.STREAM: config.stream_lanes, Memory.STATIONARY: config.stationary_lanes,
                      Memory.VECTOR: config.vector_lanes}
        sizes = {Memory.STREAM: config.stream_elements, Memory.STATIONARY: config.stationary_elements,
                 Memory.VECTOR: config.vector_elements}
        if config.design.has_predictor_array:
            array = config.predictor_array
            self.lanes |= {Memory.PREDICTOR_STREAM: array.stream_lanes, Memory.PREDICTOR_STATIONARY: array.stationary_lanes}
            sizes |= {Memory.PREDICTOR_STREAM: array.stream_elements, Memory.PREDICTOR_STATIONARY: array.stationary_elements}
        self.memories = {memory: generator.integers(1 << (16 if memory.holds_operands else 32), size=size).tolist()
                         for memory, size in sizes.items()}
        for i in range(0, config.vector_elements, 7):
            self.memories[Memory.VECTOR][i] = int(generator.choice([0x3F808000, 0x3F818000, 0x807FFFFF, 0x7F800001, 0]))

    def scratchpad_addresses(self, i: Load | Fill | Store) -> list[int]:
        """In the order of the loops, e innermost."""
        name = "source" if isinstance(i, Store) else "destination"
        memory = Memory.VECTOR if isinstance(i, Store) else i.memory
        first, (s0, s1, s2) = getattr(i, name), (getattr(i, f"{name}_stride{n}") for n in range(3))
        transposed = isinstance(i, Load) and i.transpose
        return [(first + (e * s0 + i0 if transposed else i0 * s0 + e) + i1 * s1 + i2 * s2) % len(self.memories[memory])
                for i2, i1, i0, e in product(range(i.count2), range(i.count1), range(i.count0), range(i.length))]

    def runs(self, i: Load | Store, until_fault: bool = False) -> list[tuple[int, int]]:
        """First byte and bytes; the first run that is not allowed raises its fault, or with
        ``until_fault`` ends the list."""
        name = "destination" if isinstance(i, Store) else "source"
        s0, s1, s2 = (getattr(i, f"{name}_stride{n}") for n in range(3))
        base, window = (0, (0, 4 * self.config.predictor_elements - 1)) if i.local else (self.bases[i.base], self.window)
        size, groups = Format(i.format).bytes, i.count0 if i.dense else 1
        runs = []
        for i2, i1, i0 in product(range(i.count2), range(i.count1), range(i.count0 // groups)):
            first = (base + i.offset + i0 * s0 + i1 * s1 + i2 * s2) % ADDRESS_SPACE
            last = first + i.length * size * groups - 1
            cause = (FaultCause.MISALIGNED if first % size else
                     FaultCause.WINDOW if first < window[0] or last > window[1] else None)
            if cause and until_fault:
                break
            if cause:
                raise MachineFault(cause, first)
            runs.append((first, last - first + 1))
        return runs

    def execute(self, i: Load | Fill | Store):
        if isinstance(i, Store):
            return self._store(i, self.runs(i))
        addresses, memory = self.scratchpad_addresses(i), self.memories[i.memory]
        if isinstance(i, Fill):
            values = [i.value if i.memory == Memory.VECTOR else i.value >> 16] * len(addresses)
        else:
            source = self.local if i.local else self.external
            data = b"".join(source[first:first + count] for first, count in self.runs(i))
            values = np.frombuffer(data, np.uint32 if i.format == Format.FLOAT32 else np.uint16).tolist()
            if i.memory == Memory.VECTOR and i.format == Format.OPERAND:
                values = [value << 16 for value in values]
            elif i.memory != Memory.VECTOR and i.format == Format.FLOAT32:
                values = [rounded(value) for value in values]
        for address, value in zip(addresses, values, strict=True):
            memory[address] = value

    def store_until_fault(self, i: Store):
        """The runs before the first that is not allowed."""
        self._store(i, self.runs(i, until_fault=True))

    def _store(self, i: Store, runs: list[tuple[int, int]]):
        values = [self.memories[Memory.VECTOR][address] for address in self.scratchpad_addresses(i)]
        if i.format == Format.OPERAND:
            data = np.array([rounded(value) for value in values], np.uint16).tobytes()
        else:
            data = np.array(values, np.uint32).tobytes()
        target = self.local if i.local else self.external
        for first, count in runs:
            target[first:first + count], data = data[:count], data[count:]


class RandomTransfers:
    """Random legal instructions of a few hundred elements, of all kinds that the design has."""

    def __init__(self, model: TransferModel, seed: int):
        self.model, self.random = model, random.Random(seed)

    def _shape(self, most: int = 600) -> dict[str, int]:
        while True:
            choose = self.random.choice
            shape = {"length": choose([1, 1, 2, 3, 7, 8, 16, 31, 32, 64, 100, self.random.randint(1, 200)]),
                     "count0": choose([1, 1, 2, 3, 5, 8, 17]), "count1": choose([1, 1, 2, 4]), "count2": choose([1, 1, 3])}
            if shape["length"] * shape["count0"] * shape["count1"] * shape["count2"] <= most:
                return shape

    def _walk(self, name: str, shape: dict, unit: int, wild: int) -> dict[str, int]:
        """Strides, packed and in either direction or wild, in multiples of ``unit``."""
        strides, packed = {}, shape["length"] * unit
        for loop in range(3):
            step = packed + unit * self.random.choice([0, 0, 0, 1, 5, 64])
            if self.random.random() < 0.2:
                step = unit * self.random.randint(-wild, wild)
            step %= 1 << 19  # no field is narrower
            strides[f"{name}_stride{loop}"] = step * self.random.choice([1, 1, 1, -1])
            packed = abs(step) * shape[f"count{loop}"]
        return strides

    def _external(self, name: str, shape: dict, format: Format, dense: int) -> dict[str, int]:
        base, local = self.random.randrange(8), int(self.model.config.design.has_predictor_memory and self.random.random() < 0.5)
        place = self.random.choice([self.random.randrange(ADDRESS_SPACE), self.random.randrange(65536),
                                    ADDRESS_SPACE - self.random.randrange(1, 5000), self.random.randrange(1 << 14) * 64])
        if local:
            place %= 4 * self.model.config.predictor_elements
        strides = self._walk(name, shape, format.bytes, 3000)
        if dense:
            strides[f"{name}_stride0"] = shape["length"] * format.bytes
        offset = place // format.bytes * format.bytes - (0 if local else self.model.bases[base])
        return {"base": base, "local": local, "dense": dense, "format": format, **strides,
                "offset": offset % ADDRESS_SPACE}

    def load(self) -> Load | Fill:
        while True:
            memory, shape = self.random.choice(list(self.model.memories)), self._shape()
            where = {"memory": memory, "destination": self.random.randrange(1 << 20), "wait": frozenset()}
            if self.random.random() < 0.2:
                instruction = Fill(value=self.random.randrange(1 << 32), **where, **shape,
                                   **self._walk("destination", shape, 1, 3000))
            else:
                transpose = int(memory != Memory.VECTOR and self.random.random() < 0.4)
                across = {"length": 1} | {f"count{n}": shape[f"count{n}"] for n in (1, 2)} | {"count0": shape["length"]}
                if transpose:
                    shape["count0"] = self.random.randint(1, self.model.lanes[memory])
                    across["length"] = shape["count0"]
                instruction = Load(
                    transpose=transpose, **where, **shape,
                    **self._external("source", shape, self.random.choice(list(Format)),
                                     int(not transpose and self.random.random() < 0.4)),
                    **self._walk("destination", across if transpose else shape, 1, 3000))
            if self._legal(instruction, self.model.scratchpad_addresses(instruction)):
                return instruction

    def store(self) -> Store:
        while True:
            shape = self._shape()
            instruction = Store(source=self.random.randrange(1 << 20), **shape,
                                **self._external("destination", shape, self.random.choice(list(Format)),
                                                 int(self.random.random() < 0.4)),
                                **self._walk("source", shape, 1, 3000))
            try:
                bytes_ = [first + n for first, count in self.model.runs(instruction) for n in range(count)]
            except MachineFault:
                continue
            if self._legal(instruction, bytes_):
                return instruction

    def _legal(self, instruction, written: list[int]) -> bool:
        """Nothing is written twice, and no run wraps past the end of the address space."""
        if len(set(written)) != len(written):
            return False
        if not isinstance(instruction, Fill):
            try:
                self.model.runs(instruction)
            except MachineFault:
                return False
        return True
