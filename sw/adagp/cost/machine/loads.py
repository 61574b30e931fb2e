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
from .transfers import block_columns

TRANSFERS = 8
"""Instructions whose data may be requested before the first of them is done."""

_WRITE = latencies.WRITTEN - 1
"""Cycles from the alignment of a chunk to its write."""

_SLICE = 16
"""Chunks that are written to the vector memory in a step."""


class LoadTime(Engine):
    """The load engine: its :class:`_Requests` run ahead of its :class:`_Writes`."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, banks: Banks, bases: tuple[int, ...]):
        super().__init__()
        self._config, self._banks, self._bases = config, banks, bases
        self._writes = _Writes(config, self.completed)
        self._requests = _Requests(config, channel, self._writes)

    @property
    def holds(self) -> bool:
        return bool(self._requests.waiting)

    @property
    def accepts(self) -> bool:
        return not self.holds and len(self._writes.begun) < TRANSFERS

    @property
    def time(self) -> int:
        return min(self._requests.time, self._writes.time)

    def begin(self, i, offered: int) -> None:
        begun = self._writes.begin(offered)
        if i.opcode == Opcode.FILL:
            self.free = begun
            fill = self._fill(i, begun)
            if fill.port:
                fill.port.users[Engines.LOAD] += 1
            self._requests.follow(fill)
            return
        port = None if i.memory != Memory.VECTOR else self._banks.writes(i.destination // self._config.vector_lanes)
        if port:
            port.users[Engines.LOAD] += 1
        self._requests.begin(_Transfer(bool(i.local), bool(i.transpose), port, begun), self._runs_of(i))
        self.free = self._requests.taken

    def step(self) -> None:
        if self._requests.time <= self._writes.time:
            self._requests.step()
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
        last = ((i.length - 1) % cap + 1) * size
        return [_run(place, length, bus, groups * each, each, last)
                for place in starts(base, i.offset, i, "source", dense=i.dense)]

    def _rows_of(self, i, first: int, size: int, cap: int) -> "list[_Run]":
        """Of a transposed load: all rows of a block of columns before the next block."""
        config, runs = self._config, []
        most = block_columns(config)
        for start in nested(first, [(i.count1, i.source_stride1), (i.count2, i.source_stride2)]):
            for column in range(0, i.length, most):
                columns = min(most, i.length - column)
                place = start + column * size
                for _ in range(i.count0):
                    runs.append(_run(place, columns * size, config.bus_bytes, -(-columns // cap), 2,
                                     ((columns - 1) % cap + 1) * size))
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
        return _Chunks(each * i.count0 * i.count1 * i.count2, begun + 4, 0, port=port, last=True, group=each, opens=True, fill=True)


@dataclass(slots=True)
class _Transfer:
    """What all runs of an instruction have in common; ``begun`` is when it was taken."""

    local: bool
    rows: bool
    port: Port | None
    begun: int


@dataclass(slots=True)
class _Run:
    """Consecutive bytes to fetch: beats [first, beyond), written in ``chunks``, ``group`` of them for each group.
    Where the last chunk ``crosses`` from a beat into the next, the latter is used up at once, and the next run's first
    comes a cycle later. ``block`` is the number of columns that are written after it, where it is the last row of a block
    to transpose."""

    first: int
    beyond: int
    chunks: int
    group: int
    crosses: bool
    block: int = 0
    opens: bool = False
    last: bool = False


def _run(address: int, length: int, bus: int, chunks: int, group: int, last: int) -> _Run:
    """``last``: bytes of the last chunk."""
    first, end = address // bus, address + length
    beyond = (end - 1) // bus + 1
    crosses = (end - last) // bus + 1 < beyond
    return _Run(first, beyond, chunks, group, crosses)


@dataclass(slots=True)
class _Chunks:
    """``chunks`` to align, the first not before cycle ``first``, the last not before ``final``. ``port``: of the vector
    memory, ``beats``: room in the read buffer that they leave, ``rest``: cycles in which nothing is aligned afterwards,
    ``last``: of an instruction."""

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
    fill: bool = False
    rest: int = 0
    done: int = 0

    @property
    def next(self) -> int:
        """When its next chunk can be aligned, as far as its beats are concerned."""
        return max(self.first + self.done, self.final if self.done + 1 == self.chunks else 0)


class _Requests:
    """Which bursts are requested when. A run is checked, then split; there is room for one in both stages."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, writes: "_Writes"):
        self._channel, self._writes, self._most = channel, writes, config.burst_beats
        self._offset = latencies.BUFFERED + latencies.REORDERED * config.design.has_predictor_memory + 1
        self.waiting: deque[_Run] = deque()  # of the present instruction
        self._held: deque[tuple[_Run, _Transfer, int, list[_Chunks]]] = deque()
        """Runs in the two stages, when they were taken, and fills that come after them."""
        self._beat = 0
        self.taken = -1  # the latest run
        self._split = -1  # the latest run that is split
        self._issued = -1  # the latest burst
        self._accepted = -1
        self._fetched = -1  # the latest beat of the predictor memory
        self._uncounted = 0  # beats of bursts too short for a chunk
        self._opened = False  # the present run's first chunks are on their way

    def begin(self, transfer: _Transfer, runs: list[_Run]) -> None:
        self._transfer = transfer
        runs[0].opens = runs[-1].last = True
        self.waiting.extend(runs)
        self._take()

    def follow(self, fill: "_Chunks") -> None:
        """Writes it after the runs so far."""
        if self._held:
            self._held[-1][3].append(fill)
        else:
            self._writes.put(fill)

    def _take(self) -> None:
        while self.waiting and len(self._held) < 2:
            run = self.waiting.popleft()
            self.taken = max(self.taken + 1, self._split, self._transfer.begun + 1)
            self._held.append((run, self._transfer, self.taken, []))
            if len(self._held) == 1:
                self._next()

    def _next(self) -> None:
        """The first of the held runs is split."""
        run, _, taken, _ = self._held[0]
        self._split, self._beat = max(taken + 1, self._issued), run.first

    @property
    def time(self) -> int:
        if not self._held:
            return NEVER
        least = max(self._issued + 1, self._split + 1, self._accepted)
        if self._held[0][1].local:
            return least
        return max(least, self._channel.accepted, self._writes.room_for(self._beats()))

    def _beats(self) -> int:
        """Of the next burst; of the predictor memory, of the whole run."""
        run, transfer, *_ = self._held[0]
        left = run.beyond - self._beat
        return left if transfer.local else min(self._most - self._beat % self._most, left)

    def step(self) -> None:
        run, transfer, taken, fills = self._held[0]
        cycle, beats = self.time, self._beats()
        if transfer.local:
            first = max(taken + latencies.LOCAL, self._fetched + 1)
            last = self._fetched = first + beats - 1
            offset = self._offset - latencies.BUFFERED
        else:
            self._issued, offset = cycle, self._offset
            self._accepted, first, last = self._channel.request(cycle + 1, beats)
            self._writes.take_room(beats, cycle)
        done, total = self._beat - run.first, run.beyond - run.first
        self._beat += beats
        self._uncounted += 0 if transfer.local else beats
        ends = self._beat == run.beyond
        if chunks := run.chunks * (done + beats) // total - run.chunks * done // total:
            opens, self._opened = run.opens and not self._opened, run.opens and not ends
            self._writes.put(_Chunks(
                chunks, max(first + offset, transfer.begun + 4 if opens and not transfer.rows else 0),
                last + offset - (ends and run.crosses), beats=self._uncounted, port=transfer.port, rows=transfer.rows,
                block=run.block if ends else 0, group=run.group, opens=opens, last=ends and run.last,
                rest=int(ends and run.crosses)))
            self._uncounted = 0
        if ends:
            self._held.popleft()
            for fill in fills:
                self._writes.put(fill)
            if self._held:
                self._next()
            self._take()


