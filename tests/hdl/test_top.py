"""The accelerator as its host sees it: phases, counters, identity, interrupts, reset."""

import numpy as np
import pytest

from adagp.golden import GoldenMachine
from adagp.spec.config import preset
from adagp.spec.identity import configuration_digest
from adagp.spec.isa import (
    Array, End, Engine, FaultCause, Fill, Format, Load, Memory, Pass, Store, Vector, encode)
from adagp.spec.machine import MachineFault
from adagp.spec.registers import REGISTERS
from adagp.spec.schedule import Adaptive, Phase, PhaseCounter, Row, Schedule
from adagp_tb import rtl_machine
from adagp_tb.rtl_machine import RtlMachine

CONFIG = preset("tiny")
BYTES = 1 << 16
PROGRAMS, TARGET = 0x8000, 0x4000
LANES = CONFIG.vector_lanes


@pytest.fixture(params=[0.0, 0.3], ids=["steady", "stalling"])
def rtl(request):
    return RtlMachine(CONFIG, BYTES, stall_probability=request.param, seed=3, max_cycles=1_000_000)


def tokens(**sets):
    return {name: frozenset(engines) for name, engines in sets.items()}


def marking(value):
    """Writes one word of ``value`` (float32 bits) to base 0."""
    return [Fill(memory=Memory.VECTOR, value=value, destination=0, length=LANES, **tokens(signal={Engine.STORE})),
            Store(format=Format.FLOAT32, base=0, offset=0, source=0, length=LANES, **tokens(wait={Engine.LOAD})), End()]


def place(machine, programs):
    """Puts a program per phase into the memory, and opens the window."""
    address = PROGRAMS
    for phase, program in programs.items():
        code = b"".join(map(encode, program))
        machine.memory[address:address + len(code)] = np.frombuffer(code, np.uint8)
        machine.write(f"PROGRAM[{phase.value}].ADDRESS", address)
        machine.write(f"PROGRAM[{phase.value}].SIZE", len(code))
        address += len(code)
    machine.write("WINDOW_LAST", BYTES - 1)


def configure(machine, schedule, batches):
    for register, value in (schedule.registers() | {"BATCHES": batches}).items():
        machine.write(register, value)


def phases(schedule, count):
    """The phases of the first batches of ``schedule``, the quality of predictions being 0."""
    values = dict.fromkeys(REGISTERS, 0) | schedule.registers()
    counter, chosen = PhaseCounter(values.__getitem__), []
    for batch in range(count):
        chosen.append(counter.choose(batch))
        counter.complete(chosen[-1])
    return chosen


def marks(machine, batches):
    """What each batch has written at the base that it had."""
    return machine.memory[TARGET:TARGET + 32 * batches].view(np.uint32).reshape(batches, 8)[:, :LANES]


BATCHES = (Phase.WARMUP, Phase.BP, Phase.GP, Phase.EVALUATE)  # without entering and leaving
MARKING = {phase: marking(0x1000 + phase) for phase in BATCHES}


def test_each_batch_runs_the_program_of_its_phase(rtl):
    schedule, batches = Schedule(warmup=2, gp=3, bp=2), 6
    place(rtl, MARKING)
    configure(rtl, schedule, batches)
    rtl.write("BASE[0]", TARGET)
    rtl.write("STRIDE[0]", 32)
    rtl.write("STRIDE[5]", 0xFFFFFFFF)
    rtl.run()
    rtl.run()  # the cycle goes on
    want = phases(schedule, 2 * batches)
    assert marks(rtl, 2 * batches).tolist() == [[0x1000 + phase] * LANES for phase in want]
    assert rtl.read("BATCH") == 2 * batches and rtl.read("BASE[0]") == TARGET + 32 * 2 * batches
    assert rtl.read("BASE[5]") == 2**32 - 2 * batches
    for phase in BATCHES:
        assert rtl.counter(f"PHASE_BATCHES[{phase.value}]") == want.count(phase)
        assert bool(rtl.counter(f"PHASE_CYCLES[{phase.value}]")) == (phase in want)
    assert rtl.read("STATUS") & 0b110010 == 0b000010 | want[-1] << 4


