"""Time of ``Load`` and ``Fill`` instructions."""

from collections import deque
from dataclasses import dataclass

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine as Engines
from adagp.spec.isa import Format, Memory, Opcode

from . import latencies
from .banks import Banks
from .engine import NEVER, Engine
from .memory import ReadChannel
from .runs import nested, starts

_WRITE = latencies.WRITTEN - 1
"""Cycles from the alignment of a chunk to its write."""

TRANSFERS = 8
"""Instructions whose data may be requested before the first of them is done."""


@dataclass
class _Run:
    """Consecutive bytes to fetch: beats [first, beyond), consumed in ``chunks`` writes. ``block`` is the number of
    columns that are written after it, where it is the last row of a block to transpose."""

    first: int
    beyond: int
    chunks: int
    block: int = 0


class LoadTime(Engine):
    """The load engine. Requests run ahead of the writes; a burst is a step."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, banks: Banks, bases: tuple[int, ...]):
        super().__init__()
        self._config, self._channel, self._banks, self._bases = config, channel, banks, bases
        self._reorder = latencies.REORDERED * config.design.has_predictor_memory
        self._columns = max(32, config.stream_lanes, config.stationary_lanes)
        # the side of the requests
        self._runs: list[_Run] = []
        self._turn = 0
        self._beat = 0
        self._taken = -1  # the last run by the reader
        self._split = -1  # the last run by the splitter
        self._issued = -1  # the last burst
        self._accepted = -1
        self._room = config.read_buffer_beats
        self._waiting: deque[tuple[int, int, int]] = deque()  # from when until when how many beats leave the buffer
        self._local = -1  # the last beat from the predictor memory
        self._transfers: deque[int] = deque([-1] * TRANSFERS)
        # the side of the writes
        self._went = -1  # the last chunk
        self._grouped = -1  # when the instruction before had its last group taken
        self._freed = [-1, -1]  # ends of the latest blocks' columns

    def begin(self, i, offered: int) -> None:
        """Takes an instruction that the queue offers from cycle ``offered`` on."""
        begun = max(offered, self._transfers.popleft() + 1)
        if i.opcode == Opcode.FILL:
            self.free = begun
            self._fill(i, begun)
            return
        self._instruction = i
        self._local_side = bool(i.local)
        self._runs, self._turn = self._runs_of(i), 0
        self._beat = self._runs[0].first
        self._taken = max(self._taken, begun)
        self._open_run(begun + 1)
        gap = 1 if self._last_chunks > 1 else 2
        self._went = max(self._went + gap - 1, begun + 3)
        if not i.transpose:  # whose groups wait for the columns of the instruction before
            self._went = max(self._went, self._freed[-1] + 2)
        self._bank = self._banks.writes(i.destination // self._config.vector_lanes) if i.memory == Memory.VECTOR else None

    _last_chunks = 2

    @property
    def accepts(self) -> bool:
        """Whether no burst is left to request."""
        return self._turn == len(self._runs)

    @property
    def time(self) -> int:
        """When its next burst may be requested at the earliest."""
        if self.accepts:
            return NEVER
        least = max(self._issued + 1, self._split + 1, self._accepted)
        return least if self._local_side else max(least, self._channel.accepted, self._room_for(self._beats()))

    def _beats(self) -> int:
        """Of the next burst."""
        run, most = self._runs[self._turn], self._config.burst_beats
        return min(most - self._beat % most, run.beyond - self._beat)

    def _room_for(self, beats: int) -> int:
        """When the buffer has room for ``beats`` more."""
        missing = beats - self._room
        if missing <= 0:
            return -1
        for begin, end, freed in self._waiting:
            if freed >= missing:
                return begin + -(-(end - begin) * missing // freed)
            missing -= freed
        raise AssertionError("what was requested leaves the buffer")

    def _open_run(self, least: int) -> None:
        self._taken = max(self._taken + 1, self._split, least)
        self._split = max(self._taken + 1, self._issued)

    def step(self) -> None:
        """Requests a burst."""
        run, cycle = self._runs[self._turn], self.time
        if self._local_side:
            beats = run.beyond - run.first
            first = max(self._taken + latencies.LOCAL, self._local + 1)
            self._local = last = first + beats - 1
            first, last = first - latencies.BUFFERED, last - latencies.BUFFERED
        else:
            beats = self._beats()
            self._take_room(beats, cycle)
            self._issued = cycle
            self._accepted, first, last = self._channel.request(cycle + 1, beats)
        before, total = self._beat - run.first, run.beyond - run.first
        chunks = run.chunks * (before + beats) // total - run.chunks * before // total
        self._consume(chunks, first, last)
        if not self._local_side:
            self._waiting.append((self._went - chunks, self._went, beats))
        self._beat += beats
        if self._beat == run.beyond:
            self._end_run(run)

    def _consume(self, chunks: int, first: int, last: int) -> None:
        offset = latencies.BUFFERED + self._reorder + 1
        went = max(self._went + chunks, first + offset + chunks - 1, last + offset)
        if self._bank:
            begin = went - chunks + 1 + _WRITE
            if not self._bank.is_free(Engines.LOAD, begin):
                cycle = begin - 1
                for _ in range(chunks):
                    cycle = self._bank.next(Engines.LOAD, cycle + 1)
                went = cycle - _WRITE
            self._bank.share(Engines.LOAD, begin, went + _WRITE + 1)
        self._went = went

    def _end_run(self, run: _Run) -> None:
        i = self._instruction
        if run.block:
            begin = max(self._went + 2, self._freed[-1] + 1)
            self._freed = [self._freed[-1], begin + run.block - 1]
        self._turn += 1
        if self._turn < len(self._runs):
            if run.block:  # a third block waits until the first is written
                self._went = max(self._went, self._freed[0] + 1)
            self._beat = self._runs[self._turn].first
            self._open_run(0)
            return
        self.free = self._taken
        if i.transpose:
            self.completed.append(self._freed[-1] + 2)
            self._last_chunks = 2
            self._transfers.append(self._freed[-1])
        else:
            self.completed.append(self._went + latencies.WRITTEN)
            self._last_chunks = self._group_chunks
            self._transfers.append(self._went - self._group_chunks)

    def _take_room(self, beats: int, cycle: int) -> None:
        while self._waiting and self._waiting[0][1] <= cycle:
            self._room += self._waiting.popleft()[2]
        if self._room < beats:  # a part of the next burst has left
            begin, end, freed = self._waiting.popleft()
            part = beats - self._room
            self._room += part
            self._waiting.appendleft((begin + (end - begin) * part // freed, end, freed - part))
        self._room -= beats

    def _runs_of(self, i) -> list[_Run]:
        config, size = self._config, Format(i.format).bytes
        bus, cap = config.bus_bytes, config.bus_bytes // size
        base = 0 if i.local else self._bases[i.base]
        if i.transpose:
            runs = []
            for start in nested(base + i.offset, [(i.count1, i.source_stride1), (i.count2, i.source_stride2)]):
                for column in range(0, i.length, self._columns):
                    columns = min(self._columns, i.length - column)
                    chunks, length = -(-columns // cap), columns * size
                    place = start + column * size
                    for row in range(i.count0):
                        runs.append(_run(place // bus, (place + length - 1) // bus + 1, chunks))
                        place += i.source_stride0
                    runs[-1].block = columns
            self._group_chunks = 2
            return runs
        lanes = config.vector_lanes if i.memory == Memory.VECTOR else 1 << 30
        self._group_chunks = _chunks(i.destination % lanes, i.length, cap, lanes)
        groups = i.count0 if i.dense else 1
        chunks, length = groups * self._group_chunks, groups * i.length * size
        return [_run(place // bus, (place + length - 1) // bus + 1, chunks)
                for place in starts(base, i.offset, i, "source", dense=i.dense)]

    def _fill(self, i, begun: int) -> None:
        config = self._config
        lanes = {Memory.STREAM: config.array.stream_lanes, Memory.STATIONARY: config.array.stationary_lanes,
                 Memory.VECTOR: config.vector_lanes, Memory.PREDICTOR_STREAM: config.predictor_array.stream_lanes,
                 Memory.PREDICTOR_STATIONARY: config.predictor_array.stationary_lanes}[Memory(i.memory)]
        inside = lanes if i.memory == Memory.VECTOR else 1 << 30
        each = _chunks(i.destination % inside, i.length, lanes, inside)
        gap = 1 if self._last_chunks > 1 else 2
        chunks = each * i.count0 * i.count1 * i.count2
        self._went = max(self._went + gap, begun + 4, self._freed[-1] + 3) + chunks - 1
        if i.memory == Memory.VECTOR:
            self._banks.writes(i.destination // config.vector_lanes).share(
                Engines.LOAD, self._went - chunks + 1 + _WRITE, self._went + _WRITE + 1)
        self._last_chunks = each
        self._transfers.append(self._went - each)
        self.completed.append(self._went + latencies.WRITTEN)


def _run(first: int, beyond: int, chunks: int) -> _Run:
    """A beat that only ends a run takes a cycle too."""
    return _Run(first, beyond, max(chunks, beyond - first))


def _chunks(position: int, length: int, cap: int, lanes: int) -> int:
    """Writes of ``length`` elements from ``position`` of a word on: ``cap`` at most, never beyond the word."""
    count, inside = 0, position
    while length > 0:
        step = min(cap, lanes - inside, length)
        if inside == 0 and lanes < 1 << 30:  # whole words
            words = length // lanes
            if words:
                count += words * -(-lanes // cap)
                length -= words * lanes
                continue
        elif lanes == 1 << 30:
            return -(-length // cap)
        inside, length, count = (inside + step) % lanes, length - step, count + 1
    return count
