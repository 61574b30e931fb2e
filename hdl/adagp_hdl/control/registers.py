"""The register file behind the AXI4-Lite port, made from the register map."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.registers import REGISTERS, Register

from ..interfaces import AxiLiteSignature
from .layout import layout
from .storage import REPORTS, RegisterMemory, TableSignature, kept_in_memory, reset_value, word

COUNTERS = tuple(path.removesuffix(".LO") for path in REGISTERS if path.endswith(".LO"))
"""The 64-bit counters in the order of their offsets: ``CYCLES``, ``PHASE_CYCLES[0]``…"""

_FIRST_COUNTER = REGISTERS[f"{COUNTERS[0]}.LO"].offset
assert all(REGISTERS[f"{path}.{half}"].offset == _FIRST_COUNTER + 8 * index + 4 * (half == "HI")
           for index, path in enumerate(COUNTERS) for half in ("LO", "HI"))

COUNTER_INDEX_BITS = (len(COUNTERS) - 1).bit_length()

_TABLES = ("PROGRAM[", "STRIDE[", "REWIND[", "SCHEDULE[")  # looked up in memory by who needs them


def port(path: str) -> str:
    """The port name of a register: ``PROGRAM[1].ADDRESS`` → ``program_1_address``."""
    return path.lower().replace("].", "_").replace("[", "_").replace("]", "").replace(".", "_")


class RegisterFile(wiring.Component):
    """All registers of :data:`adagp.spec.registers.REGISTERS` except the stored counters.

    Registers of 32 bits that are written lie in a :class:`~adagp_hdl.control.storage.RegisterMemory`, to
    which ``table`` gives access. Each register but those of the tables PROGRAM, STRIDE, REWIND and
    SCHEDULE is also a port named :func:`port`, by the access of its field(s):

    - software rw: an output, the stored value; hardware writes such that lie in memory through ``table``;
    - software w, single pulse: an output, high for one cycle per written one;
    - software r, hardware w: an input, what software reads;
    - cleared by writing ones: an output, and the inputs ``<port>_set`` (a set wins over a write) and
      ``<port>_clear``, one bit that clears all of it.

    Of QUALITY only the first is a port, an output: ``report_valid`` puts ``report_value`` into
    QUALITY[``report_index``] within the cycle, always. Ports show two cycles later what was written, by whomever;
    in the first cycle in which BATCH shows what software has written, ``batch_written`` is high. Counters are read
    through ``counter_read``, high with ``counter_index`` until ``counter_valid`` answers with ``counter_value``.
    Reading LO keeps HI for the next read of the same counter's HI.

    One write and one read at a time; AW and W may come in any order. A write happens in the cycle
    after the later of the two and is answered when ports show it, a read answers in four cycles, a counter when it is there; both
    wait while ``table`` or reports have the memory, and for 256 cycles after a reset. Unmapped addresses
    read 0; every response is OKAY. No ready depends on a valid.
    """

    def __init__(self):
        members = {"bus": Out(AxiLiteSignature()), "table": In(TableSignature()),
                   "counter_read": Out(1), "counter_index": Out(COUNTER_INDEX_BITS),
                   "counter_valid": In(1), "counter_value": In(64), "batch_written": Out(1),
                   "report_valid": In(1), "report_index": In(range(len(REPORTS))), "report_value": In(32)}
        for register in _ported():
            name, shape, kind = port(register.path), layout(register), _kind(register)
            members[name] = In(shape) if kind == "input" else Out(shape)
            if kind == "woclr":
                members |= {f"{name}_set": In(shape), f"{name}_clear": In(1)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = RegisterMemory()
        wiring.connect(m, wiring.flipped(self.table), memory.table)
        m.d.comb += [memory.report_valid.eq(self.report_valid), memory.report_index.eq(self.report_index),
                     memory.report_value.eq(self.report_value)]
        self._write_channel(m, memory)
        written = memory.written
        for register in _ported():
            if kept_in_memory(register):
                self._follow(m, register, written)
            elif _kind(register) != "input":
                here = Signal(name=f"write_{port(register.path)}")
                m.d.comb += here.eq(written.by_host & (written.address == register.offset >> 2))
                self._store(m, register, here, written.data, Cat(bit.replicate(8) for bit in written.mask))
        m.d.sync += self.batch_written.eq(written.by_host & (written.address == word("BATCH")))
        self._read_channel(m, memory)
        return m

    def _write_channel(self, m: Module, memory):
        """Collects address and data of a write."""
        bus = self.bus
        address = Signal(10, reset_less=True)
        value = Signal(32, reset_less=True)
        strobe = Signal(4, reset_less=True)
        has_address = Signal()
        has_data = Signal()
        write = Signal()
        accepted = Signal()
        m.d.comb += [bus.awready.eq(~has_address), bus.wready.eq(~has_data),
                     memory.write.eq(has_address & has_data & ~bus.bvalid), write.eq(memory.write & memory.write_ready),
                     memory.write_offset.eq(address), memory.write_data.eq(value), memory.write_mask.eq(strobe)]
        with m.If(~has_address):
            m.d.sync += [address.eq(bus.awaddr[2:]), has_address.eq(bus.awvalid)]
        with m.If(~has_data):
            m.d.sync += [value.eq(bus.wdata), strobe.eq(bus.wstrb), has_data.eq(bus.wvalid)]
        m.d.sync += accepted.eq(write)
        with m.If(write):
            m.d.sync += [has_address.eq(0), has_data.eq(0)]
        with m.If(accepted):
            m.d.sync += bus.bvalid.eq(1)
        with m.Elif(bus.bready):
            m.d.sync += bus.bvalid.eq(0)

    def _follow(self, m: Module, register: Register, written):
        """A register in memory that others need at any time has a copy."""
        copy = Signal(32, init=reset_value(register), name=f"copy_{port(register.path)}")
        m.d.comb += getattr(self, port(register.path)).eq(copy)
        with m.If(written.address == word(register.path)):
            for i in range(4):
                with m.If(written.mask[i]):
                    m.d.sync += copy.word_select(i, 8).eq(written.data.word_select(i, 8))

    def _store(self, m: Module, register: Register, written, value, mask):
        """A register in flip-flops."""
        name, kind = port(register.path), _kind(register)
        width = register.fields[-1].lsb + register.fields[-1].width
        stored = Signal(width, init=reset_value(register), name=f"stored_{name}")
        m.d.comb += getattr(self, name).eq(stored)
        if kind == "pulse":
            m.d.sync += stored.eq(Mux(written, value & mask, 0))
        elif kind == "woclr":
            kept = stored & ~Mux(written, value & mask, 0)[:width]
            m.d.sync += stored.eq(kept | Value.cast(getattr(self, f"{name}_set")))
            with m.If(getattr(self, f"{name}_clear")):
                m.d.sync += stored.eq(0)
        else:
            with m.If(written):
                m.d.sync += stored.eq((value & mask) | (stored & ~mask))

    def _read_channel(self, m: Module, memory):
        bus = self.bus
        address = Signal(10, reset_less=True)
        value = Signal(32, reset_less=True)
        kept = Signal(32, reset_less=True)
        kept_index = Signal(COUNTER_INDEX_BITS)
        is_kept = Signal()
        index, is_counter, high = self.counter_index, Signal(), address[0]
        counter = address[1:] - (_FIRST_COUNTER >> 3)
        m.d.comb += [bus.rdata.eq(value), index.eq(counter), memory.read_offset.eq(address),
                     is_counter.eq((counter >= 0) & (counter < len(COUNTERS)))]
        with m.FSM():
            with m.State("ADDRESS"):
                m.d.comb += bus.arready.eq(1)
                m.d.sync += address.eq(bus.araddr[2:])
                with m.If(bus.arvalid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                m.d.comb += memory.read.eq(1)
                with m.If(memory.read_ready):
                    m.next = "TAKE"
            with m.State("TAKE"):
                m.d.sync += value.eq(self._plain_value(m, address) | memory.data)
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
        """What software reads at a word address outside memory and counters."""
        value = Signal(32)
        with m.Switch(address):
            for register in _plain():
                if _kind(register) == "pulse" or kept_in_memory(register):
                    continue
                with m.Case(register.offset >> 2):
                    m.d.comb += value.eq(reset_value(register) if _kind(register) == "constant"
                                         else getattr(self, port(register.path)))
        return value


def _plain() -> list[Register]:
    return [register for path, register in REGISTERS.items() if not path.endswith((".LO", ".HI"))]


def _ported() -> list[Register]:
    return [register for register in _plain() if _kind(register) != "constant"
            and not register.path.startswith(_TABLES) and register.path not in REPORTS[1:]]


def _kind(register: Register) -> str:
    """How the fields of a register are accessed; all fields of one register alike."""
    if kept_in_memory(register):
        return "stored"
    kinds = {
        "woclr" if field.woclr else "pulse" if field.singlepulse else
        {("r", "na"): "constant", ("r", "w"): "input", ("rw", "r"): "stored"}[field.software, field.hardware]
        for field in register.fields}
    kind, = kinds
    return kind
