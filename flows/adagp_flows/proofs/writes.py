"""Rules of the write channels against each other."""

from amaranth.hdl import Array, Const, Module, Mux, Signal
from amaranth.utils import bits_for

from adagp_hdl.bus.burst_writer import BURSTS
from adagp_hdl.memory.predictor import PredictorMemory

from .harness import Harness

WRITER = "store_engine.writer"
POINTER = BURSTS.bit_length()  # bits of a pointer into a queue of bursts
_COUNT = 8  # bits of counters of bursts; a rule says that there are never so many


def responses(harness: Harness, m: Module) -> None:
    """Assumes that the memory gives a write response only for a burst of which it has taken the last beat, one for each."""
    core = harness.core
    w_taken, b_taken = (core[f"m_axi_{name}valid"] & core[f"m_axi_{name}ready"] for name in ("w", "b"))
    data = Signal(_COUNT, name="data_unanswered")
    m.d.sync += data.eq(data + (w_taken & core["m_axi_wlast"]) - b_taken)
    harness.assume(~core["m_axi_bvalid"] | (data != 0))
    head, tail, first, end = (harness.probe(f"{WRITER}.{queue}.{name}", POINTER)
                              for queue in ("lengths", "bursts") for name in ("head", "tail"))
    unanswered, written = (end - first)[:POINTER] + harness.probe(f"{WRITER}.bursts.o__valid", 1), data
    if harness.config.design.has_predictor_memory:
        written = data + harness.probe(f"{WRITER}.written_local", POINTER)
    harness.lemma("same_bursts", tail == end)
    harness.lemma("written", ((tail - head)[:POINTER] + written == unanswered) & (unanswered <= BURSTS + 1))


def writes(harness: Harness, m: Module) -> None:
    """The data that follow a write address are its beats, if :func:`responses` come as they must."""
    core = harness.core
    responses(harness, m)
    w_taken = core["m_axi_wvalid"] & core["m_axi_wready"]
    waits, shown, earlier = Signal(name="aw_waiting"), Signal(name="aw_shown"), Signal(_COUNT, name="bursts_without_data")
    m.d.comb += shown.eq(core["m_axi_awvalid"] & ~waits)  # a new one
    m.d.sync += [waits.eq(core["m_axi_awvalid"] & ~core["m_axi_awready"]),
                 earlier.eq(earlier + shown - (w_taken & core["m_axi_wlast"]))]
    harness.rule("w_after_aw", "no data of a burst before its address is shown",
                 ~core["m_axi_wvalid"] | shown | (earlier != 0))
    unsent = Signal(_COUNT + 1)
    m.d.comb += unsent.eq(earlier + shown)
    queue = _Lengths(harness, m)
    harness.lemma("unsent", unsent == queue.count(queue.level))
    _watched(harness, m, queue, shown, earlier, w_taken)


class _Lengths:
    """The writer's queue of the bursts whose data has not been sent, of which some may go to the predictor memory."""

    def __init__(self, harness: Harness, m: Module):
        config = harness.config
        self.head, self.tail = (harness.probe(f"{WRITER}.lengths.{end}", POINTER) for end in ("head", "tail"))
        self.level = Signal(POINTER)
        more, local = (config.burst_beats - 1).bit_length(), config.design.has_predictor_memory
        bits = more + (1 + bits_for(PredictorMemory.beats(config) - 1) if local else 0)
        entries = [harness.probe(f"{WRITER}.lengths.storage[{i}]", bits) for i in range(BURSTS)]
        self.lengths = Array(entry[:more] for entry in entries)
        self._outward = [~entry[more] if local else Const(1) for entry in entries]
        self._all_outward = not local
        m.d.comb += self.level.eq(self.tail - self.head)

    def outward(self, pointer):
        """Whether the entry at ``pointer`` is a burst on the bus."""
        return Array(self._outward)[pointer[:POINTER - 1]]

    def count(self, until):
        """The bursts on the bus in the ``until`` oldest entries."""
        if self._all_outward:
            return until
        places = [(i - self.head[:POINTER - 1])[:POINTER - 1] for i in range(BURSTS)]
        return sum(outward & (place < until) for outward, place in zip(self._outward, places, strict=True))


def _watched(harness: Harness, m: Module, queue: _Lengths, shown, earlier, w_taken) -> None:
    """WLAST of one burst, whichever an input chooses, and so of every burst."""
    core, choose = harness.core, harness.free("watch_this_burst")
    watched, length, ahead, beats = Signal(), Signal(8), Signal(_COUNT), Signal(8)
    mine = watched & (ahead == 0)
    with m.If(w_taken & mine):
        m.d.sync += beats.eq(beats + 1)
    with m.If(w_taken & core["m_axi_wlast"]):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(mine):
            m.d.sync += watched.eq(0)
    with m.If(shown & choose & ~watched):
        now = earlier - (w_taken & core["m_axi_wlast"])
        # its first beat, or all of it, may go in the cycle in which the address is shown
        first = (earlier == 0) & w_taken
        m.d.sync += [watched.eq(~(first & core["m_axi_wlast"])), length.eq(core["m_axi_awlen"]),
                     ahead.eq(Mux(earlier == 0, 0, now)), beats.eq(first)]
    at_once = shown & choose & ~watched & (earlier == 0)
    due = Mux(watched, beats == length, core["m_axi_awlen"] == 0)
    harness.rule("w_last", "WLAST comes with beat AWLEN + 1 of each burst, and with no other",
                 ~core["m_axi_wvalid"] | ~(mine | at_once) | (core["m_axi_wlast"] == due))
    slot, begins = Signal(POINTER), shown & choose & ~watched
    with m.If(begins):
        m.d.sync += slot.eq(queue.tail - 1)
    _place(harness, queue, slot, watched, length, ahead, beats, shown, earlier)


def _place(harness: Harness, queue: _Lengths, slot, watched, length, ahead, beats, shown, earlier) -> None:
    """Where in the queue of lengths the watched burst is."""
    sent = harness.probe(f"{WRITER}.sent", (harness.config.burst_beats - 1).bit_length())
    place, newest = (slot - queue.head)[:POINTER], (queue.tail - 1)[:POINTER - 1]
    harness.lemma("watched_place", ~watched | (place < queue.level) & queue.outward(slot) & (queue.count(place) == ahead))
    harness.lemma("watched_length", ~watched | (queue.lengths[slot[:POINTER - 1]] == length))
    harness.lemma("watched_beats", ~watched | (beats == Mux(place == 0, sent, 0)))
    harness.lemma("shown_length", ~shown | queue.outward(newest) & (queue.lengths[newest] == harness.core["m_axi_awlen"]))
    harness.lemma("sent", (sent == 0) | (queue.level != 0) & (sent <= queue.lengths[queue.head[:POINTER - 1]]))
    harness.lemma("begun", (sent == 0) | ~queue.outward(queue.head) | (earlier != 0))
