"""Bytes on a serial line: a start bit (0), 8 data bits from bit 0, a stop bit (1)."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

_BITS = 10
LEAST_DIVISOR = 4
TOLERANCE = 0.02
"""Of the bit rate: with as much on the other side, the stop bit is sampled within its bit."""


def divisor(clock_hz: float, bits_per_second: int) -> int:
    """Clock cycles of a bit; ValueError where the rate is out of reach or off by more than :data:`TOLERANCE`."""
    cycles = round(clock_hz / bits_per_second)
    if cycles < LEAST_DIVISOR or abs(clock_hz / bits_per_second / cycles - 1) > TOLERANCE:
        raise ValueError(f"bits_per_second must be within {TOLERANCE:.0%} of {clock_hz:g} Hz divided by an integer "
                         f"of at least {LEAST_DIVISOR}, not {bits_per_second!r}")
    return cycles


class UartReceiver(wiring.Component):
    """``rx`` → bytes. A byte is offered from the middle of its stop bit on, until it is taken.

    ``error`` is high for one cycle where the stop bit is missing, whose byte is lost, and where a byte
    ends while the former one waits, which is then overwritten. A start bit of less than half a bit
    is ignored. ``rx`` may change at any time.
    """

    def __init__(self, divisor: int):
        if divisor < LEAST_DIVISOR:
            raise ValueError(f"UartReceiver.divisor must be at least {LEAST_DIVISOR}, not {divisor!r}")
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8)), "error": Out(1)})

    def elaborate(self, platform):
        m = Module()
        rx, before = Signal(init=1), Signal(init=1)
        m.submodules.synchroniser = FFSynchronizer(self.rx, rx, init=1)
        timer, left = Signal(range(self._divisor)), Signal(range(_BITS + 1))
        bits = Signal(8)
        m.d.sync += [before.eq(rx), self.error.eq(0)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(left == 0):
            m.d.sync += timer.eq(self._divisor // 2 - 1)
            with m.If(before & ~rx):
                m.d.sync += left.eq(_BITS)
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1)]
            with m.Switch(left):
                with m.Case(_BITS):
                    with m.If(rx):
                        m.d.sync += left.eq(0)
                with m.Case(1):
                    with m.If(rx):
                        m.d.sync += [self.o.payload.eq(bits), self.o.valid.eq(1)]
                    m.d.sync += self.error.eq(~rx | self.o.valid & ~self.o.ready)
                with m.Default():
                    m.d.sync += bits.eq(Cat(bits[1:], rx))
        return m


class UartTransmitter(wiring.Component):
    """Bytes → ``tx``, which is high between them. Ready while nothing is sent."""

    def __init__(self, divisor: int):
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer, left = Signal(range(self._divisor)), Signal(range(_BITS + 1))
        bits = Signal(_BITS - 1)
        m.d.comb += self.i.ready.eq(left == 0)
        with m.If(left == 0):
            with m.If(self.i.valid):
                m.d.sync += [self.tx.eq(0), bits.eq(Cat(self.i.payload, 1)),
                             left.eq(_BITS), timer.eq(self._divisor - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If(left != 1):
                m.d.sync += [self.tx.eq(bits[0]), bits.eq(bits >> 1)]
        return m
