"""Write the accelerator as one Verilog file.

The file holds one top module with the ports aclk, aresetn, s_axil_*, m_axi_* and irq, and
everything below it. Its path is printed.
"""

import argparse
from pathlib import Path

from .accelerator import add_options, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/verilog"), metavar="PATH",
                        help="a folder, or a file that ends in .v (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    config = chosen(arguments)
    output = arguments.output
    if output.suffix != ".v":
        output /= f"adagp_{config.design.name.lower()}_{config.rows}x{config.columns}.v"
    output.parent.mkdir(parents=True, exist_ok=True)
    from adagp_hdl.verilog import write  # imports Amaranth: only after the options are known to be right

    write(config, output)
    print(output)
