"""Reads programs from external memory."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, FaultCause

from ..bus.burst_reader import BurstReader
from ..interfaces import ADDRESS_BITS, AxiReadSignature, Fault
from .dispatch import Fetched
from .phase import Program

_LOW = (INSTRUCTION_BYTES - 1).bit_length()


class Fetch(wiring.Component):
    """Streams the instructions of the requested program, then an ``overrun``.

    The whole program is read ahead as far as the reader's buffer goes; one instruction per
    64 bytes / bus width + 1 cycles at best. ``skip``, high for one cycle when an instruction has been taken,
    drops the rest of the program; the next ``request`` is taken when it has come. Bytes beyond
    the last whole instruction of a program are not read.

    Faults: MISALIGNED with the program's address when that is no multiple of 64, or those of
    :class:`~adagp_hdl.bus.burst_reader.BurstReader`; ``halt`` and ``quiet`` are its own.
    """

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        super().__init__({
            "request": In(stream.Signature(Program)), "o": Out(stream.Signature(Fetched)), "skip": In(1),
            "axi": Out(AxiReadSignature(config.bus_bits, id_bits=1)),
            "window_first": In(ADDRESS_BITS), "window_last": In(ADDRESS_BITS),
            "halt": In(1), "quiet": Out(1), "fault": Out(Fault)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = BurstReader(self._config)
        wiring.connect(m, reader.axi, wiring.flipped(self.axi))
        m.d.comb += [reader.window_first.eq(self.window_first), reader.window_last.eq(self.window_last),
                     reader.halt.eq(self.halt), self.quiet.eq(reader.quiet)]

        active = Signal()
        unsent = Signal()
        skipping = Signal()
        misaligned = Signal()
        address = Signal(ADDRESS_BITS, reset_less=True)
        left = Signal(ADDRESS_BITS - _LOW, reset_less=True)  # instructions that have not come yet
        ended = Signal()
        m.d.comb += [
            ended.eq(left == 0), self.request.ready.eq(~active),
            reader.run.valid.eq(unsent), reader.run.payload.address.eq(address),
            reader.run.payload.bytes.eq(Cat(Const(0, _LOW), left))]
        with m.If(self.request.valid & self.request.ready):
            program = self.request.payload
            aligned = program.address[:_LOW] == 0
            m.d.sync += [active.eq(1), address.eq(program.address), left.eq(program.bytes[_LOW:]),
                         unsent.eq(aligned & program.bytes[_LOW:].any()), misaligned.eq(~aligned)]
        with m.If(unsent & reader.run.ready):
            m.d.sync += unsent.eq(0)

        full = self._assemble(m, reader.data, left, skipping | self.skip)
        m.d.comb += [self.o.valid.eq((full | active & ended) & ~skipping & ~misaligned),
                     self.o.payload.address.eq(address), self.o.payload.overrun.eq(~full)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += address.eq(address + INSTRUCTION_BYTES)
        with m.If(self.skip):
            m.d.sync += skipping.eq(1)
        with m.If(skipping & ended):
            m.d.sync += [skipping.eq(0), active.eq(0)]

        m.d.comb += self.fault.eq(reader.fault)
        with m.If(misaligned):
            m.d.comb += [self.fault.valid.eq(1), self.fault.cause.eq(FaultCause.MISALIGNED),
                         self.fault.address.eq(address)]
        return m

    def _assemble(self, m: Module, beats, left, skip):
        """Shifts beats into the instruction; returns a signal that is high while it is whole."""
        per_instruction = 8 * INSTRUCTION_BYTES // self._config.bus_bits
        word = Signal(8 * INSTRUCTION_BYTES, reset_less=True)
        count = Signal(range(max(per_instruction, 2)))
        full = Signal()
        taken = self.o.valid & self.o.ready
        m.d.comb += [self.o.payload.word.eq(word), beats.ready.eq(~full | taken)]
        with m.If(taken | skip):
            m.d.sync += full.eq(0)
        with m.If(beats.valid & beats.ready):
            m.d.sync += [word.eq(Cat(word, beats.payload.data)[-len(word):]), count.eq(count + 1)]
            with m.If(count == per_instruction - 1):
                m.d.sync += [left.eq(left - 1), full.eq(1), count.eq(0)]
        return full
