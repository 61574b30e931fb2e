"""Bench of the store engine: random instructions, faults, halts, throughput."""

import logging
import random
from copy import deepcopy
from dataclasses import replace
from itertools import product

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from adagp.spec.isa import Engine, FaultCause, Format, Memory, Store, encode
from adagp.spec.machine import MachineFault
from adagp_hdl.bus.burst_writer import BURSTS
from adagp_hdl.interfaces import instruction_bits
from adagp_tb.cocotb_runner import bench_config, bench_parameters
from adagp_tb.external_memory import ADDRESS_SPACE, BusMonitor, LatentMemory, PagedMemory
from adagp_tb.stimulus import CLOCK_NS, start_clock
from adagp_tb.transfer_model import RandomTransfers, TransferModel

HAS_LOCAL = bench_config().design.has_predictor_memory
STALLS = list(product((0, 0.6), (0, 0.6)))
"""Shares of cycles in which the vector memory does not grant, and in which the bus rests."""


class StoreBench:
    """Drives instructions, answers the reads of the vector memory, and watches the order."""

    def __init__(self, dut, seed: int, idle: float = 0):
        parameters = bench_parameters()
        self.seed = parameters["seed"] * 1000 + seed
        self.dut, self.random, self.idle = dut, random.Random(self.seed), idle
        self.config = bench_config()
        self.external = PagedMemory(self.seed)
        self.model = TransferModel(self.config, PagedMemory(self.seed), self.seed)
        self.local = deepcopy(self.model.local)
        self.model.bases = [self.random.randrange(1 << 32) for _ in range(8)]
        self.issued = self.done = self.reads = self.local_written = 0
        self.due: list[int] = []  # operands written to the predictor memory when the instruction is done
        self.fault = None

    async def start(self):
        dut = self.dut
        start_clock(dut)
        dut.rst.value = 1
        for signal in (dut.instruction__valid, dut.halt, dut.axi__awready, dut.axi__wready, dut.axi__bvalid,
                       dut.vector_read__ready):
            signal.value = 0
        dut.bases.value = sum(base << 32 * i for i, base in enumerate(self.model.bases))
        dut.window_first.value, dut.window_last.value = self.model.window
        await ClockCycles(dut.clk, 3)
        dut.rst.value = 0
        cocotb.start_soon(self._watch())
        self.bus = BusMonitor(dut, ("w",), bus_bytes=self.config.bus_bytes, burst_beats=self.config.burst_beats,
                              window=self.model.window)

    async def _watch(self):
        dut, lanes = self.dut, self.config.vector_lanes
        values = self.model.memories[Memory.VECTOR]
        granted, inside_burst = None, False
        while True:
            await RisingEdge(dut.clk)
            if dut.rst.value:
                self.fault, self.issued, self.done, self.local_written, self.due = None, 0, 0, 0, []
                continue
            if granted is not None:
                dut.vector_read__data.value = granted
            granted = None
            if dut.vector_read__valid.value and dut.vector_read__ready.value:
                first = int(dut.vector_read__address.value) * lanes % len(values)
                granted = sum(value << 32 * i for i, value in enumerate(values[first:first + lanes]))
                self.reads += 1
            assert dut.axi__wvalid.value or not inside_burst, "the bus waits for data inside a burst"
            if dut.axi__wvalid.value and dut.axi__wready.value:
                inside_burst = not dut.axi__wlast.value
            if dut.done.value:
                assert self.local_written >= self.due.pop(0), "done before the last write"
                self.done += 1
            if self.config.design.has_predictor_memory and dut.local_write__enable.value:
                self._take_local()  # complete in the next cycle, when done may come
            if (fault := int(dut.fault.value)) & 1:
                self.fault = self.fault or (FaultCause(fault >> 1 & 15), fault >> 5)
            assert dut.busy.value or self.done == self.issued, "not busy, but not done"
            dut.vector_read__ready.value = self.random.random() >= self.idle

    def _take_local(self):
        """The write of this cycle in the predictor memory."""
        dut, size = self.dut, self.config.bus_bytes
        strobe, first = int(dut.local_write__strobe.value), int(dut.local_write__address.value) * size
        data = int(dut.local_write__data.value).to_bytes(size, "little")
        for i in range(0, size, 2):
            if strobe >> i // 2 & 1:
                self.local[first + i:first + i + 2] = data[i:i + 2]
        self.local_written += strobe.bit_count()

    async def issue(self, instruction, expect: bool = True):
        """Hands the instruction over and executes it in the model."""
        dut = self.dut
        if expect:
            self.model.execute(instruction)
        i = instruction
        operands = i.length * i.count0 * i.count1 * i.count2 * i.format.bytes // 2
        self.due.append((self.due[-1] if self.due else self.local_written) + i.local * operands)
        bits = int.from_bytes(encode(instruction), "little")
        dut.instruction__payload.value = bits & ((1 << instruction_bits(Engine.STORE)) - 1)
        dut.instruction__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if dut.instruction__ready.value:
                break
        self.issued += 1
        dut.instruction__valid.value = 0

    async def stop(self):
        """Halts, waits for the bus, resets."""
        dut = self.dut
        dut.instruction__valid.value = 0
        dut.halt.value = 1
        await ClockCycles(dut.clk, 2)
        await _until(dut, lambda: dut.quiet.value)
        dut.rst.value = 1
        await RisingEdge(dut.clk)
        dut.rst.value = dut.halt.value = 0
        await ClockCycles(dut.clk, 2)

    def adopt(self):
        """Goes on from what the memories now hold."""
        self.model.external, self.model.local = deepcopy(self.external), deepcopy(self.local)

    async def finish(self):
        for _ in range(20000):
            await RisingEdge(self.dut.clk)
            if self.done == self.issued:
                break
        assert self.done == self.issued, f"{self.done} of {self.issued} instructions are done"
        assert self.fault is None, f"fault {self.fault}"
        self.external.assert_equal(self.model.external)
        self.local.assert_equal(self.model.local)
        await ClockCycles(self.dut.clk, 5)
        assert not self.dut.busy.value and self.dut.quiet.value and self.done == self.issued


