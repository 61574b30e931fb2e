"""The golden machine as its host sees it: registers, counters, faults, recovery."""

import numpy as np
import pytest
from golden_programs import ONE, TINY, counting_program, fault, load, machine_with, store, tile

from adagp.golden import GoldenMachine
from adagp.spec.config import preset
from adagp.spec.isa import INSTRUCTION_BYTES, End, Engine, FaultCause, Fill, Format, Memory, Pass, encode
from adagp.spec.schedule import Phase

def test_evaluation_runs_its_program_and_counts_no_batch():
    machine = machine_with(*(counting_program(phase) for phase in range(4)))
    machine.write("MODE", 1)
    machine.write("BATCHES", 2)
    machine.run()
    assert machine.memory[0x8000:0x8010].view(np.float32).tolist() == [0, 0, 0, 2]
    assert machine.read("BATCH") == 0 and machine.read("STATUS") == 0b010 | Phase.EVALUATE << 4


def test_bases_advance_after_every_batch_and_wrap():
    machine = machine_with([Fill(memory=Memory.VECTOR, value=ONE, destination=0, length=4, signal={Engine.STORE}),
                            store(base=5, offset=0x9000, wait={Engine.LOAD}), End()])
    machine.write("WARMUP_BATCHES", 3)
    machine.write("BATCHES", 3)
    machine.write("BASE[5]", 0xFFFFFFE0)
    machine.write("STRIDE[5]", 0x20)
    machine.run()
    assert machine.read("BASE[5]") == 0x40
    written = machine.memory[0x8FC0:0x9080].view(np.float32)
    assert np.flatnonzero(written).tolist() == [8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27]


def test_counters_tell_useful_work():
    machine = machine_with([load(count0=3), tile(row_count1=2, outer_count1=5, columns=2, tag=Pass.WEIGHT_GRADIENT),
                            tile(tag=Pass.PREDICTOR), store(format=Format.OPERAND, count2=2, destination_stride2=8), End()])
    machine.write("WARMUP_BATCHES", 1)
    machine.run()
    assert [machine.counter(f"PASS_MACS[{tag}]") for tag in range(4)] == [0, 0, 2 * 6 * 5 * 2, 2 * 3 * 4]
    assert machine.counter("BYTES_READ") == 48 and machine.counter("BYTES_WRITTEN") == 16
    assert machine.counter("INSTRUCTIONS") == 5 and machine.read("INSTRUCTIONS.LO") == 5
    machine.write("CONTROL", 0b100)
    assert machine.counter("INSTRUCTIONS") == 0 and machine.counter("CYCLES") == 0


@pytest.mark.parametrize("program, cause, address", [
    ([bytes(64)], FaultCause.ILLEGAL_INSTRUCTION, 0),
    ([tile(), tile(columns=5), End()], FaultCause.ILLEGAL_INSTRUCTION, 64),
    ([load(memory=Memory.STREAM, transpose=1, count0=5), End()], FaultCause.ILLEGAL_INSTRUCTION, 0),
    ([tile(signal={Engine.PREDICTOR}), End()], FaultCause.ILLEGAL_INSTRUCTION, 0),
    ([tile(), tile()], FaultCause.OVERRUN, 128),
    ([], FaultCause.OVERRUN, 0),
    ([tile(wait={Engine.LOAD}), End()], FaultCause.DEADLOCK, 64),
    ([tile(signal={Engine.LOAD}), End()], FaultCause.TOKEN, 64),
    ([load(offset=0x8002), End()], FaultCause.MISALIGNED, 0x8002),
    ([load(offset=0x8000, count0=2, source_stride0=17), End()], FaultCause.MISALIGNED, 0x8011),
    ([store(offset=0x8001, format=Format.OPERAND), End()], FaultCause.MISALIGNED, 0x8001),
    ([load(offset=0xFFFC), End()], FaultCause.WINDOW, 0xFFFC),
    ([load(count0=4, source_stride0=0x3000), End()], FaultCause.WINDOW, 0x11000),
    ([store(offset=0xFFFFFFF8), End()], FaultCause.WINDOW, 0xFFFFFFF8),
    ([store(offset=0xFFE0, dense=1, count0=3, destination_stride0=16), End()], FaultCause.WINDOW, 0xFFE0),
], ids=lambda value: value.name if isinstance(value, FaultCause) else None)
def test_faults_name_cause_and_address(program, cause, address):
    machine = machine_with(program)
    machine.write("WARMUP_BATCHES", 1)
    assert fault(machine) == (cause, address)


