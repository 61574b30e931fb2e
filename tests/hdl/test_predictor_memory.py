"""The predictor memory against a flat array."""

from collections import deque

import numpy as np
import pytest
from amaranth.sim import Simulator

from adagp.spec.config import AcceleratorConfig, Design
from adagp_hdl.memory.predictor import PredictorMemory

SEED = 20235


@pytest.mark.parametrize("bus_bits, beats", [(64, 32), (512, 4)])
def test_random_beats_and_strobes(bus_bits, beats):
    generator = np.random.default_rng(SEED)
    memory = PredictorMemory(AcceleratorConfig(rows=2, columns=2, design=Design.EFFICIENT, bus_bits=bus_bits,
                                               predictor_elements=64))
    model = np.zeros((beats, bus_bits // 16), np.uint16)
    due = {}  # cycle → data of a read
    writes = deque([None, None])  # those that a read does not see yet

    async def bench(ctx):
        for cycle in range(1500):
            if cycle in due:
                assert ctx.get(memory.read.data) == due.pop(cycle), f"cycle {cycle} (seed {SEED})"
            if completed := writes.popleft():
                address, strobe, values = completed
                model[address][strobe] = values[strobe]
            address, other = generator.integers(0, beats, 2)
            read, write = generator.random(2) < 0.8
            ctx.set(memory.read.enable, int(read))
            ctx.set(memory.read.address, int(address))
            if read:
                due[cycle + memory.LATENCY] = int.from_bytes(model[address].tobytes(), "little")
            strobe = generator.random(bus_bits // 16) < 0.6
            values = generator.integers(0, 1 << 16, bus_bits // 16).astype(np.uint16)
            ctx.set(memory.write.enable, int(write))
            ctx.set(memory.write.address, int(other))
            ctx.set(memory.write.strobe, sum(1 << i for i in np.flatnonzero(strobe).tolist()))
            ctx.set(memory.write.data, int.from_bytes(values.tobytes(), "little"))
            writes.append((other, strobe, values) if write else None)
            await ctx.tick()

    simulator = Simulator(memory)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert np.count_nonzero(model) == model.size
