"""Start, faults, reset."""

import random

import pytest
from amaranth.sim import Simulator

from adagp.spec.isa import FaultCause
from adagp_hdl.control.supervisor import Supervisor

BUSY, DONE, FAULT, DRAINING = 1, 2, 4, 8


def simulate(body):
    dut = Supervisor(faults=3, quiet=2)

    async def bench(ctx):
        for quiet in dut.quiet:
            ctx.set(quiet, 1)
        await body(ctx, dut)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def pulse(ctx, signal):
    ctx.set(signal, 1)
    await ctx.tick()
    ctx.set(signal, 0)


def status(ctx, dut):
    return ctx.get(dut.status.as_value()) & 0b1111


def raise_fault(ctx, dut, index, cause, address):
    ctx.set(dut.faults[index].cause, cause)
    ctx.set(dut.faults[index].address, address)
    ctx.set(dut.faults[index].valid, 1)


async def started(ctx, dut):
    ctx.set(dut.start, 1)
    await ctx.delay(1e-9)
    assert ctx.get(dut.go)
    await ctx.tick()
    ctx.set(dut.start, 0)
    assert status(ctx, dut) == BUSY


def test_a_run_ends_with_done_and_its_interrupt():
    async def body(ctx, dut):
        assert status(ctx, dut) == 0 and ctx.get(dut.idle)
        await started(ctx, dut)
        ctx.set(dut.start, 1)
        await ctx.delay(1e-9)
        assert not ctx.get(dut.go) and not ctx.get(dut.idle), "a start while busy is ignored"
        ctx.set(dut.start, 0)
        ctx.set(dut.finished, 1)
        await ctx.delay(1e-9)
        assert ctx.get(dut.interrupt_pending_set.done) and not ctx.get(dut.interrupt_pending_set.fault)
        await ctx.tick()
        ctx.set(dut.finished, 0)
        assert status(ctx, dut) == DONE
        await started(ctx, dut)

    simulate(body)


@pytest.mark.parametrize("wait", [0, 1, 9])
def test_first_fault_stops_and_waits_for_the_bus(wait):
    async def body(ctx, dut):
        await started(ctx, dut)
        ctx.set(dut.quiet[1], 0)
        raise_fault(ctx, dut, 1, FaultCause.WINDOW, 0x1234)
        raise_fault(ctx, dut, 2, FaultCause.TOKEN, 0x40)
        await ctx.tick()
        raise_fault(ctx, dut, 0, FaultCause.READ_ERROR, 0x80)
        await ctx.tick()
        for _ in range(wait):
            assert status(ctx, dut) == BUSY | DRAINING and ctx.get(dut.halt)
            assert not ctx.get(dut.interrupt_pending_set.as_value())
            await ctx.tick()
        ctx.set(dut.quiet[1], 1)
        raised = 0
        for _ in range(4):
            await ctx.delay(1e-9)
            raised += ctx.get(dut.interrupt_pending_set.fault)
            await ctx.tick()
        assert raised == 1 and status(ctx, dut) == FAULT and ctx.get(dut.halt)
        assert (ctx.get(dut.fault_cause), ctx.get(dut.fault_address)) == (FaultCause.WINDOW, 0x1234)
        ctx.set(dut.start, 1)
        await ctx.delay(1e-9)
        assert not ctx.get(dut.go), "a fault stays until a reset"

    simulate(body)


@pytest.mark.parametrize("state", ["ready", "busy", "stopping", "faulted"])
def test_reset_drains_clears_once_and_is_ready(state):
    async def body(ctx, dut):
        if state != "ready":
            await started(ctx, dut)
        if state in ("stopping", "faulted"):
            ctx.set(dut.quiet[0], state == "faulted")
            raise_fault(ctx, dut, 0, FaultCause.DEADLOCK, 4)
            await ctx.tick()
            ctx.set(dut.faults[0].valid, 0)
            await ctx.tick().repeat(3)
        ctx.set(dut.quiet[0], 0)
        await pulse(ctx, dut.reset)
        for _ in range(7):
            assert status(ctx, dut) == BUSY | DRAINING and ctx.get(dut.halt) and not ctx.get(dut.clear)
            await ctx.tick()
        ctx.set(dut.quiet[0], 1)
        cleared = 0
        for _ in range(5):
            await ctx.delay(1e-9)
            cleared += ctx.get(dut.clear)
            assert ctx.get(dut.halt) or not status(ctx, dut)
            await ctx.tick()
        assert cleared == 1 and status(ctx, dut) == 0 and not ctx.get(dut.halt)
        assert ctx.get(dut.fault_cause) == ctx.get(dut.fault_address) == 0
        await started(ctx, dut)

    simulate(body)


def test_interrupt_is_pending_and_enabled():
    async def body(ctx, dut):
        rng = random.Random(1)
        for _ in range(40):
            pending, enable = rng.randrange(4), rng.randrange(4)
            ctx.set(dut.interrupt_pending.as_value(), pending)
            ctx.set(dut.interrupt_enable.as_value(), enable)
            await ctx.tick()
            assert ctx.get(dut.irq) == bool(pending & enable)

    simulate(body)
