"""Time of ``Vector`` instructions."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import WORDS_IN_FLIGHT, Addend, Function, Multiplier
from adagp.spec.isa import Engine as Engines

from . import latencies
from .banks import Banks
from .engine import NEVER, Engine

_SELF = Engines.VECTOR

_AHEAD = 16
"""Cycles that are looked at together: fewer than an array takes from an instruction to its first sum."""

_CONTENDED = 1
"""The same while others use the banks; they are looked at in turn."""


class VectorTime(Engine):
    """The vector unit: reads a word per cycle, two where both operands lie in one bank, and writes behind that."""

    def __init__(self, config: AcceleratorConfig, banks: Banks):
        super().__init__()
        self._banks = banks
        self._issued = -1
        self._written = [-1] * WORDS_IN_FLIGHT  # the latest words
        self._pending: deque[tuple] = deque()  # those that are read, not written: from when on, bank, last one
        self._left = 0

    @property
    def accepts(self) -> bool:
        return self._left == 0

    @property
    def time(self) -> int:
        return min(self._next_read() if self._left else NEVER, self._next_write() if self._pending else NEVER)

    def begin(self, i, offered: int) -> None:
        banks = self._banks
        self._reads_b = i.addend == Addend.B or i.function == Function.ARITHMETIC and i.multiplier == Multiplier.B
        self._a, self._b, self._d = banks.reads(i.a), banks.reads(i.b), banks.writes(i.d)
        self._cycles = 1 + (self._reads_b and self._a is self._b)
        self._every, self._behind = i.each, i.behind
        self.free = self._issued = max(offered, self._issued)
        self._left = i.count0 * i.count1 * i.count2

    def step(self) -> None:
        until = self.time + _CONTENDED
        if self._left and self._free():
            self._read_many(until - _CONTENDED + _AHEAD)
        while True:
            read = self._next_read() if self._left else NEVER
            write = self._next_write() if self._pending else NEVER
            if min(read, write) > until:
                break
            if write <= read:
                self._write(write)
            else:
                self._read(read)

    def _free(self) -> bool:
        """Whether nobody can be in the way of the next words."""
        return (not self._pending and (not self._every or self._behind == WORDS_IN_FLIGHT - 1)
                and all(port.is_free(_SELF, self._issued) for port in (self._a, self._b, self._d)))

    def _read_many(self, until: int) -> None:
        first, step = self._next_read(), self._cycles
        words = min(self._left, (until - first) // step + 1)
        last = first + (words - 1) * step
        write = max(last + latencies.VECTOR_UNIT, self._written[-1] + words)
        self._share(first, last)
        self._written += range(write - (min(words, WORDS_IN_FLIGHT) - 1) * step, write + 1, step)
        del self._written[:-WORDS_IN_FLIGHT]
        self._count(words, last)
        if not self._left:
            self.completed.append(write + 1)

    def _next_read(self) -> int:
        """When the last operand of the next word is read, as far as is known."""
        behind = self._behind - len(self._pending)
        if behind < 0:
            return NEVER
        cycle = max(self._issued, self._written[-1 - behind]) + 1
        read = self._a.next(_SELF, cycle)
        if self._cycles == 2:
            return self._a.next(_SELF, read + 1)
        return max(read, self._b.next(_SELF, cycle)) if self._reads_b else read

    def _read(self, cycle: int) -> None:
        self._share(cycle, cycle)
        self._count(1, cycle)
        self._pending.append((cycle + latencies.VECTOR_UNIT, self._d, not self._left))

    def _share(self, first: int, last: int) -> None:
        self._a.share(_SELF, first, last + 1)
        if self._reads_b and self._b is not self._a:
            self._b.share(_SELF, first, last + 1)
        self._d.share(_SELF, first + latencies.VECTOR_UNIT, last + latencies.VECTOR_UNIT + 1)

    def _count(self, words: int, cycle: int) -> None:
        self._issued = cycle
        self._left -= words
        if not self._every:
            self._behind = WORDS_IN_FLIGHT - 1

    def _next_write(self) -> int:
        ready, bank, _ = self._pending[0]
        return bank.next(_SELF, max(ready, self._written[-1] + 1))

    def _write(self, cycle: int) -> None:
        *_, last = self._pending.popleft()
        self._written.append(cycle)
        del self._written[0]
        if last:
            self.completed.append(cycle + 1)
