"""Time of ``Vector`` instructions."""

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import WORDS_IN_FLIGHT, Addend, Function, Multiplier

from . import latencies
from .banks import Banks

_STEP = 32
"""Words that are looked at together: fewer cycles than an array takes from an instruction to its first sum."""


class VectorTime:
    """The vector unit: a word per cycle, two where both operands lie in one bank."""

    def __init__(self, config: AcceleratorConfig, banks: Banks):
        self._banks = banks
        self._issued = -1
        self._written = [-1] * WORDS_IN_FLIGHT  # the latest words
        self._left = 0
        self.free = 0
        self.done = -1

    @property
    def at_work(self) -> bool:
        return self._left > 0

    @property
    def time(self) -> int:
        return self._issued + 1

    def begin(self, i, offered: int) -> None:
        banks = self._banks
        self._reads_b = i.addend == Addend.B or i.function == Function.ARITHMETIC and i.multiplier == Multiplier.B
        self._a, self._b, self._d = banks.reads(i.a), banks.reads(i.b), banks.writes(i.d)
        self._cycles = 1 + (self._reads_b and self._a is self._b)
        self._each, self._behind = i.each, i.behind
        self._issued = max(offered, self._issued)
        self._issued = max(self._issued, self._written[-i.behind - 1])
        self._left = i.count0 * i.count1 * i.count2
        self.step()

    def step(self) -> None:
        words = min(self._left, _STEP)
        if self._each and self._behind < WORDS_IN_FLIGHT - 1 or self._held(words):
            words = self._one_by_one(words)
        else:
            last = self._issued + words * self._cycles
            write = latencies.VECTOR_UNIT
            self._written += range(last + write - (min(words, WORDS_IN_FLIGHT) - 1) * self._cycles, last + write + 1, self._cycles)
            self._issued = last
        del self._written[:-WORDS_IN_FLIGHT]
        self._left -= words
        if not self._left:
            self.free = self._issued
            self.done = self._written[-1] + 1

    def _held(self, words: int) -> bool:
        """Whether an array, or a write that is late, may be in the way."""
        begin = self._issued + 1
        return (max(self._a.last, self._d.last, self._b.last if self._reads_b else 0) > begin
                or self._written[-1] > begin + latencies.VECTOR_UNIT - 1)

    def _one_by_one(self, words: int) -> int:
        """How many of ``words`` can go before an array is in the way. What it does after that is not known yet."""
        written, behind = self._written, self._behind if self._each else WORDS_IN_FLIGHT - 1
        for word in range(words):
            cycle = max(self._issued, written[-behind - 1]) + 1
            read = self._a.next(cycle)
            if self._cycles == 2:
                read = self._a.next(read + 1)
            elif self._reads_b:
                read = max(read, self._b.next(cycle))
            write = read + latencies.VECTOR_UNIT
            late = self._d.next(write) - write
            if late or read >= cycle + self._cycles:
                self._issued = read + late - self._cycles
                return word
            self._issued = read
            written.append(max(write, written[-1] + 1))
        return words
