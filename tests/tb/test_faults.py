"""Every cause of a fault on the simulated RTL, and the recovery from it."""

from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest

from adagp.golden import GoldenMachine
from adagp.spec.config import Design, preset
from adagp.spec.isa import (
    FIELDS, HEADER, TOKEN_LIMIT, Array, End, Engine, FaultCause, Fill, Format, Load, Memory, Pass, PredictorArray,
    Store, Vector, encode)
from adagp.spec.machine import MachineFault
from adagp.spec.schedule import Phase, Schedule
from adagp_tb.random_programs import MEMORY_BYTES, ZONE_BYTES, random_program
from adagp_tb.rtl_machine import RtlMachine
from hosting import PROGRAM, install, instruction_address

CONFIG = preset("tiny")
BYTES = 1 << 16
SOURCE, TARGET = 0x1000, 0x2000
END = 0x8000  # beyond the program
LOAD, ARRAY, VECTOR, STORE, PREDICTOR = (frozenset({engine}) for engine in (
    Engine.LOAD, Engine.ARRAY, Engine.VECTOR, Engine.STORE, Engine.PREDICTOR))

load = Load(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=SOURCE, destination=0, length=300)
store = Store(format=Format.FLOAT32, base=0, offset=TARGET, source=0, length=300)
GOOD = [replace(load, signal=VECTOR),
        Vector(a=0, d=0, count0=75, a_stride0=1, d_stride0=1, relu=1, wait=LOAD, signal=STORE),
        replace(store, wait=VECTOR), End()]


def machine(kind, design=Design.BASELINE, **options):
    made = kind(CONFIG.with_design(design), BYTES, **options)
    made.memory[SOURCE:SOURCE + 0x800].view(np.float32)[:] = np.random.default_rng(5).normal(size=0x200)
    return made


def field(instruction, name, value):
    """The bytes of ``instruction`` with a field that its class would refuse."""
    position = 0
    for key, width in (HEADER | FIELDS[instruction.opcode]).items():
        if key == name:
            mask = (1 << width) - 1 << position
            word = int.from_bytes(encode(instruction), "little") & ~mask | value << position
            return word.to_bytes(64, "little")
        position += width
    raise KeyError(name)


tile = dict(tag=Pass.FORWARD, columns=4, stream=0, stationary=0, accumulator=0, stream_count0=4, row_count0=4)
array, predictor = Array(**tile), PredictorArray(**tile)
fill = Fill(memory=Memory.STREAM, destination=0, length=4)
vector = Vector(a=0, d=0)
transposed = Load(memory=Memory.STREAM, format=Format.OPERAND, base=0, offset=0, destination=0, length=2,
                  transpose=1, count0=4)
ILLEGAL = {
    "opcode 0": bytes(64), "opcode 7": field(End(), "opcode", 7), "opcode 15": field(End(), "opcode", 15),
    "load memory 3": field(load, "memory", 3), "load length 0": field(load, "length", 0),
    "load count0 0": field(load, "count0", 0), "load count1 0": field(load, "count1", 0),
    "load count2 0": field(load, "count2", 0),
    "load transposed into vector": field(load, "transpose", 1),
    "load transposed too wide": field(transposed, "count0", 5),
    "load transposed dense": field(transposed, "dense", 1),
    "load waits for predictor": encode(replace(load, wait=PREDICTOR)),
    "load signals predictor": encode(replace(load, signal=PREDICTOR)),
    "fill memory 3": field(fill, "memory", 3), "fill count2 0": field(fill, "count2", 0),
    "array columns 0": field(array, "columns", 0), "array columns 5": field(array, "columns", 5),
    "array stream_count1 0": field(array, "stream_count1", 0), "array row_count2 0": field(array, "row_count2", 0),
    "array outer_count0 0": field(array, "outer_count0", 0), "array outer_count1 0": field(array, "outer_count1", 0),
    "predictor's array": encode(predictor), "load from a predictor memory": encode(replace(load, local=1)),
    "store to a predictor memory": encode(replace(store, local=1)), "vector lane 4": encode(replace(vector, lane=4)),
    "vector function 11": field(vector, "function", 11), "vector multiplier 3": field(vector, "multiplier", 3),
    "vector addend 3": field(vector, "addend", 3), "vector count0 0": field(vector, "count0", 0),
    "store length 0": field(store, "length", 0), "store count1 0": field(store, "count1", 0),
}
ILLEGAL_IN_MAX = {
    "opcode 8": field(End(), "opcode", 8), "memory 5": field(fill, "memory", 5),
    "predictor's array columns 0": field(predictor, "columns", 0),
    "predictor's array columns 5": field(predictor, "columns", 5),
    "predictor's array row_count0 0": field(predictor, "row_count0", 0),
    "transposed too wide for the predictor": field(
        replace(transposed, memory=Memory.PREDICTOR_STATIONARY), "count0", 5),
}


