"""What queues hold, the writer's of bursts above all."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal

from adagp_hdl.bus.burst_writer import BURSTS, RUNS, BurstWriter

from .draining import load_reader
from .harness import Harness

WRITER = "store_engine.writer"
POINTER = BURSTS.bit_length()  # bits of a pointer into a queue of bursts
COUNT = 8  # bits of counters of bursts; there are never so many
_NEVER = Const(0), Const(0)


def flags(harness: Harness, m: Module) -> None:
    """Each queue's registers tell whether it has room, and whether there is something in it: in a queue of block memory
    behind what is offered."""
    config = harness.config
    depths = {f"{WRITER}.{name}": depth for name, depth in (
        ("runs", RUNS), ("ends", 2 * RUNS), ("lengths", BURSTS), ("bursts", BURSTS), ("buffer", BurstWriter.beats(config)))}
    depths |= {f"{path}.{name}": config.read_buffer_beats
               for path in (load_reader(config), "fetch.reader") for name in ("bursts", "buffer")}
    for path, depth in depths.items():
        tail, head = (harness.probe(f"{path}.{end}", depth.bit_length()) for end in ("tail", "head"))
        level = (tail - head)[:depth.bit_length()]
        some = harness.probe(f"{path}.{'some' if path.endswith(('bursts', 'buffer')) else 'o__valid'}", 1)
        harness.lemma(f"flags_{path.replace('.', '_')}", (level <= depth) & (some == (level != 0))
                      & (harness.probe(f"{path}.i__ready", 1) == (level != depth)))


class BurstQueue:
    """A queue of bursts, of which some may go to the predictor memory: ``outward`` says which do not."""

    def __init__(self, harness: Harness, name: str, bits: int, local: int | None):
        """``bits`` of an entry; with ``local`` set, that one says that the burst goes to the predictor memory."""
        self.head, self.tail = (harness.probe(f"{WRITER}.{name}.{end}", POINTER) for end in ("head", "tail"))
        self.level = (self.tail - self.head)[:POINTER]
        self.newest = (self.tail - 1)[:POINTER - 1]
        self._harness, self._storage, self._bits = harness, f"{WRITER}.{name}.storage", bits
        self.outward = Array([Const(1)] * BURSTS if local is None else (~entry[local] for entry in self.entries))

    @property
    def entries(self) -> Array:
        return Array(self._harness.probe(f"{self._storage}[{i}]", self._bits) for i in range(BURSTS))

    def holds(self, until):
        """Of each slot, whether it has a burst on the bus that is one of the ``until`` oldest."""
        places = ((i - self.head[:POINTER - 1])[:POINTER - 1] for i in range(BURSTS))
        return [outward & (place < until) for outward, place in zip(self.outward, places, strict=True)]


class Tally:
    """How many slots of a queue hold something, where no lemma about all slots at once can be proved: counters of pairs of
    slots, of fours and so on up to all, each of them the sum of two."""

    def __init__(self, name: str, holds: list):
        """``holds``: a bit for each slot, a power of two of them."""
        self.name, self.levels = name, [holds]
        while len(self.levels[-1]) > 1:
            i, counters = len(self.levels), len(self.levels[-1]) // 2
            self.levels.append([Signal(i + 1, name=f"{name}_{i}_{j}") for j in range(counters)])

    def update(self, m: Module, *, takes, adds=_NEVER, copies=None) -> None:
        """What is held changes as ``adds`` and ``takes`` say, each whether and in which slot. ``copies``: when it becomes what
        another tally tells, less what is taken."""
        when, other = copies or (0, self)
        for i, counters in enumerate(self.levels[1:], 1):
            for j, counter in enumerate(counters):
                here = [enable & (slot[i:len(self.levels) - 1] == j) for enable, slot in (adds, takes)]
                m.d.sync += counter.eq(Mux(when, other.levels[i][j], counter) + here[0] - here[1])

    def lemmas(self, harness: Harness, total, unless=0) -> None:
        """``total`` slots hold something, and each counter is the sum that it should be, ``unless`` that is high."""
        for i, (halves, counters) in enumerate(zip(self.levels, self.levels[1:], strict=False), 1):
            sums = Cat(counter == halves[2 * j] + halves[2 * j + 1] for j, counter in enumerate(counters))
            harness.lemma(f"{self.name}_sums_{i}", unless | sums.all())
        harness.lemma(f"{self.name}_total", unless | (self.levels[-1][0] == total))
