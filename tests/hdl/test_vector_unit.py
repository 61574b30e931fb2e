import sys
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.config import preset
from adagp.spec.isa import Engine
from adagp_hdl.interfaces import EngineSignature, Report, VectorRead, VectorWrite
from adagp_hdl.memory.vector import VectorMemory
from adagp_hdl.vector.unit import VectorUnit
from adagp_tb.cocotb_runner import run_bench


class VectorUnitOnMemory(wiring.Component):
    """The unit, its memory with the ports of the other engines, and a view of what it writes."""

    def __init__(self, config):
        self._config = config
        read, write = VectorRead(config.vector_lanes), VectorWrite(config.vector_lanes)
        super().__init__({
            **EngineSignature(Engine.VECTOR).members, "array_read": In(read), "store_read": In(read),
            "array_write": In(write), "load_write": In(write),
            "report": Out(Report), "write_granted": Out(1), "write_address": Out(16), "write_data": Out(32 * config.vector_lanes)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.memory = memory = VectorMemory(
            words=config.vector_words, lanes=config.vector_lanes, banks=config.vector_banks)
        m.submodules.unit = unit = VectorUnit(config)
        connect(m, unit.read_a, memory.vector_read_a)
        connect(m, unit.read_b, memory.vector_read_b)
        connect(m, unit.write, memory.vector_write)
        for name in ("array_read", "store_read", "array_write", "load_write"):
            connect(m, flipped(getattr(self, name)), getattr(memory, name))
        connect(m, flipped(self.instruction), unit.instruction)
        m.d.comb += [
            self.done.eq(unit.done), self.busy.eq(unit.busy), self.quiet.eq(unit.quiet), self.fault.eq(unit.fault),
            unit.halt.eq(self.halt), self.report.eq(unit.report), self.write_granted.eq(unit.write.valid & unit.write.ready & unit.write.mask.all()),
            self.write_address.eq(unit.write.address), self.write_data.eq(unit.write.data)]
        return m


@pytest.mark.parametrize("seed", [1, 2])
def test_vector_unit(seed, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "golden"))
    config = replace(preset("tiny"), vector_words=512)
    run_bench(VectorUnitOnMemory(config), "adagp_tb.cocotb_vector_unit", name="vector_unit", seed=seed,
              parameters={"words": config.vector_words, "lanes": config.vector_lanes, "banks": config.vector_banks},
              tests=None if seed == 1 else "random")
