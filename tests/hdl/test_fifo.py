"""The queue against one of Python, cycle by cycle."""

import random
from collections import deque

import pytest
from amaranth.sim import Simulator

from adagp_hdl.bus.fifo import Fifo


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("depth", [2, 8])
@pytest.mark.parametrize("idle, stall", [(0, 0), (0, 0.6), (0.6, 0), (0.4, 0.4)])
def test_each_side_sees_at_once_what_the_queue_holds(depth, block, idle, stall):
    dut, rng = Fifo(16, depth, block=block), random.Random(f"{depth} {block} {idle} {stall}")
    levels = set()

    async def bench(ctx):
        inside, shown, sent = deque(), None, 0  # shown: what has left the block memory
        for cycle in range(600):
            bursts = cycle // 50 % 3  # all as drawn, only filled, only emptied
            offers = bursts == 1 or bursts == 0 and rng.random() >= idle
            takes = bursts == 2 or bursts == 0 and rng.random() >= stall
            ctx.set(dut.i.valid, offers)
            ctx.set(dut.i.payload, sent)
            ctx.set(dut.o.ready, takes)
            await ctx.delay(1e-9)
            levels.add(len(inside))
            first = shown if block else next(iter(inside), None)
            assert ctx.get(dut.i.ready) == (len(inside) < depth)
            assert ctx.get(dut.o.valid) == (first is not None)
            if first is not None:
                assert ctx.get(dut.o.payload) == first
            accepted = offers and len(inside) < depth
            if not block and first is not None and takes:
                inside.popleft()
            if block and (shown is None or takes):
                shown = inside.popleft() if inside else None
            if accepted:
                inside.append(sent)
                sent += 1
            await ctx.tick()
        assert sent >= 80

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert levels == set(range(depth + 1))


@pytest.mark.parametrize("depth", [0, 1, 3, 12])
def test_other_depths_than_powers_of_two_are_refused(depth):
    with pytest.raises(ValueError, match="Fifo.depth must be a power of two of at least 2, not"):
        Fifo(8, depth)
