"""``nox -s proofs``: every rule for every design, a line each; report and traces in build/proofs."""

import argparse
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp_flows.synthesis import tools
from adagp_hdl import verilog

from .prove import Verdict, prove
from .rules import GROUPS
from .structure import RULE, ports_are_registered

#: Short bursts and buffers: the rules do not depend on how long they are, the time of a proof does.
_SMALL = replace(preset("tiny"), burst_beats=4, read_buffer_beats=8, queue_depth=2)
CONFIGURATIONS = {
    **{f"{design.name.lower()}-64": _SMALL.with_design(design) for design in Design},
    "baseline-128": replace(_SMALL, bus_bits=128), "max-128": replace(_SMALL, bus_bits=128).with_design(Design.MAX)}


def main(arguments: list[str] | None = None) -> int:
    """0 if all is proved, 1 if a rule is violated or not decided."""
    parser = argparse.ArgumentParser(prog="adagp_flows.proofs", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS), metavar="NAME",
                        help=f"of {', '.join(CONFIGURATIONS)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=Path("build/proofs"), help="folder (default: %(default)s)")
    options = parser.parse_args(arguments)
    report = {"tools": {"yosys": tools.find("yosys").version}, "configurations": {}}
    for name in options.only:
        config = CONFIGURATIONS[name]
        print(f"{name}: {config.design.name.lower()}, bus of {config.bus_bits} bits, bursts of {config.burst_beats} beats, "
              f"read buffers of {config.read_buffer_beats}", flush=True)
        verdicts = _verdicts(config, options.output / name)
        report["configurations"][name] = {"configuration": repr(config), "rules": [asdict(each) for each in verdicts]}
        text = json.dumps(report, indent=1) + "\n"
        replace_file(options.output / "report.json", lambda partial, text=text: partial.write_text(text))
    rules = [rule for each in report["configurations"].values() for rule in each["rules"]]
    failed = sum(not rule["proved"] for rule in rules)
    print(f"{len(rules) - failed} of {len(rules)} proved; report in {options.output / 'report.json'}")
    return 1 if failed else 0


def _verdicts(config: AcceleratorConfig, folder: Path) -> list[Verdict]:
    """Proves all rules of one configuration and prints each verdict as soon as it is there."""
    text, verdicts = verilog.generate(config), []
    for name, decide in ((RULE, lambda: [ports_are_registered(text, folder / "paths")]),
                         *((group.name, lambda group=group: prove(config, text, group, folder / group.name))
                           for group in GROUPS)):
        print(f"  … {name}", end="\r", file=sys.stderr, flush=True)
        start = time.monotonic()
        fresh = decide()
        print(f"  {name}: {time.monotonic() - start:.0f} s", flush=True)
        for verdict in fresh:
            outcome = f"proved: {verdict.method}" if verdict.proved else f"FAILED: {verdict.method} {verdict.trace}"
            print(f"    {verdict.rule:24} {verdict.text} — {outcome.strip()}", flush=True)
        verdicts += fresh
    return verdicts


if __name__ == "__main__":
    sys.exit(main())
