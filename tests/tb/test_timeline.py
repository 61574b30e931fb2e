"""The recorded timeline of the RTL against its own counters, the program, and a run without recording."""

import numpy as np
import pytest

from adagp.spec.config import preset
from adagp.spec.isa import Array, End, Engine, FaultCause, Fill, Format, Load, Memory, Pass, Vector
from adagp.spec.machine import MachineFault
from adagp.spec.schedule import Phase
from adagp_tb.random_programs import MEMORY_BYTES, random_program
from adagp_tb.rtl_machine import RtlMachine
from adagp_tb.timeline import record
from hosting import install

CONFIG = preset("tiny")
TIMINGS = [{"latency": 1}, {"latency": 60, "interval": 3, "outstanding": 2}, {"latency": 10, "stall_probability": 0.4}]
LATE_TO_BE_BUSY = (Engine.ARRAY, Engine.VECTOR)  # not yet in the cycle in which they are handed an instruction


def random_machine(seed, **timing):
    machine, program = RtlMachine(CONFIG, MEMORY_BYTES, seed=seed, **timing), random_program(CONFIG, seed, overlap=True)
    program.place(machine)
    return machine, program


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("timing", TIMINGS)
def test_engines_do_what_the_counters_say(timing, seed):
    machine, program = random_machine(seed, **timing)
    timeline, = record(machine)
    assert timeline.phase is Phase.EVALUATE and timeline.cycles == machine.counter("CYCLES")
    assert list(timeline.engines) == [Engine.LOAD, Engine.ARRAY, Engine.VECTOR, Engine.STORE]
    for engine, activity in timeline.engines.items():
        count = sum(each.engine is engine for each in program.instructions)
        assert len(activity.starts) == len(activity.ends) == count
        assert (np.diff(activity.starts) > 0).all() and (np.diff(activity.ends) > 0).all()
        assert (activity.starts < activity.ends).all()
        assert activity.starts.min() > 0 and activity.ends.max() <= timeline.cycles
        intervals = activity.intervals
        begins_anew = 1 + np.count_nonzero(intervals[1:, 0] > intervals[:-1, 1])
        counted = machine.counter(f"BUSY[{engine.value}]")
        assert activity.busy == counted + (begins_anew if engine in LATE_TO_BE_BUSY else 0)
        some = np.sort(np.concatenate([intervals, activity.waits]), axis=0)
        assert (some[:, 0] < some[:, 1]).all() and (some[:-1, 1] <= some[1:, 0]).all(), "waits while it works"


@pytest.mark.parametrize("timing", TIMINGS)
def test_array_begins_the_multiply_accumulates_that_are_counted(timing):
    machine, program = random_machine(1, **timing)
    timeline, = record(machine)
    cycles, macs = timeline.engines[Engine.ARRAY].macs.T
    counted = [machine.counter(f"PASS_MACS[{which.value}]") for which in Pass]
    assert (np.diff(cycles) * macs[:-1]).sum() == sum(counted) > 0 and macs[-1] == 0
    assert all(not len(activity.macs) for engine, activity in timeline.engines.items() if engine is not Engine.ARRAY)
    assert sum(counted) >= sum(isinstance(each, Array) for each in program.instructions)


def test_recording_changes_neither_memory_nor_cycles():
    (recorded, _), (plain, _) = (random_machine(2, stall_probability=0.3) for _ in range(2))
    record(recorded)
    plain.run()
    assert np.array_equal(recorded.memory, plain.memory) and recorded.cycles == plain.cycles


def test_second_recording_begins_at_its_own_batch():
    machine, program = random_machine(3)
    first, = record(machine)
    program.place(machine)
    second, = record(machine)
    assert second.cycles == machine.counter("CYCLES") - first.cycles
    for engine, activity in second.engines.items():
        assert len(activity.starts) == len(first.engines[engine].starts)
        assert activity.ends.max() <= second.cycles


def test_waiting_ends_with_the_awaited_instruction():
    vector = Vector(a=0, d=0, count0=20, a_stride0=1, d_stride0=1, wait=frozenset({Engine.LOAD}))
    machine = RtlMachine(CONFIG, 1 << 16, latency=100)
    install(machine, [Load(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=0, destination=0, length=80,
                           signal=frozenset({Engine.VECTOR})), vector, End()])
    engines = record(machine)[0].engines
    loaded = engines[Engine.LOAD].ends[0]
    (first, last), = engines[Engine.VECTOR].waits
    assert first < loaded - 100 and last == loaded            # the token is there in the cycle after ``done``
    assert engines[Engine.VECTOR].starts.tolist() == [loaded + 1]  # taken, and handed over in the next cycle
    assert not len(engines[Engine.LOAD].waits)


def test_each_batch_of_a_run_has_a_timeline_of_its_own():
    machine = RtlMachine(CONFIG, 1 << 16)
    install(machine, [Fill(memory=Memory.VECTOR, destination=0, length=8), End()])
    for register in ("ADDRESS", "SIZE"):
        machine.write(f"PROGRAM[1].{register}", machine.read(f"PROGRAM[0].{register}"))
    for register, value in {"BATCHES": 3, "WARMUP_BATCHES": 2}.items():
        machine.write(register, value)
    batches = record(machine)
    assert [batch.phase for batch in batches] == [Phase.WARMUP, Phase.WARMUP, Phase.BP]
    assert sum(batch.cycles for batch in batches) == machine.counter("CYCLES")
    for batch in batches:
        load = batch.engines[Engine.LOAD]
        assert len(load.starts) == len(load.ends) == 1 and 0 < load.starts[0] < load.ends[0] <= batch.cycles
        assert batch.engines[Engine.ARRAY].macs.tolist() == [[0, 0]]


def test_fault_is_raised_and_ends_the_recording():
    machine = RtlMachine(CONFIG, 1 << 16)
    install(machine, [Fill(memory=Memory.VECTOR, destination=0, length=8, signal=frozenset({Engine.VECTOR})), End()])
    with pytest.raises(MachineFault) as fault:
        record(machine)
    assert fault.value.cause is FaultCause.TOKEN and machine.simulation.watched == ()