class Fault(NamedTuple):
    """What must be reported (address None: depends on time or on the length of bursts), and for what."""

    cause: FaultCause
    address: int | None
    program: list
    first: int
    last: int
    design: Design
    errors: dict


def faulty(cause, address, *program, first=0, last=BYTES - 1, design=Design.BASELINE, **errors):
    return Fault(cause, address, list(program), first, last, design, errors)


def faulty_max(cause, address, *program, **options):
    return faulty(cause, address, *program, design=Design.MAX, **options)


tokens = [replace(fill, signal=ARRAY)]
predictor_tokens = [replace(fill, signal=PREDICTOR)]
LOCAL = 4 * CONFIG.predictor_elements
local_load, local_store = replace(load, local=1), replace(store, local=1)
FAULTS = {name: faulty(FaultCause.ILLEGAL_INSTRUCTION, instruction_address(1), fill, data, End())
          for name, data in ILLEGAL.items()} | {
    "read error": faulty(FaultCause.READ_ERROR, SOURCE, load, End(), read_error=SOURCE + 3),
    "read error in the last burst": faulty(FaultCause.READ_ERROR, None, load, End(), read_error=SOURCE + 1199),
    "no memory to read": faulty(FaultCause.READ_ERROR, None, replace(load, offset=BYTES + 0x1000), End(),
                                last=4 * BYTES),
    "read error in the program": faulty(FaultCause.READ_ERROR, PROGRAM, *GOOD, read_error=PROGRAM + 64),
    "write error": faulty(FaultCause.WRITE_ERROR, TARGET, store, End(), write_error=TARGET),
    "write error late": faulty(FaultCause.WRITE_ERROR, None, store, End(), write_error=TARGET + 1199),
    "load before the window": faulty(FaultCause.WINDOW, SOURCE, load, End(), first=SOURCE + 1),
    "load after the window": faulty(FaultCause.WINDOW, END, replace(load, offset=END), End(), last=END + 1198),
    "store before the window": faulty(FaultCause.WINDOW, TARGET, store, End(), first=TARGET + 1),
    "store after the window": faulty(FaultCause.WINDOW, END, replace(store, offset=END), End(), last=END + 1198),
    "second run after the window": faulty(
        FaultCause.WINDOW, END + 0x800, replace(store, offset=END, count0=2, destination_stride0=0x800), End(),
        last=END + 0x800 + 1198),
    "program outside the window": faulty(FaultCause.WINDOW, PROGRAM, *GOOD, last=PROGRAM + 254),
    "run around the address space": faulty(
        FaultCause.WINDOW, 0xFFFF_FFFC, replace(store, offset=0xFFFF_FFFC), End(), last=0xFFFF_FFFF),
    "load misaligned": faulty(FaultCause.MISALIGNED, SOURCE + 2, replace(load, offset=SOURCE + 2), End()),
    "store misaligned": faulty(FaultCause.MISALIGNED, TARGET + 1,
                               replace(store, format=Format.OPERAND, offset=TARGET + 1), End()),
    "second run misaligned": faulty(
        FaultCause.MISALIGNED, TARGET + 0x801, replace(store, count1=2, destination_stride1=0x801), End()),
    "deadlock": faulty(FaultCause.DEADLOCK, None, replace(store, wait=ARRAY), End()),
    "deadlock of two": faulty(FaultCause.DEADLOCK, None, replace(store, wait=VECTOR, signal=VECTOR),
                              replace(vector, wait=STORE, signal=STORE), End()),
    "no end": faulty(FaultCause.OVERRUN, instruction_address(2), fill, vector),
    "empty program": faulty(FaultCause.OVERRUN, instruction_address(0)),
    "token left over": faulty(FaultCause.TOKEN, instruction_address(1), *tokens, End()),
    "too many tokens": faulty(FaultCause.TOKEN, None, *tokens * (TOKEN_LIMIT + 1), End()),
} | {
    name: faulty_max(FaultCause.ILLEGAL_INSTRUCTION, instruction_address(1), fill, data, End())
    for name, data in ILLEGAL_IN_MAX.items()
} | {
    "load across the end of the predictor memory": faulty_max(
        FaultCause.WINDOW, LOCAL - 1196, load, replace(local_load, offset=LOCAL - 1196), End()),
    "load behind the predictor memory": faulty_max(FaultCause.WINDOW, LOCAL, replace(local_load, offset=LOCAL), End()),
    "load before the predictor memory": faulty_max(
        FaultCause.WINDOW, 0xFFFF_FFFC, replace(local_load, offset=0, count0=2, source_stride0=-4), End()),
    "store across the end of the predictor memory": faulty_max(
        FaultCause.WINDOW, LOCAL - 1196, store, replace(local_store, offset=LOCAL - 1196), End()),
    "second run behind the predictor memory": faulty_max(
        FaultCause.WINDOW, LOCAL, replace(local_store, offset=0, count1=2, destination_stride1=LOCAL), End()),
    "local load misaligned": faulty_max(FaultCause.MISALIGNED, 2, replace(local_load, offset=2), End()),
    "local store misaligned": faulty_max(
        FaultCause.MISALIGNED, LOCAL + 1, replace(local_store, format=Format.OPERAND, offset=LOCAL + 1), End()),
    "write error before a local store": faulty_max(
        FaultCause.WRITE_ERROR, TARGET, store, replace(local_store, offset=0), End(), write_error=TARGET),
    "deadlock of the predictor": faulty_max(FaultCause.DEADLOCK, None, replace(predictor, wait=LOAD), End()),
    "deadlock of the two arrays": faulty_max(FaultCause.DEADLOCK, None, replace(predictor, wait=ARRAY, signal=ARRAY),
                                             replace(array, wait=PREDICTOR, signal=PREDICTOR), End()),
    "token left over for the predictor": faulty_max(
        FaultCause.TOKEN, instruction_address(2), *predictor_tokens, predictor, End()),
    "too many tokens for the predictor": faulty_max(
        FaultCause.TOKEN, None, *predictor_tokens * (TOKEN_LIMIT + 1), End()),
    "no end behind the predictor": faulty_max(FaultCause.OVERRUN, instruction_address(1), predictor),
}


