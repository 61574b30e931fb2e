"""The groups of consecutive elements that a transfer writes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig

from ..bus.walk import Addresses, Loops
from ..interfaces import SCRATCHPAD_ADDRESS_BITS
from .layouts import group_layout, transfer_layout


class Groups(wiring.Component):
    """Walks the destination of transfers. A group is ``length`` elements, of a transposed transfer
    the count0 elements of one column. One group per cycle, one cycle per transfer between.

    ``transfer`` must be stable while it is valid and not ready.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__({"transfer": In(stream.Signature(transfer_layout(config))),
                          "group": Out(stream.Signature(group_layout(config)))})

    def elaborate(self, platform):
        m = Module()
        transfer, group = self.transfer.payload, self.group.payload
        m.submodules.loops = loops = Loops(3)
        m.submodules.walk = walk = Addresses(3, SCRATCHPAD_ADDRESS_BITS)
        active = Signal()
        m.d.comb += [
            loops.begin.eq(self.transfer.valid & ~active), loops.step.eq(self.group.valid & self.group.ready),
            walk.begin.eq(loops.begin), walk.step.eq(loops.step), walk.ends.eq(loops.ends),
            walk.first.eq(transfer.destination), walk.strides.eq(transfer.strides),
            loops.counts[0].eq(Mux(transfer.transpose, transfer.length, transfer.counts[0])),
            loops.counts[1].eq(transfer.counts[1]), loops.counts[2].eq(transfer.counts[2]),
            self.group.valid.eq(active), self.transfer.ready.eq(loops.step & group.last),
            group.position.eq(walk.address), group.last.eq(loops.ends[-1]),
            group.run_last.eq(~transfer.dense | loops.ends[0]),
            group.length.eq(Mux(transfer.transpose, transfer.counts[0], transfer.length)),
        ]
        m.d.comb += [group[name].eq(transfer[name]) for name in ("fill", "memory", "transpose", "wide", "value")]
        with m.If(loops.begin | self.transfer.ready):
            m.d.sync += active.eq(loops.begin)
        return m
