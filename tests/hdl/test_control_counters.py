"""The counters against Python integers."""

import random

import pytest
from amaranth.sim import Simulator

from adagp_hdl.control.counters import CounterBank, Counters
from adagp_hdl.control.registers import COUNTERS

WIDTHS, SHIFTS = [1, 1, 8, 15, 1, 3, 1], [0, 4, 0, 0, 6, 0, 0]


def simulate(component, bench):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("load", [0.1, 0.9, 1.0])
def test_counters_hold_the_sum_of_all_increments(load):
    rng = random.Random(int(load * 10))
    bank = CounterBank(WIDTHS, SHIFTS)

    async def bench(ctx):
        sums = [0] * len(WIDTHS)

        async def step():
            values = [rng.getrandbits(width) if rng.random() < load else 0 for width in WIDTHS]
            if load == 1.0:
                values = [(1 << width) - 1 for width in WIDTHS]
            word = 0
            for value, width in zip(reversed(values), reversed(WIDTHS), strict=True):
                word = word << width | value
            ctx.set(bank.increment.as_value(), word)
            await ctx.tick()
            for i, value in enumerate(values):
                sums[i] += value << SHIFTS[i]

        async def read(index):
            history = []
            ctx.set(bank.index, index)
            ctx.set(bank.read, 1)
            for _ in range(10):
                history.append(sums[index])
                if ctx.get(bank.valid):
                    break
                await step()
            value, valid = ctx.get(bank.value), ctx.get(bank.valid)
            assert valid and value == history[-3] if len(history) > 2 else value in history
            await step()
            ctx.set(bank.read, 0)

        for _ in range(400):
            for _ in range(rng.randrange(12)):
                await step()
            await read(rng.randrange(len(WIDTHS)))
        for _ in range(40):  # reads as close as they come delay nobody too much
            await read(3)
        load_before = list(sums)
        ctx.set(bank.increment.as_value(), 0)
        for _ in range(3):
            await ctx.tick()
        for index, total in enumerate(load_before):
            ctx.set(bank.index, index)
            ctx.set(bank.read, 1)
            while not ctx.get(bank.valid):
                await ctx.tick()
            assert ctx.get(bank.value) == total
            await ctx.tick()
            ctx.set(bank.read, 0)
            await ctx.tick()

    simulate(bank, bench)


async def _value(ctx, port, index):
    ctx.set(port.index, index)
    ctx.set(port.read, 1)
    while not ctx.get(port.valid):
        await ctx.tick()
    value = ctx.get(port.value)
    await ctx.tick()
    ctx.set(port.read, 0)
    await ctx.tick()
    return value


def test_high_half_takes_the_carry():
    bank = CounterBank([15], [0])

    async def bench(ctx):
        cycles = 140_000
        ctx.set(bank.increment.as_value(), 0x7FFF)
        await ctx.tick().repeat(cycles)
        ctx.set(bank.increment.as_value(), 0)
        await ctx.tick()
        assert await _value(ctx, bank, 0) == 0x7FFF * cycles > 1 << 32

    simulate(bank, bench)


@pytest.mark.parametrize("offset", range(3))
def test_clear_forgets_everything_at_any_time(offset):
    bank = CounterBank([4, 4], [0, 0])

    async def bench(ctx):
        ctx.set(bank.increment.as_value(), 0xFF)
        await ctx.tick().repeat(30 + offset)
        ctx.set(bank.increment.as_value(), 0)
        ctx.set(bank.clear, 1)
        await ctx.tick()
        ctx.set(bank.clear, 0)
        assert await _value(ctx, bank, 0) == 0
        ctx.set(bank.increment.as_value(), 0x52)
        await ctx.tick()
        ctx.set(bank.increment.as_value(), 0)
        await ctx.tick().repeat(20)
        assert [await _value(ctx, bank, i) for i in range(2)] == [2, 5]

    simulate(bank, bench)


def test_events_are_booked_on_their_counters():
    rng = random.Random(7)
    counters = Counters(most_macs=180, bus_bytes=16)

    async def bench(ctx):
        while not ctx.get(counters.ready):
            await ctx.tick()
        want = dict.fromkeys(COUNTERS, 0)
        ctx.set(counters.shown_layer, 200)
        for _ in range(300):
            running, phase, tag, layer = rng.randrange(2), rng.randrange(6), rng.randrange(4), rng.choice([0, 200])
            macs, busy = rng.randrange(181), rng.randrange(32)
            pulses = {name: rng.randrange(2) for name in ("batch_done", "loaded", "fetched", "stored", "dispatched")}
            for name, value in (pulses | dict(
                    running=running, phase=phase, tag=tag, layer=layer, macs=macs, busy=busy)).items():
                ctx.set(getattr(counters, name), value)
            await ctx.tick()
            if running:
                want["CYCLES"] += 1
                want[f"PHASE_CYCLES[{phase}]"] += 1
                want[f"PASS_CYCLES[{tag}]"] += 1
                want[f"PASS_MACS[{tag}]"] += macs
                want["LAYER_CYCLES"] += layer == 200
                want["LAYER_MACS"] += macs * (layer == 200)
                for engine in range(5):
                    want[f"BUSY[{engine}]"] += busy >> engine & 1
            want[f"PHASE_BATCHES[{phase}]"] += pulses["batch_done"]
            want["INSTRUCTIONS"] += pulses["dispatched"]
            for name, pulse in (("BYTES_READ", "loaded"), ("BYTES_FETCHED", "fetched"), ("BYTES_WRITTEN", "stored")):
                want[name] += 16 * pulses[pulse]
        for name in ("running", *pulses):
            ctx.set(getattr(counters, name), 0)
        await ctx.tick().repeat(3)
        assert {path: await _value(ctx, counters, i) for i, path in enumerate(COUNTERS)} == want
        assert all(want[path] for path in want)
        ctx.set(counters.clear, 1)
        await ctx.tick()
        ctx.set(counters.clear, 0)
        assert not any([await _value(ctx, counters, i) for i in range(len(COUNTERS))])

    simulate(counters, bench)