def install_fault(any_machine, fault):
    install(any_machine, fault.program)
    any_machine.write("WINDOW_FIRST", fault.first)
    any_machine.write("WINDOW_LAST", fault.last)


def recovered(rtl):
    """Resets ``rtl`` and shows that a good program gives the golden bits."""
    rtl.reset()
    assert rtl.read("STATUS") & 0b1111 == 0
    for any_machine in (golden := machine(GoldenMachine), rtl):
        any_machine.memory[TARGET:PROGRAM] = 0
        install(any_machine, GOOD)
        any_machine.run()
    assert np.array_equal(rtl.memory[TARGET:PROGRAM], golden.memory[TARGET:PROGRAM])
    assert rtl.simulation.outstanding == 0 and not rtl.simulation.memory[:SOURCE].any()


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("stall_probability", [0, 0.3])
def test_fault_stops_the_machine_and_reset_recovers_it(name, stall_probability):
    fault = FAULTS[name]
    rtl = machine(RtlMachine, fault.design, max_cycles=100_000, stall_probability=stall_probability, seed=len(name))
    install_fault(rtl, fault)
    rtl.simulation.inject(**fault.errors)
    before = rtl.memory.copy()
    with pytest.raises(MachineFault) as raised:
        rtl.run()
    assert raised.value.cause == fault.cause
    if fault.address is not None:
        assert hex(raised.value.address) == hex(fault.address)
    assert rtl.simulation.outstanding == 0, "the interrupt must come after the bus has drained"
    assert rtl.read("STATUS") & 0b111 == 0b100
    outside = np.ones(BYTES, bool)
    for zone in (TARGET, END):
        outside[max(zone, fault.first):min(zone + 0x1000, fault.last + 1)] = False
    assert np.array_equal(rtl.memory[outside], before[outside])
    with pytest.raises(MachineFault):
        rtl.run()  # a fault stays until a reset
    rtl.simulation.inject()
    recovered(rtl)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if not fault.errors])
def test_golden_machine_names_the_same_fault(name):
    fault = FAULTS[name]
    golden = machine(GoldenMachine, fault.design)
    install_fault(golden, fault)
    with pytest.raises(MachineFault) as raised:
        golden.run()
    assert raised.value.cause == fault.cause
    if fault.address is not None:
        assert raised.value.address == fault.address


