"""Brings elements from where they lie in the beats to the lanes where they go."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Memory

from .layouts import chunk_layout, target_layout


class Aligner(wiring.Component):
    """Executes chunks. One per cycle as long as the beats are there and ``o.ready`` is high; two cycles of latency.

    ``o.data`` holds the elements from the lane of their position on, rotating; a fill value is in all lanes (its upper
    half, unless it is for the vector memory). ``pending``: a chunk waits or is offered that is not for the transposer.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "beat": In(stream.Signature(config.bus_bits)), "chunk": In(stream.Signature(chunk_layout(config))),
            "o": Out(stream.Signature(data.StructLayout(
                {"data": config.bus_bits, "target": target_layout(config)}))),
            "pending": Out(1)})

    def elaborate(self, platform):
        m = Module()
        chunk, held, go = Signal(self.chunk.payload.shape(), reset_less=True), Signal(), Signal()
        current, current_valid = Signal(self._config.bus_bits, reset_less=True), Signal()
        beat = self.beat
        m.d.comb += [
            go.eq(held & (chunk.fill | current_valid & (~chunk.crosses | beat.valid)) & self.o.ready),
            self.chunk.ready.eq(~held | go),
            self.pending.eq(held & ~chunk.target.block | self.o.valid & ~self.o.payload.target.block),
            beat.ready.eq(~current_valid | go & ~chunk.fill & (chunk.drops != 0)),
        ]
        with m.If(self.chunk.ready):
            m.d.sync += [held.eq(self.chunk.valid), chunk.eq(self.chunk.payload)]
        with m.If(beat.ready):
            m.d.sync += [current.eq(beat.payload), current_valid.eq(beat.valid & ~(current_valid & chunk.drops[1]))]
        with m.If(self.o.ready):
            m.d.sync += [self.o.valid.eq(go), self.o.payload.target.eq(chunk.target),
                         self.o.payload.data.eq(self._aligned(m, chunk, current))]
        return m

    def _aligned(self, m: Module, chunk, current):
        operands = self._config.bus_operands
        lanes = [Mux(chunk.phase <= i, current.word_select(i, 16), self.beat.payload.word_select(i, 16))
                 for i in range(operands)]
        for step in range((operands - 1).bit_length()):
            stage = [Signal(16, name=f"rotated{step}_{i}") for i in range(operands)]
            m.d.comb += [lane.eq(Mux(chunk.rotate[step], lanes[(i + (1 << step)) % operands], lanes[i]))
                         for i, lane in enumerate(stage)]
            lanes = stage
        high = chunk.value[16:]
        low = Mux(chunk.target.memory == Memory.VECTOR, chunk.value[:16], high)
        return Mux(chunk.fill, Cat(low, high).replicate(operands // 2), Cat(lanes))
