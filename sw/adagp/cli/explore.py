"""Compare many sizes of this project's machine for a network.

Every combination of the given sizes, designs and batches is compiled for and followed instruction by
instruction, or with --estimate neither, on all cores. Finished points are kept in the output folder: a
run that was interrupted goes on where it stopped, one with more sizes computes only what is new. Leaves
points.csv, report.json and, with the points that no other one beats, front.png and front.svg.
"""

import argparse
import re
from pathlib import Path

from . import UserError
from .networks import SHAPE, models, shape

_SIZES = {"bus_bits": "width of the memory bus", "vector_words": "words of the vector memory",
          "vector_banks": "its banks", "operands": "operands in each of the array's two memories"}
_DEFAULTS = {"operands": "stream_elements"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--network", nargs="+", metavar="NAME", help="of adagp.models (default: vgg13); one")
    parser.add_argument("--dataset", nargs="+", metavar="NAME", help="cifar10, cifar100, imagenet; one")
    parser.add_argument("--model", metavar="PACKAGE:FUNCTION", help="instead: a function that returns a torch.nn.Module")
    parser.add_argument("--input", type=shape, nargs="+", metavar="SHAPE", help=SHAPE)
    parser.add_argument("--preset", default="small", metavar="NAME", help="sizes that are not given (default: %(default)s)")
    parser.add_argument("--arrays", type=_array, nargs="+", metavar="RxC", help="rows × columns (default: the preset's)")
    parser.add_argument("--designs", nargs="+", metavar="NAME", default=["baseline", "low", "efficient", "max"],
                        help="default: all four")
    parser.add_argument("--batches", type=int, nargs="+", metavar="N", default=[16], help="default: 16")
    for name, text in _SIZES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, nargs="+", metavar="N", help=f"{text} (default: the preset's)")
    parser.add_argument("--predictor-size", type=int, default=4, metavar="N", help="pooled height and width (default: %(default)s)")
    parser.add_argument("--predictor-channels", type=int, default=4, metavar="N", help="of its convolution (default: %(default)s)")
    parser.add_argument("--latency", type=int, default=30, metavar="N", help="cycles until memory answers (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=90, metavar="N", help="of the paper's schedule (default: %(default)s)")
    parser.add_argument("--objectives", nargs="+", metavar="NAME", default=["cycles", "elements", "memory"],
                        help="that the front is for: cycles, bytes, elements, memory (default: cycles elements memory)")
    parser.add_argument("--estimate", action="store_true", help="cycles to some 5 %% in a fraction of the time")
    parser.add_argument("--processes", type=int, metavar="N", help="default: one for each core")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/explore"), metavar="FOLDER", help="default: %(default)s")


def _array(text: str) -> tuple[int, int]:
    given = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text, re.ASCII)
    if not given:
        raise argparse.ArgumentTypeError(f"must be rows and columns such as 8x8, not {text!r}")
    return int(given[1]), int(given[2])


def run(arguments: argparse.Namespace) -> None:
    try:
        _explore(arguments)
    except ValueError as error:
        raise UserError(error) from error


def _explore(arguments: argparse.Namespace) -> None:
    from adagp.compiler import PredictorConfig  # imports torch: only when the options are known to be well formed
    from adagp.cost.exploration import check_objectives, points
    from adagp.cost.machine import ExternalMemory
    from adagp.cost.schedules import Shares
    from adagp.spec.config import Design, preset
    from adagp_flows import exploration

    base, known = preset(arguments.preset), [design.name.lower() for design in Design]
    for design in arguments.designs:
        if design not in known:
            raise UserError(f"--designs must be of {', '.join(known)}, not {design!r}")
    for name in ("processes", "epochs", "latency"):
        if getattr(arguments, name) is not None and getattr(arguments, name) < 1:
            raise UserError(f"--{name} must be at least 1, not {getattr(arguments, name)}")
    check_objectives(arguments.objectives)
    subjects = models(arguments)
    if len(subjects) != 1:
        raise UserError(f"--network and --dataset must be one each, not {len(subjects)} pairs")
    (title, make, input_shape), = subjects
    sizes = {name: getattr(arguments, name) or [getattr(base, _DEFAULTS.get(name, name))] for name in _SIZES}
    wanted = list(points(arrays=arguments.arrays or [(base.rows, base.columns)], design=arguments.designs,
                         batch=arguments.batches, **sizes))
    for point in wanted:
        point.config(base)  # what no machine can be is refused before the first one is compiled for
    sweep = exploration.Exploration(
        title=title, make=make, input_shape=input_shape, base=base, shares=Shares.paper(arguments.epochs),
        predictor=PredictorConfig(size=arguments.predictor_size, channels=arguments.predictor_channels),
        memory=ExternalMemory(latency=arguments.latency), estimated=arguments.estimate)
    outcomes = exploration.run(sweep, wanted, arguments.objectives, arguments.output, arguments.processes)
    print(exploration.text(outcomes, arguments.objectives))
    if all(outcome.error for outcome in outcomes):
        raise UserError(f"{title} has no mapping on any of these machines: {outcomes[0].error}")
    print(f"tables and picture: {arguments.output}")
