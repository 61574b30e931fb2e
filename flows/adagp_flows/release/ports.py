"""The ports of the accelerator and the interfaces that they form."""

from dataclasses import dataclass

from adagp.spec.config import AcceleratorConfig

INTERFACES = {"s_axil": "AXI4-Lite subordinate", "m_axi": "AXI4 manager"}


@dataclass(frozen=True)
class Port:
    """``interface`` is a key of :data:`INTERFACES` or empty."""

    name: str
    output: bool
    width: int

    @property
    def interface(self) -> str:
        return next((each for each in INTERFACES if self.name.startswith(f"{each}_")), "")

    @property
    def signal(self) -> str:
        """Its name in the standard of the interface, for instance ``ARADDR``."""
        return self.name.removeprefix(f"{self.interface}_").upper()


def ports(config: AcceleratorConfig) -> list[Port]:
    """All ports, in the order of the module's header."""
    from amaranth.hdl import Shape  # elaboration's libraries: only who asks pays
    from amaranth.lib.wiring import Out

    from adagp_hdl.top import Accelerator

    return [Port(name=name, output=member.flow is Out, width=Shape.cast(member.shape).width)
            for name, member in Accelerator(config).signature.members.items()]
