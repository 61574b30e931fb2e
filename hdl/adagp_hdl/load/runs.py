"""Which runs of bytes a load fetches."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, FaultCause, Memory, Opcode

from ..bus.burst import run_bytes
from ..bus.walk import Addresses, Loops
from ..interfaces import ADDRESS_BITS, Fault, Run, instruction_bits, instruction_layout
from .layouts import block_columns, fetched_layout, transfer_layout


class LoadRuns(wiring.Component):
    """Splits instructions into their source and their destination side.

    ``transfer`` gets the destination side of every Load and Fill. A Load is one run per group of
    ``length`` elements, or with ``dense`` per count0 groups; transposed, it is one run per row and
    block of columns, all rows of a block before the next block. Each run goes to ``run`` and, in the
    same cycle, to ``fetched``; ``extent`` is the bytes from its address that the instruction will
    read, 0 for 2**32 or more; ``local`` says that it lies in the predictor memory of a design that has
    one. One run per cycle, one cycle per instruction between.

    A run whose address is no multiple of its element stays, and ``fault`` says so until reset.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "instruction": In(stream.Signature(unsigned(instruction_bits(Engine.LOAD)))),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, 8)),
            "transfer": Out(stream.Signature(transfer_layout(config))),
            "run": Out(stream.Signature(Run)), "extent": Out(ADDRESS_BITS), "local": Out(1),
            "fetched": Out(stream.Signature(fetched_layout(config))),
            "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        load = self._fields(Opcode.LOAD)
        is_fill, active, start = Signal(), Signal(), Signal()
        m.submodules.loops = loops = Loops(4)
        m.submodules.walk = walk = Addresses(4, ADDRESS_BITS)
        m.d.comb += [
            is_fill.eq(load.opcode == Opcode.FILL),
            self.transfer.valid.eq(self.instruction.valid & ~active),
            start.eq(self.transfer.valid & self.transfer.ready & ~is_fill),
            loops.begin.eq(start), loops.step.eq(self.run.valid & self.run.ready),
            walk.begin.eq(loops.begin), walk.step.eq(loops.step), walk.ends.eq(loops.ends),
            self.instruction.ready.eq(Mux(active, loops.step & loops.ends[-1], is_fill & self.transfer.ready)),
        ]
        with m.If(start | active & self.instruction.ready):
            m.d.sync += active.eq(start)
        self._describe(m, load, is_fill)
        self._start(m, loops, walk, load)
        self._offer(m, loops, walk.address, load, active)
        return m

    def _fields(self, opcode: Opcode):
        layout = instruction_layout(opcode)
        return data.View(layout, self.instruction.payload[:layout.size])

    def _describe(self, m: Module, load, is_fill):
        """``transfer`` from either instruction."""
        fill = self._fields(Opcode.FILL)
        transfer = self.transfer.payload
        m.d.comb += [transfer.fill.eq(is_fill), transfer.value.eq(fill.value), transfer.memory.eq(load.memory),
                     transfer.transpose.eq(load.transpose & ~is_fill), transfer.dense.eq(load.dense),
                     transfer.wide.eq(Mux(is_fill, load.memory == Memory.VECTOR, load.format))]
        for opcode, source in ((0, load), (1, fill)):
            with m.If(is_fill == opcode):
                m.d.comb += [transfer.destination.eq(source.destination), transfer.length.eq(source.length)]
                m.d.comb += [transfer.counts[i].eq(source[f"count{i}"]) for i in range(3)]
                m.d.comb += [transfer.strides[i].eq(source[f"destination_stride{i}"]) for i in range(3)]

    def _start(self, m: Module, loops, walk, load):
        columns = block_columns(self._config)
        blocks = (load.length + (columns - 1)) >> (columns - 1).bit_length()
        m.d.comb += [
            self.local.eq(load.local if self._config.design.has_predictor_memory else 0),
            walk.first.eq(Mux(self.local, 0, self.bases[load.base]) + load.offset),
            loops.counts[0].eq(Mux(load.dense, 1, load.count0)),
            loops.counts[1].eq(Mux(load.transpose, blocks, 1)),
            loops.counts[2].eq(load.count1), loops.counts[3].eq(load.count2),
            walk.strides[0].eq(load.source_stride0),
            walk.strides[1].eq(Mux(load.format, 4 * columns, 2 * columns)),
            walk.strides[2].eq(load.source_stride1), walk.strides[3].eq(load.source_stride2),
        ]

    def _offer(self, m: Module, loops, address, load, active):
        columns = block_columns(self._config)
        offer, misaligned, opening = Signal(), Signal(), Signal()
        total_bytes = Signal(ADDRESS_BITS, reset_less=True)
        more = self.fetched.payload.more
        m.d.comb += [
            misaligned.eq(address[0] | load.format & address[1]),
            offer.eq(active & ~misaligned),
            self.run.valid.eq(offer & self.fetched.ready), self.fetched.valid.eq(offer & self.run.ready),
            self.fault.valid.eq(active & misaligned), self.fault.cause.eq(FaultCause.MISALIGNED),
            self.fault.address.eq(address),
            more.eq(Mux(loops.at_last[1], load.length - 1, columns - 1)),
            self.fetched.payload.phase.eq(address[1:]),
            self.fetched.payload.transpose.eq(load.transpose), self.fetched.payload.wide.eq(load.format),
            self.fetched.payload.block_last.eq(loops.ends[0]),
            self.run.payload.address.eq(address),
            self.run.payload.bytes.eq(Mux(load.transpose, run_bytes(more + 1, 1, load.format), total_bytes)),
            self.extent.eq(Mux(load.transpose & ~opening, self.run.payload.bytes, total_bytes)),
        ]
        m.d.sync += total_bytes.eq(run_bytes(load.length, Mux(load.dense, load.count0, 1), load.format))
        with m.If(loops.begin | loops.step & loops.ends[1]):
            m.d.sync += opening.eq(1)
        with m.Elif(loops.step & loops.ends[0]):
            m.d.sync += opening.eq(0)
