"""Bench of the store engine: random instructions, faults, halts, throughput."""

import logging
import random
from itertools import product

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiRamWrite, AxiWriteBus

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, FaultCause, Format, Memory, Store, encode
from adagp.spec.machine import MachineFault
from adagp_hdl.interfaces import instruction_bits
from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.external_memory import BusMonitor, LatentMemory, PagedMemory
from adagp_tb.stimulus import start_clock
from adagp_tb.transfer_model import RandomTransfers, TransferModel

STALLS = list(product((0, 0.6), (0, 0.6)))
"""Shares of cycles in which the vector memory does not grant, and in which the bus rests."""


class StoreBench:
    """Drives instructions, answers the reads of the vector memory, and watches the order."""

    def __init__(self, dut, seed: int, idle: float = 0):
        parameters = bench_parameters()
        self.seed = parameters["seed"] * 1000 + seed
        self.dut, self.random, self.idle = dut, random.Random(self.seed), idle
        self.config = AcceleratorConfig(**parameters["config"])
        self.external = PagedMemory(self.seed)
        self.model = TransferModel(self.config, PagedMemory(self.seed), self.seed)
        self.model.bases = [self.random.randrange(1 << 32) for _ in range(8)]
        self.issued = self.done = self.reads = 0
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
        granted = None
        while True:
            await RisingEdge(dut.clk)
            if granted is not None:
                dut.vector_read__data.value = granted
            granted = None
            if dut.vector_read__valid.value and dut.vector_read__ready.value:
                first = int(dut.vector_read__address.value) * lanes % len(values)
                granted = sum(value << 32 * i for i, value in enumerate(values[first:first + lanes]))
                self.reads += 1
            self.done += int(dut.done.value)
            if (fault := int(dut.fault.value)) & 1:
                self.fault = self.fault or (FaultCause(fault >> 1 & 15), fault >> 5)
            assert dut.busy.value or self.done == self.issued, "not busy, but not done"
            dut.vector_read__ready.value = self.random.random() >= self.idle

    async def issue(self, instruction, expect: bool = True):
        """Hands the instruction over and executes it in the model."""
        dut = self.dut
        if expect:
            self.model.execute(instruction)
        bits = int.from_bytes(encode(instruction), "little")
        dut.instruction__payload.value = bits & ((1 << instruction_bits(Engine.STORE)) - 1)
        dut.instruction__valid.value = 1
        while True:
            await RisingEdge(dut.clk)
            if dut.instruction__ready.value:
                break
        self.issued += 1
        dut.instruction__valid.value = 0

    async def finish(self):
        for _ in range(20000):
            await RisingEdge(self.dut.clk)
            if self.done == self.issued:
                break
        assert self.done == self.issued, f"{self.done} of {self.issued} instructions are done"
        assert self.fault is None, f"fault {self.fault}"
        self.external.assert_equal(self.model.external)
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
