"""The register that cuts paths through ``ready``."""

import random

import pytest
from amaranth.sim import Simulator

from adagp_hdl.bus.fifo import Elastic


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("idle, stall", [(0, 0), (0, 0.6), (0.6, 0), (0.4, 0.4)])
def test_payloads_pass_in_order_and_none_waits_longer_than_it_must(idle, stall):
    dut, rng = Elastic(16), random.Random(f"{idle} {stall}")

    async def bench(ctx):
        sent, waiting, got, offered = 0, [], [], None
        for _ in range(400):
            if offered is None and rng.random() >= idle:
                offered = sent = sent + 1
            ctx.set(dut.i.valid, offered is not None)
            ctx.set(dut.i.payload, offered or 0)
            ctx.set(dut.o.ready, 0)
            await ctx.delay(1e-9)
            could = ctx.get(dut.i.ready)
            ready = rng.random() >= stall
            ctx.set(dut.o.ready, ready)
            await ctx.delay(1e-9)
            assert ctx.get(dut.i.ready) == could == (not waiting)  # whatever the other side says
            if offered is not None and could:
                waiting.append(offered)
                offered = None
            assert ctx.get(dut.o.valid) == bool(waiting)
            if waiting:
                assert ctx.get(dut.o.payload) == waiting[0]
                if ready:
                    got.append(waiting.pop(0))
            await ctx.tick()
        assert got == list(range(1, len(got) + 1)) and len(got) + len(waiting) + (offered is not None) == sent > 100
        assert stall or idle or sent == 400

    simulate(dut, bench)
