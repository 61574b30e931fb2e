"""A machine that has stopped has no write under way."""

from amaranth.hdl import Const, Module, Signal

from .harness import Harness
from .queues import COUNT, WRITER, Tally, unanswered_bursts
from .writes import addresses_shown

_FAULTED = 4  # the state of the supervisor that STATUS.fault shows


def stops(harness: Harness, m: Module) -> Signal:
    """No write is unanswered when STATUS.fault rises or a reset by register happens. Assumes that the memory gives a write
    response only for an address that it has taken, one for each. Returns the addresses that are unanswered."""
    core = harness.core
    asks, answered = (core[f"m_axi_{name}valid"] & core[f"m_axi_{name}ready"] for name in ("aw", "b"))
    unanswered = Signal(COUNT, name="addresses_unanswered")
    m.d.sync += unanswered.eq(unanswered + asks - answered)
    harness.assume(~core["m_axi_bvalid"] | (unanswered != 0))
    _unanswered(harness, m, unanswered)

    clear, faulted = harness.probe("supervisor.clear", 1), harness.probe("supervisor.fsm_state", 3) == _FAULTED
    halted = harness.probe("supervisor.halt", 1) & harness.probe("supervisor.halted", 1)
    harness.lemma("stays_halted", ~faulted | halted & harness.probe(f"{WRITER}.halted", 1))
    harness.lemma("stays_quiet", ~faulted | harness.probe(f"{WRITER}.quiet", 1))
    harness.rule("writes_are_over", "STATUS.fault and a reset by register come when no address of a write is unanswered",
                 ~(clear | faulted) | (unanswered == 0) & ~core["m_axi_awvalid"])
    return unanswered


def _unanswered(harness: Harness, m: Module, addresses: Signal) -> None:
    """The writer's queue of unanswered bursts, and the one that it offers, are those of which the memory owes a response."""
    queue, last = unanswered_bursts(harness)
    offered, shown, inside = harness.probe(f"{WRITER}.bursts.o__valid", 1), addresses_shown(harness, m), Const(0)
    if harness.config.design.has_predictor_memory:
        inside = harness.probe(f"{WRITER}.bursts.o__payload", queue.bits)[last + 1]
    noted = Tally("noted", [each & ~(shown & (queue.newest == i)) for i, each in enumerate(queue.outward_of(queue.occupied(m)))])
    noted.update(m, adds=(shown, queue.newest), takes=(queue.takes & queue.outward[queue.oldest], queue.oldest))
    noted.lemmas(harness)
    harness.lemma("noted_total", noted.total == addresses + harness.core["m_axi_awvalid"] - shown - (offered & ~inside))
    harness.lemma("shown_noted", ~shown | (queue.level != 0) & queue.outward[queue.newest])
    harness.lemma("aw_noted", ~harness.core["m_axi_awvalid"] | (queue.level != 0) | offered)
