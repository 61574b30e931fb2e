"""Time of ``Load`` and ``Fill`` instructions."""

from collections import deque
from dataclasses import dataclass

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine as Engines
from adagp.spec.isa import Format, Memory, Opcode

from . import latencies
from .banks import Banks, Port
from .engine import NEVER, Engine
from .memory import ReadChannel
from .runs import nested, starts

TRANSFERS = 8
"""Instructions whose data may be requested before the first of them is done."""

_SLICE = 8
"""Chunks that are written in a step."""


class LoadTime(Engine):
    """The load engine: its :class:`_Requests` run ahead of its :class:`_Writes`."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, banks: Banks, bases: tuple[int, ...]):
        super().__init__()
        self._config, self._banks, self._bases = config, banks, bases
        self._writes = _Writes(config, self.completed)
        self._requests = _Requests(config, channel, self._writes)

    @property
    def accepts(self) -> bool:
        return self._requests.idle and len(self._writes.begun) < TRANSFERS

    @property
    def time(self) -> int:
        return min(self._requests.time, self._writes.time)

    def begin(self, i, offered: int) -> None:
        begun = self._writes.begin(offered)
        self.free = begun
        if i.opcode == Opcode.FILL:
            self._writes.put(self._fill(i, begun))
            return
        port = None if i.memory != Memory.VECTOR else self._banks.writes(i.destination // self._config.vector_lanes)
        self._requests.begin(self._runs_of(i), bool(i.local), bool(i.transpose), port, begun)

    def step(self) -> None:
        if self._requests.time <= self._writes.time:
            self._requests.step()
            if self._requests.idle:
                self.free = self._requests.taken
        else:
            self._writes.step()

    def _runs_of(self, i) -> "list[_Run]":
        config, size = self._config, Format(i.format).bytes
        bus, cap = config.bus_bytes, config.bus_bytes // size
        base = 0 if i.local else self._bases[i.base]
        if i.transpose:
            return self._rows_of(i, base + i.offset, size, cap)
        lanes = config.vector_lanes if i.memory == Memory.VECTOR else None
        each = _chunks(i.destination, i.length, cap, lanes)
        groups = i.count0 if i.dense else 1
        length = groups * i.length * size
        return [_run(place, length, bus, groups * each, each)
                for place in starts(base, i.offset, i, "source", dense=i.dense)]

    def _rows_of(self, i, first: int, size: int, cap: int) -> "list[_Run]":
        """Of a transposed load: all rows of a block of columns before the next block."""
        config, runs = self._config, []
        most = max(32, config.stream_lanes, config.stationary_lanes)
        for start in nested(first, [(i.count1, i.source_stride1), (i.count2, i.source_stride2)]):
            for column in range(0, i.length, most):
                columns = min(most, i.length - column)
                place = start + column * size
                for _ in range(i.count0):
                    runs.append(_run(place, columns * size, config.bus_bytes, -(-columns // cap), 2))
                    place += i.source_stride0
                runs[-1].block = columns
        return runs

    def _fill(self, i, begun: int) -> "_Chunks":
        config, memory = self._config, Memory(i.memory)
        lanes = {Memory.STREAM: config.array.stream_lanes, Memory.STATIONARY: config.array.stationary_lanes,
                 Memory.VECTOR: config.vector_lanes, Memory.PREDICTOR_STREAM: config.predictor_array.stream_lanes,
                 Memory.PREDICTOR_STATIONARY: config.predictor_array.stationary_lanes}[memory]
        port = None if memory != Memory.VECTOR else self._banks.writes(i.destination // lanes)
        each = _chunks(i.destination, i.length, lanes, lanes if port else None)
        return _Chunks(each * i.count0 * i.count1 * i.count2, begun + 4, 0, port=port, last=True, group=each, opens=True)


@dataclass(slots=True)
class _Run:
    """Consecutive bytes to fetch: beats [first, beyond), written in ``chunks``, ``group`` of them for each group.
    ``block`` is the number of columns that are written after it, where it is the last row of a block to transpose."""

    first: int
    beyond: int
    chunks: int
    group: int
    block: int = 0


def _run(address: int, length: int, bus: int, chunks: int, group: int) -> _Run:
    first, beyond = address // bus, (address + length - 1) // bus + 1
    return _Run(first, beyond, max(chunks, beyond - first), group)  # a beat that only ends a run takes a cycle too


@dataclass(slots=True)
class _Chunks:
    """``chunks`` to align, the first not before cycle ``first``, the last not before ``final``. ``port``: of the vector
    memory, ``beats``: room in the read buffer that they leave, ``last``: of an instruction."""

    chunks: int
    first: int
    final: int
    beats: int = 0
    port: Port | None = None
    rows: bool = False
    block: int = 0
    last: bool = False
    group: int = 2
    opens: bool = False


class _Requests:
    """Which bursts are requested when."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, writes: "_Writes"):
        self._channel, self._writes, self._most = channel, writes, config.burst_beats
        self._offset = latencies.BUFFERED + latencies.REORDERED * config.design.has_predictor_memory + 1
        self._runs: list[_Run] = []
        self._turn = self._beat = 0
        self.taken = -1  # the last run by the reader
        self._split = -1  # the last run by the splitter
        self._issued = -1  # the last burst
        self._accepted = -1
        self._fetched = -1  # the last beat of the predictor memory

    def begin(self, runs: list[_Run], local: bool, rows: bool, port: Port | None, begun: int) -> None:
        self._runs, self._turn, self._beat = runs, 0, runs[0].first
        self._local, self._rows, self._port, self._begun = local, rows, port, begun
        self._open(begun + 1)

    @property
    def idle(self) -> bool:
        return self._turn == len(self._runs)

    @property
    def time(self) -> int:
        if self.idle:
            return NEVER
        least = max(self._issued + 1, self._split + 1, self._accepted)
        return least if self._local else max(least, self._channel.accepted, self._writes.room_for(self._beats()))

    def _beats(self) -> int:
        """Of the next burst; of the predictor memory, of the whole run."""
        run = self._runs[self._turn]
        left = run.beyond - self._beat
        return left if self._local else min(self._most - self._beat % self._most, left)

    def _open(self, least: int) -> None:
        self.taken = max(self.taken + 1, self._split, least)
        self._split = max(self.taken + 1, self._issued)

    def step(self) -> None:
        run, cycle, beats = self._runs[self._turn], self.time, self._beats()
        if self._local:
            first = max(self.taken + latencies.LOCAL, self._fetched + 1)
            self._fetched = first + beats - 1
            first, last = first + self._offset - latencies.BUFFERED, self._fetched + self._offset - latencies.BUFFERED
        else:
            self._issued = cycle
            self._accepted, first, last = self._channel.request(cycle + 1, beats)
            first, last = first + self._offset, last + self._offset
            self._writes.take_room(beats, cycle)
        done, total = self._beat - run.first, run.beyond - run.first
        self._beat += beats
        ends = self._beat == run.beyond
        chunks = run.chunks * (done + beats) // total - run.chunks * done // total
        opens = not self._turn and not done
        self._writes.put(_Chunks(
            chunks, max(first, self._begun + 4) if opens and not self._rows else first, last, 0 if self._local else beats, self._port,
            self._rows, run.block if ends else 0, ends and self._turn + 1 == len(self._runs), run.group, opens))
        if ends:
            self._turn += 1
            if not self.idle:
                self._beat = self._runs[self._turn].first
                self._open(0)


