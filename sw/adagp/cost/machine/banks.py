"""Who has to wait for the banks of the vector memory."""

from collections import deque

from adagp.spec.config import AcceleratorConfig

_KEPT = 16
"""Uses of a bank that are remembered: more than can lie in the future."""


class _Uses:
    """When arrays access a bank: in each period from ``begin`` until before ``end`` the first ``busy`` cycles."""

    def __init__(self):
        self._uses: deque[tuple[int, int, int, int]] = deque(maxlen=_KEPT)
        self.last = -1

    def add(self, begin: int, end: int, period: int, busy: int) -> None:
        self._uses.append((begin, end, period, busy))
        self.last = max(self.last, end)

    def next(self, cycle: int) -> int:
        """The first cycle from ``cycle`` on that no array takes."""
        if cycle >= self.last:
            return cycle
        for begin, end, period, busy in self._uses:
            if begin <= cycle < end and (cycle - begin) % period < busy:
                cycle = min(end, cycle + busy - (cycle - begin) % period) if busy < period else end
        return cycle


class Banks:
    """Arrays go first: while one reads or writes in a bank, everybody else who wants to do the same there waits."""

    def __init__(self, config: AcceleratorConfig):
        self._size = config.vector_words // config.vector_banks
        self._reads, self._writes = ([_Uses() for _ in range(config.vector_banks)] for _ in range(2))

    def number(self, word: int) -> int:
        return word // self._size % len(self._reads)

    def reads(self, word: int) -> _Uses:
        return self._reads[self.number(word)]

    def writes(self, word: int) -> _Uses:
        return self._writes[self.number(word)]

    def of(self, word: int, words: int) -> set[int]:
        """The banks of ``words`` words from ``word`` on."""
        return {number % len(self._reads) for number in range(word // self._size, (word + words - 1) // self._size + 1)}

    def use(self, banks: set[int], *, reads: tuple | None, writes: tuple) -> None:
        """An array accesses ``banks``: (begin, end, period, busy)."""
        for number in banks:
            self._writes[number].add(*writes)
            if reads:
                self._reads[number].add(*reads)
