"""Bench of the load engine: random instructions, faults, halts, throughput."""

import logging
import random
from dataclasses import replace
from itertools import product

import cocotb
from cocotb.triggers import ClockCycles
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiRamRead, AxiReadBus

from adagp.spec.isa import FaultCause, Fill, Format, Load, Memory
from adagp.spec.machine import MachineFault
from adagp_tb.cocotb_runner import bench_config, bench_parameters
from adagp_tb.external_memory import ADDRESS_SPACE, LatentMemory
from adagp_tb.load_bench import LoadBench, until
from adagp_tb.stimulus import CLOCK_NS
from adagp_tb.transfer_model import RandomTransfers

HAS_LOCAL = bench_config().design.has_predictor_memory
STALLS = list(product((0, 0.6), (0, 0.6)))
"""Shares of cycles in which the bus is idle, and in which the destination does not accept."""


@cocotb.test(timeout_time=4, timeout_unit="ms")
@cocotb.parametrize(case=range(len(STALLS)))
async def random_instructions(dut, case):
    idle, backpressure = STALLS[case]
    bench = LoadBench(dut, case, backpressure)
    await bench.start()
    logging.getLogger("cocotb.top.axi_").setLevel(logging.WARNING)
    ram = AxiRamRead(AxiReadBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, mem=bench.external)
    if idle:
        rests = random.Random(bench.seed)
        for channel in (ram.ar_channel, ram.r_channel):
            channel.set_pause_generator(iter(lambda: rests.random() < idle, None))
    transfers = RandomTransfers(bench.model, bench.seed)
    for _ in range(bench_parameters()["instructions"]):
        await bench.issue(transfers.load())
        if bench.random.random() < 0.2:
            await ClockCycles(dut.clk, bench.random.randrange(60))
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(backpressure=[0, 0.6])
async def later_instructions_win(dut, backpressure):
    """Three fills and loads of all kinds onto the same elements, as close together as they can be."""
    bench = LoadBench(dut, 5, backpressure)
    bench.model.bases[0] = 0
    await bench.start()
    cocotb.start_soon(LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=3).serve_reads())
    choose, lanes = bench.random.choice, bench.config.stream_lanes
    for n in range(360):
        end, memory = (n // 3 + 1) * 3 * lanes, choose([Memory.STREAM] * 4 + [Memory.VECTOR])
        length = choose([1, lanes, lanes + 1, 3 * lanes])
        where = dict(memory=memory, destination=end - length, length=length)
        source = dict(format=choose(list(Format)), base=0, offset=bench.random.randrange(1 << 12) * 4)
        kind = choose(["fill", "fill", "load", "transposed", "transposed"])
        if kind == "fill":
            instruction = Fill(value=bench.random.randrange(1 << 32), **where)
        elif kind == "load" or memory == Memory.VECTOR:
            instruction = Load(**where, **source)
        else:
            rows = choose([1, 1, 2, lanes])
            instruction = Load(**(where | dict(destination=end - rows, length=1)), **source, transpose=1,
                               count0=rows, source_stride0=4)
        await bench.issue(instruction)
    await bench.finish()


async def _fault_case(bench: LoadBench, instruction: Load):
    """Runs one instruction; a fault must be the one that the model raises."""
    dut = bench.dut
    dut.window_first.value, dut.window_last.value = bench.bus.window = bench.model.window
    memories = {memory: list(values) for memory, values in bench.model.memories.items()}
    try:
        bench.model.execute(instruction)
    except MachineFault as fault:
        bench.model.memories = memories
        issue = cocotb.start_soon(bench.issue(instruction, expect=False))
        await until(dut, lambda: bench.fault)
        assert bench.fault == (fault.cause, fault.address), f"{bench.fault}, not {fault}, in {instruction}"
        issue.cancel()
        await bench.stop()
        bench.memories = {memory: list(values) for memory, values in memories.items()}
        return 1
    await bench.issue(instruction, expect=False)
    await bench.finish()
    return 0


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def windows_and_alignment(dut):
    """Windows that end at, before or behind the edges of runs, and odd addresses."""
    bench = LoadBench(dut, 10)
    await bench.start()
    cocotb.start_soon(LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=7).serve_reads())
    transfers, choose, faults = RandomTransfers(bench.model, bench.seed), bench.random.choice, 0
    for _ in range(60):
        while not isinstance(instruction := transfers.load(), Load):
            pass
        runs = bench.model.runs(instruction)
        first = choose([min(runs)[0], choose(runs)[0]]) + choose([-2, 0, 0, 1])
        last = choose([max(map(sum, runs)), sum(choose(runs))]) - 1 + choose([-1, 0, 0, 1])
        if bench.random.random() < 0.3:
            first, last = 0, ADDRESS_SPACE - 1
            stride = choose(["offset", *(f"source_stride{i}" for i in range(3) if not (i == 0 and instruction.dense))])
            moved = getattr(instruction, stride) + choose([1, 2, 3])
            instruction = replace(instruction, **{stride: moved % ADDRESS_SPACE if stride == "offset" else moved})
        bench.model.window = (max(first, 0), min(last, ADDRESS_SPACE - 1))
        faults += await _fault_case(bench, instruction)
        bench.model.window = (0, ADDRESS_SPACE - 1)
    assert 10 <= faults <= 50, f"{faults} faults"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_wrapping_run_is_refused(dut):
    """Of all lengths, up to the dense run that has more than 2**32 bytes."""
    bench = LoadBench(dut, 11)
    await bench.start()
    base = dict(memory=Memory.STREAM, format=Format.FLOAT32, base=0, destination=0, dense=1)
    for offset, length, groups in ((-4, 2, 1), (-8, 1, 3), (0, 65535, 65535), (0, 32768, 32768)):
        first = offset % ADDRESS_SPACE
        instruction = Load(offset=(first - bench.model.bases[0]) % ADDRESS_SPACE, length=length, count0=groups,
                           source_stride0=4 * length, **base)
        issue = cocotb.start_soon(bench.issue(instruction, expect=False))
        await until(dut, lambda: bench.fault)
        assert bench.fault == (FaultCause.WINDOW, first), f"{bench.fault} at offset {offset}"
        issue.cancel()
        await bench.stop()
        assert not bench.bus.bursts


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def an_error_response_names_its_burst(dut):
    bench = LoadBench(dut, 12)
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=9, stall=0.3)
    cocotb.start_soon(memory.serve_reads())
    instruction = Load(memory=Memory.VECTOR, format=Format.OPERAND, base=0, destination=5, length=37, count0=9,
                       offset=-bench.model.bases[0] % ADDRESS_SPACE, source_stride0=500)
    for _ in range(10):
        beat = (bench.random.randrange(9) * 500 + bench.random.randrange(74)) // bench.config.bus_bytes
        memory.errors = {beat}
        bench.bus.bursts.clear()
        cocotb.start_soon(bench.issue(instruction, expect=False))
        await until(dut, lambda: bench.fault)
        burst = max(burst["addr"] for burst in bench.bus.bursts if burst["addr"] <= beat * bench.config.bus_bytes)
        assert bench.fault == (FaultCause.READ_ERROR, burst), f"{bench.fault}, not at {burst:#x}"
        await bench.stop()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def halt_requests_nothing_more(dut):
    """At any moment; what is outstanding is drained, and after a reset the engine works again."""
    bench = LoadBench(dut, 13)
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=20, stall=0.4)
    cocotb.start_soon(memory.serve_reads())
    transfers = RandomTransfers(bench.model, bench.seed)
    for _ in range(15):
        issue = cocotb.start_soon(_endless(bench, transfers))
        await ClockCycles(dut.clk, bench.random.randrange(1, 120))
        dut.halt.value = 1
        await ClockCycles(dut.clk, 2)
        requested = len(bench.bus.bursts) + int(dut.axi__arvalid.value)
        await ClockCycles(dut.clk, 100)
        assert len(bench.bus.bursts) <= requested, "a burst was requested after the halt"
        issue.cancel()
        await bench.stop()
    bench.memories = {memory: list(values) for memory, values in bench.model.memories.items()}
    await bench.issue(transfers.load())
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
async def runs_that_leave_the_predictor_memory_are_refused(dut):
    """At either end of the memory, by length, offset or stride; the window of the bus does not matter."""
    bench = LoadBench(dut, 14)
    await bench.start()
    bench.model.window = (1, 0)
    size, faults = 4 * bench.config.predictor_elements, 0
    for first, length, count, stride in (
            (size - 8, 2, 1, 0), (size - 8, 3, 1, 0), (size, 1, 1, 0), (-4, 1, 1, 0), (-4, 2, 1, 0), (0, size // 4, 1, 0),
            (0, size // 4 + 1, 1, 0), (size - 12, 1, 3, 4), (size - 12, 1, 4, 4), (8, 1, 4, -4), (1 << 31, 1, 1, 0),
            (size - 8, 2, 2, 2), (2, 1, 1, 0)):
        instruction = Load(memory=Memory.VECTOR, format=Format.FLOAT32, local=1, base=3, destination=0, length=length,
                           offset=first % ADDRESS_SPACE, count0=count, source_stride0=stride, destination_stride0=length)
        faults += await _fault_case(bench, instruction)
    assert faults == 10 and not bench.bus.bursts


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
async def a_local_load_takes_few_cycles(dut):
    bench = LoadBench(dut, 15)
    await bench.start()
    await bench.issue(Load(memory=Memory.STREAM, format=Format.OPERAND, local=1, offset=0, destination=0, length=4))
    begin = get_sim_time("ns")
    await until(dut, lambda: not bench.due)
    cycles = (get_sim_time("ns") - begin) / CLOCK_NS
    dut._log.info(f"MEASURED local load of a beat: done {cycles} cycles after it was taken")
    assert cycles <= 13
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
@cocotb.parametrize(beats=[8, 32], runs=[1, 8])
async def changes_between_the_memories_cost_nothing(dut, beats, runs):
    """Local and external instructions in turn, at 30 cycles of bus latency, and external ones alone."""
    bench, count = LoadBench(dut, 16), 40
    bench.model.bases[0] = 0
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=30)
    cocotb.start_soon(memory.serve_reads())
    length, cycles = beats * bench.config.bus_bytes // 2 // runs, {}
    for kinds in ((0, 0), (0, 1), (1, 1)):
        begin = memory.cycle
        for i in range(count):
            await bench.issue(Load(memory=Memory.STREAM, format=Format.OPERAND, local=kinds[i % 2], base=0, count0=runs,
                                   offset=0, source_stride0=2 * length + 64, destination_stride0=length, destination=0,
                                   length=length))
        await until(dut, lambda: not bench.due)
        cycles[kinds] = memory.cycle - begin
    dut._log.info(f"MEASURED {count} loads of {beats} beats in {runs} runs: {cycles[0, 0]} cycles external, "
                  f"{cycles[0, 1]} in turn, {cycles[1, 1]} local")
    assert cycles[0, 1] <= cycles[0, 0] + 2
    await bench.finish()


async def _endless(bench: LoadBench, transfers: RandomTransfers):
    while True:
        await bench.issue(transfers.load(), expect=False)


THROUGHPUT = {
    "dense rows of 2048 bytes": (0.95, dict(length=1024, count0=4, source_stride0=2048, destination_stride0=1024)),
    "the same, 6 bytes off the beat": (0.95, dict(length=1024, count0=4, source_stride0=2048, offset=6,
                                                  destination_stride0=1024)),
    "runs of 32 bytes": (0.9, dict(length=16, count0=128, source_stride0=96, destination_stride0=16)),
    "runs of 8 bytes": (0.9, dict(length=4, count0=256, source_stride0=96, destination_stride0=4)),
    "runs of 2 bytes": (0.9, dict(length=1, count0=512, source_stride0=96, destination_stride0=1)),
    "float32 to operands": (0.95, dict(format=Format.FLOAT32, length=512, count0=4, source_stride0=2048,
                                       destination_stride0=512)),
    "float32 to the vector memory": (0.95, dict(memory=Memory.VECTOR, format=Format.FLOAT32, dense=1, length=16,
                                                count0=128, source_stride0=64, destination_stride0=16)),
    "operands to the vector memory, 3 off the word": (
        0.9, dict(memory=Memory.VECTOR, length=500, count0=4, source_stride0=1008, destination_stride0=500,
                  destination=3)),
    "transposed 64x64": (0.8, "transposed"),
    "transposed 64x64, float32": (0.8, "transposed float32"),
    "instructions of 64 bytes": (0.4, "short"),
}


def _throughput_instructions(bench: LoadBench, what) -> list[Load]:
    default = dict(memory=Memory.STREAM, format=Format.OPERAND, base=0, destination=0)
    if what == "short":
        return [Load(**default, offset=192 * i, length=32) for i in range(32)]
    if isinstance(what, str):
        lanes, format = bench.config.stream_lanes, Format.FLOAT32 if "float32" in what else Format.OPERAND
        row = 64 * format.bytes
        return [Load(**(default | dict(format=format)), transpose=1, offset=0, length=64, count0=lanes,
                     count1=64 // lanes, source_stride0=row, source_stride1=lanes * row, destination_stride0=64,
                     destination_stride1=lanes)] * 3
    return [Load(**(default | {"offset": 0} | what))] * 2


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(what=list(THROUGHPUT))
async def beats_per_cycle_at_30_cycles_latency(dut, what):
    least, fields = THROUGHPUT[what]
    bench = LoadBench(dut, 20)
    bench.model.bases[0] = 0
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=30)
    cocotb.start_soon(memory.serve_reads())
    for instruction in _throughput_instructions(bench, fields):
        await bench.issue(instruction)
    await until(dut, lambda: not bench.due)
    rate = memory.beats_per_cycle(until=memory.cycle)
    await bench.finish()
    dut._log.info(f"MEASURED load, {what}: {memory.beats_per_cycle():.3f} beats per cycle, {rate:.3f} until done")
    assert rate >= least, f"{rate:.3f} beats per cycle until done"
