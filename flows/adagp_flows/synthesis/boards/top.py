"""A board's top: clock, reset, pins and the machine behind its bridge."""

from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal
from amaranth.lib import io

from .clocks import with_domain

SYSTEM = "adagp_board"
"""Module of the machine behind its bridge: an :class:`adagp_hdl.bridge.system.HostedAccelerator`."""


class BoardTop(Elaboratable):
    """``clock`` makes the machine's clock of the platform's default one. ``reset_button`` names a resource.

    Serial line: resource ``uart``. Lights: the machine's interrupt, a request being served.
    """

    def __init__(self, clock, *, reset_button: str):
        self._clock, self._reset_button = clock, reset_button

    def elaborate(self, platform):
        m = Module()
        uart = platform.request("uart", dir="-")
        m.submodules.oscillator = oscillator = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.submodules.button = button = io.Buffer("i", platform.request(self._reset_button, dir="-"))
        m.submodules.rx, m.submodules.tx = rx, tx = io.Buffer("i", uart.rx), io.Buffer("o", uart.tx)
        lights = [io.Buffer("o", platform.request("led", number, dir="-")) for number in range(2)]
        m.submodules += lights
        m.submodules.clock = self._clock
        m.d.comb += self._clock.i.eq(oscillator.i)
        with_domain(m, self._clock.o, unstable=~self._clock.locked, reset=button.i)
        m.submodules.system = Instance(
            SYSTEM, i_clk=ClockSignal(), i_rst=ResetSignal(), i_rx=rx.i, o_tx=tx.o, o_irq=lights[0].o, o_busy=lights[1].o)
        return m
