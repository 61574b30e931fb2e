"""The groups of consecutive elements that a store moves, and the runs they make."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, FaultCause, Opcode

from ..bus.burst import run_bytes
from ..bus.burst_writer import write_run_layout
from ..bus.walk import COUNT_BITS, Addresses, Loops
from ..interfaces import ADDRESS_BITS, SCRATCHPAD_ADDRESS_BITS, Fault, instruction_bits, instruction_layout

#: ``length`` elements from ``source`` on; ``address`` is where they go. ``first`` and ``last``: the
#: run begins, ends with this group.
StoreGroup = data.StructLayout({
    "source": SCRATCHPAD_ADDRESS_BITS, "address": ADDRESS_BITS, "length": COUNT_BITS, "wide": 1,
    "first": 1, "last": 1})


class StoreGroups(wiring.Component):
    """Walks source and destination of stores together.

    Each run goes to ``run`` in the cycle in which its first group goes to ``group``; ``run.last``
    marks the last of an instruction. One group per cycle, one cycle per instruction between. A run
    whose address is no multiple of its element stays, and ``fault`` says so until reset.
    """

    def __init__(self, config: AcceleratorConfig):
        self._has_local = config.design.has_predictor_memory
        super().__init__({
            "instruction": In(stream.Signature(unsigned(instruction_bits(Engine.STORE)))),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, 8)),
            "run": Out(stream.Signature(write_run_layout(config))),
            "group": Out(stream.Signature(StoreGroup)),
            "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        store = data.View(instruction_layout(Opcode.STORE), self.instruction.payload)
        m.submodules.loops = loops = Loops(3)
        m.submodules.source = source = Addresses(3, SCRATCHPAD_ADDRESS_BITS)
        m.submodules.destination = destination = Addresses(3, ADDRESS_BITS)
        active = Signal()
        local = Const(0)
        if self._has_local:
            local = store.local
            m.d.comb += self.run.payload.local.eq(local)
        m.d.comb += [loops.begin.eq(self.instruction.valid & ~active),
                     loops.step.eq(self.group.valid & self.group.ready),
                     self.instruction.ready.eq(loops.step & loops.ends[-1]),
                     source.first.eq(store.source),
                     destination.first.eq(Mux(local, 0, self.bases[store.base]) + store.offset)]
        for i in range(3):
            m.d.comb += [loops.counts[i].eq(store[f"count{i}"]),
                         source.strides[i].eq(store[f"source_stride{i}"]),
                         destination.strides[i].eq(store[f"destination_stride{i}"])]
        for walk in (source, destination):
            m.d.comb += [walk.begin.eq(loops.begin), walk.step.eq(loops.step), walk.ends.eq(loops.ends)]
        with m.If(loops.begin | self.instruction.ready):
            m.d.sync += active.eq(loops.begin)
        self._offer(m, store, loops, source.address, destination.address, active)
        return m

    def _offer(self, m: Module, store, loops, source, address, active):
        group, run = self.group.payload, self.run.payload
        first, misaligned, offer = Signal(name="opens"), Signal(), Signal()
        total_bytes = Signal(ADDRESS_BITS, reset_less=True)
        m.d.sync += total_bytes.eq(run_bytes(store.length, Mux(store.dense, store.count0, 1), store.format))
        with m.If(loops.begin):
            m.d.sync += first.eq(1)
        with m.Elif(loops.step):
            m.d.sync += first.eq(~store.dense | loops.ends[0])
        m.d.comb += [
            misaligned.eq(address[0] | store.format & address[1]),
            offer.eq(active & ~(group.first & misaligned)),
            group.source.eq(source), group.address.eq(address), group.length.eq(store.length),
            group.wide.eq(store.format), group.first.eq(first),
            group.last.eq(~store.dense | loops.ends[0]),
            run.run.address.eq(address), run.run.bytes.eq(total_bytes),
            run.last.eq((store.dense | loops.at_last[0]) & loops.at_last[1] & loops.at_last[2]),
            self.group.valid.eq(offer & (~group.first | self.run.ready)),
            self.run.valid.eq(offer & group.first & self.group.ready),
            self.fault.valid.eq(active & group.first & misaligned), self.fault.cause.eq(FaultCause.MISALIGNED),
            self.fault.address.eq(address),
        ]
