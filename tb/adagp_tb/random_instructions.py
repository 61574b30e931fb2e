"""Random legal instructions in small zones of the memories, so that they meet each other's data."""

from dataclasses import dataclass, field, replace

import numpy as np

from adagp.spec.config import AcceleratorConfig, ArrayShape
from adagp.spec.isa import (
    Addend, Array, Fill, Format, Function, Instruction, Load, Memory, Multiplier, Pass, PredictorArray, Store,
    Vector)

ZONE_BYTES = 1 << 13
"""Of external memory, from address 0 on."""

UNARY = (Function.RECIPROCAL, Function.RSQRT, Function.EXP2, Function.EXPONENT, Function.SIGNIFICAND)


@dataclass
class Zone:
    """``size`` elements from ``first``, modulo ``modulus``."""

    first: int
    size: int
    modulus: int

    @classmethod
    def somewhere(cls, rng, size: int, modulus: int, alignment: int = 1) -> "Zone":
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


@dataclass(frozen=True)
class Unit:
    """An array of the machine with the zones of its operand memories."""

    kind: type[Array]
    shape: ArrayShape
    stream: Memory
    stationary: Memory


@dataclass
class Maker:
    """Makes instructions without tokens, inside its zones: everything that the design knows."""

    config: AcceleratorConfig
    rng: np.random.Generator
    bases: list[int] = field(init=False)

    def __post_init__(self):
        config, rng = self.config, self.rng
        self.bases = [4 * int(base) for base in rng.integers(0, 1 << 30, 8)]
        self.external, self.local = Zone(0, ZONE_BYTES, 1 << 32), None
        self.words = Zone.somewhere(rng, 64, config.vector_words)
        lanes = config.vector_lanes
        self.zones = {Memory.VECTOR: Zone(self.words.first * lanes, self.words.size * lanes, config.vector_elements)}
        self.units = [Unit(Array, config.array, Memory.STREAM, Memory.STATIONARY)]
        if config.design.has_predictor_array:
            self.units.append(Unit(PredictorArray, config.predictor_array, Memory.PREDICTOR_STREAM,
                                   Memory.PREDICTOR_STATIONARY))
        for unit in self.units:
            shape = unit.shape
            self.zones[unit.stream] = Zone.somewhere(rng, 32 * shape.rows, shape.stream_elements)
            self.zones[unit.stationary] = Zone.somewhere(rng, 16 * shape.columns, shape.stationary_elements)
        if config.design.has_predictor_memory:
            room = 4 * config.predictor_elements
            size = min(room, 4 * self.zones[Memory.VECTOR].size, ZONE_BYTES)
            self.local = Zone(4 * int(rng.choice([0, (room - size) // 4, rng.integers(0, (room - size) // 4 + 1)])),
                              size, 1 << 32)

    def instruction(self) -> Instruction:
        kinds = (self.load, self.fill, self.array, self.vector, self.store)
        return kinds[self.rng.choice(5, p=[0.25, 0.05, 0.25, 0.3, 0.15])]()

    def memory(self) -> Memory:
        return list(self.zones)[self.rng.choice(len(self.zones))]

    def counts(self, most: int, axes: int = 3) -> tuple[int, ...]:
        """Random counts, each at least 1, whose product is at most ``most``."""
        counts = [1] * axes
        for axis in self.rng.permutation(axes):
            limit = most // int(np.prod(counts))
            counts[axis] = int(self.rng.choice([1, self.rng.integers(1, limit + 1), self.rng.integers(1, min(limit, 4) + 1)]))
        return tuple(counts)

    def load(self) -> Load:
        rng, memory = self.rng, self.memory()
        format, zone = Format(rng.choice(2)), self.zones[memory]
        transpose = int(memory != Memory.VECTOR and rng.random() < 0.4)
        outside = self._outside_zone()
        length, *counts = self.counts(min(zone.size // 2, 256, outside.size // 8), 4)
        if transpose:
            block = min(int(rng.integers(1, self._lanes(memory) + 1)), zone.size // 2)
            counts = [block, *self.counts(min(zone.size // 2 // block, 4), 2)]
            length = int(rng.integers(1, min(zone.size // 2 // int(np.prod(counts)), outside.size // 8) + 1))
            start, (stride0, *strides) = zone.walk(rng, (length, *counts[1:]), counts[0], distinct=True)
            strides = [stride0, *strides]
        else:
            start, strides = zone.walk(rng, tuple(counts), length, distinct=True)
        dense = int(not transpose and rng.random() < 0.4)
        source = self._outside(outside, counts, length, format, dense, distinct=False)
        return Load(memory=memory, transpose=transpose, dense=dense, format=format, destination=start, length=length,
                    **_numbered("count", counts), **_numbered("destination_stride", strides),
                    **{name.replace("side", "source"): value for name, value in source.items()})

    def _lanes(self, memory: Memory) -> int:
        """Operands that a memory of operands takes at once."""
        unit = next(unit for unit in self.units if memory in (unit.stream, unit.stationary))
        return unit.shape.stream_lanes if memory == unit.stream else unit.shape.stationary_lanes

    def fill(self) -> Fill:
        rng, memory = self.rng, self.memory()
        length, *counts = self.counts(min(self.zones[memory].size // 2, 256), 4)
        start, strides = self.zones[memory].walk(rng, tuple(counts), length)
        return Fill(memory=memory, value=self.scalar(), destination=start, length=length,
                    **_numbered("count", counts), **_numbered("destination_stride", strides))

    def store(self) -> Store:
        zone, outside = self.zones[Memory.VECTOR], self._outside_zone()
        length, *counts = self.counts(min(zone.size // 2, 256, outside.size // 8), 4)
        format, dense = Format(self.rng.choice(2)), int(self.rng.random() < 0.4)
        start, strides = zone.walk(self.rng, tuple(counts), length)
        target = self._outside(outside, counts, length, format, dense, distinct=True)
        return Store(dense=dense, format=format, source=start, length=length, **_numbered("count", counts),
                     **_numbered("source_stride", strides),
                     **{name.replace("side", "destination"): value for name, value in target.items()})

    def _outside_zone(self) -> Zone:
        """External memory or, where there is one, the predictor memory."""
        return self.local if self.local and self.rng.random() < 0.4 else self.external

    def _outside(self, zone: Zone, counts, length: int, format: Format, dense: int, *, distinct: bool) -> dict[str, int]:
        """base, offset and strides of runs in external or predictor memory."""
        local = zone is self.local
        start, strides = replace(zone, first=zone.first // format.bytes, size=zone.size // format.bytes).walk(
            self.rng, tuple(counts), length, distinct=distinct, strides=(length if dense else None, None, None))
        base = int(self.rng.choice(8))
        return {"local": int(local), "base": base,
                "offset": (start * format.bytes - (0 if local else self.bases[base])) % (1 << 32),
                **_numbered("side_stride", [stride * format.bytes for stride in strides])}

    def array(self) -> Array:
        rng = self.rng
        unit = self.units[rng.choice(len(self.units))]
        shape = unit.shape
        columns = shape.columns if rng.random() < 0.5 else int(rng.integers(1, shape.columns + 1))
        rows, outers, vectors = self.counts(3 * shape.rows), self.counts(4, 2), self.counts(20)
        chunks = -(-int(np.prod(rows)) // shape.rows)
        stream, (s0, s1, s2, o0, o1, chunk) = self.zones[unit.stream].walk(
            rng, (*vectors, *outers, chunks), shape.rows, strides=(None,) * 6)
        stationary, (r0, r1, r2, w0, w1) = self.zones[unit.stationary].walk(
            rng, (*rows, *outers), columns, strides=(None,) * 5)
        accumulator, (a0, a1) = self._accumulators(outers, int(np.prod(vectors)))
        return unit.kind(tag=Pass(rng.choice(4)), layer=int(rng.choice([0, 1, 255, rng.integers(256)])),
                         accumulate=int(rng.random() < 0.5), columns=columns,
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
        counts = self.counts(24)
        if rng.random() < 0.1:
            return self._report(counts)
        function = Function.ARITHMETIC if rng.random() < 0.5 else Function(rng.choice(10))
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
            options = {"addend": Addend(rng.choice([Addend.B, Addend.T]))}
        made = Vector(function=function, s=self.scalar(), t=self.scalar(), d=d, **_numbered("count", counts),
                      **_numbered("d_stride", d_strides), **sources, **options)
        return replace(made, broadcast=int(rng.random() < 0.2), lane=int(rng.integers(self.config.vector_lanes)))

    def _report(self, counts: tuple[int, ...]) -> Vector:
        """Of any words to any registers, the same one more than once too."""
        rng = self.rng
        a, a_strides = self.words.walk(rng, counts, 1)
        return Vector(function=Function.REPORT, a=a, d=int(rng.choice([0, rng.integers(1 << 16)])),
                      **_numbered("count", counts), **_numbered("a_stride", a_strides),
                      **_numbered("d_stride", rng.choice([0, 1, -1, rng.integers(-(1 << 15), 1 << 15)], 3)))

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
