"""The side of the load engine that does something with the data."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from . import latencies
from .banks import Port
from .engine import NEVER
from .load_pieces import Chunks

TRANSFERS = 8
"""Instructions whose data may be requested before the first of them is done."""

_WRITE = latencies.WRITTEN - 1
"""Cycles from the alignment of a chunk to its write."""

_SLICE = 16
"""Chunks that are written to the vector memory in a step."""


class Writes:
    """What happens to the beats: chunks are aligned, and written two cycles later; rows go through the transposer."""

    def __init__(self, config: AcceleratorConfig, completed: deque[int]):
        self._completed = completed
        self._chunks: deque[Chunks] = deque()
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

    def put(self, chunks: Chunks) -> None:
        self._chunks.append(chunks)

    def room_for(self, beats: int) -> int:
        """When the buffer has room for ``beats`` more, as far as is known."""
        missing = beats - self._room
        if missing <= 0:
            return -1
        for cycle, freed in self._leaving:
            missing -= freed
            if missing <= 0:
                return cycle + 1
        return NEVER

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

    def _least(self, chunks: Chunks) -> int:
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
                count = min(count, _SLICE) if chunks.port.is_free(Engine.LOAD, begin) else 1
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
        if port.is_free(Engine.LOAD, begin + _WRITE):
            port.occupy(Engine.LOAD, cycle, went + _WRITE)
            port.want(Engine.LOAD, NEVER)
            return count, went
        port.want(Engine.LOAD, min(cycle, port.wants[Engine.LOAD]))
        granted = port.next(Engine.LOAD, cycle)
        if granted > cycle:
            return 0, granted - _WRITE - 1
        port.grant(Engine.LOAD, granted)
        port.want(Engine.LOAD, NEVER)
        return 1, granted - _WRITE

    def _align(self, chunks: Chunks, count: int, went: int) -> None:
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

    def _end(self, chunks: Chunks) -> None:
        """Of an instruction."""
        if chunks.port:
            chunks.port.users[Engine.LOAD] -= 1
        self._group = chunks.group
        self._completed.append(self._freed[-1] + 2 if chunks.rows else self._finished + latencies.WRITTEN)
        self.begun.popleft()
        self._grouped.append(self._freed[-1] if chunks.rows else self._went - chunks.group)
        self._grouped.popleft()
