"""The register file behind the AXI4-Lite port, made from the register map."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.registers import REGISTERS, Register

from ..interfaces import AxiLiteSignature

COUNTERS = tuple(path.removesuffix(".LO") for path in REGISTERS if path.endswith(".LO"))
"""The 64-bit counters in the order of their offsets: ``CYCLES``, ``PHASE_CYCLES[0]``…"""

_FIRST_COUNTER = REGISTERS[f"{COUNTERS[0]}.LO"].offset
_COUNTER_SPACE = 8 << (len(COUNTERS) - 1).bit_length()
assert _FIRST_COUNTER % _COUNTER_SPACE == 0
assert all(REGISTERS[f"{path}.{half}"].offset == _FIRST_COUNTER + 8 * index + 4 * (half == "HI")
           for index, path in enumerate(COUNTERS) for half in ("LO", "HI"))

COUNTER_INDEX_BITS = (len(COUNTERS) - 1).bit_length()


def port(path: str) -> str:
    """The port name of a register: ``PROGRAM[1].ADDRESS`` → ``program_1_address``."""
    return path.lower().replace("].", "_").replace("[", "_").replace("]", "").replace(".", "_")


def layout(register: Register) -> data.Layout:
    """The shape of a register's port: 32 bits where it is one field, else a struct of its fields."""
    if register.fields[0].width == 32:
        return unsigned(32)
    positions = [field.lsb for field in register.fields]
    widths = [field.width for field in register.fields]
    assert positions == [sum(widths[:index]) for index in range(len(widths))], register.path
    return data.StructLayout({field.name: field.width for field in register.fields})