def test_nothing_below_the_window_is_read_or_fetched():
    machine = machine_with([load(offset=0x20), End()])
    machine.write("WARMUP_BATCHES", 1)
    machine.write("WINDOW_FIRST", 0x10)
    assert fault(machine) == (FaultCause.WINDOW, 0)
    machine = machine_with([], [load(offset=0x20), End()])
    machine.write("WINDOW_FIRST", 0x30)
    assert fault(machine) == (FaultCause.WINDOW, 0x20)


def test_a_misaligned_program_is_a_fault():
    machine = machine_with([End()])
    machine.write("WARMUP_BATCHES", 1)
    machine.write("PROGRAM[0].ADDRESS", 32)
    assert fault(machine) == (FaultCause.MISALIGNED, 32)


def test_memory_that_is_not_there_is_a_bus_error():
    machine = machine_with([load(offset=0x20000), End()])
    machine.write("WARMUP_BATCHES", 1)
    machine.write("WINDOW_LAST", 0xFFFFFFFF)
    assert fault(machine) == (FaultCause.READ_ERROR, 0x20000)


def test_more_tokens_than_a_counter_holds_are_a_fault():
    machine = machine_with([tile(signal={Engine.LOAD})] * 256 + [End()], memory_bytes=1 << 17)
    machine.write("WARMUP_BATCHES", 1)
    assert fault(machine) == (FaultCause.TOKEN, 255 * INSTRUCTION_BYTES)


def test_a_fault_stays_until_reset_and_then_the_same_batch_runs():
    machine = machine_with([load(offset=0x8002), End()])
    machine.write("WARMUP_BATCHES", 1)
    assert fault(machine) == fault(machine)
    assert machine.read("BATCH") == 0 and machine.counter("PHASE_BATCHES[0]") == 0
    machine.memory[:64] = np.frombuffer(encode(load()), np.uint8)
    machine.write("CONTROL", 0b010)
    assert machine.read("STATUS") == 0
    machine.run()
    assert machine.read("BATCH") == 1 and machine.read("STATUS") == 0b010


def test_a_changed_program_in_memory_is_the_one_that_runs():
    machine = machine_with([Fill(memory=Memory.STREAM, value=ONE, destination=0, length=1), End()])
    machine.write("WARMUP_BATCHES", 9)
    machine.run()
    machine.memory[:64] = np.frombuffer(encode(Fill(memory=Memory.STREAM, value=2 * ONE, destination=1, length=1)), np.uint8)
    machine.run()
    assert machine.stream[:2].tolist() == [0x3F80, 0x7F00]


def test_identification_tells_the_configuration():
    machine = GoldenMachine(preset("paper"), 64)
    assert machine.read("ID") == 0x0ADA6B00
    assert machine.read("ARRAY").to_bytes(4, "little") == bytes([12, 15, 0, 16])
    assert machine.read("MEMORIES").to_bytes(4, "little") == bytes([15, 15, 12, 16])


def test_errors_of_the_host_name_parameter_rule_and_value():
    with pytest.raises(ValueError, match=r"memory_bytes must be a positive multiple of 64 up to 2\*\*32, not 100"):
        GoldenMachine(TINY, 100)
    machine = GoldenMachine(TINY, 64)
    with pytest.raises(KeyError, match="register must be a path of the register map, not 'BATCHS'"):
        machine.write("BATCHS", 1)
    with pytest.raises(KeyError, match="register must be a path of the register map, not 'BATCHS'"):
        machine.read("BATCHS")
    with pytest.raises(ValueError, match="BATCHES must be from 0 to 0xffffffff, not -1"):
        machine.write("BATCHES", -1)
    with pytest.raises(ValueError, match="register must be writable, not STATUS"):
        machine.write("STATUS", 1)
    with pytest.raises(KeyError, match="counter must be one of CYCLES, .*, not 'MACS'"):
        machine.counter("MACS")
