"""The operand memory against a flat array."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from adagp_hdl.memory.operand import OperandMemory

SEED = 20233


@pytest.mark.parametrize("lanes, elements, bits", [(2, 8, 16), (4, 32, 16), (8, 128, 16), (16, 64, 16), (4, 16, 3)])
def test_random_runs_at_every_alignment(lanes, elements, bits):
    generator = np.random.default_rng(SEED)
    memory = OperandMemory(lanes=lanes, elements=elements, operand_bits=bits)
    model = np.zeros(elements, dtype=np.int64)
    expected = {}

    async def bench(ctx):
        for cycle in range(1500):
            if cycle in expected:
                got = [ctx.get(memory.read.data[lane]) for lane in range(lanes)]
                address, want = expected.pop(cycle)
                assert got == want, f"read of {address} before cycle {cycle} (seed {SEED})"
            read, write = generator.random(2) < .8
            ctx.set(memory.read.enable, int(read))
            address = int(generator.integers(0, 1 << 20))
            ctx.set(memory.read.address, address)
            if read:
                places = (address + np.arange(lanes)) % elements
                expected[cycle + memory.LATENCY] = address, model[places].tolist()
            near = int(address + generator.integers(-lanes, lanes + 1)) % (1 << 20)
            values = generator.integers(0, 1 << bits, lanes)
            mask = generator.integers(0, 2, lanes)
            ctx.set(memory.write.enable, int(write))
            ctx.set(memory.write.address, near)
            ctx.set(memory.write.mask, int((np.roll(mask, near) << np.arange(lanes)).sum()))
            ctx.set(memory.write.data, np.roll(values, near).tolist())
            if write:
                places = (near + np.arange(lanes)) % elements
                model[places] = np.where(mask, values, model[places])
            await ctx.tick()

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert np.count_nonzero(model) > elements // 2


@pytest.mark.parametrize("lanes, elements, text", [
    (3, 16, "lanes must be a power of two of at least 2, not 3"),
    (1, 16, "lanes must be a power of two of at least 2, not 1"),
    (4, 4, "elements must be a power of two of at least 8, not 4"),
    (4, 24, "elements must be a power of two of at least 8, not 24")])
def test_unsuitable_shape_is_refused(lanes, elements, text):
    with pytest.raises(ValueError, match=text):
        OperandMemory(lanes=lanes, elements=elements)
