"""Every figure and table of the paper that can be computed, next to the paper's numbers.

Leaves in the output folder: index.html, one page that needs nothing else; every figure as PNG and SVG,
every figure and table as CSV; report.json. Those of a former run stay until all new ones are there.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter

from adagp.cost.hardware import PAPER
from adagp.cost.predictor_work import Predictor
from adagp.files import replace_file

from . import paper_pictures
from .paper_evaluation import BATCH, DEVICES, ENERGY_DESIGN, EPOCHS, SHARES, PaperEvaluation, evaluate
from .paper_page import page
from .paper_reasons import Comparison, compare
from .paper_tables import tables

_RTL_KEYS = "layer", "pass", "design", "model_cycles", "rtl_cycles", "model_bytes", "rtl_bytes"


def main(arguments: list[str] | None = None) -> int:
    """``python -m adagp_flows.paper``."""
    parser = argparse.ArgumentParser(prog="paper", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("build/paper"), metavar="FOLDER",
                        help="default: %(default)s")
    parser.add_argument("--without-rtl", action="store_true",
                        help="the model of this project's machine is not compared with it")
    parser.add_argument("--rtl-cases", type=int, default=24, metavar="N",
                        help="random layers, passes, designs and sizes on the simulated RTL (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of these cases (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.rtl_cases < 1:
        parser.exit(2, f"paper: --rtl-cases must be at least 1, not {chosen.rtl_cases}\n")
    progress = _progress()
    evaluation = evaluate(progress)
    rtl = [] if chosen.without_rtl else _rtl_check(chosen.seed, chosen.rtl_cases, progress)
    write(evaluation, rtl, chosen.output, progress)
    print(f"page, pictures, tables and report: {chosen.output}")
    return 0


def _progress() -> Callable[[str], None]:
    began = perf_counter()
    return lambda text: print(f"{perf_counter() - began:6.1f} s  {text}", flush=True)


def _rtl_check(seed: int, count: int, progress: Callable[[str], None]) -> list[dict]:
    from . import machine_check  # compiles the RTL

    progress(f"{count} random layers on the simulated RTL")
    return machine_check.measure(seed=seed, count=count, progress=lambda row: progress(
        f"{row['layer']}, {row['pass']}, {row['design']}: {row['model_cycles']:,} cycles, RTL {row['rtl_cycles']:,}"))


def write(evaluation: PaperEvaluation, rtl: Sequence[dict], folder: Path, progress: Callable[[str], None]) -> None:
    """Everything, made first and then moved to ``folder``."""
    comparisons = compare(evaluation)
    all_tables = tables(evaluation, comparisons, rtl)
    with TemporaryDirectory() as temporary:
        made = Path(temporary)
        paper_pictures.draw(evaluation, comparisons, made, progress)
        progress("tables and page")
        for table in all_tables:
            table.write(made / f"{table.name}.csv")
        (made / "report.json").write_text(json.dumps(as_json(evaluation, comparisons, rtl), indent=1, allow_nan=False) + "\n")
        (made / "index.html").write_text(page(comparisons, all_tables, made, _note()))
        for path in sorted(made.iterdir()):
            replace_file(folder / path.name, lambda partial: shutil.copyfile(path, partial))


def _note() -> str:
    predictor, shares = Predictor(), {name: float(getattr(SHARES, name)) for name in ("warmup", "bp", "gp")}
    return (f"Cost models in closed form: {PAPER.array} elements, on ADA-GP-MAX {PAPER.predictor_array} more for the "
            f"predictor; batches of {BATCH}, {EPOCHS} epochs, of whose batches {shares['warmup']:.1%} are warm-up, "
            f"{shares['bp']:.1%} Phase BP and {shares['gp']:.1%} Phase GP; a predictor with {predictor.features} features. "
            "Memory bandwidth is no limit; batch, predictor and bus are assumptions of ours, as the paper does not state "
            "them.")


def as_json(evaluation: PaperEvaluation, comparisons: Sequence[Comparison], rtl: Sequence[dict]) -> dict:
    """The machine-readable report. Savings of "energy_saving" are of memory energy on ADA-GP-Efficient."""
    found = evaluation.grid.as_dict()
    return {
        "speedup": {dataset: {flow: {design: own | {"geomean": found["geomean"][dataset][flow][design]}
                                     for design, own in designs.items()} for flow, designs in flows.items()}
                    for dataset, flows in found["speedups"].items()},
        "pipeline": {pipeline.value: asdict(steps) for pipeline, steps in evaluation.steps.items()},
        "energy_saving": {table: savings | {"mean": fmean(savings.values())} for table, savings in (
            (table, evaluation.energy_savings(table, ENERGY_DESIGN)) for table in evaluation.energies)},
        "rtl_check": [{key: row[key] for key in _RTL_KEYS} for row in rtl],
        "speedup_convolutions": evaluation.convolutions.as_dict()["geomean"],
        "b": found["b"], "alpha": found["alpha"],
        "pipeline_networks": {
            pipeline.value: {network: {design.name: asdict(gain) for design, gain in gains[pipeline].items()}
                             for network, gains in evaluation.pipelines.items()} for pipeline in evaluation.steps},
        "vgg13_layers": [asdict(layer) for layer in evaluation.layers],
        "training_cycles": evaluation.runs,
        "equal_resources": {resource: larger.as_dict() for resource, larger in evaluation.equal.items()},
        "energy": evaluation.energies,
        "claims": [asdict(each.published) | {"ours": each.ours, "difference": each.difference, "agrees": each.agrees,
                                             "reason": each.reason} for each in comparisons],
        "settings": {"array": str(PAPER.array), "batch": BATCH, "epochs": EPOCHS, "devices": DEVICES,
                     "shares": {name: float(getattr(SHARES, name)) for name in ("warmup", "bp", "gp")}}}


if __name__ == "__main__":
    sys.exit(main())
