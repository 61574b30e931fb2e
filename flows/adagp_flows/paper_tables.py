"""Every figure and table of the paper as rows."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, geometric_mean

from adagp.cost.dataflows import Dataflow
from adagp.cost.energy import TABLES
from adagp.cost.grid import DESIGNS, network_cost
from adagp.cost.pipelines import Pipeline

from .paper_evaluation import BATCH, EPOCHS, IMAGES, SHARES, PaperEvaluation, batches_of_epoch
from .paper_published import ASIC, CEILING_CLAIMS, DATASET_TITLES, DESIGN_TITLES, FPGA, PIPELINE_TITLES, PUBLISHED, TITLES
from .paper_reasons import Comparison, needed_b

Cell = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """``name`` is that of its file; ``folded`` if the page need not show it at once."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    folded: bool = False

    def write(self, path: Path) -> None:
        """As CSV."""
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([self.columns, *self.rows])


def tables(evaluation: PaperEvaluation, comparisons: Sequence[Comparison], rtl: Sequence[dict]) -> list[Table]:
    """All of them; that of the RTL only if there are rows."""
    flows = {"figure17": "WS", "figure18": "RS", "figure19": "IS", "output-stationary": "OS"}
    pipelines = {"figure10": Pipeline.GPIPE, "figure11": Pipeline.DAPPLE, "figure12": Pipeline.CHIMERA}
    return [claims(comparisons), *(steps(evaluation, name, pipeline) for name, pipeline in pipelines.items()),
            layers(evaluation), *(speedups(evaluation, name, flow) for name, flow in flows.items()), convolutions(evaluation),
            b_alpha(evaluation), ceiling(evaluation), training_cycles(evaluation, "table2", "transformer"),
            training_cycles(evaluation, "table3", "yolov3"), pipeline_speedups(evaluation), equal_resources(evaluation),
            _published("table4", FPGA), _published("table5", ASIC), energy_savings(evaluation), energies(evaluation),
            *([rtl_check(rtl)] if rtl else [])]


def claims(comparisons: Sequence[Comparison]) -> Table:
    return Table(name="claims", columns=("section", "claim", "paper", "ours", "difference", "agrees", "reason"), rows=tuple(
        (each.published.section, each.published.what, each.published.value, each.ours, each.difference,
         "yes" if each.agrees else "no", each.reason) for each in comparisons))


def steps(evaluation: PaperEvaluation, name: str, pipeline: Pipeline) -> Table:
    own = evaluation.steps[pipeline]
    return Table(name=name, columns=("steps of", "ours"), rows=(
        ("a batch of Phase BP", own.baseline_steps), ("a batch of Phase GP and one of Phase BP", own.pair_steps),
        ("speed-up of both", own.speedup), ("speed-up of the whole schedule, with warm-up", own.speedup_with_warmup)))


def layers(evaluation: PaperEvaluation) -> Table:
    return Table(
        name="figure16", folded=True,
        columns=("layer", "baseline", "warm-up", "Phase BP", "Phase GP", "ADA-GP-Efficient", "speed-up"),
        rows=tuple((layer.name, layer.baseline, layer.warmup, layer.bp, layer.gp, spent, layer.baseline / spent)
                   for layer, spent in ((each, each.warmup + each.bp + each.gp) for each in evaluation.layers)))


def speedups(evaluation: PaperEvaluation, name: str, flow: str) -> Table:
    rows, designs = [], [design.name for design in DESIGNS]
    for dataset in IMAGES:
        title = DATASET_TITLES[dataset]
        for network, result in evaluation.grid.networks[dataset].items():
            rows.append((title, TITLES[network], *(result.speedups[flow][design] for design in designs)))
        rows.append((title, "geomean", *(evaluation.grid.geomean(dataset, flow, design) for design in designs)))
    return Table(name=name, columns=("data set", "network", *_design_titles()), rows=tuple(rows), folded=True)