def test_bus_error_names_a_burst_that_holds_it():
    rtl = machine(RtlMachine)
    install(rtl, [load, End()])
    for offset in range(0, 1200, 52):
        rtl.simulation.inject(read_error=SOURCE + offset)
        with pytest.raises(MachineFault, match="READ_ERROR") as raised:
            rtl.run()
        burst = CONFIG.burst_beats * CONFIG.bus_bytes
        assert raised.value.address <= SOURCE + offset < raised.value.address + burst
        rtl.reset()


@pytest.mark.parametrize("cycle", [*range(1, 60, 3), *range(60, 1200, 61)])
def test_reset_in_the_middle_leaves_no_trace(cycle):
    rtl = machine(RtlMachine, stall_probability=0.2, seed=cycle)
    install(rtl, GOOD)
    rtl.start()
    with suppress(TimeoutError):
        rtl.simulation.run(cycle)
    recovered(rtl)


def test_reset_pin_in_the_middle_leaves_no_trace():
    rtl = machine(RtlMachine)
    install(rtl, GOOD)
    rtl.start()
    with pytest.raises(TimeoutError, match="no interrupt within 200 cycles"):
        rtl.simulation.run(200)
    rtl.simulation.reset()
    rtl.write("INTERRUPT_ENABLE", 3)
    recovered(rtl)


MARKS, STEP, EPOCH, BATCHES = 0x6000, 0x40, 5, 12


def training(any_machine, *, without_end=None, behind=()):
    """Batches that write their phase's mark where the order of their epoch puts them, between ENTER and
    LEAVE. The program of the phase ``without_end`` faults; ``behind`` follows each program's End."""
    any_machine.memory[MARKS:MARKS + 0x1000] = 0
    address = PROGRAM
    for phase in Phase:
        program = [Fill(memory=Memory.VECTOR, value=0x3F800000 + phase, destination=0, length=8, signal=STORE),
                   Store(format=Format.FLOAT32, base=2, offset=0, source=0, length=8, wait=LOAD),
                   *([] if phase == without_end else [End(), *behind])]
        code = b"".join(map(encode, program))
        any_machine.memory[address:address + len(code)] = np.frombuffer(code, np.uint8)
        any_machine.write(f"PROGRAM[{phase.value}].ADDRESS", address)
        any_machine.write(f"PROGRAM[{phase.value}].SIZE", len(code))
        address += len(code)
    values = {"BASE[2]": MARKS, "STRIDE[2]": 2 * STEP, "REWIND[2]": (2 - EPOCH) * STEP % 2**32,
              "EPOCH_BATCHES": EPOCH, "ORDER_STEP": 2, "ORDER": 0, "WINDOW_LAST": BYTES - 1, "BATCH": 0,
              "BATCHES": BATCHES, **Schedule(warmup=3, gp=2, bp=1).registers()}
    for register, value in values.items():
        any_machine.write(register, value)


def place_of(rtl) -> int:
    """The number of the next batch; ORDER and BASE must belong to it."""
    batch = rtl.read("BATCH")
    assert rtl.read("ORDER") == 2 * batch % EPOCH
    assert rtl.read("BASE[2]") == MARKS + STEP * rtl.read("ORDER")
    return batch


def continued(rtl) -> int:
    """A host that goes on after a reset: the schedule begins anew, and nothing else is forgotten.
    Returns the number of the batch that comes first."""
    rtl.reset()
    assert rtl.read("STATUS") == 0 == rtl.simulation.outstanding
    batch = place_of(rtl)
    golden = machine(GoldenMachine)
    training(golden)
    for register in ("BATCH", "ORDER", "BASE[2]"):
        golden.write(register, rtl.read(register))
    rtl.write("CONTROL", 0b100)
    for any_machine in (golden, rtl):
        any_machine.memory[MARKS:MARKS + 0x1000] = 0
        any_machine.write("BATCHES", BATCHES - batch)
        any_machine.run()
    assert np.array_equal(rtl.memory[MARKS:MARKS + 0x1000], golden.memory[MARKS:MARKS + 0x1000])
    assert place_of(rtl) == BATCHES
    for phase in Phase:
        counter = f"PHASE_BATCHES[{phase.value}]"
        assert rtl.counter(counter) == golden.counter(counter), "what was asked for before the reset is forgotten"
    return batch


def reset_after(cycle, **options) -> int:
    rtl = machine(RtlMachine, **options)
    training(rtl)
    rtl.start()
    rtl.simulation.clock(cycle)
    rtl.write("CONTROL", 0b1000)
    return continued(rtl)


@pytest.mark.parametrize("cycle", [*range(1, 120, 13), *range(120, 2600, 167)])
def test_reset_in_a_run_of_many_batches_leaves_whole_batches(cycle):
    reset_after(cycle, stall_probability=0.2, seed=cycle)


