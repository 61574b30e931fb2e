"""The ADA-GP training accelerator of this release folder as a LiteX core.

    from adagp_litex import add_adagp

    class MySoC(SoCCore):
        def __init__(self, ...):
            SoCCore.__init__(self, ...)
            add_adagp(self)

Software finds ``ADAGP_BASE`` in ``generated/mem.h`` and ``ADAGP_INTERRUPT`` in ``generated/soc.h``; the rest is the
business of the folder's ``driver/``. Needs LiteX and this folder.
"""

import json
import re
from hashlib import sha256
from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.interconnect import axi
from migen import ClockSignal, Instance, ResetSignal, Signal

RELEASE = Path(__file__).resolve().parents[1]
"""The release folder."""

TOP = "rtl/adagp.v"
REGISTER_BYTES = 4096
_NEEDED = "m_axi_wdata", "m_axi_awaddr", "m_axi_awid", "s_axil_wdata"  # what LiteX wants to know of the interfaces


class ReleaseError(Exception):
    """A release folder that is incomplete or was changed; the text says what is wrong."""


class Adagp(LiteXModule):
    """The core in the clock domain ``sys``.

    ``m_axi`` (AXIInterface, a master) reaches programs and data, ``s_axil`` (AXILiteInterface, a slave) is for the
    registers, ``ev.irq`` is the interrupt, a level: it stays until the driver acknowledges it. Widths are those of
    ``release/manifest.json``. Raises :class:`ReleaseError`.
    """

    def __init__(self, platform, release=RELEASE):
        ports = _ports(Path(release))
        self.m_axi = axi.AXIInterface(data_width=ports["m_axi_wdata"][1], address_width=ports["m_axi_awaddr"][1],
                                      id_width=ports["m_axi_awid"][1], bursting=True)
        # Addresses of the whole bus; the core looks at as many bits as its registers need.
        self.s_axil = axi.AXILiteInterface(data_width=ports["s_axil_wdata"][1], address_width=self.m_axi.address_width)
        self.ev = LiteXModule()  # where LiteX looks for an interrupt; pending and enable are the core's own
        self.ev.irq = Signal()
        signals = {"aclk": ClockSignal("sys"), "aresetn": ~ResetSignal("sys"), "irq": self.ev.irq}
        signals |= {port: self._signal(port, width) for port, (_, width) in ports.items() if port not in signals}
        self.specials += Instance("adagp", **{
            f"{direction[0]}_{port}": signals[port] for port, (direction, _) in ports.items()})
        platform.add_source(str(Path(release, TOP)))

    def _signal(self, port, width):
        """The part of a LiteX interface that ``port`` is: ``m_axi_awaddr`` is ``self.m_axi.aw.addr``."""
        match = re.fullmatch(r"(m_axi|s_axil)_(aw|ar|w|r|b)(\w+)", port)
        signal = match and getattr(getattr(getattr(self, match[1]), match[2]), match[3], None)
        if signal is None:
            raise ReleaseError(f"the port {port} must be one of AXI4 or AXI4-Lite that LiteX has")
        if match[1] == "s_axil" and match[3] == "addr":
            signal = signal[:width]
        if len(signal) != width:
            raise ReleaseError(f"the port {port} must have {len(signal)} bits, as in LiteX, not {width}")
        return signal


def add_adagp(soc, name="adagp", origin=None, with_bus_master=True, release=RELEASE):
    """Adds the core to ``soc`` as ``soc.<name>``, and returns it.

    Its registers become the region ``name`` of the bus, at ``origin`` or at an address that LiteX chooses among those that
    are not cached; without a processor give one, as LiteX puts its own CSRs at 0 in the end. Its master goes to the DMA bus
    of a processor that has one, else to the bus, or with ``with_bus_master=False`` nowhere: connect ``m_axi`` to a memory
    yourself. Its interrupt goes to the processor, if that takes interrupts. LiteX adapts widths and standards. Raises
    :class:`ReleaseError`.
    """
    core = Adagp(soc.platform, release)
    soc.add_module(name=name, module=core)
    soc.bus.add_slave(name=name, slave=core.s_axil, region=SoCRegion(origin=origin, size=REGISTER_BYTES, cached=False))
    if with_bus_master:
        getattr(soc, "dma_bus", soc.bus).add_master(name=name, master=core.m_axi)
    if soc.irq.enabled:
        soc.irq.add(name)
    return core


def _ports(release):
    """(direction, width) of the core's ports by name; :class:`ReleaseError` unless they are those of the Verilog that is there."""
    file = release / "manifest.json"
    try:
        manifest = json.loads(file.read_text())
        ports = {name: (port["direction"], port["width"]) for name, port in manifest["ports"].items()}
        _ = [ports[name] for name in _NEEDED]
        digest = manifest["sha256"][TOP]
        found = sha256((release / TOP).read_bytes()).hexdigest()
    except OSError as error:
        raise ReleaseError(f"{error.filename}: {error.strerror}") from None
    except ValueError as error:
        raise ReleaseError(f"{file} must be JSON: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{file} must say ports with direction and width and the SHA-256 of {TOP}, but: {error!r}") from None
    if found != digest:
        raise ReleaseError(f"{release / TOP} must have the SHA-256 that manifest.json says, {digest}, not {found}")
    return ports
