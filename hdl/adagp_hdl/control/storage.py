"""The memory that keeps the registers, shared by the host and the phase controller."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from adagp.spec.registers import REGISTERS, Register

WORD_BITS = 8
_QUALITY = REGISTERS["QUALITY[0]"].offset
_CONFIGURATION = 128  # words below; behind them lie the words of QUALITY
assert _QUALITY == 0x400 and "QUALITY[128]" not in REGISTERS

REPORTS = tuple(path for path in REGISTERS if path.startswith("QUALITY["))
"""The registers that a program writes."""


def kept_in_memory(register: Register) -> bool:
    """Whether the register's 32 bits lie in the memory."""
    return (sum(field.width for field in register.fields) == 32
            and (register.fields[0].software == "rw" or register.path in REPORTS))


def reset_value(register: Register) -> int:
    return sum(field.reset << field.lsb for field in register.fields)


def word(path: str) -> int:
    """The address of a register in the memory."""
    register = REGISTERS[path]
    if not kept_in_memory(register):
        raise KeyError(f"register must be one that lies in memory, not {path}")
    return _word_of(register)


class TableSignature(wiring.Signature):
    """The phase controller's access to registers, by :func:`word`.

    With ``read`` the word at ``address`` is in ``data`` in the next cycle. Without it that is so when
    the host does not read just then; ``valid`` tells, at the same time as ``data``. ``write`` puts
    ``write_data`` at ``write_address`` within the cycle; not while programs report.
    """

    def __init__(self):
        super().__init__({
            "read": Out(1), "address": Out(WORD_BITS), "valid": In(1), "data": In(32),
            "write": Out(1), "write_address": Out(WORD_BITS), "write_data": Out(32)})


class RegisterMemory(wiring.Component):
    """256 words: configuration by offset, then QUALITY. One read and one write per cycle.

    After a reset all words take the reset values of the register map, which lasts 256 cycles. The
    host's ``write`` (bytes in ``mask``) happens in the cycle in which ``write_ready`` is high too, its
    ``read`` where ``read_ready`` is; ``data`` follows in the next cycle. Offsets count words of the
    register map; ``data`` is 0 where none lies in the memory, and ``write`` changes nothing
    there. A report is always accepted.

    ``written`` shows a cycle later what was written, by :func:`word`: changes of words in the memory and all that the host
    (``by_host``) writes at an offset below QUALITY, where the words of registers elsewhere are their offsets.
    """

    table: In(TableSignature())
    write: In(1)
    write_offset: In(10)
    write_data: In(32)
    write_mask: In(4)
    write_ready: Out(1)
    read: In(1)
    read_offset: In(10)
    read_ready: Out(1)
    data: Out(32)
    report_valid: In(1)
    report_index: In(range(len(REPORTS)))
    report_value: In(32)
    written: Out(wiring.Signature({"mask": Out(4), "address": Out(WORD_BITS), "data": Out(32), "by_host": Out(1)}))

    def elaborate(self, platform):
        m = Module()
        m.submodules.memory = memory = Memory(shape=32, depth=1 << WORD_BITS, init=[])
        sweep = Signal(WORD_BITS + 1)
        ready = Signal()
        m.d.comb += ready.eq(sweep[WORD_BITS])
        with m.If(~ready):
            m.d.sync += sweep.eq(sweep + 1)
        self._write(m, memory.write_port(granularity=8), sweep, ready)
        self._read(m, memory.read_port(), ready)
        return m

    def _write(self, m: Module, port, sweep, ready):
        resets, writable, accepted, mask = Signal(32), Signal(), Signal(), Signal(4)
        with m.Switch(sweep):
            for register in REGISTERS.values():
                if kept_in_memory(register) and (value := reset_value(register)):
                    with m.Case(_word_of(register)):
                        m.d.comb += resets.eq(value)
        with m.Switch(self.write_offset):
            with m.Case(*(register.offset >> 2 for register in REGISTERS.values()
                          if kept_in_memory(register) and register.path not in REPORTS)):
                m.d.comb += writable.eq(1)
        m.d.comb += [
            self.write_ready.eq(ready & ~self.report_valid & ~self.table.write),
            accepted.eq(self.write & self.write_ready & (self.write_offset < _CONFIGURATION)),
            port.addr.eq(self.write_offset), port.data.eq(self.write_data), mask.eq(Mux(accepted, self.write_mask, 0)),
            port.en.eq(Mux(accepted & writable, self.write_mask, 0))]
        with m.If(self.table.write):
            m.d.comb += [port.addr.eq(self.table.write_address), port.data.eq(self.table.write_data), port.en.eq(-1), mask.eq(-1)]
        with m.If(self.report_valid):
            m.d.comb += [port.addr.eq(_CONFIGURATION | self.report_index), port.data.eq(self.report_value),
                         port.en.eq(-1), mask.eq(-1)]
        with m.If(~ready):
            m.d.comb += [port.addr.eq(sweep), port.data.eq(resets), port.en.eq(-1), mask.eq(-1)]
        m.d.sync += [self.written.address.eq(port.addr), self.written.data.eq(port.data), self.written.mask.eq(mask),
                     self.written.by_host.eq(accepted)]

    def _read(self, m: Module, port, ready):
        host, known = Signal(), Signal()
        upper = self.read_offset[7:]
        m.d.comb += [
            self.read_ready.eq(ready & ~self.table.read), host.eq(self.read & self.read_ready),
            port.addr.eq(Mux(host, Cat(self.read_offset[:7], upper.any()), self.table.address)),
            self.data.eq(port.data & known.replicate(32)), self.table.data.eq(port.data)]
        m.d.sync += [self.table.valid.eq(~host & ready), known.eq((upper == 0) | (upper == _QUALITY >> 9))]


def _word_of(register: Register) -> int:
    offset = register.offset >> 2
    return offset if offset < _CONFIGURATION else offset % _CONFIGURATION + _CONFIGURATION
