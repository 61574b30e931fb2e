"""A LiteX system with the core: PicoRV32 and its memory, a flash for an image, main memory, a console.

    python example_soc.py build

leaves the system's Verilog (``adagp_soc.v``, top module ``adagp_soc``), the paths of all Verilog files (``sources.txt``)
and LiteX's headers for software (``generated/``) in the folder ``build``. Needs ``litex`` and ``pythondata-cpu-picorv32``.
"""

import sys
from contextlib import chdir
from pathlib import Path

from adagp_litex import ReleaseError, add_adagp
from litex.build.generic_platform import GenericPlatform, Pins, Subsignal
from litex.soc.integration import export
from litex.soc.integration.soc_core import SoCCore
from migen.genlib.io import CRG

NAME = "adagp_soc"

_IO = [
    ("clk", 0, Pins(1)),
    ("rst", 0, Pins(1)),
    ("trap", 0, Pins(1)),
    ("bus_error", 0, Pins(1)),
    ("serial", 0,
        Subsignal("source_valid", Pins(1)), Subsignal("source_ready", Pins(1)), Subsignal("source_data", Pins(8)),
        Subsignal("sink_valid", Pins(1)), Subsignal("sink_ready", Pins(1)), Subsignal("sink_data", Pins(8))),
]


class ExampleSoC(SoCCore):
    """Clock and reset from outside; ``trap`` and ``bus_error`` tell of software that went astray. The console is a stream of
    bytes (LiteX's UART without its line), as LiteX's own simulation has it. The processor starts in the ROM, which can be
    written, so that one memory is enough for firmware; whoever simulates fills ROM and flash."""

    mem_map = {**SoCCore.mem_map, "flash": 0x2000_0000}

    def __init__(self, platform, clk_freq=int(100e6)):
        SoCCore.__init__(self, platform, clk_freq, cpu_type="picorv32", integrated_rom_size=0x1_0000, integrated_rom_mode="rwx",
                         integrated_sram_size=0, integrated_main_ram_size=0x10_0000, uart_name="sim")
        self.crg = CRG(platform.request("clk"), platform.request("rst"))
        self.add_rom("flash", origin=self.mem_map["flash"], size=0x8_0000)
        add_adagp(self)
        self.comb += [platform.request("trap").eq(self.cpu.trap), platform.request("bus_error").eq(self.ctrl.bus_error)]


def write(folder):
    """Verilog and headers of the system to ``folder``; :class:`adagp_litex.ReleaseError`."""
    platform = GenericPlatform("", _IO, name=NAME)
    soc = ExampleSoC(platform)
    soc.finalize()
    generated = Path(folder, "generated")
    generated.mkdir(parents=True, exist_ok=True)
    (generated / "mem.h").write_text(export.get_mem_header(soc.mem_regions))
    (generated / "soc.h").write_text(export.get_soc_header(soc.constants))
    (generated / "csr.h").write_text(export.get_csr_header(soc.csr_regions, soc.constants, soc.mem_regions["csr"].origin,
                                                           with_access_functions=False))
    with chdir(folder):  # where LiteX leaves the contents of memories, too
        platform.get_verilog(soc, name=NAME).write(f"{NAME}.v")
    files = [f"{NAME}.v", *(source[0] for source in platform.sources)]
    Path(folder, "sources.txt").write_text("".join(f"{file}\n" for file in files))


if __name__ == "__main__":
    try:
        write(sys.argv[1] if len(sys.argv) > 1 else "build")
    except ReleaseError as error:
        sys.exit(f"error: {error}")
