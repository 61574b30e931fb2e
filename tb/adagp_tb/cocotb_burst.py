"""Bench of two burst readers behind the read arbiter."""

import random
from itertools import product

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.external_memory import ADDRESS_SPACE, BusMonitor, LatentMemory, PagedMemory
from adagp_tb.stimulus import start_clock

READERS = ("load", "fetch")
STALLS = list(product((0, 0.6), (0, 0.6)))


class ReaderBench:
    def __init__(self, dut, seed: int, stall: float, backpressure: float):
        self.parameters = bench_parameters()
        self.dut, self.random, self.backpressure = dut, random.Random(seed), backpressure
        self.external = PagedMemory(seed)
        self.bytes = self.parameters["bus_bytes"]
        self.expected = {reader: [] for reader in READERS}  # (first byte of the beat, last)
        self.memory = LatentMemory(dut, self.external, bus_bytes=self.bytes, latency=15, stall=stall, seed=seed)

    async def start(self):
        dut = self.dut
        start_clock(dut)
        for reader in READERS:
            getattr(dut, f"{reader}_run__valid").value = 0
            getattr(dut, f"{reader}_data__ready").value = 0
        dut.axi__rvalid.value = dut.axi__arready.value = dut.halt.value = 0
        dut.window_first.value, dut.window_last.value = 0, ADDRESS_SPACE - 1
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        self.bus = BusMonitor(dut, ("r",), bus_bytes=self.bytes, burst_beats=self.parameters["burst_beats"])
        cocotb.start_soon(self.memory.serve_reads())
        for reader in READERS:
            cocotb.start_soon(self._check(reader))

    async def _check(self, reader: str):
        dut, expected = self.dut, self.expected[reader]
        valid, ready = getattr(dut, f"{reader}_data__valid"), getattr(dut, f"{reader}_data__ready")
        payload = getattr(dut, f"{reader}_data__payload")
        while True:
            await RisingEdge(dut.clk)
            assert dut.axi__rready.value, "the bus waits"
            if valid.value and ready.value:
                beat, last = expected.pop(0)
                got = int(payload.value)
                want = int.from_bytes(self.external[beat:beat + self.bytes], "little")
                assert got == want | last << 8 * self.bytes, f"{reader}: wrong beat at {beat:#x}"
            ready.value = self.random.random() >= self.backpressure

    async def read(self, reader: str, address: int, count: int):
        run = getattr(self.dut, f"{reader}_run__payload")
        valid, ready = getattr(self.dut, f"{reader}_run__valid"), getattr(self.dut, f"{reader}_run__ready")
        beats = range(address // self.bytes * self.bytes, address + count, self.bytes)
        self.expected[reader] += [(beat, beat == beats[-1]) for beat in beats]
        run.value = address | count << 32
        valid.value = 1
        while True:
            await RisingEdge(self.dut.clk)
            if ready.value:
                break
        valid.value = 0

    async def traffic(self, reader: str, runs: int, rests: float, sizes=(1, 2, 4, 16, 64, 300, 5000)):
        for _ in range(runs):
            count = self.random.choice(sizes)
            await self.read(reader, self.random.randrange(ADDRESS_SPACE - count + 1), count)
            while self.random.random() < rests:
                await RisingEdge(self.dut.clk)


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(case=range(len(STALLS)))
async def both_readers_get_their_data(dut, case):
    bench = ReaderBench(dut, case, *STALLS[case])
    await bench.start()
    tasks = [cocotb.start_soon(bench.traffic("load", 60, 0.2)), cocotb.start_soon(bench.traffic("fetch", 30, 0.8))]
    for task in tasks:
        await task
    for _ in range(20000):
        await RisingEdge(dut.clk)
        if not any(bench.expected.values()):
            break
    assert not any(bench.expected.values()), "beats are missing"
    await ClockCycles(dut.clk, 3)
    assert dut.quiet.value
    assert {burst["id"] for burst in bench.bus.bursts} == {0, 1}


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def fetch_goes_first(dut):
    """While the load reader always has a request, more than the bus takes."""
    bench = ReaderBench(dut, 7, 0.5, 0)
    await bench.start()
    load = cocotb.start_soon(bench.traffic("load", 2000, 0, sizes=[1]))
    for _ in range(10):
        await ClockCycles(dut.clk, bench.random.randrange(20, 40))
        before = len(bench.bus.bursts)
        await bench.read("fetch", bench.random.randrange(1 << 20) * 64, 64)
        while not any(burst["id"] for burst in bench.bus.bursts[before:]):
            await RisingEdge(dut.clk)
        waits = [burst["id"] for burst in bench.bus.bursts[before:]].index(1)
        assert waits <= 4, f"{waits} bursts went before the fetch, which needs 4 cycles to become one"
    load.cancel()
