"""The paper's numbers next to ours, and the reasons of paper_published with what was computed filled in."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from statistics import fmean, geometric_mean

from adagp.cost.energy import TABLES
from adagp.cost.grid import network_cost
from adagp.cost.networks import NetworkCost
from adagp.cost.pipelines import Pipeline
from adagp.cost.schedules import Shares
from adagp.spec.config import Design

from .evaluation import SAMPLES
from .paper_evaluation import BATCH, ENERGY_DESIGN, EPOCHS, SHARES, PaperEvaluation, overall, values
from .paper_published import PUBLISHED, REASONS, TITLES, Published

_DATASET_OF = {"transformer": "multi30k", "yolov3": "voc"}
_SMALLER_BATCHES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """``agrees`` if ours is the paper's to the digits that it prints; else ``reason`` says what is known."""

    published: Published
    ours: float
    reason: str

    @property
    def difference(self) -> float:
        return self.ours - self.published.value

    @property
    def agrees(self) -> bool:
        return abs(self.difference) <= self.published.step / 2 + 1e-9


def compare(evaluation: PaperEvaluation) -> list[Comparison]:
    """An entry for every published number."""
    found = values(evaluation)
    comparisons = []
    for claim in PUBLISHED:
        plain = Comparison(published=claim, ours=found[claim.key], reason="")
        if not plain.agrees:
            plain = Comparison(published=claim, ours=plain.ours, reason=explain(evaluation, claim, plain.ours))
        comparisons.append(plain)
    return comparisons


def explain(evaluation: PaperEvaluation, claim: Published, ours: float) -> str:
    """The reason of a claim, "not known" where it has none."""
    if claim.reason is None:
        return "not known"
    facts = _FACTS[claim.reason](evaluation, claim)
    return REASONS[claim.reason].format(paper=f"{claim.value:g}", ours=ours, **facts)


def needed_b(speedup: float, shares: Shares = SHARES) -> float:
    """The backward pass over the forward pass that a speed-up asks for if predictions take no time."""
    return (speedup - 1) / (1 - speedup * (1 - float(shares.gp)))


def _needed_gp(speedup: float, b: float, alpha: float) -> float:
    """The share of batches in Phase GP that gives a speed-up, if the predictor's work is not hidden."""
    bp, gp = 1 + b + 3 * alpha, 1 + alpha
    return (bp - (1 + b) / speedup) / (bp - gp)


def _near_epochs(gp: float) -> int:
    """The length of a run in which the paper's schedule has about that share of Phase GP."""
    return min(range(1, EPOCHS + 1), key=lambda epochs: abs(float(Shares.paper(epochs).gp) - gp))


def _speedup_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    dataset, flow = claim.key.split("/")[1:3]
    results = evaluation.grid.networks[dataset]
    b = {network: result.b[flow] for network, result in results.items()}
    ours = evaluation.grid.speedups(dataset, flow, "MAX")
    limits = {network: float(SHARES.speedup(each)) for network, each in b.items()}
    top, low = max(b, key=b.get), min(b, key=b.get)
    return {
        "flow": flow, "networks": len(b), "below": sum(each < 2 for each in b.values()), "top": TITLES[top], "top_b": b[top],
        "low": TITLES[low], "low_b": b[low], "ceiling": float(SHARES.speedup(2)), "top_limit": limits[top],
        "free": geometric_mean(limits.values()), "needed": needed_b(claim.value),
        "without": geometric_mean(value for network, value in ours.items() if network != top)}


def _classifier_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    cost = evaluation.costs["imagenet", "vgg13"]
    longest = max(range(len(cost.layers)), key=lambda index: cost.layers[index].predict_beside - cost.layers[index].forward)
    layer, shape, alone = cost.layers[longest], cost.work.shapes[longest], evaluation.convolutions
    return {"layer": layer.name, "weights": prod(shape.weight) / 1e6, "ratio": layer.predict_beside / layer.forward,
            "elements": cost.hardware.predictor_array.elements,
            "convolutions": overall(alone) if claim.key == "speedup/mean" else
            alone.geomean(*claim.key.split("/")[1:3], "MAX")}


