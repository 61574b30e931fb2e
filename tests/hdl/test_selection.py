"""Multiplexers of words against Python's own choice."""

import random

import pytest
from amaranth.sim import Simulator

from adagp_hdl.memory.selection import FirstOf, Indexed


def simulate(component, bench):
    simulator = Simulator(component)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("count", [2, 4, 8, 16])
def test_every_index_gives_its_value(count):
    dut, rng = Indexed(2, count), random.Random(count)

    async def bench(ctx):
        for _ in range(20):
            values = [rng.getrandbits(64) for _ in range(count)]
            for port, value in zip(dut.values, values, strict=True):
                ctx.set(port, value)
            for index in range(count):
                ctx.set(dut.index, index)
                assert ctx.get(dut.o) == values[index]

    simulate(dut, bench)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_first_select_wins_and_the_last_value_needs_none(count):
    dut, rng = FirstOf(8, count), random.Random(count)

    async def bench(ctx):
        for selects in range(1 << (count - 1)):
            values = [rng.getrandbits(8) for _ in range(count)]
            for port, value in zip(dut.values, values, strict=True):
                ctx.set(port, value)
            ctx.set(dut.selects, selects)
            first = next((i for i in range(count - 1) if selects >> i & 1), count - 1)
            assert ctx.get(dut.o) == values[first]

    simulate(dut, bench)
