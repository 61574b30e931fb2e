"""Time of ``Vector`` instructions."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import WORDS_IN_FLIGHT, Addend, Function, Multiplier
from adagp.spec.isa import Engine as Engines

from . import latencies
from .banks import Banks, Port
from .engine import NEVER, Engine

_SELF = Engines.VECTOR

_AHEAD = 4
"""Cycles that are looked at together; somebody who comes meanwhile is not taken turns with."""


class VectorTime(Engine):
    """The vector unit: reads a word per cycle, two where both operands lie in one bank, and writes behind that."""

    def __init__(self, config: AcceleratorConfig, banks: Banks):
        super().__init__()
        self._banks = banks
        self._issued = -1
        self._written = [-1] * WORDS_IN_FLIGHT  # the latest words
        self._pending: deque[tuple[int, Port, bool]] = deque()  # read, not written: from when on, where to, last one
        self._left = 0
        self._wanted: list[tuple[Port, int]] = []  # operands of the next word that are not read, and since when

    @property
    def accepts(self) -> bool:
        return self._left == 0

    @property
    def watches(self) -> bool:
        return self._left > 0 or bool(self._pending)

    @property
    def time(self) -> int:
        return min(self._next_read() if self._left else NEVER, self._next_write() if self._pending else NEVER)

    def begin(self, i, offered: int) -> None:
        banks = self._banks
        self._reads_b = i.addend == Addend.B or i.function == Function.ARITHMETIC and i.multiplier == Multiplier.B
        self._a, self._b, self._d = banks.reads(i.a), banks.reads(i.b), banks.writes(i.d)
        self._cycles = 1 + (self._reads_b and self._a is self._b)
        if not self._reads_b:
            self._b = self._a
        self._every, self._behind = i.each, i.behind
        self.free = self._issued = max(offered, self._issued)
        self._left = i.count0 * i.count1 * i.count2
        for port in (self._a, self._b, self._d):
            port.users[_SELF] += 1

    def step(self) -> None:
        if self._left and self._is_free():
            self._read_many()
            return
        read = self._next_read() if self._left else NEVER
        write = self._next_write() if self._pending else NEVER
        if write <= read:
            self._write(write)
        else:
            self._read(read)

    def _is_free(self) -> bool:
        """Whether nobody can be in the way of the next words."""
        issued = self._issued
        partly = len(self._wanted) == 1 and (self._cycles == 2 or self._b is not self._a)  # read
        return (not partly and all(port.is_free(_SELF, issued) for port in {port for _, port, _ in self._pending})
                and self._a.is_free(_SELF, issued) and self._d.is_free(_SELF, issued)
                and (self._b is self._a or self._b.is_free(_SELF, issued)))

    def _read_many(self) -> None:
        while self._pending:
            self._write(max(self._pending[0][0], self._written[-1] + 1))
        self._wanted = []
        step, written = self._cycles, self._written
        first = max(self._issued, written[-1 - self._behind]) + 1
        if self._every and self._behind < WORDS_IN_FLIGHT - 1:
            words, last = self._read_dependent(first)
        else:
            words = min(self._left, max(1, _AHEAD // step))
            last = first + words * step - 1
            write = max(last + latencies.VECTOR_UNIT, written[-1] + words)
            written += range(write - (min(words, WORDS_IN_FLIGHT) - 1) * step, write + 1, step)
            del written[:-WORDS_IN_FLIGHT]
        for port in {self._a, self._b}:
            port.want(_SELF, NEVER)
            port.occupy(_SELF, first, last)
        self._d.occupy(_SELF, first + latencies.VECTOR_UNIT, written[-1])
        self._count(words, last)
        if not self._left:
            self._d.users[_SELF] -= 1
            self.completed.append(written[-1] + 1)

    def _read_dependent(self, cycle: int) -> tuple[int, int]:
        """Words of which each waits for one before: how many, and when the last of them is read."""
        step, behind, written = self._cycles, self._behind, self._written
        until, words, last = cycle + _AHEAD, 0, cycle - 1
        while words < self._left:
            begin = max(last, written[-1 - behind]) + 1
            if begin > until:
                break
            last = begin + step - 1
            written.append(max(last + latencies.VECTOR_UNIT, written[-1] + 1))
            words += 1
        del written[:-WORDS_IN_FLIGHT]
        return words, last

    def _first_cycle(self) -> int:
        """When the next word can be read, as far as those before it are concerned."""
        behind = self._behind - len(self._pending)
        return NEVER if behind < 0 else max(self._issued, self._written[-1 - behind]) + 1

    def _next_read(self) -> int:
        """When the next operand is read, as far as is known."""
        if not self._wanted:
            start = self._first_cycle()
            if start == NEVER:
                return NEVER
            self._wanted = [(self._a, start), (self._b, start)] if self._b is not self._a else [(self._a, start)] * self._cycles
            for port, _ in self._wanted:
                port.want(_SELF, start)
        return min(port.next(_SELF, since) for port, since in self._wanted)

    def _read(self, cycle: int) -> None:
        for port, since in self._wanted:
            if port.next(_SELF, since) == cycle:
                break
        port.grant(_SELF, cycle)
        port.want(_SELF, NEVER)
        self._wanted.remove((port, since))
        if not self._wanted:
            self._count(1, cycle)
            self._pending.append((cycle + latencies.VECTOR_UNIT, self._d, not self._left))
        elif port is self._wanted[0][0]:
            self._wanted = [(port, cycle + 1)]
            port.want(_SELF, cycle + 1)

    def _count(self, words: int, cycle: int) -> None:
        self._issued = cycle
        self._left -= words
        if not self._left:
            self._a.users[_SELF] -= 1
            self._b.users[_SELF] -= 1
        if not self._every:
            self._behind = WORDS_IN_FLIGHT - 1

    def _next_write(self) -> int:
        ready, port, _ = self._pending[0]
        cycle = max(ready, self._written[-1] + 1)
        port.want(_SELF, cycle)
        return port.next(_SELF, cycle)

    def _write(self, cycle: int) -> None:
        _, port, last = self._pending.popleft()
        port.grant(_SELF, cycle)
        port.want(_SELF, NEVER)
        self._written.append(cycle)
        del self._written[0]
        if last:
            port.users[_SELF] -= 1
            self.completed.append(cycle + 1)
