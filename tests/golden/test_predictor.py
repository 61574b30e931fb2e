"""What designs with hardware for the predictor have: its memory, its array, counters that tell them apart."""

from dataclasses import replace

import numpy as np
import pytest
from golden_programs import ONE, TINY, fault, load, machine_with, store, tile

from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.isa import (
    Addend, End, Engine, FaultCause, Fill, Format, Function, Memory, Multiplier, Pass, PredictorArray, Vector)
from adagp.spec.machine import MachineFault

DESIGNS = pytest.mark.parametrize("design", Design, ids=lambda design: design.name.lower())
EFFICIENT, MAX = TINY.with_design(Design.EFFICIENT), TINY.with_design(Design.MAX)
LOCAL_BYTES = 4 * TINY.predictor_elements
UNEVEN = AcceleratorConfig(rows=8, columns=8, bus_bits=64, predictor_rows=3, predictor_columns=6, design=Design.MAX)


def local_load(**options):
    return load(local=1, **dict(offset=0) | options)


def local_store(**options):
    return store(local=1, **dict(offset=0) | options)


def predictor_tile(**options) -> PredictorArray:
    return PredictorArray(**dict(tag=Pass.FORWARD, columns=1, stream=0, stationary=0, accumulator=0, stream_count0=2,
                                 row_count0=3) | options)


def warmup(program: list, config=MAX, **options) -> GoldenMachine:
    """A machine that runs ``program`` as its next batch."""
    machine = machine_with(program, config=config, **options)
    machine.write("WARMUP_BATCHES", 1)
    return machine


@pytest.mark.parametrize("access", [local_load, local_store], ids=["load", "store"])
@pytest.mark.parametrize("options, cause, address", [
    (dict(offset=LOCAL_BYTES - 12), FaultCause.WINDOW, LOCAL_BYTES - 12),
    (dict(offset=LOCAL_BYTES), FaultCause.WINDOW, LOCAL_BYTES),
    (dict(offset=0xFFFFFFF0), FaultCause.WINDOW, 0xFFFFFFF0),
    (dict(offset=0xFFFFFFFC), FaultCause.WINDOW, 0xFFFFFFFC),
    (dict(offset=0x80000000), FaultCause.WINDOW, 0x80000000),
    (dict(offset=LOCAL_BYTES - 32, count0=3, stride0=16), FaultCause.WINDOW, LOCAL_BYTES),
    (dict(offset=LOCAL_BYTES - 32, count0=3, stride0=16, dense=1), FaultCause.WINDOW, LOCAL_BYTES - 32),
    (dict(offset=16, count0=3, stride0=-16), FaultCause.WINDOW, 0xFFFFFFF0),
    (dict(offset=2), FaultCause.MISALIGNED, 2),
    (dict(offset=0, count0=2, stride0=18), FaultCause.MISALIGNED, 18),
    (dict(offset=7, format=Format.OPERAND), FaultCause.MISALIGNED, 7),
    (dict(offset=LOCAL_BYTES - 1), FaultCause.MISALIGNED, LOCAL_BYTES - 1)])
def test_accesses_outside_the_predictor_memory_are_faults_at_their_local_address(access, options, cause, address):
    side = "source" if access is local_load else "destination"
    options = {name.replace("stride", f"{side}_stride"): value for name, value in options.items()}
    machine = warmup([access(base=3, **options), End()])
    machine.write("BASE[3]", 0x1230)
    machine.vector[:] = 1
    assert fault(machine) == (cause, address)
    assert not machine.predictor_memory.any() and (machine.vector == 1).all()


