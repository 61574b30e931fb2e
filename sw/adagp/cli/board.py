"""Build the accelerator for an FPGA board, with its memory on the chip and a serial line to the host.

For the ULX3S the open tools make a bitstream; for the VC707 a netlist and a project for Vivado, which makes the
bitstream where it is installed. What has not changed since the last build is not done again. docs/boards.md tells how
to train on the board.
"""

import argparse
from pathlib import Path

from . import UserError
from .accelerator import add_options, chosen


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("board", help="ulx3s (ULX3S with an 85F) or vc707")
    parser.add_argument("--memory", type=int, metavar="BYTES", help="of external memory, a power of two (default: the most that fits)")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="of the machine (default: the board's usual one)")
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="default: build/boards/BOARD")
    add_options(parser)


def run(arguments: argparse.Namespace) -> None:
    config = chosen(arguments)
    from adagp_flows.synthesis.boards import build  # imports Amaranth: only after the options are known to be right
    from adagp_flows.synthesis.jobs import JobError
    from adagp_flows.synthesis.tools import MissingTool

    folder = arguments.output or Path("build/boards") / arguments.board
    try:
        built = build(arguments.board, config, folder, memory_bytes=arguments.memory, clock_mhz=arguments.clock)
    except (ValueError, JobError, MissingTool) as error:
        raise UserError(error) from error
    print("\n".join(f"{name:10} {value:,}" for name, value in built.result.as_json().items() if isinstance(value, int)))
    print(f"clock      {built.clock_mhz:g} MHz" + (f" of {built.result.fmax_mhz:.1f}" if built.result.fmax_mhz else ""))
    print(f"memory     {built.memory_bytes:,} bytes")
    print(f"line       {built.bits_per_second:,} bits per second")
    print(f"bitstream  {built.bitstream or f'none: {built.missing}'}")
