"""Builds a program from instructions in sequential order and lets the engines overlap.

Whoever emits instructions thinks sequentially. The builder sees from each instruction's own fields
what it reads and writes, and inserts the tokens and the ``sync`` bits that keep the overlapped
execution equal to the sequential one.
"""

from collections import defaultdict
from dataclasses import dataclass, replace
from math import gcd

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (INSTRUCTION_BYTES, TOKEN_LIMIT, Addend, Array, End, Engine, Fill, Format, Function,
                            Instruction, Load, Memory, Multiplier, PredictorArray, Store, Vector, encode)


class CompileError(Exception):
    """The network cannot be mapped to the machine; the text names the layer, the rule and the value."""


@dataclass(frozen=True)
class Footprint:
    """A superset of the addresses that one access touches.

    All addresses lie in [low, high). When ``period`` is not 0, they also lie in [low, low + run)
    modulo ``period``, which tells interleaved strided accesses apart.
    """

    low: int
    high: int
    period: int
    run: int

    @classmethod
    def strided(cls, address: int, length: int, loops) -> "Footprint":
        """``loops`` are (count, stride) pairs around runs of ``length`` addresses."""
        low, high, run, period = address, address + length, length, 0
        for count, stride in sorted((loop for loop in loops if loop[0] > 1 and loop[1]), key=lambda loop: abs(loop[1])):
            extent = (count - 1) * stride
            low, high = low + min(extent, 0), high + max(extent, 0)
            if not period and abs(stride) <= run:  # continues the run
                run += abs(extent)
            else:
                period = gcd(period, stride)
        if period <= run:
            period = run = 0
        return cls(low, high, period, run)

    def meets(self, other: "Footprint") -> bool:
        if self.high <= other.low or other.high <= self.low:
            return False
        if self.period and other.period:
            period = gcd(self.period, other.period)
            distance = (other.low - self.low) % period
            if self.run <= distance and distance + other.run <= period:
                return False
        return True

    def covers(self, other: "Footprint") -> bool:
        return self == other or (not self.period and self.low <= other.low and other.high <= self.high)


@dataclass
class _Access:
    footprint: Footprint
    write: bool
    engine: Engine
    index: int


_OTHER_OUTSIDE = {Engine.LOAD: Engine.STORE, Engine.STORE: Engine.LOAD}
"""The engines that access memory outside the scratchpads, and which else does."""


