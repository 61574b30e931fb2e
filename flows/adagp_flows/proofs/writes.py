"""Rules of the write channels against each other."""

from amaranth.hdl import Const, Module, Mux, Signal

from adagp_hdl.bus.burst_writer import BURSTS

from .harness import Harness
from .queues import COUNT, POINTER, WRITER, BurstQueue, Tally, unsent_bursts


def responses(harness: Harness, m: Module) -> None:
    """Assumes that the memory gives a write response only for a burst of which it has taken the last beat, one for each."""
    core = harness.core
    w_taken, b_taken = (core[f"m_axi_{name}valid"] & core[f"m_axi_{name}ready"] for name in ("w", "b"))
    data = Signal(COUNT, name="data_unanswered")
    m.d.sync += data.eq(data + (w_taken & core["m_axi_wlast"]) - b_taken)
    harness.assume(~core["m_axi_bvalid"] | (data != 0))
    head, tail, first, end = (harness.probe(f"{WRITER}.{queue}.{name}", POINTER)
                              for queue in ("lengths", "bursts") for name in ("head", "tail"))
    unsent, noted, offered = (tail - head)[:POINTER], (end - first)[:POINTER], harness.probe(f"{WRITER}.bursts.o__valid", 1)
    written = data
    if harness.config.design.has_predictor_memory:
        written = data + harness.probe(f"{WRITER}.written_local", POINTER)
    harness.lemma("same_bursts", tail == end)
    harness.lemma("written", unsent + written == noted + offered)
    harness.lemma("levels", (unsent <= BURSTS) & (noted <= BURSTS))
    harness.lemma("unoffered", offered | (noted == unsent))


def addresses_shown(harness: Harness, m: Module) -> Signal:
    """High in the first cycle in which an address of a write is offered."""
    valid, ready = harness.core["m_axi_awvalid"], harness.core["m_axi_awready"]
    waits, shown = Signal(name="aw_waiting"), Signal(name="aw_shown")
    m.d.sync += waits.eq(valid & ~ready)
    m.d.comb += shown.eq(valid & ~waits)
    return shown


def writes(harness: Harness, m: Module) -> None:
    """The data that follow a write address are its beats, if :func:`responses` come as they must and
    :func:`~adagp_flows.proofs.beats.beats` are there."""
    core = harness.core
    responses(harness, m)
    shown, earlier = addresses_shown(harness, m), Signal(COUNT, name="bursts_without_data")
    ends = core["m_axi_wvalid"] & core["m_axi_wready"] & core["m_axi_wlast"]
    m.d.sync += earlier.eq(earlier + shown - ends)
    harness.rule("w_after_aw", "no data of a burst before its address is shown",
                 ~core["m_axi_wvalid"] | shown | (earlier != 0))
    inside = harness.probe("store_engine.local_write__enable", 1) if harness.config.design.has_predictor_memory else Const(0)
    harness.rule("w_at_once", "from the address of a write to its last beat WVALID is high, but where the predictor memory takes "
                 "a beat", core["m_axi_wvalid"] | inside | ~shown & (earlier == 0))
    queue, more = unsent_bursts(harness)
    harness.lemma("shown_length", ~shown | (queue.level != 0) & queue.outward[queue.newest]
                  & (queue.entries[queue.newest][:more] == core["m_axi_awlen"]))
    outward = queue.outward_of(queue.occupied(m))
    unsent = Tally("unsent", [each & ~(shown & (queue.newest == i)) for i, each in enumerate(outward)])
    unsent.update(m, adds=(shown, queue.newest), takes=(ends, queue.oldest))
    unsent.lemmas(harness)
    harness.lemma("unsent_total", unsent.total == earlier)
    _watched(harness, m, queue, unsent, shown, earlier)


def _watched(harness: Harness, m: Module, queue: BurstQueue, unsent: Tally, shown, earlier) -> None:
    """WLAST of one burst, whichever an input chooses, and so of every burst."""
    core, choose = harness.core, harness.free("watch_this_burst")
    w_taken = core["m_axi_wvalid"] & core["m_axi_wready"]
    watched, length, ahead, beats = Signal(), Signal(8), Signal(COUNT), Signal(8)
    mine = watched & (ahead == 0)
    with m.If(w_taken & mine):
        m.d.sync += beats.eq(beats + 1)
    with m.If(w_taken & core["m_axi_wlast"]):
        m.d.sync += ahead.eq(ahead - 1)
        with m.If(mine):
            m.d.sync += watched.eq(0)
    begins = shown & choose & ~watched
    ends_earlier = w_taken & core["m_axi_wlast"] & (earlier != 0)
    with m.If(begins):
        # its first beat, or all of it, may go in the cycle in which the address is shown
        first = (earlier == 0) & w_taken
        m.d.sync += [watched.eq(~(first & core["m_axi_wlast"])), length.eq(core["m_axi_awlen"]),
                     ahead.eq(earlier - ends_earlier), beats.eq(first)]
    at_once = begins & (earlier == 0)
    due = Mux(watched, beats == length, core["m_axi_awlen"] == 0)
    harness.rule("w_last", "WLAST comes with beat AWLEN + 1 of each burst, and with no other",
                 ~core["m_axi_wvalid"] | ~(mine | at_once) | (core["m_axi_wlast"] == due))
    slot = Signal(POINTER)
    with m.If(begins):
        m.d.sync += slot.eq(queue.tail - 1)
    place = (slot - queue.head)[:POINTER]
    before = Tally("ahead", queue.outward_of(queue.among_oldest(place)))
    before.update(m, takes=(ends_earlier, queue.oldest), copies=(begins, unsent))
    before.lemmas(harness, unless=~watched)
    harness.lemma("ahead_total", ~watched | (before.total == ahead))
    _place(harness, queue, slot[:POINTER - 1], place, watched, length, beats, earlier)


def _place(harness: Harness, queue: BurstQueue, slot, place, watched, length, beats, earlier) -> None:
    """Where in the queue of lengths the watched burst is, and how much of it has been sent."""
    more, oldest = (harness.config.burst_beats - 1).bit_length(), queue.head[:POINTER - 1]
    sent = harness.probe(f"{WRITER}.sent", more)
    harness.lemma("watched_place", ~watched | (place < queue.level) & queue.outward[slot])
    harness.lemma("watched_length", ~watched | (queue.entries[slot][:more] == length))
    harness.lemma("watched_beats", ~watched | (beats == Mux(place == 0, sent, 0)))
    harness.lemma("sent", (sent == 0) | (queue.level != 0) & (sent <= queue.entries[oldest][:more]))
    harness.lemma("begun", (sent == 0) | ~queue.outward[oldest] | (earlier != 0))