class _Writes:
    """What happens to the beats: chunks are aligned, and written two cycles later; rows go through the transposer."""

    def __init__(self, config: AcceleratorConfig, completed: deque[int]):
        self._completed = completed
        self._chunks: deque[_Chunks] = deque()
        self._between = True  # two blocks of rows
        self._filled: deque[tuple[int, int]] = deque()  # blocks whose columns are not written: since when, columns
        self._finished = -1  # the last chunk of those that are all aligned
        self._grouped_at = -1  # the last chunk that is not of a row
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
        """When the next chunk can be aligned at the earliest, or written if others may be in its way then."""
        if not self._chunks:
            return NEVER
        if self._chunks[0].rows:
            self._drain()
        return self._least(self._chunks[0]) + (_WRITE if self._chunks[0].port else 0)

    def _least(self, chunks: _Chunks) -> int:
        least = max(self._went + 1, chunks.first + chunks.done)
        if chunks.rows:
            if not self._between:
                return least
            unwritten = len(self._filled)  # a third block waits until the first is written
            return NEVER if unwritten == 2 else max(least, self._freed[unwritten] + 2)
        if chunks.opens and not chunks.done:  # groups follow those of the instruction before
            return max(least, self._went + 1 + (self._group == 1), self._freed[-1] + 3)
        return least

    def step(self) -> None:
        """Some chunks of the first in line."""
        chunks = self._chunks[0]
        begin = self._least(chunks)
        if chunks.fill and not chunks.done:
            self._overtake(begin)
            begin = max(begin, self._went + 1)
        if chunks.done < chunks.chunks:
            count = chunks.chunks - chunks.done
            if chunks.port:
                count = min(count, _SLICE) if chunks.port.is_free(Engines.LOAD, begin) else 1
            ends = chunks.done + count == chunks.chunks
            went = max(begin + count - 1, chunks.final if ends else 0)
            if chunks.port:
                count, went = self._into_vector(chunks.port, begin, count, went)
            self._align(chunks, count, went)
            if chunks.rows:
                self._drain()
        if chunks.done == chunks.chunks:
            self._chunks.popleft()
            if chunks.last:
                self._end(chunks)

    def _overtake(self, begin: int) -> None:
        """Until a fill begins, rows of a later instruction go before it, and then keep it waiting for their beats."""
        while self._went < begin - 1:
            rows = next((chunks for chunks in self._chunks if not chunks.fill), None)
            if not rows or not rows.rows or rows.done == rows.chunks:
                break
            cycle = max(self._least(rows), rows.next)
            if cycle == NEVER:
                break
            self._align(rows, 1, cycle)
            if rows.done == rows.chunks and not rows.last:
                self._chunks.remove(rows)

    def _into_vector(self, port: Port, begin: int, count: int, went: int) -> tuple[int, int]:
        """How many chunks go now, and when the last of them does."""
        cycle = went - count + 1 + _WRITE
        if port.is_free(Engines.LOAD, begin + _WRITE):
            port.occupy(Engines.LOAD, cycle, went + _WRITE)
            port.want(Engines.LOAD, NEVER)
            return count, went
        port.want(Engines.LOAD, min(cycle, port.wants[Engines.LOAD]))
        granted = port.next(Engines.LOAD, cycle)
        if granted > cycle:
            return 0, granted - _WRITE - 1
        port.grant(Engines.LOAD, granted)
        port.want(Engines.LOAD, NEVER)
        return 1, granted - _WRITE

    def _align(self, chunks: _Chunks, count: int, went: int) -> None:
        """``count`` chunks, the last of them in cycle ``went``."""
        total, done = chunks.chunks, chunks.done
        if beats := chunks.beats * (done + count) // total - chunks.beats * done // total:
            self._leaving.append((went, beats))
        chunks.done += count
        self._went = went
        if chunks.done == total:
            self._finished = went
            self._went += chunks.rest
        if chunks.rows:
            self._between = chunks.block > 0 and chunks.done == total
            if self._between:
                self._filled.append((went + 2, chunks.block))
        else:
            self._grouped_at = went

    def _drain(self) -> None:
        """The columns of blocks that are filled are written once their instruction is the first in line."""
        while self._filled:
            filled, columns = self._filled.popleft()
            begin = max(filled, self._freed[-1] + 1, self._grouped_at + 2)
            self._freed = [self._freed[-1], begin + columns - 1]

    def _end(self, chunks: _Chunks) -> None:
        """Of an instruction."""
        if chunks.port:
            chunks.port.users[Engines.LOAD] -= 1
        self._group = chunks.group
        self._completed.append(self._freed[-1] + 2 if chunks.rows else self._finished + latencies.WRITTEN)
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
