"""Synthesise accelerators: what they cost on FPGAs and in standard cells, and how fast they are.

What the tools made is kept in the output folder, and nothing is run again whose inputs did not change.
Leaves report.json, tables.md with the paper's figures beside, area.png, and of each design and target
the table of its modules, netlists or bitstreams, and logs. What was synthesised into the same folder
before stays in the report.
"""

import argparse
from pathlib import Path

from . import UserError
from .accelerator import add_sizes, chosen_sizes
from .evaluate import ALL


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--targets", nargs="+", metavar="NAME", default=["xc7"],
                        help="xc7 (7-series, Yosys), ecp5, ice40 (Yosys and nextpnr), osu018 (0.18 µm cells), vivado, or all "
                             "(default: xc7)")
    parser.add_argument("--designs", nargs="+", metavar="NAME", default=["baseline"],
                        help="baseline, low, efficient, max, or all (default: baseline)")
    parser.add_argument("--part", default="machine", metavar="NAME", help="machine, array or element (default: %(default)s)")
    parser.add_argument("--device", metavar="NAME", help="of one target, e.g. 85k (default: the target's usual one)")
    parser.add_argument("--clock", type=float, metavar="MHZ", help="that the tools try for (default: the target's usual one)")
    parser.add_argument("--seeds", type=int, nargs="+", metavar="N", default=[1, 2, 3, 4, 5],
                        help="of place and route, whose median counts (default: 1 2 3 4 5)")
    parser.add_argument("--name", metavar="NAME", help="in the report, for one design (default: the preset's, the design's)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/synth"), metavar="FOLDER", help="default: %(default)s")
    add_sizes(parser)


def run(arguments: argparse.Namespace) -> None:
    from adagp.spec.config import Design
    from adagp_flows.synthesis.runs import Unfinished, answer_all
    from adagp_flows.synthesis.subject import Subject, usual_name
    from adagp_flows.synthesis.targets import TARGETS, question
    from adagp_flows.synthesis.tools import MissingTool

    targets = _chosen("targets", arguments.targets, list(TARGETS))
    designs = [Design[name.upper()] for name in _chosen("designs", arguments.designs, [design.name.lower() for design in Design])]
    if arguments.device and len(targets) > 1:
        raise UserError(f"--device is of one target, not of {', '.join(targets)}")
    if arguments.name and len(designs) > 1:
        raise UserError(f"--name is of one design, not of {len(designs)}")
    sizes = chosen_sizes(arguments)
    try:
        subjects = [Subject(name=arguments.name or usual_name(config, arguments.part), config=config, part=arguments.part)
                    for config in map(sizes.with_design, designs)]
        questions = [(target, question(target, subject, root=arguments.output, device=arguments.device, clock_mhz=arguments.clock,
                                       seeds=arguments.seeds)) for target in targets for subject in subjects]
        print(answer_all(questions, arguments.output), end="")
    except (ValueError, MissingTool, Unfinished) as error:
        raise UserError(error) from error
    print(f"\nwritten: {arguments.output}")


def _chosen(option: str, given: list[str], known: list[str]) -> list[str]:
    if given == [ALL]:
        return known
    for name in given:
        if name not in known:
            raise UserError(f"--{option} must be {', '.join(known)} or {ALL}, not {name!r}")
    return list(dict.fromkeys(given))
