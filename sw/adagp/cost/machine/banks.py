"""Who has to wait for the banks of the vector memory."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

_KEPT = 16
"""Uses of a bank that are remembered: more than can lie in the future."""


class Port:
    """Reads, or writes, of one bank.

    Arrays go first. The vector unit takes turns with stores (reads) and loads (writes). Who is looked at later gives
    way to what was decided before, every other cycle; so together they take as long as in the machine.
    """

    def __init__(self):
        self._uses: deque[tuple[int, int, int, int]] = deque(maxlen=_KEPT)
        self._shared: deque[tuple[int, int, Engine]] = deque(maxlen=_KEPT)
        self._last = dict.fromkeys(Engine, -1)

    def take(self, begin: int, end: int, period: int, busy: int) -> None:
        """For an array, from ``begin`` until before ``end``: in each ``period`` the first ``busy`` cycles."""
        self._uses.append((begin, end, period, busy))
        self._last[Engine.ARRAY] = max(self._last[Engine.ARRAY], end)

    def share(self, engine: Engine, begin: int, end: int) -> None:
        """``engine`` uses it from ``begin`` until before ``end``."""
        self._shared.append((begin, end, engine))
        self._last[engine] = max(self._last[engine], end)

    def is_free(self, engine: Engine, cycle: int) -> bool:
        """Whether nobody else uses it from ``cycle`` on, as far as is known."""
        return all(end <= cycle or other is engine for other, end in self._last.items())

    def next(self, engine: Engine, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which ``engine`` can use it."""
        if self.is_free(engine, cycle):
            return cycle
        for begin, end, other in self._shared:
            if other is not engine and begin <= cycle < end and (cycle - begin) % 2 == 0:
                cycle += 1
        for begin, end, period, busy in self._uses:
            if begin <= cycle < end and (cycle - begin) % period < busy:
                cycle = min(end, cycle + busy - (cycle - begin) % period) if busy < period else end
        return cycle


class Banks:
    """The banks of the vector memory; each can be read and written in one cycle."""

    def __init__(self, config: AcceleratorConfig):
        self._size = config.vector_words // config.vector_banks
        self._reads, self._writes = ([Port() for _ in range(config.vector_banks)] for _ in range(2))

    def reads(self, word: int) -> Port:
        """Of the bank in which ``word`` lies."""
        return self._reads[word // self._size % len(self._reads)]

    def writes(self, word: int) -> Port:
        return self._writes[word // self._size % len(self._writes)]

    def of(self, word: int, words: int) -> set[int]:
        """The banks of ``words`` words from ``word`` on."""
        return {number % len(self._reads) for number in range(word // self._size, (word + words - 1) // self._size + 1)}

    def take(self, banks: set[int], *, reads: tuple | None, writes: tuple) -> None:
        """An array uses ``banks``; see :meth:`Port.take`."""
        for number in banks:
            self._writes[number].take(*writes)
            if reads:
                self._reads[number].take(*reads)
