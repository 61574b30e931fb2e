"""A machine that says that it is done has no write under way."""

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import data

from adagp.spec.isa import INSTRUCTION_BYTES, Opcode
from adagp.spec.registers import REGISTERS
from adagp_hdl.bus.burst_writer import BURSTS, RUNS
from adagp_hdl.control.layout import layout
from adagp_hdl.control.queue import IN_FLIGHT
from adagp_hdl.interfaces import ADDRESS_BITS, instruction_layout

from . import subject
from .harness import Harness
from .programs import program_runs
from .queues import WRITER, Queue, Tally, flag, unanswered_bursts
from .stops import stops

#: All but what an instruction of a store goes through, from the request of its program to the response of the memory.
FREE = (*(name for name in subject.FREE if "." not in name and name not in ("dispatch", "phases")),
        "registers", "load_engine", "phases.schedule", "phases.walker", "dispatch.legality", "dispatch.tokens",
        *(f"dispatch.{name}_queue" for name in ("load", "array", "vector", "predictor")),
        *(f"store_engine.{name}" for name in ("groups.source", "groups.destination", "pieces", "assembler")))

_GROUPS, _QUEUE = "store_engine.groups", "dispatch.store_queue"


def completion(harness: Harness, m: Module) -> None:
    """STATUS and interrupts, with :func:`stops`, and with :func:`~adagp_flows.proofs.programs.programs` beside. Of the runs and
    bursts in the store engine no more are marked as the last of their instruction than dispatch has instructions there, and
    behind those that are not comes one that is: where dispatch has none, there is no burst."""
    addresses = stops(harness, m)
    m.domains.clearable = ClockDomain()
    m.d.comb += [ClockSignal("clearable").eq(harness.core["aclk"]), ResetSignal("clearable").eq(
        ~harness.core["aresetn"] | harness.probe("supervisor.clear", 1))]
    waiting, granted, dense = _instruction_stays(harness)
    running = Queue(harness, f"{_QUEUE}.running", depth=IN_FLIGHT, bits=0)
    flag(harness, f"{_QUEUE}.waiting", harness.config.queue_depth)
    flag(harness, f"{_QUEUE}.running", IN_FLIGHT)
    harness.lemma("running_level", (running.level <= IN_FLIGHT) & (~granted | (running.level != IN_FLIGHT)))
    idle = (waiting.level == 0) & (running.level == 0)
    checked = harness.probe("dispatch.checked", 1)
    harness.lemma("idle_stays", ~harness.probe("dispatch.all_idle", 1) | ~checked | idle)  # what is checked has not left
    harness.lemma("store_idle", program_runs(harness) | idle & ~checked)
    active = harness.probe(f"{_GROUPS}.active", 1)
    harness.lemma("store_active", ~active | granted)
    at_last, ends = (harness.probe(f"{_GROUPS}.loops.{name}", 3) for name in ("at_last", "ends"))
    harness.lemma("loops", ends == Cat(at_last[:i + 1].all() for i in range(3)))
    last = at_last[1:].all()
    opens = harness.probe(f"{_GROUPS}.opens", 1)
    harness.lemma("opens", ~active | dense | opens)
    told = active & last & ~opens  # its last run, but it is not taken
    _last_runs(harness, m, running, told, active & ~told)

    status = data.View(layout(REGISTERS["STATUS"]), harness.probe("supervisor.status", 7))
    interrupts = harness.probe("supervisor.interrupt_pending_set", 2)
    harness.rule("programs_are_over", "no address of a write is offered or unanswered where STATUS.busy is low or STATUS.done "
                 "high, and where an interrupt comes to be pending",
                 status.busy & ~status.done & ~interrupts.any() | (addresses == 0) & ~harness.core["m_axi_awvalid"])


def _instruction_stays(harness: Harness):
    """The instruction that the store engine is offered stays the same. Returns the queue of those that wait, whether its
    first one is offered, and whether that is dense."""
    depth, dense = harness.config.queue_depth, instruction_layout(Opcode.STORE)["dense"].offset
    place = (depth - 1).bit_length()
    waiting, granted = Queue(harness, f"{_QUEUE}.waiting", depth=depth, bits=0), harness.probe(f"{_QUEUE}.o__valid", 1)
    head = harness.probe(f"{_QUEUE}.head", place)
    tail = harness.probe(f"{_QUEUE}.$signature__addr", place)  # where the next one is written
    body = instruction_layout(Opcode.STORE).size + ADDRESS_BITS - (INSTRUCTION_BYTES - 1).bit_length()
    word = harness.probe(f"{_QUEUE}.read__data", body)
    harness.lemma("bodies_wait", (waiting.level <= depth) & (head == waiting.oldest) & (tail == waiting.tail[:-1]))
    harness.lemma("granted_waits", ~granted | (waiting.level != 0))
    for i in range(depth):
        kept = harness.probe(f"{_QUEUE}.bodies[{i}]", body)
        harness.lemma(f"body_{i}", ~granted | (head != i) | (word[dense] == kept[dense]))
    return waiting, granted, word[dense]


def _last_runs(harness: Harness, m: Module, running: Queue, told, comes) -> None:
    """``told``: the instruction at the walk has sent its last run and is not among those ``running`` yet; ``comes``: its last
    run is still to be sent."""
    ends = Queue(harness, f"{WRITER}.ends", depth=2 * RUNS, bits=1 + harness.config.design.has_predictor_memory)
    bursts, last = unanswered_bursts(harness)
    offered = harness.probe(f"{WRITER}.bursts.o__valid", 1)
    asks = offered & harness.probe(f"{WRITER}.bursts.o__payload", bursts.bits)[last]
    tallies = []
    for name, queue, bit in (("last_runs", ends, 0), ("last_bursts", bursts, last)):
        tally = Tally(name, [there & entry[bit] for there, entry in zip(queue.occupied(m), queue.entries, strict=True)])
        put, entry = queue.puts
        tally.update(m, adds=(put & entry[bit], queue.tail), takes=(queue.takes & queue.entries[queue.oldest][bit], queue.oldest),
                     domain="clearable")
        tally.lemmas(harness)
        tallies.append(tally.total)
    harness.lemma("dones_owed", tallies[0] + tallies[1] + asks <= running.level + told)

    runs = Queue(harness, f"{WRITER}.runs", depth=RUNS, bits=0)
    checked, split = (harness.probe(f"{WRITER}.{name}", 1) for name in ("check.held", "split.o__valid"))
    harness.lemma("ends_level", (ends.level <= 2 * RUNS) & (runs.level <= RUNS))
    harness.lemma("runs_end", ends.level >= runs.level + checked + split)
    newest = Signal(name="newest_is_last")
    m.d.comb += newest.eq(asks | ~offered)
    for queue, bit in ((bursts, last), (ends, 0)):
        with m.If(queue.level != 0):
            m.d.comb += newest.eq(queue.entries[queue.newest][bit])
    harness.lemma("a_last_one_comes", newest | comes)
