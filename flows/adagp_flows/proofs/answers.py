"""Each access to the registers is answered, and how soon."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal

from adagp_hdl.interfaces import Report

from . import subject
from .harness import Harness

_FILL = 256  # cycles after a reset in which the storage of the registers is filled
_LOOK_UPS = 17  # cycles in a row in which the phase controller reads that storage: a ratio, then eight bases and steps
_READ, _WRITE = _LOOK_UPS + 3, 4  # cycles
_STATES = 5  # of what reads registers
_WALK = 12  # the state of the phase controller while bases move

#: All but the registers and the phase controller.
FREE = (*(name for name in subject.FREE if "." not in name and name != "phases"),
        "arbiter", "fetch", "load_engine", "store_engine", "supervisor")

_COUNTER = 10  # cycles
#: All but the registers and the counters.
FREE_OF_COUNTERS = (*(name for name in FREE if name != "counters"), "phases", "registers.memory")


def answers(harness: Harness, m: Module) -> None:
    """A response within some cycles of the last part of its request. Not counted are cycles in which an earlier response
    waits to be taken, those after a reset in which the registers are filled, and those in which a counter is fetched; a
    write waits for the reports of programs."""
    core = harness.core
    elapsed = Signal(range(_FILL + 1), name="cycles_after_reset")
    with m.If(elapsed != _FILL):
        m.d.sync += elapsed.eq(elapsed + 1)
    harness.lemma("filled", harness.probe("registers.memory.sweep", len(elapsed)) == elapsed)

    read, written, accepted = core["s_axil_rvalid"], core["s_axil_bvalid"], harness.probe("registers.accepted", 1)
    harness.lemma("accepted", ~accepted | core["s_axil_awready"] & core["s_axil_wready"] & ~written)
    answered = {"ar": read & core["s_axil_rready"], **dict.fromkeys(("aw", "w"), written & core["s_axil_bready"])}
    asked = {}
    for request, done in answered.items():
        valid, ready = (core[f"s_axil_{request}{name}"] for name in ("valid", "ready"))
        unanswered = Signal(2, name=f"{request}_unanswered")
        m.d.sync += unanswered.eq(unanswered + (valid & ready) - done)
        harness.lemma(f"{request}_unanswered", unanswered == ~ready + (0 if request == "ar" else written + accepted))
        asked[request] = valid | (unanswered != 0)

    reads, writes = (Signal(range(2 * most), name=name) for name, most in (("r_waited", _READ), ("b_waited", _WRITE)))
    with m.If(~asked["ar"] | read):
        m.d.sync += reads.eq(0)
    with m.Elif((elapsed == _FILL) & ~harness.probe("registers.counter_read", 1)):
        m.d.sync += reads.eq(reads + 1)
    with m.If(~asked["aw"] | ~asked["w"] | written | harness.probe("report", Shape.cast(Report).width)[0]):
        m.d.sync += writes.eq(0)
    with m.Elif(elapsed == _FILL):
        m.d.sync += writes.eq(writes + 1)
    harness.lemma("none_waits_yet", (elapsed == _FILL) | (reads == 0) & (writes == 0))
    harness.rule("lite_r_comes", f"S_AXIL_RVALID {_READ} cycles after ARVALID at the latest, without those in which a counter is "
                 "fetched", reads <= _READ)
    harness.rule("lite_b_comes", f"S_AXIL_BVALID {_WRITE} cycles after AWVALID, WVALID and the last report of a program at the "
                 "latest", writes <= _WRITE)
    moved = _looks_up(harness, m, reads)
    there = ~core["s_axil_awready"] & ~core["s_axil_wready"]
    harness.lemma("b_waited", writes <= Mux(written, _WRITE, Mux(accepted, 3, Mux(there, 1 + moved, 0))))


def _looks_up(harness: Harness, m: Module, waited: Signal) -> Signal:
    """How long the phase controller keeps others from reading the storage. Returns whether it wrote there a cycle ago."""
    reads, in_row = harness.probe("registers.memory.table__read", 1), Signal(range(2 * _LOOK_UPS), name="look_ups_in_a_row")
    m.d.sync += in_row.eq(0)
    with m.If(reads):
        m.d.sync += in_row.eq(in_row + 1)
    walks, state = harness.probe("phases.walker.table__read", 1), harness.probe("phases.fsm_state", 4)
    place = Cat(harness.probe("phases.walker.of_step", 1), harness.probe("phases.walker.base", 3))
    harness.lemma("walks", ~walks | reads & (state == _WALK) & (in_row == place + 1))
    harness.lemma("begins_anew", walks | (place == 0))
    harness.lemma("looks_up", ~reads | walks | (in_row <= 1))
    harness.lemma("look_ups", in_row <= _LOOK_UPS)
    moves, moved = harness.probe("registers.memory.table__write", 1), Signal(name="base_moved")
    m.d.sync += moved.eq(moves)
    harness.lemma("moves_apart", ~(moved & moves))
    host = harness.probe("registers.memory.read", 1)  # it would read in this cycle
    idle, answers = harness.core["s_axil_arready"], harness.core["s_axil_rvalid"]
    harness.lemma("idle", ~idle | (waited == 0) & ~answers & ~host)
    harness.lemma("wants", ~host | (waited <= in_row + 1) & ~answers)
    fetches = harness.probe("registers.counter_read", 1)
    harness.lemma("has_looked", idle | host | (waited <= _LOOK_UPS + 2 + (answers | fetches)))
    harness.lemma("states", harness.probe("registers.fsm_state", 3) < _STATES)
    return moved


def counters(harness: Harness, m: Module) -> None:
    """A counter that is fetched comes. Not counted are cycles in which counts of a layer move: these go first."""
    read, valid = harness.probe("registers.counter_read", 1), harness.probe("registers.counter_valid", 1)
    moves = harness.probe("counters.layers.flush", 1) | harness.probe("counters.layers.written", 1)
    waited = Signal(range(2 * _COUNTER), name="counter_waited")
    with m.If(~read | valid):
        m.d.sync += waited.eq(0)
    with m.Elif(~moves):
        m.d.sync += waited.eq(waited + 1)
    harness.rule("counter_comes", f"a counter is there {_COUNTER} cycles after the registers ask for it at the latest, without "
                 "those in which counts of a layer are written", waited <= _COUNTER)