def convolutions(evaluation: PaperEvaluation) -> Table:
    return Table(
        name="convolutions", columns=("data set", "dataflow", *(
            f"{title}, {kinds}" for title in _design_titles() for kinds in ("all layers", "convolutions"))),
        rows=tuple((DATASET_TITLES[dataset], flow.value, *(grid.geomean(dataset, flow.value, design.name) for design in DESIGNS
                                                           for grid in (evaluation.grid, evaluation.convolutions)))
                   for dataset in IMAGES for flow in Dataflow))


def b_alpha(evaluation: PaperEvaluation) -> Table:
    flows = [flow.value for flow in Dataflow]
    return Table(
        name="b-alpha", folded=True,
        columns=("data set", "network", *(f"{what}, {flow}" for what in ("b", "alpha") for flow in flows)),
        rows=tuple((DATASET_TITLES[dataset], TITLES[network], *(result.b[flow] for flow in flows),
                    *(result.alpha[flow] for flow in flows))
                   for dataset, results in evaluation.grid.networks.items() for network, result in results.items()))


def ceiling(evaluation: PaperEvaluation) -> Table:
    """Of each maximum that is impossible with b = 2: the b that it asks for, networks that have it, and of the one that
    has most, the layers that do."""
    def row(claim) -> tuple[Cell, ...]:
        _, dataset, flow, _ = claim.key.split("/")
        needed = needed_b(claim.value)
        b = {network: result.b[flow] for network, result in evaluation.grid.networks[dataset].items()}
        enough = sorted((network for network in b if b[network] >= needed), key=b.get, reverse=True)
        top = max(b, key=b.get)
        own = network_cost(dataset, top, dataflow=Dataflow(flow), batch=BATCH).layers
        having = [layer for layer in own if layer.b >= needed]
        share = sum(layer.forward for layer in having) / sum(layer.forward for layer in own)
        return (DATASET_TITLES[dataset], flow, claim.value, float(SHARES.speedup(2)), needed,
                ", ".join(f"{TITLES[network]} {b[network]:.2f}" for network in enough) or "none",
                f"{len(having)} of {len(own)} layers of {TITLES[top]}, {share:.0%} of its forward pass")

    return Table(name="ceiling", rows=tuple(map(row, CEILING_CLAIMS)), columns=(
        "data set", "dataflow", "paper's maximum", "limit with b = 2", "b it asks for", "networks with that b",
        "layers with that b"))


def training_cycles(evaluation: PaperEvaluation, name: str, network: str) -> Table:
    published = {claim.key.split("/")[2]: claim.value for claim in PUBLISHED if claim.key.startswith(f"run/{network}/")}
    ours = evaluation.runs[network]
    rows = [(DESIGN_TITLES[design], cycles, published.get(design), ours["BASELINE"] / cycles,
             published["BASELINE"] / published[design] if design in published else None) for design, cycles in ours.items()]
    return Table(name=name, columns=("design", "cycles, ours", "cycles, paper", "speed-up, ours", "speed-up, paper"),
                 rows=tuple(rows))


def pipeline_speedups(evaluation: PaperEvaluation) -> Table:
    rows = []
    for pipeline in Pipeline:
        title = PIPELINE_TITLES[pipeline.value]
        gains = {network: own[pipeline] for network, own in evaluation.pipelines.items()}
        pairs, whole = ([[getattr(own[design], what) for design in DESIGNS] for own in gains.values()]
                        for what in ("speedup", "speedup_with_warmup"))
        rows += [(title, TITLES[network], *pair, *schedule) for network, pair, schedule in zip(gains, pairs, whole)]
        rows.append((title, "geomean", *map(geometric_mean, zip(*pairs)), *map(geometric_mean, zip(*whole))))
    return Table(name="figure20", folded=True, rows=tuple(rows), columns=(
        "pipeline", "network", *_design_titles(), *(f"{design}, with warm-up" for design in _design_titles())))


