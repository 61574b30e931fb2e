"""Bench of the block transposer."""

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock


class TransposerBench:
    def __init__(self, dut, seed: int, rests: float, backpressure: float):
        self.lanes, self.columns, self.chunk = (bench_parameters()[name] for name in ("lanes", "columns", "chunk"))
        self.dut, self.random, self.rests, self.backpressure = dut, random.Random(seed), rests, backpressure
        self.free = 2
        self.expected: list[list[int]] = []  # columns
        self.cycle = self.taken = 0

    async def start(self):
        dut = self.dut
        start_clock(dut)
        dut.write.value = dut.o__ready.value = dut.first_lane.value = 0
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0
        cocotb.start_soon(self._check())

    async def _check(self):
        dut = self.dut
        waiting = None
        while True:
            await RisingEdge(dut.clk)
            self.cycle += 1
            self.free += int(dut.freed.value)
            if dut.o__valid.value:
                got = int(dut.o__payload.value)
                assert waiting in (None, (got, int(dut.first_lane.value))), "a column changed while it waited"
                waiting = None if dut.o__ready.value else (got, int(dut.first_lane.value))
                if dut.o__ready.value:
                    column = self.expected.pop(0)
                    first = int(dut.first_lane.value)
                    lanes = [got >> 16 * ((first + i) % self.lanes) & 0xFFFF for i in range(len(column))]
                    assert lanes == column, f"column {self.taken}: {lanes}, not {column}"
                    self.taken += 1
                if dut.o__ready.value:
                    dut.first_lane.value = self.random.randrange(self.lanes)
            dut.o__ready.value = self.random.random() >= self.backpressure

    async def block(self, rows: int, columns: int, size: int):
        dut = self.dut
        while not self.free:
            await RisingEdge(dut.clk)
        self.free -= 1
        values = [[self.random.randrange(1 << 16) for _ in range(columns)] for _ in range(rows)]
        self.expected += [list(column) for column in zip(*values)]
        for row in range(rows):
            for first in range(0, columns, size):
                await self._write(row, first, values[row][first:first + size], size,
                                  row == rows - 1 and first + size >= columns)

    async def _write(self, row: int, first: int, values: list[int], size: int, last: bool):
        dut = self.dut
        lanes = [self.random.randrange(1 << 16) for _ in range(self.chunk)]
        for lane in range(self.chunk):
            for i, value in enumerate(values):
                if lane % size == (row + first + i) % size:
                    lanes[lane] = value
        dut.write.value, dut.row.value, dut.column.value = 1, row, first
        dut.count.value, dut.last.value = len(values), last
        dut.data.value = sum(value << 16 * i for i, value in enumerate(lanes))
        await RisingEdge(dut.clk)
        dut.write.value = 0
        while self.random.random() < self.rests:
            await RisingEdge(dut.clk)

    async def finish(self):
        for _ in range(5000):
            await RisingEdge(self.dut.clk)
            if not self.expected:
                break
        assert not self.expected, f"{len(self.expected)} columns are missing"
        await ClockCycles(self.dut.clk, 3)
        assert not self.dut.o__valid.value and self.free == 2


@cocotb.test(timeout_time=2, timeout_unit="ms")
@cocotb.parametrize(rests=[0, 0.5], backpressure=[0, 0.5])
async def blocks_of_all_shapes(dut, rests, backpressure):
    bench = TransposerBench(dut, 1, rests, backpressure)
    await bench.start()
    for _ in range(25):
        rows, columns = bench.random.randint(1, bench.lanes), bench.random.randint(1, bench.columns)
        await bench.block(rows, columns, bench.random.choice([bench.chunk, bench.chunk // 2]))
    for _ in range(3):
        await bench.block(bench.lanes, bench.columns, bench.chunk)
    await bench.finish()


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def full_blocks_stream(dut):
    """Writing whole blocks back to back costs little more than their chunks."""
    bench = TransposerBench(dut, 2, 0, 0)
    await bench.start()
    first = bench.cycle
    for _ in range(8):
        await bench.block(bench.lanes, bench.columns, bench.chunk)
    cycles, chunks = bench.cycle - first, 8 * bench.lanes * bench.columns // bench.chunk
    dut._log.info(f"MEASURED transposer: {chunks / cycles:.3f} chunks per cycle")
    assert chunks / cycles >= 0.9
    await bench.finish()