@pytest.mark.parametrize("config", [EFFICIENT, MAX], ids=lambda config: config.design.name)
def test_all_of_the_predictor_memory_is_there_whatever_window_base_and_external_memory_are(config):
    values = np.random.default_rng(1).integers(0, 1 << 32, 8, dtype=np.uint32)
    machine = warmup([local_store(offset=LOCAL_BYTES - 16, base=3, signal={Engine.LOAD}),
                      local_store(offset=0, source=4, base=3, signal={Engine.LOAD}),
                      local_load(offset=LOCAL_BYTES - 16, base=5, destination=8, wait={Engine.STORE}),
                      local_load(offset=0, base=5, destination=12, wait={Engine.STORE}), End()], config, memory_bytes=1 << 12)
    for name, value in {"BASE[3]": 0x1230, "BASE[5]": 0x4567, "WINDOW_LAST": 319}.items():
        machine.write(name, value)
    machine.vector.reshape(-1)[:8] = values.view(np.float32)
    machine.run()
    assert machine.predictor_memory[-16:].view(np.uint32).tolist() == values[:4].tolist()
    assert machine.predictor_memory[:16].view(np.uint32).tolist() == values[4:].tolist()
    assert machine.vector.reshape(-1)[8:16].view(np.uint32).tolist() == values.tolist()


def illegal_without_memory() -> list:
    return [local_load(), local_store(), local_load(memory=Memory.STREAM, format=Format.OPERAND, transpose=1)]


def illegal_without_array() -> list:
    return [predictor_tile(), load(memory=Memory.PREDICTOR_STREAM), load(memory=Memory.PREDICTOR_STATIONARY, transpose=1),
            Fill(memory=Memory.PREDICTOR_STREAM, destination=0, length=1),
            Fill(memory=Memory.PREDICTOR_STATIONARY, destination=0, length=1),
            *(make(**{name: {Engine.PREDICTOR}}) for make in (load, store, tile) for name in ("wait", "signal"))]


def illegal_everywhere() -> list:
    return [Vector(a=0, d=0, lane=TINY.vector_lanes), Vector(a=0, d=0, broadcast=1, multiplier=Multiplier.B, lane=127)]


@DESIGNS
@pytest.mark.parametrize("instruction, needs", [
    *((instruction, {Design.EFFICIENT, Design.MAX}) for instruction in illegal_without_memory()),
    *((instruction, {Design.MAX}) for instruction in illegal_without_array()),
    *((instruction, set()) for instruction in illegal_everywhere()),
    (Vector(a=0, d=0, broadcast=1, multiplier=Multiplier.B, lane=TINY.vector_lanes - 1), set(Design))])
def test_an_instruction_is_legal_only_in_the_designs_that_have_its_hardware(instruction, needs, design):
    machine = warmup([tile(), instruction, End()], TINY.with_design(design))
    if design not in needs:
        assert fault(machine) == (FaultCause.ILLEGAL_INSTRUCTION, 64)
    elif instruction.wait:
        assert fault(machine) == (FaultCause.DEADLOCK, 128)
    elif instruction.signal:
        assert fault(machine) == (FaultCause.TOKEN, 128)
    else:
        machine.run()


def test_limits_of_the_predictors_array_are_its_own():
    """3 rows and 6 columns beside 8 and 8, so 4 and 8 lanes."""
    def runs(instruction):
        machine = warmup([instruction, End()], UNEVEN)
        try:
            machine.run()
        except MachineFault as found:
            assert found.cause == FaultCause.ILLEGAL_INSTRUCTION
            return False
        return True
    assert [runs(predictor_tile(columns=columns)) for columns in (6, 7)] == [True, False]
    for memory, lanes in ((Memory.PREDICTOR_STREAM, 4), (Memory.PREDICTOR_STATIONARY, 8), (Memory.STREAM, 8)):
        made = [load(memory=memory, transpose=1, count0=count, length=1) for count in (lanes, lanes + 1)]
        assert list(map(runs, made)) == [True, False]


