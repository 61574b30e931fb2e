"""The ports of the accelerator and the interfaces that they form."""

import re
from dataclasses import dataclass

INTERFACES = ("s_axil", "m_axi")
"""AXI4-Lite subordinate and AXI4 manager."""

PARAMETERS = {"aclk": {"ASSOCIATED_BUSIF": ":".join(INTERFACES), "ASSOCIATED_RESET": "aresetn"},
              "aresetn": {"POLARITY": "ACTIVE_LOW"}, "irq": {"SENSITIVITY": "LEVEL_HIGH"}}
"""What Vivado wants to know of the other ports."""


@dataclass(frozen=True)
class Port:
    """A port of the top module, ``width`` bits wide."""

    name: str
    output: bool
    width: int

    @property
    def interface(self) -> str:
        """The one of :data:`INTERFACES` that it belongs to, or nothing."""
        return next((each for each in INTERFACES if self.name.startswith(f"{each}_")), "")

    @property
    def signal(self) -> str:
        """Its name in the standard of its interface, for instance ``ARADDR``."""
        return self.name.removeprefix(f"{self.interface}_").upper()


def ports(verilog: str, top: str = "adagp") -> list[Port]:
    """The ports of the module ``top`` in Verilog as :mod:`adagp_hdl.verilog` writes it, by name."""
    module = re.search(rf"^module {top} ?\(.*?^endmodule", verilog, re.MULTILINE | re.DOTALL)
    if module is None:
        raise ValueError(f"verilog must have a module {top!r}")
    declared = re.findall(r"^  (in|out)put (?:\[(\d+):0\] )?(\w+) ?;$", module[0], re.MULTILINE)
    return sorted((Port(name=name, output=direction == "out", width=int(most or 0) + 1)
                   for direction, most, name in declared), key=lambda port: port.name)
