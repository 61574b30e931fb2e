"""Assembles beats from elements."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig

from ..arithmetic.conversion import narrow
from .pieces import piece_layout

OPERAND_BITS = 16


class Assembler(wiring.Component):
    """Converts pieces and joins them to beats with a strobe per operand.

    One piece per cycle, at most a beat per piece, two cycles later. Nothing can stall.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "piece": In(stream.Signature(piece_layout(config), always_ready=True)),
            "word": In(data.ArrayLayout(32, config.vector_lanes)),
            "beat": Out(stream.Signature(data.StructLayout(
                {"data": config.bus_bits, "strobe": config.bus_operands}), always_ready=True))})

    def elaborate(self, platform):
        m = Module()
        operands = self._config.bus_operands
        piece, valid = Signal(self.piece.payload.shape(), reset_less=True), Signal()
        converted = Signal(self._config.bus_bits, reset_less=True)
        m.d.sync += [valid.eq(self.piece.valid), piece.eq(self.piece.payload), converted.eq(self._converted(m))]
        rotated = self._rotated(m, converted, piece.rotate)
        kept, kept_strobe = Signal(data.ArrayLayout(OPERAND_BITS, operands), reset_less=True), Signal(operands)
        merged, strobe, rest = Signal(kept.shape()), Signal(operands), Signal(operands)
        for i in range(operands):
            new = ~piece.flush & (piece.first <= i)
            m.d.comb += [merged[i].eq(Mux(new, rotated[i], kept[i])),
                         strobe[i].eq(kept_strobe[i] | new & (piece.end > i)),
                         rest[i].eq(~piece.flush & (piece.end > i + operands))]
            with m.If(valid & (new | piece.emits)):
                m.d.sync += kept[i].eq(rotated[i])
        with m.If(valid):
            m.d.sync += kept_strobe.eq(Mux(piece.emits, rest, strobe))
        m.d.sync += [self.beat.valid.eq(valid & piece.emits), self.beat.payload.strobe.eq(strobe),
                     self.beat.payload.data.eq(merged)]
        return m

    def _converted(self, m: Module):
        """The part of the word that the piece lies in, as the bus carries it."""
        half, piece = self._config.bus_operands // 2, self.piece.payload
        word = self.word.as_value()
        narrowed = word.word_select(piece.part[:max(1, len(piece.part) - 1)], self._config.bus_bits * 2) \
            if self._config.vector_lanes > 2 * half else word
        operands = [narrow(narrowed.word_select(i, 32)) for i in range(2 * half)]
        return Mux(piece.wide, word.word_select(piece.part, self._config.bus_bits), Cat(operands))

    def _rotated(self, m: Module, value, rotate):
        operands = self._config.bus_operands
        lanes = [value.word_select(i, OPERAND_BITS) for i in range(operands)]
        for step in range(len(rotate)):
            stage = [Signal(OPERAND_BITS, name=f"rotated{step}_{i}") for i in range(operands)]
            m.d.comb += [lane.eq(Mux(rotate[step], lanes[(i + (1 << step)) % operands], lanes[i]))
                         for i, lane in enumerate(stage)]
            lanes = stage
        return lanes