def test_the_arrays_have_memories_of_their_own_and_share_the_accumulators():
    """A dot product on each array; the predictor's has chunks of 3 rows."""
    fills = [Fill(memory=memory, value=value << 16, destination=0, length=8) for memory, value in (
        (Memory.STREAM, 0x3F80), (Memory.STATIONARY, 0x4000),
        (Memory.PREDICTOR_STREAM, 0x4040), (Memory.PREDICTOR_STATIONARY, 0x4080))]
    machine = warmup([*fills, tile(columns=1, stream_count0=1, row_count0=5),
                      predictor_tile(stream_count0=1, row_count0=5, chunk_stride=3, accumulate=1),
                      predictor_tile(stream_count0=1, row_count0=1, accumulator=1), End()], UNEVEN)
    machine.run()
    assert machine.vector[:2, 0].tolist() == [5 * 2 + 5 * 12, 12]
    assert machine.stream[:8].tolist() == [0x3F80] * 8 and machine.predictor_stationary[:8].tolist() == [0x4080] * 8


def test_counters_tell_layers_apart_and_do_not_see_the_predictors_hardware():
    machine = warmup([tile(layer=2), tile(layer=255, columns=2), tile(layer=2, row_count0=1), tile(),
                      predictor_tile(layer=2), local_store(), local_load(), load(), store(format=Format.OPERAND), End()])
    machine.run()
    macs = {2: 2 * 3 * 4 + 2 * 4, 255: 2 * 3 * 2, 0: 2 * 3 * 4}
    for layer in range(256):
        machine.write("LAYER", layer)
        assert machine.counter("LAYER_MACS") == machine.read("LAYER_MACS.LO") == macs.get(layer, 0)
    assert machine.counter(f"PASS_MACS[{int(Pass.FORWARD)}]") == sum(macs.values())
    assert machine.counter("BYTES_READ") == 16 and machine.counter("BYTES_WRITTEN") == 8
    assert machine.counter("INSTRUCTIONS") == 10
    machine.write("CONTROL", 0b100)
    machine.write("LAYER", 2)
    assert machine.counter("LAYER_MACS") == 0


@DESIGNS
def test_identification_tells_the_predictors_hardware(design):
    machine = GoldenMachine(preset("paper").with_design(design), 64)
    array = [8, 10] if design == Design.MAX else [0, 0]
    memory = 22 if design in (Design.EFFICIENT, Design.MAX) else 0
    assert machine.read("PREDICTOR").to_bytes(4, "little") == bytes([*array, memory, 0])
    assert machine.read("ARRAY") >> 16 & 0xFF == design
    machine.write("SCHEDULE[0].RATIO", 1 << 16 | 300)
    assert machine.read("PREDICTOR") >> 24 == 255


def test_reports_reach_all_registers_whatever_the_size_of_the_vector_memory():
    """64 words, so that word 37 is also that of 101, and 128 registers."""
    machine = warmup([Vector(function=Function.REPORT, a=1, a_stride0=1, count0=3, d=101, d_stride0=-38), End()],
                     replace(MAX, vector_words=64))
    machine.vector[1:4, 0] = [1, 2, 4]
    machine.run()
    reports = np.array([machine.read(f"QUALITY[{index}]") for index in range(128)], np.uint32).view(np.float32)
    assert {int(index): reports[index] for index in np.flatnonzero(reports)} == {101: 1, 63: 2, 25: 4}


def test_a_lane_of_b_is_broadcast():
    machine = warmup([Vector(a=0, b=1, d=2, addend=Addend.B, broadcast=1, lane=2), End()])
    machine.vector[:2] = [[1, 2, 3, 4], [10, 20, 30, 40]]
    machine.run()
    assert machine.vector[2].tolist() == [31, 32, 33, 34]


def test_a_reset_keeps_predictor_memory_and_reports():
    machine = warmup([local_store(), Vector(function=Function.REPORT, a=0, d=5), End()])
    machine.vector[0] = 1
    machine.run()
    machine.write("CONTROL", 0b010)
    assert machine.predictor_memory[:16].view(np.uint32).tolist() == [ONE] * 4
    assert machine.read("QUALITY[5]") == ONE
