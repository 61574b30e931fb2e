"""Builds a program from instructions in sequential order and lets the engines overlap.

Whoever emits instructions thinks sequentially. The builder sees from each instruction's own fields
what it reads and writes, and inserts the tokens and the distances between vector instructions that
keep the overlapped execution equal to the sequential one.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import gcd
from typing import TypeVar

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (TOKEN_LIMIT, Array, End, Engine, Fill, Format, Function, Instruction,
                            Load, Memory, PredictorArray, Store, Vector, encode)

from .chaining import WrittenWords, reads_b


Item = TypeVar("Item")


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


@dataclass(frozen=True)
class Access:
    """What instruction number ``index``, of the in-order queue ``queue``, reads or writes."""

    footprint: Footprint
    write: bool
    queue: Hashable
    index: int


class AccessTable:
    """The accesses that a later one may have to wait for, by memory."""

    def __init__(self):
        self._spaces: dict[object, _Space] = defaultdict(_Space)

    def dependencies(self, queue: Hashable, accesses) -> dict[Hashable, int]:
        """Latest instruction of each other queue that conflicts with ``accesses``, which are
        (space, footprint, is a write)."""
        latest: dict[Hashable, int] = {}
        for space, footprint, write in accesses:
            for _, access in self._spaces[space].near(footprint):
                if (access.queue != queue and (write or access.write)
                        and access.index > latest.get(access.queue, -1) and access.footprint.meets(footprint)):
                    latest[access.queue] = access.index
        return latest

    def record(self, space, access: Access) -> None:
        """Forgets what the new access makes unreachable: all it covers, if it writes; reads of the
        same queue that it covers, if it reads."""
        table = self._spaces[space]
        for place, old in table.near(access.footprint):
            if access.footprint.covers(old.footprint) and (
                    access.write or (not old.write and old.queue == access.queue)):
                table.forget(place)
        table.add(access)


class _Space:
    """Accesses of one memory, found by their range of addresses."""

    _NOWHERE = 1 << 62

    def __init__(self):
        self._accesses: list[Access | None] = []
        self._low, self._high = np.empty(64, np.int64), np.empty(64, np.int64)
        self._free: list[int] = []

    def near(self, footprint: Footprint) -> list[tuple[int, Access]]:
        """(place, access) of those whose range overlaps that of ``footprint``."""
        used = len(self._accesses)
        places = np.nonzero((self._low[:used] < footprint.high) & (self._high[:used] > footprint.low))[0]
        return [(place, self._accesses[place]) for place in places.tolist()]

    def add(self, access: Access) -> None:
        if self._free:
            place = self._free.pop()
        else:
            place = len(self._accesses)
            self._accesses.append(None)
            if place == len(self._low):
                self._low, self._high = (np.concatenate([old, np.empty_like(old)]) for old in (self._low, self._high))
        self._accesses[place] = access
        self._low[place], self._high[place] = access.footprint.low, access.footprint.high

    def forget(self, place: int) -> None:
        self._low[place] = self._NOWHERE
        self._free.append(place)


@dataclass(frozen=True)
class Purpose:
    """What an instruction is there for: the layer, and what is done for it ("forward", "input
    gradient", "weight gradient", "predict", "train predictor", "update", "loss")."""

    layer: str = ""
    work: str = ""


class Purposeful:
    """Takes instructions that are there for something. Programs do not depend on it."""

    def __init__(self):
        self.present = Purpose()

    @contextmanager
    def purpose(self, **fields: str) -> Iterator[None]:
        """What is emitted inside is there for this; what is not given of :class:`Purpose` is as outside."""
        outside, self.present = self.present, replace(self.present, **fields)
        try:
            yield
        finally:
            self.present = outside

    def steps(self, items: Sequence[Item], *, edge: int = 2, period: int = 1) -> Iterable[Item]:
        """Those of a loop's steps that are to be emitted: all.

        States that, but for the first and the last ``edge``, two steps that are ``period`` apart consist of the same
        instructions, addresses left out; and that what comes behind the loop depends on its last ``edge`` steps
        only, as buffers do that keep what was loaded last. So who counts instructions need not take all of them.
        """
        return items

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is emitted inside belongs to no step of the loops around it."""
        yield


class ProgramBuilder(Purposeful):
    """Collects the instructions of one program for ``config``.

    ``purposes`` has one entry per instruction, ``End`` left out.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__()
        self.config = config
        self.purposes: list[Purpose] = []
        self._instructions: list[Instruction] = []
        self._signals: dict[int, set[Engine]] = defaultdict(set)
        self._accesses = AccessTable()
        self._known = {engine: dict.fromkeys(Engine, -1) for engine in Engine}
        self._completed: dict[int, dict[Engine, int]] = {}
        self._edges: dict[tuple[Engine, Engine], list[tuple[int, int]]] = defaultdict(list)
        self._words = WrittenWords(config)

    def emit(self, instruction: Instruction) -> None:
        """Appends ``instruction``; its ``wait``, ``signal``, ``behind`` and ``each`` are decided here."""
        index, engine = len(self._instructions), instruction.engine
        accesses = list(footprints(instruction, self.config))
        waits = set()
        for other, needed in self._accesses.dependencies(engine, accesses).items():
            if needed > self._known[engine][other]:
                waits.add(other)
                self._signals[needed].add(engine)
                self._edges[other, engine].append((needed, index))
                for known, position in self._completed[needed].items():
                    self._known[engine][known] = max(self._known[engine][known], position)
        self._completed[index] = self._known[engine] | {engine: index}
        if isinstance(instruction, Vector):
            instruction = replace(instruction, **self._words.waiting(instruction))
            self._words.issue(instruction)
        self._instructions.append(replace(instruction, wait=frozenset(waits)))
        self.purposes.append(self.present)
        for space, footprint, write in accesses:
            self._accesses.record(space, Access(footprint, write, engine, index))

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


def footprints(i: Instruction, config: AcceleratorConfig):
    """(space, footprint, is a write) of every memory that the instruction touches."""
    lanes = config.vector_lanes
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
        if reads_b(i):
            yield Memory.VECTOR, words(i.b, i.b_stride0, i.b_stride1, i.b_stride2), False
        if i.function != Function.REPORT:  # whose d are registers that no other instruction knows
            yield Memory.VECTOR, words(i.d, i.d_stride0, i.d_stride1, i.d_stride2), True
    elif isinstance(i, Array):
        yield from _array_footprints(i, config)


def _array_footprints(i: Array, config: AcceleratorConfig):
    own = isinstance(i, PredictorArray)
    stream, stationary = ((Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY) if own
                          else (Memory.STREAM, Memory.STATIONARY))
    rows, lanes = (config.predictor_array if own else config.array).rows, config.vector_lanes
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