class ProgramBuilder:
    """Collects the instructions of one program for ``config``."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self._instructions: list[Instruction] = []
        self._signals: dict[int, set[Engine]] = defaultdict(set)
        self._accesses: dict[object, list[_Access]] = defaultdict(list)
        self._known = {engine: dict.fromkeys(Engine, -1) for engine in Engine}
        self._completed: dict[int, dict[Engine, int]] = {}
        self._edges: dict[tuple[Engine, Engine], list[tuple[int, int]]] = defaultdict(list)
        self._unsynced: list[tuple[Footprint, bool]] = []

    def emit(self, instruction: Instruction) -> None:
        """Appends ``instruction``; its ``wait``, ``signal`` and ``sync`` are decided here."""
        index, engine = len(self._instructions), instruction.engine
        accesses = list(self._footprints(instruction))
        waits = set()
        for other, needed in self._dependencies(engine, accesses).items():
            if needed > self._known[engine][other]:
                waits.add(other)
                self._signals[needed].add(engine)
                self._edges[other, engine].append((needed, index))
                for known, position in self._completed[needed].items():
                    self._known[engine][known] = max(self._known[engine][known], position)
        self._completed[index] = self._known[engine] | {engine: index}
        if isinstance(instruction, Vector):
            instruction = replace(instruction, sync=self._needs_sync(accesses))
        self._instructions.append(replace(instruction, wait=frozenset(waits)))
        for space, footprint, write in accesses:
            self._record(space, _Access(footprint, write, engine, index))

    def finish(self) -> bytes:
        """The encoded program, ending with ``End``."""
        for (source, target), edges in self._edges.items():
            events = sorted([(given, 1) for given, _ in edges] + [(taken, -1) for _, taken in edges])
            outstanding = 0
            for _, change in events:
                outstanding += change
                if outstanding > TOKEN_LIMIT:
                    raise CompileError(f"program needs more than {TOKEN_LIMIT} tokens in flight "
                                       f"from {source.name} to {target.name}")
        return b"".join(encode(instruction) for instruction in self.instructions())

    def instructions(self) -> list[Instruction]:
        return [replace(instruction, signal=frozenset(self._signals[index]))
                for index, instruction in enumerate(self._instructions)] + [End()]

    def __len__(self) -> int:
        return len(self._instructions)

    def _dependencies(self, engine, accesses) -> dict[Engine, int]:
        """Latest instruction of each other engine that conflicts with ``accesses``."""
        latest: dict[Engine, int] = {}
        for space, footprint, write in accesses:
            for access in self._accesses[space]:
                if (access.engine is not engine and (write or access.write)
                        and access.index > latest.get(access.engine, -1) and access.footprint.meets(footprint)):
                    latest[access.engine] = access.index
        return latest

    def _record(self, space, access: _Access) -> None:
        """Forgets what the new access makes unreachable: all it covers, if it writes; reads of the
        same engine that it covers, if it reads. Outside the scratchpads, where little is ever
        covered, also what the other engine that goes there knows to be complete."""
        self._accesses[space] = [
            old for old in self._accesses[space]
            if not (access.footprint.covers(old.footprint)
                    and (access.write or (not old.write and old.engine is access.engine)))
            and not (old.engine in _OTHER_OUTSIDE and self._known[_OTHER_OUTSIDE[old.engine]][old.engine] >= old.index
                     and not isinstance(space, Memory))]
        self._accesses[space].append(access)

    def _needs_sync(self, accesses) -> int:
        conflict = any((write or old_write) and footprint.meets(old)
                       for _, footprint, write in accesses for old, old_write in self._unsynced)
        if conflict:
            self._unsynced.clear()
        self._unsynced += [(footprint, write) for _, footprint, write in accesses]
        return int(conflict)

    def _footprints(self, i: Instruction):
        """(space, footprint, is a write) of every memory that the instruction touches."""
        lanes = self.config.vector_lanes
        if isinstance(i, Load):
            counts = (i.count0, i.count1, i.count2)
            size = Format(i.format).bytes
            yield _outside(i), Footprint.strided(i.offset, i.length * size, zip(
                counts, (i.source_stride0, i.source_stride1, i.source_stride2))), False
        if isinstance(i, (Load, Fill)):
            counts = (i.count0, i.count1, i.count2)
            strides = (i.destination_stride0, i.destination_stride1, i.destination_stride2)
            if isinstance(i, Load) and i.transpose:
                yield i.memory, Footprint.strided(i.destination, i.count0, zip((i.length, *counts[1:]), strides)), True
            else:
                yield i.memory, Footprint.strided(i.destination, i.length, zip(counts, strides)), True
        elif isinstance(i, Store):
            counts = (i.count0, i.count1, i.count2)
            yield Memory.VECTOR, Footprint.strided(i.source, i.length, zip(
                counts, (i.source_stride0, i.source_stride1, i.source_stride2))), False
            yield _outside(i), Footprint.strided(i.offset, i.length * Format(i.format).bytes, zip(
                counts, (i.destination_stride0, i.destination_stride1, i.destination_stride2))), True
        elif isinstance(i, Vector):
            counts = (i.count0, i.count1, i.count2)

            def words(address, *strides):
                return Footprint.strided(address * lanes, lanes, ((n, s * lanes) for n, s in zip(counts, strides)))
            yield Memory.VECTOR, words(i.a, i.a_stride0, i.a_stride1, i.a_stride2), False
            if i.addend == Addend.B or (i.multiplier == Multiplier.B and i.function == Function.ARITHMETIC):
                yield Memory.VECTOR, words(i.b, i.b_stride0, i.b_stride1, i.b_stride2), False
            space = "quality" if i.function == Function.REPORT else Memory.VECTOR
            yield space, words(i.d, i.d_stride0, i.d_stride1, i.d_stride2), True
        elif isinstance(i, Array):
            yield from self._array_footprints(i)

    def _array_footprints(self, i: Array):
        own = isinstance(i, PredictorArray)
        stream, stationary = ((Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY) if own
                              else (Memory.STREAM, Memory.STATIONARY))
        rows, lanes = (self.config.predictor_array if own else self.config.array).rows, self.config.vector_lanes
        row_count = i.row_count0 * i.row_count1 * i.row_count2
        outer = (i.outer_count0, i.outer_count1)
        stream_counts = (i.stream_count0, i.stream_count1, i.stream_count2)
        yield stream, Footprint.strided(i.stream, min(rows, row_count), (
            *zip(stream_counts, (i.stream_stride0, i.stream_stride1, i.stream_stride2)),
            (-(-row_count // rows), i.chunk_stride),
            *zip(outer, (i.stream_outer_stride0, i.stream_outer_stride1)))), False
        yield stationary, Footprint.strided(i.stationary, i.columns, (
            *zip((i.row_count0, i.row_count1, i.row_count2), (i.row_stride0, i.row_stride1, i.row_stride2)),
            *zip(outer, (i.stationary_outer_stride0, i.stationary_outer_stride1)))), False
        words = i.stream_count0 * i.stream_count1 * i.stream_count2
        accumulated = Footprint.strided(i.accumulator * lanes, words * lanes, (
            (count, stride * lanes) for count, stride in zip(
                outer, (i.accumulator_outer_stride0, i.accumulator_outer_stride1))))
        yield Memory.VECTOR, accumulated, True


def _outside(instruction: Load | Store):
    """The memory outside the scratchpads: predictor memory, or external behind a base register."""
    return "local" if instruction.local else ("external", instruction.base)