def test_evaluation_leaves_the_batch_number(rtl):
    place(rtl, MARKING)
    configure(rtl, Schedule(warmup=9), 3)
    rtl.write("BASE[0]", TARGET)
    rtl.write("STRIDE[0]", 32)
    rtl.write("MODE", 1)
    rtl.run()
    assert (marks(rtl, 3) == 0x1000 + Phase.EVALUATE).all() and rtl.read("BATCH") == 0
    assert rtl.read("BASE[0]") == TARGET + 96


ENTIRE = {phase: marking(0x1000 + phase) for phase in Phase}


def epochs(machine, seed):
    """Several epochs of an adaptive schedule or a table, with entering, leaving and a shuffled order."""
    rng = np.random.default_rng(seed)
    place(machine, ENTIRE if seed % 2 else MARKING)
    adaptive = Adaptive(least=1, most=3, raise_at=0, lower_at=-1, patience=2)  # the quality stays 0: k grows
    rows = Row(batches=6, gp=2, bp=1), Row(batches=8, gp=1, bp=2), Row(gp=3, bp=1)
    configure(machine, Schedule(warmup=3, rows=rows, adaptive=adaptive if seed % 3 == 0 else None), 40)
    epoch, step = 7, int(rng.integers(1, 7))
    for register, value in (("EPOCH_BATCHES", epoch), ("ORDER_STEP", step), ("BASE[0]", TARGET), ("STRIDE[0]", 32),
                            ("BASE[3]", 0x100), ("STRIDE[3]", step * 16), ("REWIND[3]", (step - epoch) * 16 % 2**32)):
        machine.write(register, value)


@pytest.mark.parametrize("seed", range(4))
def test_epochs_run_from_one_doorbell_as_on_the_golden_machine(rtl, seed):
    golden = GoldenMachine(CONFIG, BYTES)
    for machine in (rtl, golden):
        epochs(machine, seed)
        machine.run()
        machine.write("BATCHES", 3)  # the schedule goes on
        machine.run()
    assert rtl.register_writes == 0
    assert np.array_equal(rtl.memory, golden.memory) and len(np.unique(marks(rtl, 43))) >= 3
    names = {path for path in REGISTERS if not path.endswith((".LO", ".HI"))} - {"INTERRUPT_ENABLE"}
    compared = {path: rtl.read(path) for path in names - {"INTERRUPT_PENDING"}}
    assert compared == {path: golden.read(path) for path in compared}
    assert [rtl.counter(f"PHASE_BATCHES[{phase.value}]") for phase in Phase] == [
        golden.counter(f"PHASE_BATCHES[{phase.value}]") for phase in Phase]


def test_live_k_is_seen_in_the_register(rtl):
    configure(rtl, Schedule(warmup=0, gp=300, bp=1), 0)
    assert rtl.read("PREDICTOR") == 255 << 24
    rtl.write("SCHEDULE[0].RATIO", 7 | 1 << 16)
    assert rtl.read("PREDICTOR") == 7 << 24
    rtl.write("MODE", 2)
    rtl.write("ADAPTIVE.BOUNDS", 5 | 9 << 16)
    assert rtl.read("PREDICTOR") == 5 << 24


def test_write_back_runs_between_two_batches(rtl):
    place(rtl, ENTIRE)
    configure(rtl, Schedule(warmup=100), 9)
    rtl.write("BASE[0]", TARGET)
    rtl.write("STRIDE[0]", 32)
    rtl.start()
    while rtl.read("BATCH") < 3:
        pass
    rtl.write("CONTROL", 0b1000)
    assert rtl.register_writes == 1
    rtl.simulation.run(1_000_000)
    assert (marks(rtl, 9) == 0x1000 + Phase.WARMUP).all() and (marks(rtl, 10)[9] == 0x1000 + Phase.LEAVE).all()
    assert rtl.read("BATCH") == 9 and rtl.counter("PHASE_BATCHES[5]") == 2
    assert rtl.counter("PHASE_BATCHES[4]") == 1 and rtl.read("STATUS") == 0b10 | Phase.LEAVE << 4


