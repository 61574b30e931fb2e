"""Time of ``Store`` instructions."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine as Engines
from adagp.spec.isa import Format

from . import latencies
from .banks import Banks
from .engine import NEVER, Engine
from .memory import WriteChannel
from .runs import starts


class StoreTime(Engine):
    """The store engine: reads pieces of words, joins them to beats, writes them in bursts."""

    def __init__(self, config: AcceleratorConfig, channel: WriteChannel, banks: Banks, bases: tuple[int, ...]):
        super().__init__()
        self._config, self._channel, self._banks, self._bases = config, channel, banks, bases
        self._piece = -1  # the last one
        self._begun = -1  # the last burst
        self._accepted = -1
        self._local = -1  # the last beat into the predictor memory
        self._done = -1
        self._addresses: list[int] = []
        self._turn = self._beat = 0
        self._room = max(64, 2 * config.burst_beats)
        self._sent: deque[tuple[int, int]] = deque()
        self._buffered = 0

    @property
    def holds(self) -> bool:
        return self._turn < len(self._addresses)

    @property
    def accepts(self) -> bool:
        return not self.holds

    @property
    def time(self) -> int:
        return NEVER if self.accepts else self._piece

    def begin(self, i, offered: int) -> None:
        config, size = self._config, Format(i.format).bytes
        self._local_side, self._turn, self._beat = i.local, 0, 0
        self._addresses = starts(0 if i.local else self._bases[i.base], i.offset, i, "destination", dense=i.dense)
        self._groups = i.count0 if i.dense else 1
        self._bytes = i.length * self._groups * size
        self._pieces_of_run = self._groups * self._pieces(i, size)
        words = -(-(i.source % config.vector_lanes + i.length) // config.vector_lanes) * self._groups
        self._reads = min(words, self._pieces_of_run)  # the pieces of a word share a read
        self._bank = self._banks.reads(i.source // config.vector_lanes)
        self._piece = max(offered + 1, self._piece)
        self._offered = offered

    def step(self) -> None:
        """The next burst."""
        bus, most, address = self._config.bus_bytes, self._config.burst_beats, self._addresses[self._turn]
        first, last = address // bus, (address + self._bytes - 1) // bus
        beats = last - first + 1
        pieces = max(self._pieces_of_run, beats)  # what is left of a beat takes a cycle too
        burst = min(most - (first + self._beat) % most, beats - self._beat)
        count = -(-pieces * (self._beat + burst) // beats) - -(-pieces * self._beat // beats)
        if not self._beat:
            self._began = self._piece
        first, reads = self._piece + 1, count * self._reads // pieces
        if self._bank.is_free(Engines.STORE, first):
            self._piece += reads
        else:
            for _ in range(reads):
                self._piece = self._bank.next(Engines.STORE, self._piece + 1)
        self._bank.share(Engines.STORE, first, self._piece + 1)
        self._piece = max(self._piece + count - reads, self._wait_for_room(burst) + 1)
        self._write(self._local_side, self._piece + latencies.STORED, burst)
        self._beat += burst
        if self._beat == beats:
            self._turn, self._beat = self._turn + 1, 0
            self.free = max(self._piece - max(1, pieces // self._groups) + 1, self._offered + 1)
            if self.accepts:
                self.completed.append(self._done)

    def _pieces(self, i, size: int) -> int:
        """Of a group: parts of words that fill a beat."""
        unit = self._config.bus_bytes // size
        inside = i.source % unit
        return -(-(inside + i.length) // unit)

    def _wait_for_room(self, burst: int) -> int:
        cycle = -1
        while self._buffered + burst > self._room:
            cycle, beats = self._sent.popleft()
            self._buffered -= beats
        return cycle

    def _write(self, local: int, ready: int, beats: int) -> None:
        self._begun = max(self._begun + 1, ready)
        if local:
            self._local = last = max(self._begun + 1, self._local + 1, self._channel.sent + 1) + beats - 1
            self._done = max(self._done, last + 1)
        else:
            self._begun = max(self._begun, self._accepted)
            self._accepted, last, acknowledged = self._channel.request(max(self._begun, self._local) + 1, beats)
            self._done = max(self._done, acknowledged)
        self._sent.append((last, beats))
        self._buffered += beats
