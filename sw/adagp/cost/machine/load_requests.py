"""The side of the load engine that asks for data."""

from collections import deque

from adagp.spec.config import AcceleratorConfig

from . import latencies
from .engine import NEVER
from .load_pieces import Chunks, Run, Transfer
from .load_writes import Writes
from .memory import ReadChannel


class Requests:
    """Which bursts are requested when. A run is checked, then split; there is room for one in both stages."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, writes: Writes):
        self._channel, self._writes, self._most = channel, writes, config.burst_beats
        self._offset = latencies.BUFFERED + latencies.REORDERED * config.design.has_predictor_memory + 1
        self.waiting: deque[Run] = deque()  # of the present instruction
        self._held: deque[tuple[Run, Transfer, int, list[Chunks]]] = deque()
        """Runs in the two stages, when they were taken, and fills that come after them."""
        self._beat = self._beats = 0  # of the run that is split: how far it is requested, and the next burst
        self.taken = -1  # the latest run
        self._split = -1  # the latest run that is split
        self._issued = -1  # the latest burst
        self._accepted = -1
        self._fetched = -1  # the latest beat of the predictor memory
        self._uncounted = 0  # beats of bursts too short for a chunk
        self._opened = False  # the present run's first chunks are on their way

    def begin(self, transfer: Transfer, runs: list[Run]) -> None:
        self._transfer = transfer
        runs[0].opens = runs[-1].last = True
        self.waiting.extend(runs)
        self._take()

    def follow(self, fill: Chunks) -> None:
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
        self._beats = self._next_beats()

    @property
    def time(self) -> int:
        if not self._held:
            return NEVER
        least = max(self._issued + 1, self._split + 1, self._accepted)
        if self._held[0][1].local:
            return least
        return max(least, self._channel.accepted, self._writes.room_for(self._beats))

    def _next_beats(self) -> int:
        """Of the next burst; of the predictor memory, of the whole run."""
        run, transfer, *_ = self._held[0]
        left = run.beyond - self._beat
        return left if transfer.local else min(self._most - self._beat % self._most, left)

    def step(self, cycle: int) -> None:
        """Requests a burst in ``cycle``."""
        run, transfer, taken, fills = self._held[0]
        beats = self._beats
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
            self._writes.put(Chunks(
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
        else:
            self._beats = self._next_beats()