def test_progress_is_told_while_the_machine_runs(rtl, monkeypatch):
    monkeypatch.setattr(rtl_machine, "_PROGRESS_CYCLES", 500)
    place(rtl, MARKING)
    configure(rtl, Schedule(warmup=100), 30)
    rtl.write("BASE[0]", TARGET)
    seen = []
    rtl.run(progress=seen.append)
    assert len(seen) > 5 and seen == sorted(seen) and 0 < seen[len(seen) // 2] < 30 == rtl.read("BATCH")
    assert rtl.register_writes == 0


WORK = [
    Load(memory=Memory.STREAM, format=Format.OPERAND, base=1, offset=0, destination=0, length=64),
    Load(memory=Memory.STATIONARY, format=Format.FLOAT32, base=1, offset=0x400, destination=0, length=16,
         **tokens(signal={Engine.ARRAY})),
    Array(tag=Pass.INPUT_GRADIENT, columns=4, stream=0, stationary=0, accumulator=0, stream_count0=16, row_count0=4,
          stream_stride0=4, row_stride0=4, **tokens(wait={Engine.LOAD}, signal={Engine.ARRAY})),
    Array(tag=Pass.WEIGHT_GRADIENT, columns=3, accumulate=1, stream=0, stationary=0, accumulator=0, stream_count0=16,
          row_count0=3, stream_stride0=4, row_stride0=4, **tokens(wait={Engine.ARRAY}, signal={Engine.VECTOR})),
    Vector(a=0, d=0, count0=16, a_stride0=1, d_stride0=1, relu=1, **tokens(wait={Engine.ARRAY}, signal={Engine.STORE})),
    Store(format=Format.FLOAT32, base=0, offset=0, source=0, length=16 * LANES, **tokens(wait={Engine.VECTOR})),
    End()]


def working(machine):
    values = np.random.default_rng(2).normal(size=512).astype(np.float32)
    machine.memory[0x1000:0x1800].view(np.uint16)[:512] = values.view(np.uint32) >> 16
    machine.memory[0x1400:0x1800].view(np.float32)[:] = values[:256]
    place(machine, {Phase.WARMUP: WORK})
    configure(machine, Schedule(warmup=100), 2)
    for register, value in (("BASE[0]", TARGET), ("STRIDE[0]", 0x800), ("BASE[1]", 0x1000)):
        machine.write(register, value)
    return machine


def test_program_over_all_engines_leaves_the_golden_bits(rtl):
    golden = working(GoldenMachine(CONFIG, BYTES))
    working(rtl).run()
    golden.run()
    assert np.array_equal(rtl.memory, golden.memory) and rtl.memory[TARGET + 0x800:TARGET + 0xC00].any()


def test_counters_add_up(rtl):
    working(rtl).run()
    count = rtl.counter
    cycles = count("CYCLES")
    assert cycles == count("PHASE_CYCLES[0]") == sum(count(f"PASS_CYCLES[{tag.value}]") for tag in Pass)
    assert cycles < rtl.cycles
    assert [count(f"PASS_MACS[{tag.value}]") for tag in Pass] == [0, 2 * 16 * 4 * 4, 2 * 16 * 3 * 3, 0]
    assert count("PASS_CYCLES[0]") > 0 and count("PASS_CYCLES[3]") == 0
    assert count("PASS_CYCLES[2]") > count("PASS_CYCLES[1]") > 2 * 16, "what comes after the last vector is its"
    for engine in Engine:
        busy = count(f"BUSY[{engine.value}]")
        assert busy == 0 if engine is Engine.PREDICTOR else 0 < busy < cycles
    layers = {}
    for layer in range(256):
        rtl.write("LAYER", layer)
        layers[layer] = count("LAYER_CYCLES"), count("LAYER_MACS")
    assert sum(each for each, _ in layers.values()) == cycles
    assert sum(macs for _, macs in layers.values()) == sum(count(f"PASS_MACS[{tag.value}]") for tag in Pass)
    assert count("INSTRUCTIONS") == 2 * len(WORK) and count("PHASE_BATCHES[0]") == 2
    assert count("BYTES_READ") == 2 * (64 * 2 + 16 * 4)
    assert count("BYTES_FETCHED") == 2 * 64 * len(WORK)
    assert count("BYTES_WRITTEN") == 2 * 4 * 16 * LANES


def test_counters_are_kept_by_a_reset_and_cleared_on_demand(rtl):
    working(rtl).run()
    before = {path: rtl.read(path) for path in REGISTERS if path.endswith((".LO", ".HI"))}
    rtl.reset()
    assert {path: rtl.read(path) for path in before} == before
    rtl.write("CONTROL", 0b100)
    assert not any(rtl.read(path) for path in before)
    rtl.run()
    assert rtl.counter("INSTRUCTIONS") == 2 * len(WORK)


def test_identity_is_that_of_the_configuration(rtl):
    assert rtl.read("ID") == 0x0ADA6B00
    assert rtl.read("VERSION") == 0x000100
    assert rtl.read("ARRAY").to_bytes(4, "little") == bytes([4, 4, 0, 8])
    assert rtl.read("MEMORIES").to_bytes(4, "little") == bytes([13, 13, 10, 4])
    assert rtl.read("PREDICTOR") == 0
    assert rtl.read("INTERFACE") == 0x0101 and rtl.read("CONFIGURATION") == configuration_digest(CONFIG)


def test_configuration_survives_a_reset_and_pending_interrupts_do_not(rtl):
    working(rtl)
    rtl.start()
    rtl.simulation.run(100_000)
    assert rtl.read("INTERRUPT_PENDING") == 1
    names = [path for path, register in REGISTERS.items()
             if register.fields[0].software == "rw" and not register.fields[0].woclr]
    before = {path: rtl.read(path) for path in names}
    rtl.reset()
    assert {path: rtl.read(path) for path in names} == before and rtl.read("INTERRUPT_PENDING") == 0
    assert rtl.read("STATUS") == 0


def test_interrupt_follows_enable_and_pending(rtl):
    working(rtl)
    rtl.write("INTERRUPT_ENABLE", 0)
    rtl.start()
    with pytest.raises(TimeoutError):
        rtl.simulation.run(20_000)
    assert rtl.read("STATUS") & 0b11 == 0b10 and rtl.read("INTERRUPT_PENDING") == 1
    rtl.write("INTERRUPT_ENABLE", 1)
    rtl.simulation.run(10)
    rtl.write("INTERRUPT_PENDING", 1)
    with pytest.raises(TimeoutError):
        rtl.simulation.run(100)


def test_start_and_clear_are_ignored_while_busy(rtl):
    working(rtl)
    rtl.start()
    for _ in range(5):
        assert rtl.read("STATUS") & 1
        rtl.write("CONTROL", 0b101)
    rtl.simulation.run(100_000)
    assert rtl.read("BATCH") == 2 and rtl.counter("INSTRUCTIONS") == 2 * len(WORK)
    with pytest.raises(TimeoutError):
        rtl.write("INTERRUPT_PENDING", 3)
        rtl.simulation.run(5_000)  # no second run follows


def test_zero_batches_are_done_at_once(rtl):
    working(rtl).write("BATCHES", 0)
    rtl.run()
    assert rtl.read("STATUS") & 0b111 == 0b010 and rtl.counter("CYCLES") == 0 == rtl.counter("INSTRUCTIONS")


def test_fault_in_a_later_batch_names_its_phase(rtl):
    place(rtl, MARKING | {Phase.GP: MARKING[Phase.GP][:-1]})
    configure(rtl, Schedule(warmup=1, gp=1, bp=1), 5)
    rtl.write("BASE[0]", TARGET)
    rtl.write("STRIDE[0]", 32)
    with pytest.raises(MachineFault) as raised:
        rtl.run()
    gp = rtl.read(f"PROGRAM[{Phase.GP.value}].ADDRESS")
    assert (raised.value.cause, raised.value.address) == (FaultCause.OVERRUN, gp + 128)
    assert rtl.read("STATUS") >> 4 == Phase.GP and rtl.read("BATCH") == 1 and rtl.read("BASE[0]") == TARGET + 32
    assert (marks(rtl, 2) == [[0x1000] * LANES, [0x1000 + Phase.GP] * LANES]).all()
    cycles = rtl.counter("CYCLES")
    assert rtl.counter("CYCLES") == cycles, "a stopped machine counts no cycles"
    assert rtl.counter("PHASE_BATCHES[2]") == 0


def test_program_with_more_behind_its_end_runs_batch_after_batch(rtl):
    place(rtl, {Phase.WARMUP: [*MARKING[Phase.WARMUP], *MARKING[Phase.BP] * 7]})
    configure(rtl, Schedule(warmup=100), 4)
    rtl.write("BASE[0]", TARGET)
    rtl.write("STRIDE[0]", 32)
    rtl.run()
    assert (marks(rtl, 4) == 0x1000).all() and rtl.counter("INSTRUCTIONS") == 12
