"""What queues of the core hold."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.utils import bits_for

from adagp_hdl.bus.burst_writer import BURSTS, RUNS, BurstWriter
from adagp_hdl.memory.predictor import PredictorMemory

from .draining import load_reader
from .harness import Harness

WRITER = "store_engine.writer"
POINTER = BURSTS.bit_length()  # bits of a pointer into a queue of bursts
DATA_POINTER = 7  # bits of a pointer into the writer's queue of 64 beats
COUNT = 8  # bits of counters of bursts; there are never so many
_NEVER = Const(0), Const(0)


def flags(harness: Harness, m: Module) -> None:
    """Each queue's registers tell whether it has room, and whether there is something in it: in a queue of block memory
    behind what is offered."""
    _flags(harness, (load_reader(harness.config), "fetch.reader"))


def flags_without_loads(harness: Harness, m: Module) -> None:
    """The same where the load engine is free."""
    _flags(harness, ("fetch.reader",))


def _flags(harness: Harness, readers: tuple[str, ...]) -> None:
    config = harness.config
    depths = {f"{WRITER}.{name}": depth for name, depth in (
        ("runs", RUNS), ("ends", 2 * RUNS), ("lengths", BURSTS), ("bursts", BURSTS), ("buffer", BurstWriter.beats(config)))}
    depths |= {f"{path}.{name}": config.read_buffer_beats
               for path in readers for name in ("bursts", "buffer")}
    for path, depth in depths.items():
        flag(harness, path, depth, block=path.endswith(("bursts", "buffer")))


def flag(harness: Harness, path: str, depth: int, *, block: bool = False) -> None:
    """As :func:`flags` for the queue of ``depth`` at ``path``."""
    tail, head = (harness.probe(f"{path}.{end}", depth.bit_length()) for end in ("tail", "head"))
    level = (tail - head)[:depth.bit_length()]
    some, room = harness.probe(f"{path}.{'some' if block else 'o__valid'}", 1), harness.probe(f"{path}.i__ready", 1)
    harness.lemma(f"flags_{path.replace('.', '_')}", (level <= depth) & (some == (level != 0)) & (room == (level != depth)))


class Queue:
    """The ``Fifo`` of ``depth`` entries of ``bits`` at ``path``."""

    def __init__(self, harness: Harness, path: str, *, depth: int, bits: int, offers: bool = False):
        """``offers``: it lies in block memory, and what it offers is not among its entries any more."""
        pointer = depth.bit_length()
        self.head, self.tail = (harness.probe(f"{path}.{end}", pointer) for end in ("head", "tail"))
        self.level = (self.tail - self.head)[:pointer]
        self.oldest, self.newest = self.head[:-1], (self.tail - 1)[:pointer - 1]
        self._harness, self._path, self._depth, self._offers, self.bits = harness, path, depth, offers, bits

    @property
    def takes(self):
        """Whether the oldest entry goes."""
        ready = self._harness.probe(f"{self._path}.o__ready", 1)
        return (self.level != 0) & (~self._harness.probe(f"{self._path}.o__valid", 1) | ready if self._offers else ready)

    @property
    def entries(self) -> Array:
        return Array(self._harness.probe(f"{self._path}.storage[{i}]", self.bits) for i in range(self._depth))

    @property
    def puts(self):
        """Whether an entry comes in, and what it is."""
        valid, ready = (self._harness.probe(f"{self._path}.i__{name}", 1) for name in ("valid", "ready"))
        return valid & ready, self._harness.probe(f"{self._path}.write__data", self.bits)

    def occupied(self, m: Module) -> list[Signal]:
        """Of each slot, whether it has an entry: registers, so that a lemma about one slot need not speak of the pointers."""
        name = f"{self._path.rpartition('.')[2]}_occupied"
        if name not in self._harness.ghosts:
            slots = self._harness.ghosts[name] = [Signal(name=f"{name}_{i}") for i in range(self._depth)]
            for i, slot in enumerate(slots):
                put, taken = self.puts[0] & (self.tail[:-1] == i), self.takes & (self.oldest == i)
                m.d.sync += slot.eq((put | slot & ~taken) & ~self._harness.probe("supervisor.clear", 1))
            same = Cat(slot == there for slot, there in zip(slots, self.among_oldest(self.level), strict=True))
            self._harness.lemma(name, same.all())
        return self._harness.ghosts[name]

    def among_oldest(self, until):
        """Of each slot, whether it has one of the ``until`` oldest entries."""
        return [(i - self.oldest)[:len(self.oldest)] < until for i in range(self._depth)]


class BurstQueue(Queue):
    """A queue of the writer's bursts, of which some may go to the predictor memory: ``outward`` says which do not."""

    def __init__(self, harness: Harness, name: str, bits: int, local: int | None, *, offers: bool = False):
        """``bits`` of an entry; with ``local`` set, that one says that the burst goes to the predictor memory."""
        super().__init__(harness, f"{WRITER}.{name}", depth=BURSTS, bits=bits, offers=offers)
        self.outward = Array([Const(1)] * BURSTS if local is None else (~entry[local] for entry in self.entries))

    def outward_of(self, chosen: list):
        """Those of the ``chosen`` slots that have a burst on the bus."""
        return [outward & each for outward, each in zip(self.outward, chosen, strict=True)]


