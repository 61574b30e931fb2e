"""Converts elements and writes them to the memories."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Memory

from ..arithmetic.conversion import narrow, widen
from ..interfaces import OperandWrite, VectorWrite, memories_of
from .layouts import block_columns, target_layout, transpose_lanes

OPERAND_BITS = 16


class BlockWrite(wiring.Signature):
    """The write side of the transposer."""

    def __init__(self, config: AcceleratorConfig):
        super().__init__({
            "write": Out(1), "row": Out(range(transpose_lanes(config))), "column": Out(range(block_columns(config))),
            "count": Out(range(config.bus_operands + 1)), "last": Out(1),
            "data": Out(data.ArrayLayout(OPERAND_BITS, config.bus_operands))})


def write_ports(config: AcceleratorConfig) -> dict:
    """A port for each memory, ``<name>_write``."""
    return {f"{memory.name.lower()}_write": Out(OperandWrite(lanes) if memory.holds_operands else VectorWrite(lanes))
            for memory, lanes in memories_of(config).items()}


class Writer(wiring.Component):
    """Writes chunks, and columns with their words, one per cycle; ``block`` and the operand
    memories take everything at once, the vector memory may stall.

    A ``column`` is taken together with a ``word``, and only when no write of the vector memory waits, even if that is
    granted; otherwise none may be offered beside a chunk for a memory. Lane ``word_lane`` of the word, from there on
    rotating, is to be its row 0.
    A write takes place in the cycle after its data was taken, ``done`` is high in the cycle after
    the last one of an instruction.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        target = target_layout(config)
        super().__init__({
            "chunk": In(stream.Signature(data.StructLayout({"data": config.bus_bits, "target": target}))),
            "column": In(stream.Signature(target)),
            "word": In(stream.Signature(data.ArrayLayout(OPERAND_BITS, transpose_lanes(config)))),
            "word_lane": Out(range(transpose_lanes(config))),
            "block": Out(BlockWrite(config)),
            **write_ports(config),
            "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config, chunk = self._config, self.chunk.payload
        held, free, written = Signal(), Signal(), Signal()
        target = Signal(chunk.target.shape(), reset_less=True)
        lanes = Signal(data.ArrayLayout(OPERAND_BITS, transpose_lanes(config)), reset_less=True)
        converted = self._convert(m)
        into_memory, by_column, may_stall = Signal(), Signal(), Signal()
        m.d.comb += [
            may_stall.eq(held & (target.memory == Memory.VECTOR)),
            free.eq(~may_stall | self.vector_write.ready),
            written.eq(held & free),
            into_memory.eq(self.chunk.valid & ~chunk.target.block),
            self.chunk.ready.eq(free | chunk.target.block),
            # the grant comes late, and behind a column are the chunker's and the transposer's long paths
            by_column.eq(self.column.valid & self.word.valid & ~may_stall),
            self.column.ready.eq(by_column), self.word.ready.eq(by_column),
        ]
        with m.If(free):
            m.d.sync += [held.eq(into_memory | by_column),
                         target.eq(Mux(into_memory, chunk.target, self.column.payload))]
            for i, lane in enumerate(lanes):
                m.d.sync += lane.eq(Mux(into_memory, converted[i % config.bus_operands], self.word.payload[i]))
        m.d.sync += self.done.eq(written & target.last)
        of_column = Signal(reset_less=True)
        with m.If(free):
            m.d.sync += of_column.eq(~into_memory)
        self._transpose(m, converted)
        self._place_word(m)
        self._write(m, held, target, lanes, of_column)
        return m

    def _convert(self, m: Module):
        """The lanes of the chunk as the destination keeps them, the vector memory's as they came."""
        config, chunk = self._config, self.chunk.payload
        singles = [narrow(chunk.data.word_select(i, 32)) for i in range(config.bus_operands // 2)]
        narrows, converted = Signal(), Signal(data.ArrayLayout(OPERAND_BITS, config.bus_operands))
        m.d.comb += narrows.eq(chunk.target.wide & (chunk.target.block | (chunk.target.memory != Memory.VECTOR)))
        for i, lane in enumerate(converted):
            m.d.comb += lane.eq(Mux(narrows, singles[i % len(singles)], chunk.data.word_select(i, OPERAND_BITS)))
        return converted

    def _transpose(self, m: Module, converted):
        target = self.chunk.payload.target
        m.d.comb += [
            self.block.write.eq(self.chunk.valid & target.block), self.block.row.eq(target.row),
            self.block.column.eq(target.position), self.block.count.eq(target.count),
            self.block.last.eq(target.last), self.block.data.eq(converted)]

    def _place_word(self, m: Module):
        """Row 0 goes to the lane of its place in the memory; in one of fewer lanes the others follow without rotating."""
        column = self.column.payload
        m.d.comb += self.word_lane.eq(column.position)
        for memory, lanes in memories_of(self._config).items():
            if memory.holds_operands and lanes < len(self.word.payload):
                with m.If(column.memory == memory):
                    m.d.comb += self.word_lane.eq(column.position[:(lanes - 1).bit_length()])

    def _lanes_of(self, m: Module, target, count: int, name: str):
        """The first lane of ``target`` in a memory of ``count`` lanes, and the end of its lanes, beyond ``count`` if they wrap."""
        first = Signal((count - 1).bit_length(), name=f"{name}_first")
        end = Signal(range(2 * count), name=f"{name}_end")
        m.d.comb += [first.eq(target.position), end.eq(first + target.count)]
        return first, end

    def _write(self, m: Module, held, target, lanes, by_column):
        config = self._config
        for memory in filter(lambda memory: memory.holds_operands, memories_of(config)):
            port = getattr(self, f"{memory.name.lower()}_write")
            count = len(port.mask)
            first, end = self._lanes_of(m, target, count, memory.name.lower())
            m.d.comb += [port.enable.eq(held & (target.memory == memory)), port.address.eq(target.position)]
            for i in range(count):
                far = by_column & (first > i) if count < len(lanes) else 0  # a column does not rotate in fewer lanes
                m.d.comb += [port.mask[i].eq((first <= i) & (end > i) | (end > i + count)),
                             port.data[i].eq(Mux(far, lanes[(i + count) % len(lanes)], lanes[i]))]
        port, count = self.vector_write, config.vector_lanes
        singles = config.bus_operands // 2
        first, end = self._lanes_of(m, target, count, "vector")
        m.d.comb += [port.valid.eq(held & (target.memory == Memory.VECTOR)),
                     port.address.eq(target.position[len(first):])]
        for i in range(count):
            single = 2 * (i % singles)
            m.d.comb += [port.mask[i].eq((first <= i) & (end > i)),
                         port.data[i].eq(Mux(target.wide, Cat(lanes[single], lanes[single + 1]),
                                             widen(lanes[i % config.bus_operands])))]