def _depthwise_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    cost = evaluation.costs[claim.key.split("/")[1], "mobilenetv2"]
    depthwise = [shape.kind == "convolution" and shape.weight[1] == 1 for shape in cost.work.shapes]

    def b(which: bool) -> float:
        layers = [layer for layer, each in zip(cost.layers, depthwise) if each is which]
        return sum(layer.backward for layer in layers) / sum(layer.forward for layer in layers)

    return _speedup_facts(evaluation, claim) | {"depthwise_b": b(True), "other_b": b(False)}


def _pipeline_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    pipeline = Pipeline(claim.key.split("/")[1])
    ours = evaluation.pipeline_speedups(pipeline, Design.MAX)
    free = geometric_mean(gains[pipeline].speedup for gains in evaluation.free_pipelines.values())
    top, steps = max(ours, key=ours.get), evaluation.steps[pipeline].speedup
    others = [value for network, value in ours.items() if network != top]
    mean = claim.key.endswith("mean")
    return {"steps": f"{steps:g}", "top": TITLES[top], "top_b": evaluation.grid.networks["imagenet"][top].b["WS"],
            "without": geometric_mean(others) if mean else max(others), "free": free,
            "loss": 1 - geometric_mean(ours.values()) / free, "paper_loss": 1 - claim.value / steps}


def _run(evaluation: PaperEvaluation, claim: Published) -> tuple[str, str, NetworkCost]:
    network = claim.key.split("/")[1]
    return network, _DATASET_OF[network], evaluation.costs[_DATASET_OF[network], network]


def _length_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    network, dataset, _ = _run(evaluation, claim)
    published = next(each.value for each in PUBLISHED if each.key == f"run/{network}/BASELINE")
    epoch = evaluation.runs[network]["BASELINE"] / EPOCHS
    return {"epochs": EPOCHS, "samples": SAMPLES[dataset], "batch": BATCH, "equal": published / epoch}


def _share_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    _, _, cost = _run(evaluation, claim)
    gp = _needed_gp(claim.value, cost.b, cost.alpha)
    return {"b": cost.b, "alpha": cost.alpha, "gp": gp, "paper_gp": float(SHARES.gp), "near": _near_epochs(gp)}


def _pair_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    network, dataset, cost = _run(evaluation, claim)
    cycles = {each.key.split("/")[2]: each.value for each in PUBLISHED if each.key.startswith(f"run/{network}/")}
    hidden, open_ = (cycles["BASELINE"] / cycles[design] for design in ("MAX", "EFFICIENT"))
    gp = _needed_gp(hidden, cost.b, 0)
    # (1 + b) / speed-up is linear in alpha: 1 + b (1 - gp) + alpha (gp + 3 (1 - gp))
    implied = ((1 + cost.b) / open_ - 1 - cost.b * (1 - gp)) / (3 - 2 * gp)
    alphas = {batch: network_cost(dataset, network, batch=batch).alpha for batch in _SMALLER_BATCHES}
    near = min(alphas, key=lambda batch: abs(alphas[batch] - implied))
    return {"gp": gp, "near": _near_epochs(gp), "implied": implied, "alpha": cost.alpha, "batch": BATCH, "near_batch": near,
            "near_alpha": alphas[near]}


def _shapes_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    _, resource, dataset = claim.key.split("/")
    larger = evaluation.equal[resource]
    best, gain = larger.best(dataset)
    worst = min(larger.baselines, key=lambda size: larger.baselines[size][dataset])
    return {"elements": larger.elements, "best": best, "most": 100 * (gain - 1), "worst": worst,
            "least": 100 * (larger.baselines[worst][dataset] - 1)}


def _energy_facts(evaluation: PaperEvaluation, claim: Published) -> dict:
    means = [100 * fmean(evaluation.energy_savings(table, design).values())
             for table in TABLES for design in (ENERGY_DESIGN, "MAX")]
    return {"gp": float(SHARES.gp), "needed": claim.value / 100 / float(SHARES.gp),
            "saves": fmean(evaluation.phase_saving.values()), "least": min(means), "most": max(means)}


_FACTS: dict[str, Callable[[PaperEvaluation, Published], dict]] = {
    "mean": _speedup_facts, "classifiers": _classifier_facts, "outlier": _speedup_facts, "maximum": _speedup_facts,
    "depthwise": _depthwise_facts, "stages": _pipeline_facts, "stages_mean": _pipeline_facts, "length": _length_facts,
    "share": _share_facts, "pair": _pair_facts, "shapes": _shapes_facts, "energy": _energy_facts}
