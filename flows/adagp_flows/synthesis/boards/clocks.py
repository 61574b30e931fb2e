"""From a board's oscillator to the machine's clock."""

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out


def with_domain(m: Module, clock: Value, *, unstable: Value, reset: Value) -> None:
    """Adds the domain ``sync`` on ``clock``, in reset while ``unstable`` or ``reset`` is high, to ``m``."""
    m.domains.sync = ClockDomain()
    m.d.comb += ClockSignal().eq(clock)
    m.submodules.reset = ResetSynchronizer(unstable | reset)


class Ecp5Clock(wiring.Component):
    """A PLL of an ECP5: ``hz_out`` from ``hz_in``, half of which it is an integer multiple of."""

    i: In(1)
    o: Out(1)
    locked: Out(1)

    _VCO_HZ = 600e6  # in the middle of what it can do

    def __init__(self, hz_in: float, hz_out: float):
        if hz_out <= 0 or 2 * hz_out % hz_in:
            raise ValueError(f"Ecp5Clock.hz_out must be a multiple of {hz_in / 2:g}, not {hz_out:g}")
        self._hz_in, self._hz_out = hz_in, hz_out
        super().__init__()

    def elaborate(self, platform):
        divider = round(self._VCO_HZ / self._hz_out)
        halves = round(2 * self._hz_out / self._hz_in)
        feedback, reference = (halves // 2, 1) if halves % 2 == 0 else (halves, 2)
        m = Module()
        m.submodules.pll = Instance(
            "EHXPLLL", a_FREQUENCY_PIN_CLKI=f"{self._hz_in / 1e6:g}", a_FREQUENCY_PIN_CLKOP=f"{self._hz_out / 1e6:g}",
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1", a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP", p_CLKI_DIV=reference, p_CLKFB_DIV=feedback,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=divider, p_CLKOP_CPHASE=divider - 1, p_CLKOP_FPHASE=0,
            p_PLLRST_ENA="DISABLED", p_STDBY_ENABLE="DISABLED", p_INTFB_WAKE="DISABLED", p_DPHASE_SOURCE="DISABLED",
            i_CLKI=self.i, i_CLKFB=self.o, i_RST=0, i_STDBY=0, i_PLLWAKESYNC=0, i_ENCLKOP=0,
            i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1, i_PHASELOADREG=1,
            o_CLKOP=self.o, o_LOCK=self.locked)
        return m


class Series7Clock(wiring.Component):
    """A clock manager of a 7-series device: ``hz_out`` from ``hz_in``, both divisors of 1 GHz."""

    i: In(1)
    o: Out(1)
    locked: Out(1)

    _VCO_HZ = 1e9  # within what all speed grades can do

    def __init__(self, hz_in: float, hz_out: float):
        for name, value in (("hz_in", hz_in), ("hz_out", hz_out)):
            if value <= 0 or self._VCO_HZ % value:
                raise ValueError(f"Series7Clock.{name} must divide {self._VCO_HZ:g}, not {value:g}")
        self._hz_in, self._hz_out = hz_in, hz_out
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        output, feedback = Signal(), Signal()
        m.submodules.manager = Instance(
            "MMCME2_BASE", p_CLKIN1_PERIOD=1e9 / self._hz_in, p_CLKFBOUT_MULT_F=self._VCO_HZ / self._hz_in,
            p_CLKOUT0_DIVIDE_F=self._VCO_HZ / self._hz_out, p_DIVCLK_DIVIDE=1,
            i_CLKIN1=self.i, i_CLKFBIN=feedback, i_PWRDWN=0, i_RST=0,
            o_CLKFBOUT=feedback, o_CLKOUT0=output, o_LOCKED=self.locked)
        m.submodules.buffer = Instance("BUFG", i_I=output, o_O=self.o)
        return m