@cocotb.test(timeout_time=6, timeout_unit="ms")
@cocotb.parametrize(case=range(len(STALLS)))
async def random_instructions(dut, case):
    idle, backpressure = STALLS[case]
    bench = StoreBench(dut, case, idle)
    await bench.start()
    logging.getLogger("cocotb.top.axi_").setLevel(logging.WARNING)
    ram = AxiRamWrite(AxiWriteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, mem=bench.external)
    if backpressure:
        rests = random.Random(bench.seed)
        for channel in (ram.aw_channel, ram.w_channel, ram.b_channel):
            channel.set_pause_generator(iter(lambda: rests.random() < backpressure, None))
    transfers = RandomTransfers(bench.model, bench.seed)
    for _ in range(bench_parameters()["instructions"]):
        await bench.issue(transfers.store())
        if bench.random.random() < 0.2:
            await ClockCycles(dut.clk, bench.random.randrange(60))
    await bench.finish()


async def _until(dut, condition, cycles: int = 5000):
    for _ in range(cycles):
        await RisingEdge(dut.clk)
        if condition():
            return
    assert False, f"not within {cycles} cycles"


@cocotb.test(timeout_time=4, timeout_unit="ms")
async def windows_and_alignment(dut):
    """Windows that end at, before or behind the edges of runs, and odd addresses."""
    bench = StoreBench(dut, 10)
    await bench.start()
    cocotb.start_soon(LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=7).serve_writes())
    transfers, choose, faults = RandomTransfers(bench.model, bench.seed), bench.random.choice, 0
    for _ in range(60):
        instruction = transfers.store()
        runs = bench.model.runs(instruction)
        first = choose([min(runs)[0], choose(runs)[0]]) + choose([-2, 0, 0, 1])
        last = choose([max(map(sum, runs)), sum(choose(runs))]) - 1 + choose([-1, 0, 0, 1])
        if bench.random.random() < 0.3:
            first, last = 0, ADDRESS_SPACE - 1
            stride = choose(["offset", *(f"destination_stride{i}" for i in range(3) if not (i == 0 and instruction.dense))])
            moved = getattr(instruction, stride) + choose([1, 2, 3])
            instruction = replace(instruction, **{stride: moved % ADDRESS_SPACE if stride == "offset" else moved})
        bench.model.window = (max(first, 0), min(last, ADDRESS_SPACE - 1))
        faults += await _fault_case(bench, instruction)
        bench.model.window = (0, ADDRESS_SPACE - 1)
    assert 10 <= faults <= 50, f"{faults} faults"


