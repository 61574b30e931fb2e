"""The operand memories: runs of consecutive operands at any address, every cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from ..interfaces import OperandRead, OperandWrite
from .attributes import UNCHECKED


class OperandMemory(wiring.Component):
    """``elements`` operands that are read and written ``lanes`` at a time from any address.

    Both ports accept a run of ``lanes`` consecutive operands every cycle; addresses wrap at
    ``elements``. Read data is valid exactly ``LATENCY`` cycles after ``enable``, for one cycle. A
    read sees the writes of all earlier cycles; operands that are written in its own cycle are undefined.

    ``lanes`` and ``elements`` are powers of two, ``elements`` at least twice ``lanes``. Operand a lies
    in bank a mod ``lanes``, one memory block of ``elements / lanes`` words each.
    """

    LATENCY = 3

    def __init__(self, *, lanes: int, elements: int, operand_bits: int = 16):
        for name, value, least in (("lanes", lanes, 2), ("elements", elements, 2 * lanes)):
            if value < least or value & (value - 1):
                raise ValueError(f"OperandMemory.{name} must be a power of two of at least {least}, not {value!r}")
        self._lanes = lanes
        self._elements = elements
        self._bits = operand_bits
        super().__init__({"write": In(OperandWrite(lanes, operand_bits)), "read": In(OperandRead(lanes, operand_bits))})

    def elaborate(self, platform):
        m = Module()
        banks = [Memory(shape=self._bits, depth=self._elements // self._lanes, init=[], attrs=UNCHECKED)
                 for _ in range(self._lanes)]
        for lane, bank in enumerate(banks):
            m.submodules[f"bank{lane}"] = bank
        self._write_banks(m, banks)
        self._read_banks(m, banks)
        return m

    def _rows(self, m, address):
        """Registers the row of each bank: one further in banks that the run reaches by wrapping."""
        shift = (self._lanes - 1).bit_length()
        offset = address[:shift]
        row = address[shift:(self._elements - 1).bit_length()]
        rows = []
        for lane in range(self._lanes):
            rows.append(Signal(len(row), reset_less=True, name=f"row{lane}"))
            m.d.sync += rows[-1].eq(row + (offset > lane))
        return offset, rows

    def _write_banks(self, m, banks):
        _, rows = self._rows(m, self.write.address)
        values = Signal(self._lanes * self._bits, reset_less=True)
        mask = Signal(self._lanes)
        m.d.sync += [values.eq(self.write.data), mask.eq(self.write.mask & self.write.enable.replicate(self._lanes))]
        for lane, bank in enumerate(banks):
            port = bank.write_port()
            m.d.comb += [port.en.eq(mask[lane]), port.addr.eq(rows[lane]),
                         port.data.eq(values.word_select(lane, self._bits))]

    def _read_banks(self, m, banks):
        offset, rows = self._rows(m, self.read.address)
        enables = [Signal(name=f"enable{i}") for i in range(2)]
        offsets = [Signal(len(offset), reset_less=True, name=f"offset{i}") for i in range(2)]
        m.d.sync += [enables[0].eq(self.read.enable), enables[1].eq(enables[0]),
                     offsets[0].eq(offset), offsets[1].eq(offsets[0])]
        words = []
        for lane, bank in enumerate(banks):
            port = bank.read_port()
            m.d.comb += [port.en.eq(enables[0]), port.addr.eq(rows[lane])]
            words.append(port.data)
        with m.If(enables[1]):
            m.d.sync += self.read.data.as_value().eq(_rotated_right(Cat(words), offsets[1], self._bits))


def _rotated_right(value, places, width):
    """``value`` rotated towards its low end by ``places`` words of ``width`` bits."""
    for i, bit in enumerate(places):
        value = Mux(bit, value.rotate_right(width << i), value)
    return value