class _Writes:
    """What happens to the beats: chunks are aligned, and written two cycles later; rows go through the transposer."""

    def __init__(self, config: AcceleratorConfig, completed: deque[int]):
        self._completed = completed
        self._chunks: deque[_Chunks] = deque()
        self._written = 0  # of the first of them
        self._went = -1  # the last chunk
        self._freed = [-1, -1]  # ends of the latest blocks' columns
        self._group = 2
        self.begun: deque[int] = deque()  # instructions whose chunks are not all aligned
        self._grouped = deque([-1] * TRANSFERS)  # when the others had their last group taken
        self._room = config.read_buffer_beats
        self._leaving: deque[tuple[int, int]] = deque()  # beats that leave the buffer, and when

    def begin(self, offered: int) -> int:
        """When an instruction is taken."""
        self.begun.append(max(offered, self._grouped[len(self.begun)] + 1))
        return self.begun[-1]

    def put(self, chunks: _Chunks) -> None:
        self._chunks.append(chunks)

    def room_for(self, beats: int) -> int:
        """When the buffer has room for ``beats`` more, as far as is known."""
        missing = beats - self._room
        for cycle, freed in self._leaving:
            if missing <= 0:
                break
            missing -= freed
            if missing <= 0:
                return cycle + 1
        return NEVER if missing > 0 else -1

    def take_room(self, beats: int, cycle: int) -> None:
        while self._leaving and (self._leaving[0][0] < cycle or self._room < beats):
            self._room += self._leaving.popleft()[1]
        self._room -= beats

    @property
    def time(self) -> int:
        """When the next chunk can be aligned at the earliest."""
        if not self._chunks:
            return NEVER
        return max(self._went + 1, self._chunks[0].first + self._written)

    def step(self) -> None:
        """Some chunks of the first in line."""
        chunks = self._chunks[0]
        if not self._written and chunks.opens:
            self._open(chunks)
        count = min(4 if chunks.port else _SLICE, chunks.chunks - self._written)
        begin = max(self._went + 1, chunks.first + self._written)
        ends = self._written + count == chunks.chunks
        went = max(begin + count - 1, chunks.final if ends else 0)
        if chunks.port:
            count, went = self._into_vector(chunks.port, begin, count, went)
            ends = self._written + count == chunks.chunks
        self._leave(chunks, count, went)
        self._written += count
        self._went = went
        if ends:
            self._end(chunks)

    def _open(self, chunks: _Chunks) -> None:
        """An instruction's groups follow those of the one before."""
        if not chunks.rows:
            self._went = max(self._went + (self._group == 1), self._freed[-1] + 2)

    def _into_vector(self, port: Port, begin: int, count: int, went: int) -> tuple[int, int]:
        """How many chunks can go before an array is in the way, and when the last of them does."""
        write = latencies.WRITTEN - 1
        if port.is_free(Engines.LOAD, begin + write):
            port.share(Engines.LOAD, begin + write, went + write + 1)
            return count, went
        cycle = begin - 1
        for chunk in range(count):
            following = port.next(Engines.LOAD, cycle + 1 + write) - write
            if following > begin + 4 * _SLICE:
                if not chunk:
                    return 0, following - 1
                count = chunk
                break
            cycle = following
        port.share(Engines.LOAD, begin + write, cycle + write + 1)
        return count, max(cycle, went) if count else cycle

    def _leave(self, chunks: _Chunks, count: int, went: int) -> None:
        total, done = chunks.chunks, self._written
        beats = chunks.beats * (done + count) // total - chunks.beats * done // total
        if beats:
            self._leaving.append((went, beats))

    def _end(self, chunks: _Chunks) -> None:
        self._chunks.popleft()
        self._written = 0
        if chunks.block:
            begin = max(self._went + 2, self._freed[-1] + 1)
            self._freed = [self._freed[-1], begin + chunks.block - 1]
            if not chunks.last:  # a third block waits until the first is written
                self._went = max(self._went, self._freed[0] + 1)
        if chunks.last:
            self._group = chunks.group
            done = self._freed[-1] + 2 if chunks.rows else self._went + latencies.WRITTEN
            self._completed.append(done)
            self.begun.popleft()
            self._grouped.append(self._freed[-1] if chunks.rows else self._went - chunks.group)
            self._grouped.popleft()


def _chunks(position: int, length: int, cap: int, lanes: int | None) -> int:
    """Writes of ``length`` elements from ``position`` on, of ``cap`` at most; of words of so many ``lanes``, never
    beyond the word."""
    if lanes is None:
        return -(-length // cap)
    count, inside = 0, position % lanes
    if inside:
        part = min(length, lanes - inside)
        count, length = -(-part // cap), length - part
    words, rest = divmod(length, lanes)
    return count + words * -(-lanes // cap) + -(-rest // cap)