async def _fault_case(bench: StoreBench, instruction: Store) -> int:
    """Runs one instruction; a fault must be the one that the model raises, and what is written by
    then must be right: bytes of runs before it, nothing else."""
    dut = bench.dut
    dut.window_first.value, dut.window_last.value = bench.bus.window = bench.model.window
    try:
        bench.model.runs(instruction)
    except MachineFault as fault:
        before = deepcopy(bench.external), deepcopy(bench.local)
        issue = cocotb.start_soon(bench.issue(instruction, expect=False))
        await _until(dut, lambda: bench.fault)
        assert bench.fault == (fault.cause, fault.address), f"{bench.fault}, not {fault}, in {instruction}"
        issue.cancel()
        await bench.stop()
        bench.model.store_until_fault(instruction)
        bench.external.assert_between(before[0], bench.model.external)
        bench.local.assert_between(before[1], bench.model.local)
        bench.adopt()
        return 1
    await bench.issue(instruction)
    await bench.finish()
    return 0


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def a_wrapping_run_is_refused(dut):
    """Of all lengths, up to the dense run that has more than 2**32 bytes."""
    bench = StoreBench(dut, 11)
    await bench.start()
    for offset, length, groups in ((-4, 2, 1), (-8, 1, 3), (0, 65535, 65535), (0, 32768, 32768)):
        first = offset % ADDRESS_SPACE
        instruction = Store(format=Format.FLOAT32, base=0, source=0, dense=1, length=length, count0=groups,
                            offset=(first - bench.model.bases[0]) % ADDRESS_SPACE, destination_stride0=4 * length)
        issue = cocotb.start_soon(bench.issue(instruction, expect=False))
        await _until(dut, lambda: bench.fault)
        assert bench.fault == (FaultCause.WINDOW, first), f"{bench.fault} at offset {offset}"
        issue.cancel()
        await bench.stop()
        assert not bench.bus.bursts


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def an_error_response_names_its_burst(dut):
    bench = StoreBench(dut, 12)
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=9, stall=0.3)
    cocotb.start_soon(memory.serve_writes())
    instruction = Store(format=Format.OPERAND, base=0, source=5, length=37, count0=9,
                        offset=-bench.model.bases[0] % ADDRESS_SPACE, destination_stride0=500)
    for _ in range(10):
        beat = (bench.random.randrange(9) * 500 + bench.random.randrange(74)) // bench.config.bus_bytes
        memory.errors = {beat}
        bench.bus.bursts.clear()
        issue = cocotb.start_soon(bench.issue(instruction, expect=False))
        await _until(dut, lambda: bench.fault)
        burst = max(burst["addr"] for burst in bench.bus.bursts if burst["addr"] <= beat * bench.config.bus_bytes)
        assert bench.fault == (FaultCause.WRITE_ERROR, burst), f"{bench.fault}, not at {burst:#x}"
        issue.cancel()
        await bench.stop()


@cocotb.test(timeout_time=2, timeout_unit="ms")
async def halt_completes_what_was_begun(dut):
    """At any moment; no burst is begun after it, and after a reset the engine works again."""
    bench = StoreBench(dut, 13)
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=20, stall=0.4)
    cocotb.start_soon(memory.serve_writes())
    transfers = RandomTransfers(bench.model, bench.seed)
    for _ in range(15):
        issue = cocotb.start_soon(_endless(bench, transfers))
        await ClockCycles(dut.clk, bench.random.randrange(1, 120))
        dut.halt.value = 1
        await ClockCycles(dut.clk, 2)
        begun = len(bench.bus.bursts) + int(dut.axi__awvalid.value)
        await ClockCycles(dut.clk, 100)
        assert len(bench.bus.bursts) <= begun, "a burst was begun after the halt"
        issue.cancel()
        await bench.stop()
        assert not memory.pending(), "a burst was not completed"
    bench.adopt()
    await bench.issue(transfers.store())
    await bench.finish()


