"""Requests of a host become accesses to words."""

from collections.abc import Iterable

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.bridge import HEADER_BYTES, WORD_BYTES, Command, Status

from .words import OKAY, WordAccess

REGISTER_BYTES = 4096

_RECEIVING = ("COMMAND", "HEADER", "RECEIVE", "DISCARD")
_TIMED = ("HEADER", "RECEIVE", "DISCARD", "ACCESS", "ANSWER")


class CommandPort(wiring.Component):
    """Speaks the protocol of :mod:`adagp.spec.bridge`: bytes in, bytes out, accesses to ``registers`` and ``memory``.

    ``memory_bytes`` is what READ_BRIDGE answers. The line is silent after ``silence_cycles`` without a
    byte. An access that takes more than ``timeout_cycles`` is given up; what answers it later is ignored,
    and nothing else is begun there until then. ``line_error`` is high for a cycle when a byte was lost.
    ``busy`` is high from the first byte of a request to the last of its answer.
    """

    def __init__(self, *, memory_bytes: int, silence_cycles: int, timeout_cycles: int):
        for name, value in (("silence_cycles", silence_cycles), ("timeout_cycles", timeout_cycles)):
            if value < 1:
                raise ValueError(f"CommandPort.{name} must be at least 1, not {value!r}")
        self._memory_bytes, self._silence, self._timeout = memory_bytes, silence_cycles, timeout_cycles
        super().__init__({
            "i": In(stream.Signature(8)), "line_error": In(1), "o": Out(stream.Signature(8)), "busy": Out(1),
            "registers": Out(WordAccess()), "memory": Out(WordAccess())})
        # what is known of the request, the byte's place in header or word, the word, the answer's end
        self._command, self._address, self._more = Signal(8), Signal(32), Signal(8)
        self._place, self._word, self._status = Signal(range(HEADER_BYTES)), Signal(8 * WORD_BYTES), Signal(Status)
        self._elapsed = Signal(range(max(silence_cycles, timeout_cycles) + 1))
        self._writes, self._in_memory = Signal(), Signal()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [
            self._writes.eq(_one_of(self._command, (Command.WRITE_REGISTERS, Command.WRITE_MEMORY))),
            self._in_memory.eq(_one_of(self._command, (Command.READ_MEMORY, Command.WRITE_MEMORY)))]
        with m.FSM() as fsm:
            self._receive(m)
            self._access(m)
            self._answer(m)
        receiving, waiting = _in_any(fsm, _RECEIVING), _in_any(fsm, _TIMED)
        m.d.comb += [self.i.ready.eq(receiving), self.busy.eq(~fsm.ongoing("COMMAND"))]
        m.d.sync += self._elapsed.eq(self._elapsed + 1)
        with m.If(~waiting | self.i.valid & receiving | self.line_error):
            m.d.sync += self._elapsed.eq(0)
        return m

    def _receive(self, m: Module):
        """COMMAND, HEADER, and a RECEIVE for each word of a write."""
        with m.State("COMMAND"):
            m.d.sync += [self._command.eq(self.i.payload), self._status.eq(Status.OK), self._place.eq(0)]
            with m.If(self.i.valid):
                m.next = "HEADER"
                with m.If(~_one_of(self.i.payload, Command)):
                    m.d.sync += self._status.eq(Status.COMMAND)
                    m.next = "DISCARD"
            self._discard_after_error(m)
        with m.State("HEADER"):
            with m.If(self.i.valid):
                rest = Cat(self._address, self._more)
                m.d.sync += [rest.eq(Cat(rest, self.i.payload)[8:]), self._place.eq(self._place + 1)]
                with m.If(self._place == HEADER_BYTES - 2):
                    m.d.sync += self._place.eq(0)
                    self._go(m, write="RECEIVE", read="ACCESS")
            self._end_after_silence(m)
            self._discard_after_error(m)
        with m.State("RECEIVE"):
            with m.If(self.i.valid):
                m.d.sync += [self._word.eq(Cat(self._word, self.i.payload)[8:]), self._place.eq(self._place + 1)]
                with m.If(self._place == WORD_BYTES - 1):
                    m.d.sync += self._place.eq(0)
                    m.next = "ACCESS"
            self._end_after_silence(m)
            self._discard_after_error(m)

    def _discard_after_error(self, m: Module):
        with m.If(self.line_error):
            m.d.sync += self._status.eq(Status.LINE)
            m.next = "DISCARD"

    def _end_after_silence(self, m: Module):
        with m.If(self._elapsed == self._silence):
            m.d.sync += self._status.eq(Status.INCOMPLETE)
            m.next = "STATUS"

    def _access(self, m: Module):
        """ACCESS and ANSWER for each word, unless an earlier one failed."""
        port = self._port(m)
        nowhere = self._address[:2].any() | ~self._in_memory & (self._address >= REGISTER_BYTES)

        def end(status: Status | Value, word: Value | int = 0):
            m.d.sync += [self._status.eq(status), self._word.eq(word)]
            self._go(m, write="NEXT", read="SEND")

        with m.State("ACCESS"):
            with m.If(self._status != Status.OK):
                end(self._status)
            with m.Elif(self._command == Command.READ_BRIDGE):
                end(Status.OK, self._memory_bytes)
            with m.Elif(nowhere):
                end(Status.ADDRESS)
            with m.Elif(port.idle):
                m.d.comb += port.start.eq(1)
                m.next = "ANSWER"
            with m.Elif(self._elapsed == self._timeout):
                end(Status.TIMEOUT)
        with m.State("ANSWER"):
            with m.If(port.done & (port.response == OKAY)):
                end(Status.OK, port.read_data)
            with m.Elif(port.done):
                end(Mux(self._in_memory, Status.ADDRESS, Status.BUS))
            with m.Elif(self._elapsed == self._timeout):
                end(Status.TIMEOUT)

    def _answer(self, m: Module):
        """SEND for each word of a read, NEXT after each word, STATUS at the end; DISCARD where the request is lost."""
        with m.State("SEND"):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(self._word)]
            with m.If(self.o.ready):
                m.d.sync += [self._word.eq(self._word >> 8), self._place.eq(self._place + 1)]
                with m.If(self._place == WORD_BYTES - 1):
                    m.d.sync += self._place.eq(0)
                    m.next = "NEXT"
        with m.State("NEXT"):
            m.d.sync += [self._address.eq(self._address + WORD_BYTES), self._more.eq(self._more - 1)]
            self._go(m, write="RECEIVE", read="ACCESS")
            with m.If(self._more == 0):
                m.next = "STATUS"
        with m.State("DISCARD"):
            with m.If(self._elapsed == self._silence):
                m.next = "STATUS"
        with m.State("STATUS"):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(self._status)]
            with m.If(self.o.ready):
                m.next = "COMMAND"

    def _go(self, m: Module, *, write: str, read: str):
        """The next state, by whether the command is a write."""
        with m.If(self._writes):
            m.next = write
        with m.Else():
            m.next = read

    def _port(self, m: Module):
        """The access that the command is for."""
        port = WordAccess().create()
        for chosen, access in ((self._in_memory, self.memory), (~self._in_memory, self.registers)):
            m.d.comb += [access.start.eq(port.start & chosen), access.write.eq(self._writes),
                         access.address.eq(self._address), access.data.eq(self._word)]
        for name in ("idle", "done", "response", "read_data"):
            m.d.comb += getattr(port, name).eq(Mux(
                self._in_memory, getattr(self.memory, name), getattr(self.registers, name)))
        return port


def _one_of(value: Value, codes: Iterable[int]) -> Value:
    return Cat(value == code for code in codes).any()


def _in_any(fsm, states: Iterable[str]) -> Value:
    return Cat(fsm.ongoing(state) for state in states).any()