def test_reset_at_any_cycle_from_one_batch_to_the_next_leaves_whole_batches():
    first, cycle = reset_after(700), 700
    while reset_after(cycle) < first + 2:  # goes over two boundaries
        cycle += 1
    assert cycle < 1200


@pytest.mark.parametrize("phase", [Phase.BP, Phase.ENTER, Phase.LEAVE], ids=lambda phase: phase.name)
@pytest.mark.parametrize("write_back", [False, True])
def test_fault_in_any_phase_names_it_and_recovers(phase, write_back):
    rtl, golden = machine(RtlMachine), machine(GoldenMachine)
    for any_machine in (rtl, golden):
        training(any_machine, without_end=phase)
    rtl.start()
    rtl.simulation.clock(60)
    rtl.write("CONTROL", 0b1000 * write_back)  # at latest the batch after the next boundary faults
    rtl.simulation.run(100_000)
    with pytest.raises(MachineFault) as want:
        golden.run()
    with pytest.raises(MachineFault) as got:
        rtl.run()
    assert got.value.cause == want.value.cause == FaultCause.OVERRUN
    if not write_back:
        assert got.value.address == want.value.address
        assert rtl.read("STATUS") == golden.read("STATUS") == 0b100 | phase << 4
        assert place_of(rtl) == golden.read("BATCH")
    training(rtl)
    assert continued(rtl) == 0


@pytest.mark.parametrize("latency", [1, 5, 10, 20, 30, 40, 60, 100])
def test_bus_error_behind_the_end_of_a_program_recovers(latency):
    """Fetched ahead, it is found while the batch runs, or between that batch and the next."""
    rtl = machine(RtlMachine, latency=latency)
    training(rtl, behind=[fill] * 12)
    rtl.simulation.inject(read_error=rtl.read("PROGRAM[0].ADDRESS") + 64 * 13)
    with pytest.raises(MachineFault, match="READ_ERROR"):
        rtl.run()
    rtl.simulation.inject()
    continued(rtl)


def wiping(config) -> list:
    """A program that clears what the ones before it have left on chip."""
    sizes = {Memory.STREAM: config.stream_elements, Memory.STATIONARY: config.stationary_elements,
             Memory.VECTOR: config.vector_elements}
    if config.design.has_predictor_array:
        sizes |= {Memory.PREDICTOR_STREAM: config.predictor_stream_elements,
                  Memory.PREDICTOR_STATIONARY: config.predictor_stationary_elements}
    fills = [Fill(memory=memory, destination=0, length=size // 16, count0=16, destination_stride0=size // 16)
             for memory, size in sizes.items()]
    stores = [Store(format=Format.FLOAT32, local=1, dense=1, offset=0, source=0, length=1024, destination_stride0=4096,
                    count0=config.predictor_elements // 1024, wait=LOAD)] if config.design.has_predictor_memory else []
    return [*fills[:-1], replace(fills[-1], signal=frozenset({i.engine for i in stores})), *stores, End()]


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("design", [Design.BASELINE, Design.MAX], ids=lambda design: design.name.lower())
def test_random_program_interrupted_anywhere_leaves_a_whole_machine(design, seed):
    rng, config = np.random.default_rng(seed), CONFIG.with_design(design)
    rtl = RtlMachine(config, MEMORY_BYTES, stall_probability=rng.choice([0, 0.3]), seed=seed, interleave=True,
                     latency=int(rng.choice([1, 30, 100])), max_cycles=1_000_000)
    random_program(config, seed, overlap=True).place(rtl)
    if seed % 3 == 0:
        rtl.start()
        with suppress(TimeoutError):
            rtl.simulation.run(int(rng.integers(1, 4000)))
    else:
        kind = ("read_error", "write_error")[seed % 3 - 1]
        rtl.simulation.inject(**{kind: int(rng.integers(0, ZONE_BYTES))})
        with suppress(MachineFault):
            rtl.run()
        rtl.simulation.inject()
    rtl.reset()
    assert rtl.simulation.outstanding == 0
    program = random_program(config, 1000 + seed, overlap=True)
    golden = GoldenMachine(config, MEMORY_BYTES)
    rtl.memory[:] = 0
    for any_machine in (golden, rtl):
        any_machine.write("MODE", 0)
        install(any_machine, wiping(config))
        any_machine.run()
        program.place(any_machine)
        any_machine.run()
    assert np.array_equal(rtl.memory, golden.memory)