async def _endless(bench: StoreBench, transfers: RandomTransfers):
    while True:
        await bench.issue(transfers.store(), expect=False)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def addresses_far_ahead_of_their_data_are_not_forgotten(dut):
    """The bus takes every address and no data until no burst is begun any more, then the data too."""
    bench = StoreBench(dut, 17)
    bench.model.bases[0] = 0
    await bench.start()
    ram = AxiRamWrite(AxiWriteBus.from_prefix(dut, "axi_"), dut.clk, dut.rst, mem=bench.external)
    ram.aw_channel.queue_occupancy_limit = -1
    ram.w_channel.pause = True
    issue = cocotb.start_soon(bench.issue(Store(format=Format.OPERAND, base=0, offset=0, source=0, length=1, count0=3 * BURSTS,
                                                source_stride0=1, destination_stride0=96)))
    await ClockCycles(dut.clk, 8 * BURSTS)
    assert len(bench.bus.bursts) == BURSTS, f"{len(bench.bus.bursts)} bursts wait for their data"
    ram.w_channel.pause = False
    await issue
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
async def runs_that_leave_the_predictor_memory_are_refused(dut):
    """At either end of the memory, by length, offset or stride; the window of the bus does not matter."""
    bench = StoreBench(dut, 14)
    await bench.start()
    bench.model.window = (1, 0)
    size, faults = 4 * bench.config.predictor_elements, 0
    for first, length, count, stride in (
            (size - 8, 2, 1, 0), (size - 8, 3, 1, 0), (size, 1, 1, 0), (-4, 1, 1, 0), (-4, 2, 1, 0), (0, size // 4, 1, 0),
            (0, size // 4 + 1, 1, 0), (size - 12, 1, 3, 4), (size - 12, 1, 4, 4), (8, 1, 4, -4), (1 << 31, 1, 1, 0),
            (size - 8, 2, 2, 2), (2, 1, 1, 0)):
        instruction = Store(format=Format.FLOAT32, local=1, base=3, source=0, length=length, source_stride0=length,
                            offset=first % ADDRESS_SPACE, count0=count, destination_stride0=stride)
        faults += await _fault_case(bench, instruction)
    assert faults == 10 and not bench.bus.bursts


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
async def a_local_store_takes_few_cycles(dut):
    bench = StoreBench(dut, 15)
    await bench.start()
    cocotb.start_soon(bench.issue(Store(format=Format.FLOAT32, local=1, offset=0, source=0, length=1)))
    begin = get_sim_time("ns")
    await _until(dut, lambda: bench.done)
    cycles = (get_sim_time("ns") - begin) / CLOCK_NS
    dut._log.info(f"MEASURED local store of an element: done {cycles} cycles after it was offered")
    assert cycles <= 18
    await bench.finish()


@cocotb.test(timeout_time=2, timeout_unit="ms", skip=not HAS_LOCAL)
@cocotb.parametrize(beats=[8, 32], runs=[1, 8])
async def changes_between_the_memories_cost_nothing(dut, beats, runs):
    """Local and external instructions in turn, at 30 cycles of bus latency, and external ones alone."""
    bench, count = StoreBench(dut, 16), 40
    bench.model.bases[0] = 0
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=30)
    cocotb.start_soon(memory.serve_writes())
    length, cycles = beats * bench.config.bus_bytes // 4 // runs, {}
    for kinds in ((0, 0), (0, 1), (1, 1)):
        begin = memory.cycle
        for i in range(count):
            await bench.issue(Store(format=Format.FLOAT32, local=kinds[i % 2], base=0, count0=runs, offset=0, source=0,
                                    source_stride0=length, destination_stride0=4 * length + 64, length=length))
        await _until(dut, lambda: bench.done == bench.issued)
        cycles[kinds] = memory.cycle - begin
    dut._log.info(f"MEASURED {count} stores of {beats} beats in {runs} runs: {cycles[0, 0]} cycles external, "
                  f"{cycles[0, 1]} in turn, {cycles[1, 1]} local")
    assert cycles[0, 1] <= cycles[0, 0] + 2
    await bench.finish()


OPERANDS, SINGLES = dict(format=Format.OPERAND), dict(format=Format.FLOAT32)
THROUGHPUT = {
    "rows of 2048 bytes": (0.95, OPERANDS | dict(length=1024, count0=4, destination_stride0=2048, source_stride0=1024)),
    "rows of 2048 bytes, float32": (0.95, SINGLES | dict(length=512, count0=4, destination_stride0=2048,
                                                         source_stride0=512)),
    "dense groups of 128 bytes, 6 off the beat, 3 elements off the word": (
        0.88, OPERANDS | dict(dense=1, length=64, count0=32, destination_stride0=128, source_stride0=64, offset=6, source=3)),
    "rows of 2048 bytes, 6 off the beat, 3 elements off the word": (
        0.95, OPERANDS | dict(length=1024, count0=4, destination_stride0=2048, source_stride0=1024, offset=6, source=3)),
    "runs of 32 bytes": (0.9, OPERANDS | dict(length=16, count0=128, destination_stride0=96, source_stride0=16)),
    "runs of 2 bytes": (0.9, OPERANDS | dict(length=1, count0=512, destination_stride0=96, source_stride0=1)),
}


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(what=list(THROUGHPUT))
async def beats_per_cycle_at_30_cycles_latency(dut, what):
    least, fields = THROUGHPUT[what]
    bench = StoreBench(dut, 20)
    bench.model.bases[0] = 0
    await bench.start()
    memory = LatentMemory(dut, bench.external, bus_bytes=bench.config.bus_bytes, latency=30)
    cocotb.start_soon(memory.serve_writes())
    for _ in range(2):
        await bench.issue(Store(**({"base": 0, "offset": 0, "source": 0} | fields)))
    await bench.finish()
    dut._log.info(f"MEASURED store, {what}: {memory.beats_per_cycle():.3f} beats per cycle, "
                  f"{bench.reads / memory.beats:.2f} reads per beat")
    assert memory.beats_per_cycle() >= least, f"{memory.beats_per_cycle():.3f} beats per cycle"
