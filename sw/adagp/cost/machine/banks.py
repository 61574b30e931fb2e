"""Who has to wait for the banks of the vector memory."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine

from .engine import NEVER

_KEPT = 16
"""Uses of a bank that are remembered: more than can lie in the future."""


class Port:
    """Reads, or writes, of one bank.

    Arrays go first. Of the others the vector unit takes turns with stores (reads) and loads (writes) while both want
    the port. Each says with ``want`` since when it does, asks with ``next`` when it can have it, and takes it with
    ``grant``, or with ``occupy`` for some cycles at once when it ``is_free``. ``users`` counts the instructions under
    way that use it.
    """

    def __init__(self, banks: "Banks"):
        self._banks = banks
        self._arrays: deque[tuple[int, int, int, int]] = deque(maxlen=_KEPT)
        self._arrays_end = -1
        self._occupied = -1, -1, None  # at once, by whom
        self._granted = -1
        self._of_vector = True  # the turn
        self.wants = {Engine.VECTOR: NEVER, Engine.LOAD: NEVER, Engine.STORE: NEVER}
        self.users = {Engine.VECTOR: 0, Engine.LOAD: 0, Engine.STORE: 0}

    def take(self, begin: int, end: int, period: int, busy: int) -> None:
        """For an array, from ``begin`` until before ``end``: in each ``period`` the first ``busy`` cycles."""
        self._arrays.append((begin, end, period, busy))
        self._banks.version += 1
        self._arrays_end = max(self._arrays_end, end)

    def is_free(self, engine: Engine, cycle: int) -> bool:
        """Whether nobody else uses it from ``cycle`` on, as far as is known."""
        return (cycle >= self._arrays_end and cycle >= self._granted
                and (cycle > self._occupied[1] or self._occupied[2] is engine) and not any(users for other, users in self.users.items() if other is not engine))

    def next(self, engine: Engine, cycle: int) -> int:
        """The first cycle from ``cycle`` on in which ``engine`` can have it."""
        cycle = max(cycle, self._banks.now)
        while True:
            free = self._after_arrays(cycle)
            begin, end, by = self._occupied
            if free == self._granted or begin <= free <= end and (free - begin) % 2 == 0 and by is not engine:
                cycle = free + 1
            elif self._other(engine) <= free and (engine is Engine.VECTOR) != self._of_vector:
                return self._after_arrays(free + 1)
            else:
                return free

    def want(self, engine: Engine, cycle: int) -> None:
        """``engine`` wants it from ``cycle`` on, or with NEVER no longer."""
        if self.wants[engine] != cycle:
            self.wants[engine] = cycle
            self._banks.version += 1

    def grant(self, engine: Engine, cycle: int) -> None:
        self._banks.version += 1
        if self._other(engine) <= cycle:
            self._of_vector = engine is not Engine.VECTOR
        self._granted = cycle

    def occupy(self, engine: Engine, first: int, last: int) -> None:
        """Takes all cycles up to ``last``; who comes meanwhile gets every other one."""
        self._occupied = first, last, engine
        self._banks.version += 1

    def _other(self, engine: Engine) -> int:
        """Since when somebody else wants it."""
        wants = self.wants
        if engine is Engine.VECTOR:
            return min(wants[Engine.LOAD], wants[Engine.STORE])
        return wants[Engine.VECTOR]

    def _after_arrays(self, cycle: int) -> int:
        if cycle < self._arrays_end:
            for begin, end, period, busy in self._arrays:
                if begin <= cycle < end and (cycle - begin) % period < busy:
                    cycle = min(end, cycle + busy - (cycle - begin) % period) if busy < period else end
        return cycle


class Banks:
    """The banks of the vector memory; each can be read and written in one cycle. ``now`` is the present: nothing is
    decided for cycles before it. ``version`` changes with anything that may move somebody's turn."""

    def __init__(self, config: AcceleratorConfig):
        self.now = self.version = 0
        self._size = config.vector_words // config.vector_banks
        self._reads, self._writes = ([Port(self) for _ in range(config.vector_banks)] for _ in range(2))

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