class RegisterFile(wiring.Component):
    """All registers of :data:`adagp.spec.registers.REGISTERS` except the stored counters.

    Every register is a port named :func:`port`, by the access of its field(s):

    - software rw, hardware r: an output, the stored value;
    - software w, single pulse: an output, high for one cycle per written one;
    - software r, hardware w: an input, what software reads;
    - software and hardware rw: an output, and inputs ``<port>_update`` and ``<port>_next``, with
      which hardware writes (software wins in the same cycle), and the output ``<port>_written``,
      high for one cycle after software has written;
    - cleared by writing ones: an output, and the inputs ``<port>_set`` (a set wins over a write) and
      ``<port>_clear``, one bit that clears all of it.

    Counters are read through ``counter_read``, high with ``counter_index`` until ``counter_valid``
    answers with ``counter_value``. Reading LO keeps HI for the next read of the same counter's HI.

    One write and one read at a time; AW and W may come in any order. A write takes effect two
    cycles after the later of the two, a read answers in three cycles, a counter when it is there.
    Unmapped addresses read 0; every response is OKAY. No ready depends on a valid.
    """

    def __init__(self):
        members = {"bus": Out(AxiLiteSignature()),
                   "counter_read": Out(1), "counter_index": Out(COUNTER_INDEX_BITS),
                   "counter_valid": In(1), "counter_value": In(64)}
        for register in _plain():
            name, shape, kind = port(register.path), layout(register), _kind(register)
            if kind == "input":
                members[name] = In(shape)
            elif kind != "constant":
                members[name] = Out(shape)
            if kind == "shared":
                members |= {f"{name}_update": In(1), f"{name}_next": In(shape), f"{name}_written": Out(1)}
            if kind == "woclr":
                members |= {f"{name}_set": In(shape), f"{name}_clear": In(1)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        write, address, value, mask = self._write_channel(m)
        for register in _plain():
            written = Signal(name=f"write_{port(register.path)}")
            m.d.comb += written.eq(write & (address == register.offset >> 2))
            self._store(m, register, written, value, mask)
        self._read_channel(m)
        return m

    def _write_channel(self, m: Module):
        """Collects address and data; returns write strobe, word address, data and bit mask."""
        bus = self.bus
        address = Signal(10, reset_less=True)
        value = Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        has_address = Signal()
        has_data = Signal()
        write = Signal()
        m.d.comb += [bus.awready.eq(~has_address), bus.wready.eq(~has_data),
                     write.eq(has_address & has_data & ~bus.bvalid)]
        with m.If(~has_address):
            m.d.sync += [address.eq(bus.awaddr[2:]), has_address.eq(bus.awvalid)]
        with m.If(~has_data):
            m.d.sync += [value.eq(bus.wdata), strobe.eq(bus.wstrb), has_data.eq(bus.wvalid)]
        with m.If(write):
            m.d.sync += [has_address.eq(0), has_data.eq(0), bus.bvalid.eq(1)]
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return write, address, value, Cat(bit.replicate(8) for bit in strobe)

    def _store(self, m: Module, register: Register, written, value, mask):
        """Hardware's side of one register, and its storage."""
        name, kind = port(register.path), _kind(register)
        if kind in ("constant", "input"):
            return
        width = register.fields[-1].lsb + register.fields[-1].width
        init = sum(field.reset << field.lsb for field in register.fields)
        stored = Signal(width, init=init, name=f"stored_{name}")
        m.d.comb += getattr(self, name).eq(stored)
        if kind == "pulse":
            m.d.sync += stored.eq(Mux(written, value & mask, 0))
        elif kind == "woclr":
            kept = stored & ~Mux(written, value & mask, 0)[:width]
            m.d.sync += stored.eq(kept | Value.cast(getattr(self, f"{name}_set")))
            with m.If(getattr(self, f"{name}_clear")):
                m.d.sync += stored.eq(0)
        else:
            if kind == "shared":
                m.d.sync += getattr(self, f"{name}_written").eq(written)
                with m.If(getattr(self, f"{name}_update")):
                    m.d.sync += stored.eq(getattr(self, f"{name}_next"))
            with m.If(written):
                m.d.sync += stored.eq((value & mask) | (stored & ~mask))

    def _read_channel(self, m: Module):
        bus = self.bus
        address = Signal(10, reset_less=True)
        value = Signal(32, reset_less=True)
        kept = Signal(32, reset_less=True)
        kept_index = Signal(COUNTER_INDEX_BITS)
        is_kept = Signal()
        index, is_counter, high = self.counter_index, Signal(), address[0]
        m.d.comb += [
            bus.rdata.eq(value),
            index.eq(address[1:]),
            is_counter.eq((address >> (COUNTER_INDEX_BITS + 1) == _FIRST_COUNTER // _COUNTER_SPACE)
                          & (index < len(COUNTERS)))]
        with m.FSM():
            with m.State("ADDRESS"):
                m.d.comb += bus.arready.eq(1)
                m.d.sync += address.eq(bus.araddr[2:])
                with m.If(bus.arvalid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.sync += value.eq(self._plain_value(m, address))
                m.next = "ANSWER"
                with m.If(is_counter & high & is_kept & (kept_index == index)):
                    m.d.sync += value.eq(kept)
                with m.Elif(is_counter):
                    m.next = "COUNTER"
            with m.State("COUNTER"):
                m.d.comb += self.counter_read.eq(1)
                m.d.sync += value.eq(Mux(high, self.counter_value[32:], self.counter_value[:32]))
                with m.If(self.counter_valid):
                    with m.If(~high):
                        m.d.sync += [kept.eq(self.counter_value[32:]), kept_index.eq(index), is_kept.eq(1)]
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.rvalid.eq(1)
                with m.If(bus.rready):
                    m.next = "ADDRESS"

    def _plain_value(self, m: Module, address):
        """What software reads at a word address outside the counters."""
        readable = {}
        for register in _plain():
            if _kind(register) == "constant":
                readable[register.offset >> 2] = sum(field.reset << field.lsb for field in register.fields)
            elif _kind(register) != "pulse":
                readable[register.offset >> 2] = getattr(self, port(register.path))
        value = Signal(32)
        with m.Switch(address):
            for word, source in readable.items():
                with m.Case(word):
                    m.d.comb += value.eq(source)
        return value


def _plain() -> list[Register]:
    return [register for path, register in REGISTERS.items() if not path.endswith((".LO", ".HI"))]


def _kind(register: Register) -> str:
    """How the fields of a register are accessed; all fields of one register alike."""
    kinds = {
        "woclr" if field.woclr else "pulse" if field.singlepulse else
        {("r", "na"): "constant", ("r", "w"): "input", ("rw", "r"): "stored", ("rw", "rw"): "shared"}[
            field.software, field.hardware]
        for field in register.fields}
    kind, = kinds
    return kind
