"""``nox -s synth``: the paper's tables 4 and 5 for this accelerator, and the clocks that it reaches.

Without --all what takes minutes: the four designs with the paper's 12×15 elements for the board that it used, and one
processing element placed on ECP5 and iCE40 and mapped to standard cells. Results are kept: see adagp synth.
"""

import argparse
import sys
from pathlib import Path

from adagp.spec.config import Design, preset

from . import xc7
from .runs import Unfinished, answer_all
from .subject import Subject, usual_name
from .targets import Question, question
from .tools import MissingTool, find

_DESIGNS = tuple(Design)
_BASELINE = (Design.BASELINE,)
_DEVICES = {"xc7": xc7.VC707}
"""Where it is not the target's usual one."""

MINUTES = (("xc7", "vc707", _DESIGNS, "machine"), ("ecp5", "tiny", _BASELINE, "element"), ("ice40", "tiny", _BASELINE, "element"),
           ("osu018", "tiny", _BASELINE, "element"))
"""Target, preset of sizes, designs, part."""

HOURS = (("osu018", "vc707", _DESIGNS, "machine"), ("ecp5", "small", _BASELINE, "array"), ("ecp5", "small", _BASELINE, "machine"),
         ("vivado", "vc707", _BASELINE, "machine"))


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 if a tool failed or a design did not fit; what is left out for want of a tool is told."""
    parser = argparse.ArgumentParser(prog="nox -s synth --", description=__doc__)
    parser.add_argument("--all", action="store_true",
                        help="also all four designs in standard cells with power from simulated training, the 8×8 array and the "
                             "whole small machine on ECP5 with five seeds, and Vivado: hours")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/synth"), metavar="FOLDER", help="default: %(default)s")
    chosen = parser.parse_args(arguments)
    questions, missing = _questions(MINUTES + HOURS * chosen.all, chosen.output)
    for each in missing:
        print(f"left out: {each}", file=sys.stderr, flush=True)
    try:
        print(answer_all(questions, chosen.output))
    except Unfinished as error:
        print(f"no answer: {error}", file=sys.stderr)
        return 1
    print(f"written: {chosen.output}")
    return 0


def _questions(wanted, root: Path) -> tuple[list[tuple[str, Question]], list[str]]:
    """And in words what cannot be asked for want of a tool."""
    questions, missing = [], []
    for target, sizes, designs, part in wanted:
        for config in map(preset(sizes).with_design, designs):
            subject = Subject(name=usual_name(config, part), config=config, part=part)
            try:
                if target == "vivado":
                    find(target)  # else a project would be all that comes of it: adagp synth --targets vivado
                questions.append((target, question(target, subject, root=root, device=_DEVICES.get(target))))
            except MissingTool as error:
                missing.append(f"{subject.name} for {target}: {error}")
    return questions, missing


if __name__ == "__main__":
    sys.exit(main())