def equal_resources(evaluation: PaperEvaluation) -> Table:
    published = {claim.key: claim.value for claim in PUBLISHED}

    def row(resource: str, dataset: str) -> tuple[Cell, ...]:
        larger = evaluation.equal[resource]
        worst = min(larger.baselines, key=lambda size: larger.baselines[size][dataset])
        best, gain = larger.best(dataset)
        return (resource, larger.elements, DATASET_TITLES[dataset], 100 * (larger.mean(dataset) - 1),
                published[f"equal/{resource}/{dataset}"],
                f"{worst}: {100 * (larger.baselines[worst][dataset] - 1):.1f}", f"{best}: {100 * (gain - 1):.1f}",
                100 * (larger.designs["MAX"][dataset] - 1))

    return Table(
        name="equal-resources", rows=tuple(row(resource, dataset) for resource in evaluation.equal for dataset in IMAGES),
        columns=("as much", "elements", "data set", "mean gain %, ours", "gain %, paper", "worst array: %", "best array: %",
                 "instead ADA-GP-MAX gains %"))


def energy_savings(evaluation: PaperEvaluation) -> Table:
    """Means over networks."""
    def row(name: str) -> tuple[Cell, ...]:
        networks, source = evaluation.energies[name].values(), TABLES[name]
        lacks = next(iter(networks))["BASELINE"]["absent"]
        means = [None if what == "total" and "arithmetic" in lacks else
                 100 * fmean(own[design]["saving"][what] for own in networks)
                 for design in ("EFFICIENT", "MAX") for what in ("memory", "total")]
        return name, *means, ", ".join(lacks) or "nothing", source.source

    return Table(name="energy-savings", rows=tuple(map(row, evaluation.energies)), columns=(
        "table", "Efficient: memory %", "Efficient: with arithmetic %", "MAX: memory %", "MAX: with arithmetic %",
        "table lacks", "source"))


def energies(evaluation: PaperEvaluation) -> Table:
    rows = []
    for name, networks in evaluation.energies.items():
        for network, designs in networks.items():
            for design in ("BASELINE", "EFFICIENT", "MAX"):
                own = designs[design]
                memory, arithmetic = (value and value * run_batches() for value in (own["memory"], own["arithmetic"]))
                rows.append((name, TITLES[network], DESIGN_TITLES[design], own["unit"], memory, arithmetic,
                             *(100 * own["saving"][what] if "saving" in own else None for what in ("memory", "total"))))
    return Table(name="figure21", folded=True, rows=tuple(rows), columns=(
        "table", "network", "design", "unit", "memory", "arithmetic", "saving of memory %", "saving in all %"))


def run_batches() -> int:
    """Of 90 epochs of ImageNet."""
    return EPOCHS * batches_of_epoch("imagenet")


def rtl_check(rows: Sequence[dict]) -> Table:
    """Model and RTL of this project's own machine, with deviations of the model."""
    columns = tuple(rows[0])
    return Table(name="rtl-check", columns=(*columns, "cycles: model is off by %", "bytes: model is off by %"), rows=tuple(
        (*(row[column] for column in columns), *(deviation(row, what) for what in ("cycles", "bytes"))) for row in rows))


def deviation(row: dict, what: str) -> float | None:
    """Of the model from the RTL, in % of the RTL's; None where that is 0."""
    model, rtl = row[f"model_{what}"], row[f"rtl_{what}"]
    return 100 * (model - rtl) / rtl if rtl else None


def _published(name: str, rows: dict[str, tuple]) -> Table:
    return Table(name=name, columns=("design", *rows["columns"]), rows=tuple(
        (DESIGN_TITLES[design], *rows[design]) for design in DESIGN_TITLES))


def _design_titles() -> list[str]:
    return [DESIGN_TITLES[design.name] for design in DESIGNS]
