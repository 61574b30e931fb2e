"""Instructions come while a program runs, and at no other time."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from adagp.spec.isa import INSTRUCTION_BYTES

from .bursts import asked_and_kept, memory
from .harness import Harness

_READER = "fetch.reader"
_BEATS = 31  # bits of a number of beats of a program
_IN_FLIGHT = 8  # bits of a number of beats between splitter and instruction
_READY, _IDLE = 0, 0  # the states of the supervisor and of the phase controller between two starts


def program_runs(harness: Harness):
    """High from the cycle after the request of a program to its end."""
    return harness.probe("phases.running", 1) & ~harness.probe("phases.request__valid", 1)


def programs(harness: Harness, m: Module) -> None:
    """Lemmas: nothing is fetched, and no instruction offered or looked at, when no program runs; and none does when the
    supervisor is ready. Assumes a :func:`~adagp_flows.proofs.bursts.memory`."""
    runs, offered = program_runs(harness), harness.probe("fetch.o__valid", 1)
    active, skipping, full, misaligned = (harness.probe(f"fetch.{name}", 1) for name in (
        "active", "skipping", "full", "misaligned"))
    _left(harness, m, active, misaligned)
    harness.lemma("fetch_idle", active | ~full & ~skipping & ~misaligned)
    harness.lemma("fetch_runs", ~active | skipping | runs)
    harness.lemma("fetch_skips", ~(skipping & misaligned))
    harness.lemma("looked_at", ~harness.probe("dispatch.checked", 1) | offered)
    done, ready = harness.probe("supervisor.done", 1), harness.probe("supervisor.fsm_state", 3) == _READY
    harness.lemma("phases_idle", ~(ready | done) | (harness.probe("phases.fsm_state", 4) == _IDLE))


def _left(harness: Harness, m: Module, active, misaligned) -> None:
    """Of the program's beats that have not come, none is forgotten, so that none comes after the last instruction."""
    config = harness.config
    low, more = (config.bus_bytes - 1).bit_length(), (config.burst_beats - 1).bit_length()
    per_instruction = INSTRUCTION_BYTES // config.bus_bytes
    parts = (per_instruction - 1).bit_length()
    left, count = harness.probe("fetch.left", 32 - (INSTRUCTION_BYTES - 1).bit_length()), harness.probe("fetch.count", parts)
    whole = Cat(Const(0, parts), left)
    clear = harness.probe("supervisor.clear", 1)

    # ghosts: beats of which no burst has been split off, and beats behind the splitter
    unsplit, split = Signal(_BEATS, name="beats_unsplit"), Signal(_IN_FLIGHT, name="beats_split")
    program, taken = harness.probe("fetch.request__payload", 64), harness.probe("phases.request__valid", 1) & ~active
    aligned = program[:(INSTRUCTION_BYTES - 1).bit_length()] == 0
    burst = harness.probe(f"{_READER}.split.o__payload", 32 - low + more + 1)
    held, full = harness.probe(f"{_READER}.split.o__valid", 1), ~harness.probe(f"{_READER}.next_burst.i__ready", 1)
    moves = Mux(held & ~full, burst[32 - low:32 - low + more] + 1, 0)
    comes = harness.probe("fetch.data__valid", 1) & harness.probe("fetch.data__ready", 1)
    fresh = Mux(taken & aligned, Cat(Const(0, parts), program[32:][(INSTRUCTION_BYTES - 1).bit_length():]), 0)
    m.d.sync += [unsplit.eq(unsplit + fresh - moves), split.eq(split + moves - comes)]
    with m.If(clear):
        m.d.sync += [unsplit.eq(0), split.eq(0)]

    beats, bursts = memory(harness, m)
    level = asked_and_kept(harness, _READER, beats[1], bursts[1])
    kept = harness.probe(f"{_READER}.next_burst.kept", 32 - low + more + 1)[32 - low:32 - low + more]
    shown, length = harness.probe(f"{_READER}.axi__arvalid", 1), harness.probe(f"{_READER}.axi__arlen", 8)
    harness.lemma("beats_split", split == Mux(full, kept + 1, 0) + Mux(shown, length + 1, 0) + beats[1] + level
                  + harness.probe(f"{_READER}.buffer.o__valid", 1))
    harness.lemma("beats_left", ~active | misaligned | (whole == unsplit + split + count))
    harness.lemma("beats_inactive", active & ~misaligned | (unsplit == 0) & (split == 0) & (count == 0))
    harness.lemma("beats_count", (count == 0) | (left != 0))
    _unsplit(harness, unsplit, whole, held, burst, low, more)


def _unsplit(harness: Harness, unsplit, whole, held, burst, low: int, more: int) -> None:
    """The one run that fetch asks for, wherever it is."""
    waits, checked = harness.probe("fetch.run__valid", 1), harness.probe(f"{_READER}.check.held", 1)
    run = harness.probe(f"{_READER}.check.checked", 96)
    address, size = run[:32], run[32:64]
    aligned = (INSTRUCTION_BYTES - 1).bit_length()
    last = burst[32 - low + more]
    blocks = harness.probe(f"{_READER}.split.blocks", 32 - low - more)
    end = harness.probe(f"{_READER}.split.end", more)
    harness.lemma("one_run", waits + checked + held <= 1)
    harness.lemma("run_waits", ~waits | (unsplit == whole) & (whole != 0)
                  & (harness.probe("fetch.address", 32)[:aligned] == 0))
    harness.lemma("run_checked", ~checked | (unsplit == size >> low) & (size != 0) & (size[:aligned] == 0)
                  & (address[:aligned] == 0))
    rest = Mux(last, 0, Cat(end, (blocks - 1)[:len(blocks)]) + 1)
    harness.lemma("run_split", ~held | (unsplit == burst[32 - low:32 - low + more] + 1 + rest) & (last | (blocks != 0)))
