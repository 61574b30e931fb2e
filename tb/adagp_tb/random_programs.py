"""Random legal programs: the same run on the golden machine and on the hardware, and every bit of
external memory must agree.

A program works in small zones of the scratchpads (which may wrap around their ends) and of external
memory, so that instructions meet each other's data, and ends by storing the zones.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from adagp.golden.accesses import History, accesses
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    INSTRUCTION_BYTES, Addend, Array, End, Engine, Fill, Format, Function, Instruction, Load, Memory,
    Multiplier, Pass, Store, Vector, encode)
from adagp.spec.machine import Machine

MEMORY_BYTES = 1 << 17
"""External memory that a program needs: its zone from 0, its dump, the instructions at the end."""

ZONE_BYTES = 1 << 13
PROGRAM_ADDRESS = 3 << 15
UNARY = (Function.RECIPROCAL, Function.RSQRT, Function.EXP2, Function.EXPONENT, Function.SIGNIFICAND)


@dataclass(frozen=True, kw_only=True)
class RandomProgram:
    """Instructions that end with ``End`` and what must be in place before they run."""

    instructions: list[Instruction]
    image: np.ndarray  # uint8 [MEMORY_BYTES], with the program
    bases: list[int]

    def place(self, machine: Machine) -> None:
        """Writes image and registers, so that ``machine.run()`` runs the program once."""
        machine.memory[:self.image.size] = self.image
        machine.write("MODE", 1)
        machine.write("BATCHES", 1)
        machine.write("PROGRAM[3].ADDRESS", PROGRAM_ADDRESS)
        machine.write("PROGRAM[3].SIZE", len(self.instructions) * INSTRUCTION_BYTES)
        machine.write("WINDOW_FIRST", 0)
        machine.write("WINDOW_LAST", MEMORY_BYTES - 1)
        for index, base in enumerate(self.bases):
            machine.write(f"BASE[{index}]", base)


def random_program(config: AcceleratorConfig, seed: int, *, length: int = 40, overlap: bool = False) -> RandomProgram:
    """A program of ``length`` random instructions, then stores of everything that it may have changed.

    Without ``overlap`` each instruction waits for the one before it if that runs on another
    engine; with it, only for those whose data it touches, so that engines really run ahead.
    """
    if not 0 <= length <= 400:
        raise ValueError(f"length must be from 0 to 400, not {length!r}")
    rng = np.random.default_rng(seed)
    maker = _Maker(config, rng)
    body = [maker.instruction() for _ in range(length)]
    body += _dump(maker)
    instructions = [*_synchronised(body, maker.bases, config, rng, overlap=overlap), End()]
    code = b"".join(map(encode, instructions))
    image = np.zeros(MEMORY_BYTES, np.uint8)
    image[:ZONE_BYTES] = _random_data(rng)
    image[PROGRAM_ADDRESS:PROGRAM_ADDRESS + len(code)] = np.frombuffer(code, np.uint8)
    return RandomProgram(instructions=instructions, image=image, bases=maker.bases)


def _random_data(rng: np.random.Generator) -> np.ndarray:
    """Bytes that make sense as operands and as float32: ordinary values, with specials now and then."""
    values = (rng.standard_normal(ZONE_BYTES // 2) * 2.0 ** rng.integers(-4, 5)).astype(np.float32).view(np.uint32)
    encoded = (values >> 16).astype(np.uint16)
    share = rng.choice([0, 0.02, 0.3])
    special = rng.random(encoded.size) < share
    choices = np.array([0, 0x8000, 1, 0x807F, 0x0080, 0x8081, 0x2000, 0x1F81, 0x7F7F, 0xFF7F, 0x5F80, 0xDF00], np.uint16)
    if rng.random() < 0.3:
        choices = np.append(choices, np.array([0x7F80, 0xFF80, 0x7FC0, 0xFF81], np.uint16))
    encoded[special] = rng.choice(choices, special.sum())
    return encoded.view(np.uint8)


@dataclass
class _Zone:
    """``size`` elements from ``first``, modulo ``modulus``."""

    first: int
    size: int
    modulus: int

    @classmethod
    def somewhere(cls, rng, size: int, modulus: int, alignment: int = 1) -> "_Zone":
        """At a random place, often around the end of the memory."""
        size = min(size, modulus // 2)
        first = modulus - size // 2 if rng.random() < 0.3 else int(rng.integers(0, modulus))
        return cls(first // alignment * alignment, size, modulus)

    def walk(self, rng, counts: tuple[int, ...], run: int, *, distinct: bool = False,
             strides: tuple[int | None, ...] = (None, None, None)) -> tuple[int, list[int]]:
        """Start and one stride per count so that runs of ``run`` elements stay in the zone.

        ``distinct`` keeps the runs apart; it needs counts whose product of runs fits in half of
        the zone. Given ``strides`` are kept.
        """
        order = [*(k for k in range(len(counts)) if strides[k] is not None),
                 *(int(k) for k in rng.permutation(len(counts)) if strides[k] is None)]
        chosen, reach = [0] * len(counts), run
        for k, axis in enumerate(order):
            others = int(np.prod([counts[later] for later in order[k + 1:]], dtype=np.int64)) if distinct else 1
            steps = max(counts[axis] - 1, 1)
            if strides[axis] is not None:
                chosen[axis] = strides[axis]
            elif distinct:
                most = (self.size // others - reach) // steps
                chosen[axis] = int(rng.choice([reach, rng.integers(reach, max(most, reach) + 1)]) * rng.choice([1, 1, -1]))
            else:
                most = (self.size - reach) // steps
                chosen[axis] = int(rng.choice([0, min(run, most), rng.integers(-most, most + 1)]))
            reach += abs(chosen[axis]) * (counts[axis] - 1)
        assert reach <= self.size, (self, counts, run, chosen)
        below = -sum(min(0, stride * (count - 1)) for stride, count in zip(chosen, counts))
        offset = int(rng.integers(0, self.size - reach + 1)) + below
        return (self.first + offset) % self.modulus, chosen


@dataclass
class _Maker:
    """Makes instructions without tokens, inside its zones."""

    config: AcceleratorConfig
    rng: np.random.Generator
    bases: list[int] = field(init=False)

    def __post_init__(self):
        config, rng = self.config, self.rng
        self.bases = [4 * int(base) for base in rng.integers(0, 1 << 30, 8)]
        self.external = _Zone(0, ZONE_BYTES, 1 << 32)
        self.words = _Zone.somewhere(rng, 64, config.vector_words)
        lanes = config.vector_lanes
        self.zones = {
            Memory.STREAM: _Zone.somewhere(rng, 32 * config.rows, config.stream_elements),
            Memory.STATIONARY: _Zone.somewhere(rng, 16 * config.columns, config.stationary_elements),
            Memory.VECTOR: _Zone(self.words.first * lanes, self.words.size * lanes, config.vector_elements)}

    def instruction(self) -> Instruction:
        kinds = (self.load, self.fill, self.array, self.vector, self.store)
        return kinds[self.rng.choice(5, p=[0.25, 0.05, 0.25, 0.3, 0.15])]()

    def counts(self, most: int, axes: int = 3) -> tuple[int, ...]:
        """Random counts, each at least 1, whose product is at most ``most``."""
        counts = [1] * axes
        for axis in self.rng.permutation(axes):
            limit = most // int(np.prod(counts))
            counts[axis] = int(self.rng.choice([1, self.rng.integers(1, limit + 1), self.rng.integers(1, min(limit, 4) + 1)]))
        return tuple(counts)

    def load(self) -> Load:
        rng, memory = self.rng, Memory(self.rng.choice(3))
        format, zone = Format(rng.choice(2)), self.zones[memory]
        transpose = int(memory != Memory.VECTOR and rng.random() < 0.4)
        lanes = self.config.stream_lanes if memory == Memory.STREAM else self.config.stationary_lanes
        length, *counts = self.counts(min(zone.size // 2, 256), 4)
        if transpose:
            block = min(int(rng.integers(1, lanes + 1)), zone.size // 2)
            counts = [block, *self.counts(min(zone.size // 2 // block, 4), 2)]
            length = int(rng.integers(1, zone.size // 2 // int(np.prod(counts)) + 1))
            start, (stride0, *strides) = zone.walk(rng, (length, *counts[1:]), counts[0], distinct=True)
            strides = [stride0, *strides]
        else:
            start, strides = zone.walk(rng, tuple(counts), length, distinct=True)
        dense = int(not transpose and rng.random() < 0.4)
        source = self._outside(counts, length, format, dense, distinct=False)
        return Load(memory=memory, transpose=transpose, dense=dense, format=format, destination=start, length=length,
                    **_numbered("count", counts), **_numbered("destination_stride", strides),
                    **{name.replace("side", "source"): value for name, value in source.items()})

    def fill(self) -> Fill:
        rng, memory = self.rng, Memory(self.rng.choice(3))
        length, *counts = self.counts(min(self.zones[memory].size // 2, 256), 4)
        start, strides = self.zones[memory].walk(rng, tuple(counts), length)
        return Fill(memory=memory, value=self.scalar(), destination=start, length=length,
                    **_numbered("count", counts), **_numbered("destination_stride", strides))

    def store(self) -> Store:
        zone = self.zones[Memory.VECTOR]
        length, *counts = self.counts(min(zone.size // 2, 256), 4)
        format, dense = Format(self.rng.choice(2)), int(self.rng.random() < 0.4)
        start, strides = zone.walk(self.rng, tuple(counts), length)
        target = self._outside(counts, length, format, dense, distinct=True)
        return Store(dense=dense, format=format, source=start, length=length, **_numbered("count", counts),
                     **_numbered("source_stride", strides),
                     **{name.replace("side", "destination"): value for name, value in target.items()})

    def _outside(self, counts, length: int, format: Format, dense: int, *, distinct: bool) -> dict[str, int]:
        """base, offset and strides of runs in external memory."""
        zone = replace(self.external, size=self.external.size // format.bytes)
        start, strides = zone.walk(self.rng, tuple(counts), length, distinct=distinct,
                                   strides=(length if dense else None, None, None))
        base = int(self.rng.choice(8))
        return {"base": base, "offset": (start * format.bytes - self.bases[base]) % (1 << 32),
                **_numbered("side_stride", [stride * format.bytes for stride in strides])}

    def array(self) -> Array:
        rng, config = self.rng, self.config
        columns = config.columns if rng.random() < 0.5 else int(rng.integers(1, config.columns + 1))
        rows, outers, vectors = self.counts(3 * config.rows), self.counts(4, 2), self.counts(20)
        chunks = -(-int(np.prod(rows)) // config.rows)
        stream, (s0, s1, s2, o0, o1, chunk) = self.zones[Memory.STREAM].walk(
            rng, (*vectors, *outers, chunks), config.rows, strides=(None,) * 6)
        stationary, (r0, r1, r2, w0, w1) = self.zones[Memory.STATIONARY].walk(
            rng, (*rows, *outers), columns, strides=(None,) * 5)
        accumulator, (a0, a1) = self._accumulators(outers, int(np.prod(vectors)))
        return Array(tag=Pass(rng.choice(4)), accumulate=int(rng.random() < 0.5), columns=columns,
                     stream=stream, stationary=stationary, accumulator=accumulator, chunk_stride=chunk,
                     **_numbered("stream_count", vectors), **_numbered("row_count", rows),
                     **_numbered("outer_count", outers), **_numbered("stream_stride", (s0, s1, s2)),
                     **_numbered("stream_outer_stride", (o0, o1)), **_numbered("row_stride", (r0, r1, r2)),
                     **_numbered("stationary_outer_stride", (w0, w1)),
                     **_numbered("accumulator_outer_stride", (a0, a1)))

    def _accumulators(self, outers: tuple[int, ...], vectors: int) -> tuple[int, list[int]]:
        """Tiles that all share their accumulators, have them apart, or (seldom) partly overlap."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.4:
            return self.words.walk(rng, outers, vectors, strides=(0, 0))
        if kind < 0.6:
            inner = vectors if rng.random() < 0.5 else 0
            if outers[1] * (inner * (outers[0] - 1) + vectors) <= self.words.size:
                return self.words.walk(rng, outers, vectors, strides=(inner, 0 if inner else vectors))
        if kind < 0.8 and 2 * vectors * int(np.prod(outers)) <= self.words.size:
            return self.words.walk(rng, outers, vectors, distinct=True, strides=(None, None))
        return self.words.walk(rng, outers, vectors, strides=(None, None))

    def vector(self) -> Vector:
        rng = self.rng
        function = Function.ARITHMETIC if rng.random() < 0.5 else Function(rng.choice(10))
        counts = self.counts(24)
        d, d_strides = self.words.walk(rng, counts, 1, distinct=True)
        sources = {}
        for name in "ab":
            start, strides = (d, d_strides) if rng.random() < 0.3 else self._source_beside(counts, d, d_strides)
            sources |= {name: start, **_numbered(f"{name}_stride", strides)}
        options = {}
        if function == Function.ARITHMETIC:
            options = {"multiplier": Multiplier(rng.choice(3)), "addend": Addend(rng.choice(3)),
                       **{flag: int(rng.random() < 0.3) for flag in ("negate_product", "negate_addend", "relu")}}
        elif function not in UNARY:
            options = {"addend": Addend(rng.choice([1, 2]))}
        made = Vector(function=function, s=self.scalar(), t=self.scalar(), d=d, **_numbered("count", counts),
                      **_numbered("d_stride", d_strides), **sources, **options)
        return replace(made, broadcast=int(rng.random() < 0.2))

    def _source_beside(self, counts, d: int, d_strides: list[int]) -> tuple[int, list[int]]:
        """A walk that shares no word with the one at ``d``, or that very walk."""
        def words(start, strides):
            indices = np.indices(counts).reshape(3, -1)
            return {int(word) % self.words.modulus for word in start + np.array(strides) @ indices}
        for _ in range(20):
            start, strides = self.words.walk(self.rng, counts, 1)
            if not words(start, strides) & words(d, d_strides):
                return start, strides
        return d, d_strides

    def scalar(self) -> int:
        """float32 bits: mostly ordinary, sometimes anything."""
        if self.rng.random() < 0.2:
            return int(self.rng.choice([0, 1 << 31, 1, 0x807FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000,
                                        0x7F7FFFFF, 0x00800000, int(self.rng.integers(0, 1 << 32))]))
        return int(np.float32(self.rng.standard_normal()).view(np.uint32))