def unsent_bursts(harness: Harness) -> tuple[BurstQueue, int]:
    """The bursts whose last beat has not been sent, and the bits in the entry of each that hold its beats minus one."""
    config = harness.config
    more, local = (config.burst_beats - 1).bit_length(), config.design.has_predictor_memory
    bits = more + (1 + bits_for(PredictorMemory.beats(config) - 1) if local else 0)
    return BurstQueue(harness, "lengths", bits, local=more if local else None), more


def unanswered_bursts(harness: Harness) -> tuple[BurstQueue, int]:
    """The bursts that are not completed, but for the one that is offered, and the bit in the entry of each that asks for a
    ``done``; the next one, if there is a predictor memory, says that the burst goes there."""
    low, local = (harness.config.bus_bytes - 1).bit_length(), harness.config.design.has_predictor_memory
    last = 32 - low  # behind the number of a beat
    return BurstQueue(harness, "bursts", last + 1 + local, local=last + 1 if local else None, offers=True), last


class Tally:
    """How much the slots of a queue hold, where no lemma about all slots at once can be proved: counters of pairs of slots, of
    fours and so on up to all, each of them the sum of two."""

    def __init__(self, name: str, holds: list):
        """``holds``: a number for each slot, a power of two of them."""
        self.name, self.levels = name, [holds]
        while len(self.levels[-1]) > 1:
            i, counters = len(self.levels), len(self.levels[-1]) // 2
            self.levels.append([Signal(len(holds[0]) + i, name=f"{name}_{i}_{j}") for j in range(counters)])

    @property
    def total(self):
        return self.levels[-1][0]

    def update(self, m: Module, *, takes, adds=_NEVER, copies=None, domain="sync") -> None:
        """What is held changes as ``adds`` and ``takes`` say, each how much and in which slot. ``copies``: when it becomes what
        another tally tells, less what is taken."""
        when, other = copies or (0, self)
        for i, counters in enumerate(self.levels[1:], 1):
            for j, counter in enumerate(counters):
                here = [Mux(slot[i:len(self.levels) - 1] == j, amount, 0) for amount, slot in (adds, takes)]
                m.d[domain] += counter.eq(Mux(when, other.levels[i][j], counter) + here[0] - here[1])

    def lemmas(self, harness: Harness, unless=0) -> None:
        """Each counter is the sum that it should be, ``unless`` that is high."""
        for i, (halves, counters) in enumerate(zip(self.levels, self.levels[1:], strict=False), 1):
            sums = Cat(counter == halves[2 * j] + halves[2 * j + 1] for j, counter in enumerate(counters))
            harness.lemma(f"{self.name}_sums_{i}", unless | sums.all())
