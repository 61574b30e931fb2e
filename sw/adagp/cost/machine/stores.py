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
    def watches(self) -> bool:
        return self.holds

    @property
    def time(self) -> int:
        if self.accepts:
            return NEVER
        if not self._reads:
            return self._piece
        self._port.want(Engines.STORE, self._piece + 1)
        return self._port.next(Engines.STORE, self._piece + 1)

    def begin(self, i, offered: int) -> None:
        config, size = self._config, Format(i.format).bytes
        self._local_side, self._turn, self._beat = i.local, 0, 0
        self._addresses = starts(0 if i.local else self._bases[i.base], i.offset, i, "destination", dense=i.dense)
        self._groups = i.count0 if i.dense else 1
        self._bytes = i.length * self._groups * size
        self._pieces_of_run = self._groups * self._pieces(i, size)
        words = -(-(i.source % config.vector_lanes + i.length) // config.vector_lanes) * self._groups
        self._words = min(words, self._pieces_of_run)  # the pieces of a word share a read
        self._port = self._banks.reads(i.source // config.vector_lanes)
        self._piece = max(offered + 1, self._piece)
        self._offered = offered
        self._port.users[Engines.STORE] += 1
        self._open()

    def step(self) -> None:
        """The next read that somebody may be in the way of, or the rest of a burst."""
        port, cycle = self._port, self.time
        if self._reads:
            if not port.is_free(Engines.STORE, cycle):
                port.grant(Engines.STORE, cycle)
                more = self._others // self._reads  # pieces of the same word
                self._piece, self._reads, self._others = cycle + more, self._reads - 1, self._others - more
            else:
                self._piece = cycle + self._reads - 1
                port.occupy(Engines.STORE, cycle, self._piece)
                self._reads = 0
            port.want(Engines.STORE, NEVER)
            if self._reads:
                return
        self._piece = max(self._piece + self._others, self._wait_for_room(self._burst) + 1)
        self._write(self._local_side, self._piece + latencies.STORED, self._burst)
        self._beat += self._burst
        if self._beat == self._beats:
            self._end_run()
        if not self.accepts:
            self._open()

    def _open(self) -> None:
        """The next burst: its beats, and the pieces that it is made of."""
        bus, most, address = self._config.bus_bytes, self._config.burst_beats, self._addresses[self._turn]
        first, last = address // bus, (address + self._bytes - 1) // bus
        self._beats = beats = last - first + 1
        self._count = pieces = max(self._pieces_of_run, beats)  # what is left of a beat takes a cycle too
        self._burst = burst = min(most - (first + self._beat) % most, beats - self._beat)
        count = -(-pieces * (self._beat + burst) // beats) - -(-pieces * self._beat // beats)
        self._reads = count * self._words // pieces
        self._others = count - self._reads

    def _end_run(self) -> None:
        self._turn, self._beat = self._turn + 1, 0
        self.free = max(self._piece - max(1, self._count // self._groups) + 1, self._offered + 1)
        if self.accepts:
            self._port.users[Engines.STORE] -= 1
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