def _numbered(name: str, values) -> dict[str, int]:
    return {f"{name}{index}": int(value) for index, value in enumerate(values)}


def _dump(maker: _Maker) -> list[Instruction]:
    """Stores the vector zone, then sends the operand zones through the array by an identity."""
    config, words = maker.config, maker.words
    lanes, address = config.vector_lanes, ZONE_BYTES
    stores: list[Instruction] = []

    def store(first_word: int, count: int) -> None:
        nonlocal address
        stores.append(Store(format=Format.FLOAT32, base=0, offset=(address - maker.bases[0]) % (1 << 32),
                            source=first_word * lanes % config.vector_elements, length=lanes, count0=count,
                            source_stride0=lanes, destination_stride0=4 * lanes, dense=1))
        address += 4 * lanes * count

    store(words.first, words.size)
    stream, stationary = maker.zones[Memory.STREAM], maker.zones[Memory.STATIONARY]
    # Stationary operands: as the weights of one row, met by a stream of ones.
    ones = (stream.first + stream.size + config.rows) % config.stream_elements
    stores.append(Fill(memory=Memory.STREAM, value=0x3F800000, destination=ones, length=config.rows))
    tiles = -(-stationary.size // config.columns)
    for first in range(0, tiles, words.size):
        count = min(words.size, tiles - first)
        stores.append(Array(tag=Pass.FORWARD, columns=config.columns, stream=ones, accumulator=words.first,
                            stationary=(stationary.first + first * config.columns) % config.stationary_elements,
                            stream_count0=1, row_count0=1, outer_count0=count,
                            stationary_outer_stride0=config.columns, accumulator_outer_stride0=1))
        store(words.first, count)
    # Streamed operands: one at a time, met by a weight of one.
    one = (stationary.first + stationary.size) % config.stationary_elements
    stores.append(Fill(memory=Memory.STATIONARY, value=0x3F800000, destination=one, length=1))
    for first in range(0, stream.size, words.size):
        count = min(words.size, stream.size - first)
        stores.append(Array(tag=Pass.FORWARD, columns=1, stream=(stream.first + first) % config.stream_elements,
                            stationary=one, accumulator=words.first, stream_count0=count, row_count0=1,
                            stream_stride0=1))
        store(words.first, count)
    if address > PROGRAM_ADDRESS:
        raise ValueError(f"rows and vector_lanes must be small enough to dump {PROGRAM_ADDRESS - ZONE_BYTES} bytes, "
                         f"not {config.rows} and {lanes}")
    return stores


def _synchronised(body: list[Instruction], bases: list[int], config: AcceleratorConfig,
                  rng: np.random.Generator, *, overlap: bool) -> list[Instruction]:
    """``body`` with tokens, and with ``sync`` taken away from vector instructions that can do without."""
    history = History(config, MEMORY_BYTES)
    waits: list[set[int]] = []  # numbers of the instructions whose token is taken
    waited: dict[tuple[Engine, Engine], int] = {}
    last_sync, syncs = 0, {}
    for number, instruction in enumerate(body):
        touched = accesses(instruction, bases, config)
        conflicts = list(history.conflicts(touched))
        if isinstance(instruction, Vector):
            racing = any(other >= last_sync and body[other].engine == Engine.VECTOR for other in conflicts)
            syncs[number] = int(racing or not syncs or rng.random() < 0.3)
            last_sync = number if syncs[number] else last_sync
        candidates = conflicts if overlap else [number - 1] if number else []
        chosen = set()
        for engine in Engine:
            latest = max((other for other in candidates if body[other].engine == engine), default=-1)
            if engine != instruction.engine and latest > waited.get((engine, instruction.engine), -1):
                waited[engine, instruction.engine] = latest
                chosen.add(latest)
        waits.append(chosen)
        history.record(number, instruction.engine, touched)
    signals = [frozenset(body[taker].engine for taker in range(len(body)) if number in waits[taker])
               for number in range(len(body))]
    return [replace(instruction, wait=frozenset(body[giver].engine for giver in waits[number]), signal=signals[number],
                    **({"sync": syncs[number]} if number in syncs else {}))
            for number, instruction in enumerate(body)]
