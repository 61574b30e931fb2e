"""Cycles and bytes of programs, against the counters of the RTL."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from adagp.compiler import PredictorConfig, compile_training
from adagp.compiler.program import ProgramBuilder
from adagp.cost.machine import ExternalMemory, by_work, program_cost, training_cost
from adagp.spec.config import Design, preset
from adagp.spec.isa import Array, End, Engine, Fill, Format, Load, Memory, Pass, Store, Vector, encode
from adagp.spec.schedule import Phase
from adagp_flows.machine_check import run_phase
from adagp_tb.rtl_machine import RtlMachine

TINY = preset("tiny")
PROGRAM_AT = 1 << 15


def counters(program: bytes, config, **memory) -> dict[str, int]:
    """What the RTL counts while it runs ``program``."""
    machine = RtlMachine(config, 1 << 17, **memory)
    machine.memory[PROGRAM_AT:PROGRAM_AT + len(program)] = np.frombuffer(program, np.uint8)
    for register, value in (("PROGRAM[3].ADDRESS", PROGRAM_AT), ("PROGRAM[3].SIZE", len(program)), ("MODE", 1),
                            ("WINDOW_LAST", machine.memory.size - 1), ("BATCHES", 1)):
        machine.write(register, value)
    machine.run()
    names = "CYCLES", "BYTES_READ", "BYTES_FETCHED", "BYTES_WRITTEN"
    values = {name: machine.counter(name) for name in names}
    machine.close()
    return values


def built(*sequence) -> bytes:
    builder = ProgramBuilder(TINY)
    for instruction in sequence:
        builder.emit(instruction)
    return builder.finish()


LOAD = Load(memory=Memory.VECTOR, format=Format.FLOAT32, offset=64, destination=0, length=40)
WEIGHTS = Load(memory=Memory.STATIONARY, format=Format.OPERAND, transpose=1, offset=6, destination=5, length=21, count0=4,
               count1=2, source_stride0=50, source_stride1=200, destination_stride0=4, destination_stride1=84)
PIXELS = Load(memory=Memory.STREAM, format=Format.OPERAND, dense=1, offset=1026, destination=3, length=36, count0=3,
              source_stride0=72, destination_stride0=40)
TILES = Array(tag=Pass.FORWARD, columns=4, stream=3, stationary=5, accumulator=16, stream_count0=9, stream_stride0=4,
              row_count0=11, row_stride0=4, chunk_stride=4)
FEW = replace(TILES, stream_count0=3, outer_count0=5, stationary_outer_stride0=8, accumulator=600)
CHAIN = Vector(a=0, d=0, count0=10, a_stride0=1, d_stride0=1, b=2, b_stride0=0, addend=1, behind=15)
FLOATS = Store(format=Format.FLOAT32, offset=9004, source=6, length=33)
OPERANDS = Store(format=Format.OPERAND, offset=12002, source=0, length=5, count0=7, destination_stride0=30, source_stride0=8)

PROGRAMS = {
    "nothing": (), "a load": (LOAD,), "a transposed load": (WEIGHTS,), "a dense load": (PIXELS,),
    "a fill": (Fill(memory=Memory.STREAM, destination=9, length=17, count0=3, destination_stride0=100),),
    "tiles": (WEIGHTS, PIXELS, TILES), "tiles of few vectors": (WEIGHTS, PIXELS, FEW),
    "a chain": (LOAD, CHAIN, CHAIN, replace(CHAIN, count0=1), replace(CHAIN, count0=1)),
    "a store": (FLOATS,), "a store of operands": (OPERANDS,),
    "everything": (LOAD, WEIGHTS, PIXELS, TILES, CHAIN, FEW, FLOATS, LOAD, TILES, OPERANDS, CHAIN, FLOATS),
}


@pytest.mark.parametrize("memory", [{"latency": 1}, {"latency": 30}, {"latency": 75, "interval": 3, "outstanding": 2}], ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_short_programs_take_the_cycles_of_the_rtl_but_for_one(name, memory):
    program = built(*PROGRAMS[name])
    cost = program_cost(program, TINY, memory=ExternalMemory(**memory), address=PROGRAM_AT)
    rtl = counters(program, TINY, **memory)
    assert abs(cost.cycles - rtl.pop("CYCLES")) <= 1
    assert rtl == {"BYTES_READ": cost.bytes_read, "BYTES_FETCHED": cost.bytes_fetched, "BYTES_WRITTEN": cost.bytes_written}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 9, 4))


def compiled(design: Design):
    return compile_training(network(), TINY.with_design(design), batch=3, input_shape=(3, 8, 8),
                            predictor=PredictorConfig(size=4, channels=3))


@pytest.mark.parametrize("design", Design, ids=lambda design: design.name)
def test_phases_are_within_one_per_cent_of_the_rtl_and_bytes_equal(design):
    training = compiled(design)
    machine = RtlMachine(training.config, training.image_bytes(2), latency=30)
    training.image(machine.memory, network(), torch.zeros(6, 3, 8, 8), torch.zeros(6, dtype=torch.int64))
    for phase in training.programs.keys() & {Phase.BP, Phase.GP, Phase.EVALUATE}:
        run_phase(machine, training, phase, batches=2)
        cost = training_cost(training, phase, batches=2)
        assert cost.cycles == pytest.approx(machine.counter("CYCLES"), rel=0.01)
        assert [cost.bytes_read, cost.bytes_fetched, cost.bytes_written] == [
            machine.counter(name) for name in ("BYTES_READ", "BYTES_FETCHED", "BYTES_WRITTEN")]
    machine.close()


def test_every_cycle_and_byte_is_for_some_work():
    training = compiled(Design.LOW)
    cost = training_cost(training, Phase.BP)
    work = by_work(cost, training.purposes[Phase.BP])
    assert sum(each.cycles for each in work.values()) == cost.cycles
    assert sum(each.bytes_read for each in work.values()) == cost.bytes_read
    assert sum(each.bytes_written for each in work.values()) == cost.bytes_written
    kinds = {purpose.work for purpose, each in work.items() if each.cycles}
    assert {"forward", "input gradient", "weight gradient", "predict", "train predictor"} <= kinds


def test_instructions_complete_after_they_are_offered():
    cost = program_cost(built(*PROGRAMS["everything"]), TINY)
    assert all(0 < offered < done < cost.cycles for offered, done in zip(cost.offered, cost.done, strict=True))
    assert [index for index, _ in cost.entered] == [3, 5, 8]


def test_phase_that_a_design_lacks_is_refused():
    with pytest.raises(ValueError, match="phase must be one of WARMUP, BP, EVALUATE on design BASELINE, not GP"):
        training_cost(compiled(Design.BASELINE), Phase.GP)


def test_program_that_waits_for_itself_is_refused():
    waiting = encode(replace(LOAD, wait=frozenset({Engine.STORE}))) + encode(End())
    with pytest.raises(ValueError, match="must not wait for itself, but goes no further than instruction 1"):
        program_cost(waiting, TINY)


@pytest.mark.parametrize(("name", "value"), [("latency", 0), ("interval", 0), ("outstanding", 1.5)])
def test_memory_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=f"ExternalMemory.{name} must be an integer of at least 1, not {value}"):
        ExternalMemory(**{name: value})
