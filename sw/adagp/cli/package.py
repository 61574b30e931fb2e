"""Make a release folder: the core with all that an integrator needs.

Verilog, register map (SystemRDL, HTML, IP-XACT), instruction set, C driver, constraints, FuseSoC
description, LiteX core, a script for Vivado's IP packager, and a test image with its expected result
and a bench that runs it under Icarus Verilog and Verilator. The folder needs nothing else of this
project, and is the same, byte for byte, whenever it is made. It must be new or empty. Its path is
printed.
"""

import argparse
from pathlib import Path

from . import UserError
from .accelerator import add_options, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument("--clock", type=_frequency, default=100.0, metavar="MHZ",
                        help="what the constraints ask for (default: %(default)g)")
    parser.add_argument("--vivado-ip", type=Path, metavar="FOLDER",
                        help="let Vivado package the core as IP in a new folder, too, and check the interfaces that it finds")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: build/adagp-PRESET-DESIGN")


def run(arguments: argparse.Namespace) -> None:
    config = chosen(arguments)
    output = arguments.output or Path("build", f"adagp-{arguments.preset}-{arguments.design}")
    from adagp.compiler import CompileError  # imports torch: only after the options are known to be right
    from adagp.data.datasets import MissingData
    from adagp_flows.release.package import FolderNotEmpty, package
    from adagp_flows.release.vivado import PackagerError, package_ip
    from adagp_flows.synthesis.tools import MissingTool, find

    try:
        vivado = find("vivado") if arguments.vivado_ip else None  # before the work
        package(config, output, clock_mhz=arguments.clock)
        if vivado:
            package_ip(vivado, output, arguments.vivado_ip)
    except (CompileError, FolderNotEmpty, MissingData, MissingTool, PackagerError) as error:
        raise UserError(error) from error
    print(output)


def _frequency(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a frequency above 0, not {text}")
    return value
