"""The counters per layer against Python integers."""

import random

import pytest
from amaranth.sim import Simulator

from adagp_hdl.control.layers import LayerCounters

MOST_MACS = 180


class Bench:
    """Drives the counters and keeps what they should hold: layer → [cycles, macs]."""

    def __init__(self, ctx, dut, seed=1):
        self.ctx, self.dut, self.rng = ctx, dut, random.Random(seed)
        self.want = [[0, 0] for _ in range(256)]

    async def ready(self):
        while not self.ctx.get(self.dut.ready):
            await self.ctx.tick()

    async def cycle(self, running, layer=0, macs=0):
        for name, value in (("running", running), ("layer", layer), ("macs", macs)):
            self.ctx.set(getattr(self.dut, name), value)
        await self.ctx.tick()
        if running:
            self.want[layer][0] += 1
            self.want[layer][1] += macs

    async def value(self, layer, of_macs, step=None):
        """Reads; ``step`` is what happens in each cycle meanwhile."""
        ctx, dut = self.ctx, self.dut
        for name, value in (("shown", layer), ("of_macs", of_macs), ("read", 1)):
            ctx.set(getattr(dut, name), value)
        for _ in range(40 if step else 3):
            if ctx.get(dut.valid):
                break
            await (step() if step else ctx.tick())
        assert ctx.get(dut.valid)
        value = ctx.get(dut.value)
        await (step() if step else ctx.tick())
        ctx.set(dut.read, 0)
        await (step() if step else ctx.tick())
        return value

    async def clear(self):
        self.ctx.set(self.dut.clear, 1)
        await self.ctx.tick()
        self.ctx.set(self.dut.clear, 0)
        self.want = [[0, 0] for _ in range(256)]


def simulate(body, seed=1, most_macs=MOST_MACS):
    dut = LayerCounters(most_macs=most_macs)

    async def bench(ctx):
        await body(Bench(ctx, dut, seed))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("stay", [0.0, 0.5, 0.95, 0.995], ids="the layer stays with probability {}".format)
def test_every_cycle_is_booked_on_its_layer(stay):
    async def body(bench):
        await bench.ready()
        rng, layer = bench.rng, 3
        for part in range(4):
            layers = rng.sample(range(256), 2 + 20 * (part % 2))
            for _ in range(600):
                layer = layer if rng.random() < stay else rng.choice(layers)
                await bench.cycle(rng.random() < 0.97, layer, rng.choice([0, MOST_MACS, rng.randrange(MOST_MACS)]))
            for _ in range(3):
                await bench.cycle(0, rng.randrange(256), MOST_MACS)
            for each in layers:
                assert [await bench.value(each, macs) for macs in (0, 1)] == bench.want[each]
        assert [await bench.value(each, 0) for each in range(256)] == [cycles for cycles, _ in bench.want]

    simulate(body, seed=int(1000 * stay))


def test_reads_while_running_miss_little_and_disturb_nothing():
    async def body(bench):
        await bench.ready()

        async def step():
            layer = 7 if bench.rng.random() < 0.9 else bench.rng.randrange(9)
            before.append([list(each) for each in bench.want[:9]])
            await bench.cycle(1, layer, MOST_MACS)

        before = []
        for _ in range(300):
            for _ in range(bench.rng.randrange(5)):
                await step()
            layer, macs = bench.rng.choice([(7, 0), (7, 1), (3, 0), (3, 1)])
            value = await bench.value(layer, macs, step)
            late = before[max(len(before) - 25, 0)][layer][macs]
            assert late <= value <= bench.want[layer][macs]
        for _ in range(3):
            await bench.cycle(0)
        assert [[await bench.value(each, macs) for macs in (0, 1)] for each in range(9)] == bench.want[:9]

    simulate(body)


def test_high_half_takes_the_carry():
    most, cycles = (1 << 15) - 1, 140_000

    async def body(bench):
        await bench.ready()
        for name, value in (("running", 1), ("layer", 9), ("macs", most)):
            bench.ctx.set(getattr(bench.dut, name), value)
        await bench.ctx.tick().repeat(cycles)
        bench.ctx.set(bench.dut.running, 0)
        await bench.ctx.tick().repeat(3)
        assert await bench.value(9, 1) == most * cycles > 1 << 32
        assert await bench.value(9, 0) == cycles

    simulate(body, most_macs=most)


def test_clear_reads_as_zero_at_once_and_lasts_256_cycles():
    async def body(bench):
        await bench.ready()
        for layer in (0, 3, 254, 255) * 5:
            await bench.cycle(1, layer, 5)
        for _ in range(3):
            await bench.cycle(0)
        assert [await bench.value(layer, 1) for layer in (0, 3, 254, 255)] == [25] * 4
        await bench.clear()
        assert [await bench.value(layer, macs) for layer in (0, 254, 255) for macs in (0, 1)] == [0] * 6
        await bench.clear()  # again in the middle
        for _ in range(256):
            assert not bench.ctx.get(bench.dut.ready)
            await bench.ctx.tick()
        assert bench.ctx.get(bench.dut.ready)
        assert [await bench.value(layer, macs) for layer in range(256) for macs in (0, 1)] == [0] * 512

    simulate(body)
