import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from adagp.spec.isa import Engine
from adagp_hdl.array.engine import ArrayEngine
from adagp_hdl.interfaces import instruction_bits
from adagp_tb.cocotb_runner import run_bench

WORDS = 64


class TwoArrays(wiring.Component):
    """Two arrays on one vector memory, of which there is only what shows that they meet: ``reads`` and
    ``writes`` say which array (bit 0 the main one) uses the vector memory, ``meet`` that both do so in
    one bank, to read or to write."""

    def __init__(self, main: tuple[int, int], own: tuple[int, int], banks: int):
        common = dict(stream_lanes=8, stationary_lanes=8, vector_lanes=8, vector_words=WORDS, vector_banks=banks)
        ahead = ArrayEngine.latency(*main) - ArrayEngine.latency(*own)
        self._main = ArrayEngine(rows=main[0], columns=main[1], **common)
        self._own = ArrayEngine(rows=own[0], columns=own[1], yields_after=ahead, **common)
        self._bank_words = WORDS // banks
        instruction = In(stream.Signature(instruction_bits(Engine.ARRAY)))
        super().__init__({"main": instruction, "own": instruction, "main_done": Out(1), "own_done": Out(1),
                          "reads": Out(2), "writes": Out(2), "meet": Out(2)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.main, m.submodules.own = main, own = self._main, self._own
        connect(m, flipped(self.main), main.instruction)
        connect(m, flipped(self.own), own.instruction)
        m.d.comb += [self.main_done.eq(main.done), self.own_done.eq(own.done), own.claimed.eq(main.claim)]
        for i, (used, kind) in enumerate(((self.reads, "read"), (self.writes, "write"))):
            first, second = (getattr(array, f"accumulator_{kind}") for array in (main, own))
            bank, other = (port.address % WORDS // self._bank_words for port in (first, second))
            m.d.comb += [used.eq(first.valid | second.valid << 1),
                         self.meet[i].eq(first.valid & second.valid & (bank == other))]
        return m


@pytest.mark.parametrize("main, own, banks", [((4, 4), (2, 4), 4), ((3, 5), (3, 5), 2), ((7, 6), (2, 2), 8)],
                         ids=["fewer rows", "alike", "much smaller"])
def test_arrays_never_meet_in_a_bank(main, own, banks):
    run_bench(TwoArrays(main, own, banks), "adagp_tb.cocotb_two_arrays", name=f"two_arrays_{banks}",
              parameters={"main": main, "own": own, "words": WORDS, "banks": banks})
