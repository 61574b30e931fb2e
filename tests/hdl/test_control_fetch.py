"""Fetch on a bus model with latency: instructions, overruns, what is skipped, halt."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause
from adagp_hdl.control.fetch import Fetch


class Bench:
    """A memory of random bytes behind the read channel; keeps what comes out."""

    def __init__(self, ctx, dut, config, *, seed=0, latency=12, stall=0.2):
        self.ctx, self.dut, self.config, self.rng = ctx, dut, config, random.Random(seed)
        self.latency, self.stall, self.cycle = latency, stall, 0
        self.bursts = deque()  # [cycle, address, beats left]
        self.memory = random.Random(99).randbytes(1 << 16)
        self.taken, self.skip_at, self.beats = [], None, 0
        ctx.set(dut.window_last, 0xFFFFFFFF)

    async def step(self, ready=True):
        """One cycle; returns what was taken from the output, if anything."""
        ctx, dut, axi = self.ctx, self.dut, self.dut.axi
        arready, bytes_ = self.rng.random() >= self.stall, self.config.bus_bytes
        ctx.set(axi.arready, arready)
        sends = bool(self.bursts) and self.bursts[0][0] <= self.cycle and self.rng.random() >= self.stall
        ctx.set(axi.rvalid, sends)
        if sends:
            _, address, left = self.bursts[0]
            ctx.set(axi.rdata, int.from_bytes(self.memory[address:address + bytes_], "little"))
            ctx.set(axi.rlast, left == 1)
        ctx.set(dut.o.ready, ready)
        await ctx.delay(1e-9)
        taken = None
        if ready and ctx.get(dut.o.valid):
            overrun = ctx.get(dut.o.payload.overrun)
            word = None if overrun else ctx.get(dut.o.payload.word).to_bytes(64, "little")
            taken = ctx.get(dut.o.payload.address), word
            self.taken.append(taken)
            ctx.set(dut.skip, len(self.taken) == self.skip_at)
        else:
            ctx.set(dut.skip, 0)
        if sends and ctx.get(axi.rready):
            self.beats += 1
            self.bursts[0][1:] = [address + bytes_, left - 1]
            if left == 1:
                self.bursts.popleft()
        if arready and ctx.get(axi.arvalid):
            self.bursts.append([self.cycle + self.latency, ctx.get(axi.araddr), ctx.get(axi.arlen) + 1])
        await ctx.tick()
        self.cycle += 1
        return taken

    async def request(self, address, size, limit=600):
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.request.payload.address, address)
        ctx.set(dut.request.payload.bytes, size)
        ctx.set(dut.request.valid, 1)
        self.taken = []
        for _ in range(limit):
            ready = ctx.get(dut.request.ready)
            await self.step()
            if ready:
                ctx.set(dut.request.valid, 0)
                return
        raise AssertionError("the request was never taken")

    async def until(self, count, chance=0.7):
        for _ in range(3000):
            if len(self.taken) == count:
                return
            await self.step(self.rng.random() < chance)
        raise AssertionError(f"only {len(self.taken)} of {count} came")


def simulate(body, *, bus_bits=64, **options):
    config = AcceleratorConfig(rows=2, columns=2, bus_bits=bus_bits, burst_beats=4, read_buffer_beats=16)
    dut = Fetch(config)

    async def bench(ctx):
        await body(Bench(ctx, dut, config, **options))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("bus_bits", [64, 128, 256, 512])
@pytest.mark.parametrize("chance", [0.2, 1.0])
def test_instructions_come_in_order_then_the_overrun(bus_bits, chance):
    async def body(bench):
        for address, count in ((0x1000, 9), (0x40, 1), (0xFC0, 3)):
            await bench.request(address, 64 * count)
            await bench.until(count + 1, chance)
            want = [(address + 64 * i, bench.memory[address + 64 * i:address + 64 * (i + 1)]) for i in range(count)]
            assert bench.taken == [*want, (address + 64 * count, None)]
            bench.skip_at = len(bench.taken) + 1  # the overrun stays until somebody ends the program
            await bench.until(count + 2)
            bench.skip_at = None

    simulate(body, bus_bits=bus_bits)


@pytest.mark.parametrize("position", [1, 4, 12])
@pytest.mark.parametrize("wait", [0, 40])
def test_skipping_drops_the_rest_before_the_next_program(position, wait):
    async def body(bench):
        for start in (0x2000, 0x2400, 0x1000):
            bench.skip_at = position
            await bench.request(start, 64 * 12)
            for _ in range(wait):
                await bench.step(ready=False)
            await bench.until(position)
            bench.skip_at = None
            for _ in range(400):
                assert await bench.step() is None
                if bench.ctx.get(bench.dut.request.ready):
                    break
            assert [address for address, _ in bench.taken] == [start + 64 * i for i in range(position)]
        assert bench.beats == 3 * 12 * 8

    simulate(body)


def test_program_of_no_instruction_is_an_overrun():
    async def body(bench):
        for size in (0, 63):
            bench.skip_at = 1
            await bench.request(0x3000, size)
            await bench.until(1)
            assert bench.taken == [(0x3000, None)] and bench.beats == 0

    simulate(body)


@pytest.mark.parametrize("address", [0x1001, 0x1020, 0x103F])
def test_misaligned_program_is_refused(address):
    async def body(bench):
        await bench.request(address, 128)
        for _ in range(20):
            assert await bench.step() is None
        fault = bench.dut.fault
        assert [bench.ctx.get(value) for value in (fault.valid, fault.cause, fault.address)] == [
            1, FaultCause.MISALIGNED, address]
        assert bench.ctx.get(bench.dut.quiet) and not bench.bursts

    simulate(body)


def test_program_outside_the_window_is_refused():
    async def body(bench):
        bench.ctx.set(bench.dut.window_first, 0x1000)
        bench.ctx.set(bench.dut.window_last, 0x107E)
        await bench.request(0x1000, 128)
        for _ in range(20):
            assert await bench.step() is None
        fault = bench.dut.fault
        assert [bench.ctx.get(value) for value in (fault.valid, fault.cause, fault.address)] == [
            1, FaultCause.WINDOW, 0x1000]

    simulate(body)


def test_halt_ends_requests_and_waits_for_what_is_under_way():
    async def body(bench):
        await bench.request(0x1000, 64 * 40)
        await bench.until(2)
        bench.ctx.set(bench.dut.halt, 1)
        await bench.step(ready=False)
        outstanding = len(bench.bursts)
        for _ in range(200):
            await bench.step(ready=False)
            assert len(bench.bursts) <= outstanding + 1
            outstanding_now = bench.bursts or bench.ctx.get(bench.dut.axi.arvalid)
            assert bool(bench.ctx.get(bench.dut.quiet)) == (not outstanding_now)
        assert bench.ctx.get(bench.dut.quiet)

    simulate(body, latency=30)


def test_several_instructions_are_read_ahead():
    """With a latency of 40 cycles, 16 beats in the buffer and 8 per instruction, two come per trip."""

    async def body(bench):
        await bench.request(0x1000, 64 * 12)
        begin = bench.cycle
        await bench.until(12, chance=1)
        assert bench.cycle - begin < 9 * 40

    simulate(body, latency=40, stall=0)
