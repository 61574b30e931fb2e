"""AMD's VC707, which amaranth-boards has not got. Pins and standards: user guide UG885."""

from amaranth.build import Attrs, Clock, DiffPairs, Pins, Resource, Subsignal
from amaranth.vendor import XilinxPlatform
from amaranth_boards.resources import ButtonResources, LEDResources, SwitchResources, UARTResource

_LVCMOS18 = Attrs(IOSTANDARD="LVCMOS18")


class VC707Platform(XilinxPlatform):
    """What of the board needs no core of the vendor: clocks, reset, lights, buttons, switches, serial line."""

    device = "xc7vx485t"
    package = "ffg1761"
    speed = "2"
    default_clk = "clk200"
    default_rst = "rst"
    resources = [
        Resource("clk200", 0, DiffPairs("E19", "E18", dir="i"), Clock(200e6), Attrs(IOSTANDARD="LVDS")),
        Resource("clk156", 0, DiffPairs("AK34", "AL34", dir="i"), Clock(156.25e6), Attrs(IOSTANDARD="LVDS")),
        Resource("rst", 0, Pins("AV40", dir="i"), _LVCMOS18),
        *LEDResources(pins="AM39 AN39 AR37 AT37 AR35 AP41 AP42 AU39", attrs=_LVCMOS18),
        *ButtonResources(pins="AV39 AR40 AU38 AP40 AW40", attrs=_LVCMOS18),  # middle, north, east, south, west
        *SwitchResources(pins="AV30 AY33 BA31 BA32 AW30 AY30 BA30 BB31", attrs=_LVCMOS18),
        UARTResource(0, rx="AU33", tx="AU36", attrs=_LVCMOS18),
        Resource("i2c", 0, Subsignal("scl", Pins("AT35", dir="io")), Subsignal("sda", Pins("AU32", dir="io")), _LVCMOS18),
    ]
    connectors = []

    def toolchain_prepare(self, fragment, name, **kwargs):
        overrides = {"add_constraints": "\n".join((
            "set_property CFGBVS GND [current_design]",
            "set_property CONFIG_VOLTAGE 1.8 [current_design]",
            "set_false_path -to [get_pins -of_objects [get_cells -hierarchical -filter {ASYNC_REG == TRUE}] "
            "-filter {REF_PIN_NAME == PRE}]"))}
        return super().toolchain_prepare(fragment, name, **overrides | kwargs)
