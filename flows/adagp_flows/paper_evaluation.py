"""Everything of the paper's evaluation that can be computed, computed."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from statistics import fmean, geometric_mean

import numpy as np

from adagp.cost.dataflows import Dataflow
from adagp.cost.energy import TABLES
from adagp.cost.grid import DESIGNS, EqualResources, Grid, energy_grid, equal_resources, grid, network_cost
from adagp.cost.networks import NetworkCost
from adagp.cost.pipelines import Pipeline, PipelineSpeedup, network_speedups, paper_speedups
from adagp.cost.predictor_work import Predictor
from adagp.cost.schedules import Shares
from adagp.cost.workloads import CLASSIFIERS
from adagp.spec.config import Design
from adagp.spec.schedule import Phase

from .evaluation import SAMPLES, layer_times
from .paper_published import EXTRA_ELEMENTS

BATCH, EPOCHS, DEVICES = 128, 90, 4
IMAGES = "cifar10", "cifar100", "imagenet"
ENERGY_TABLE, ENERGY_DESIGN = "horowitz-low", "EFFICIENT"
"""What the paper's average of energy is compared with: joules, with external memory."""

SHARES = Shares.paper(EPOCHS)


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """Of one layer of VGG13 over all epochs (figure 16)."""

    name: str
    baseline: float
    warmup: float
    bp: float
    gp: float


@dataclass(frozen=True, kw_only=True)
class PaperEvaluation:
    """``convolutions`` is the grid of images if only convolutions are predicted. ``steps`` are the paper's pipelines,
    ``pipelines`` those of networks of ImageNet, ``free_pipelines`` on design MAX if its predictor took no time.
    ``energies`` by table, network and design are as energy_grid gives them, of a batch;
    ``phase_saving`` is the share of the memory energy of a batch of back-propagation that one of Phase GP does not
    spend, by network. ``runs`` are cycles of the whole training, by network and design; ``equal`` is by resource."""

    grid: Grid
    convolutions: Grid
    costs: dict[tuple[str, str], NetworkCost]
    layers: tuple[LayerCycles, ...]
    steps: dict[Pipeline, PipelineSpeedup]
    pipelines: dict[str, dict[Pipeline, dict[Design, PipelineSpeedup]]]
    free_pipelines: dict[str, dict[Pipeline, PipelineSpeedup]]
    energies: dict[str, dict[str, dict[str, dict]]]
    phase_saving: dict[str, float]
    equal: dict[str, EqualResources]
    runs: dict[str, dict[str, float]]

    def pipeline_speedups(self, pipeline: Pipeline, design: Design) -> dict[str, float]:
        """Of a batch of Phase GP and one of Phase BP together, by network."""
        return {network: gains[pipeline][design].speedup for network, gains in self.pipelines.items()}

    def energy_savings(self, table: str, design: str) -> dict[str, float]:
        """Of memory energy, by network."""
        return {network: designs[design]["saving"]["memory"] for network, designs in self.energies[table].items()}


def batches_of_epoch(dataset: str) -> int:
    return ceil(SAMPLES[dataset] / BATCH)


def evaluate(progress: Callable[[str], None]) -> PaperEvaluation:
    """Some tens of seconds; ``progress`` is told what comes next."""
    progress("networks, data sets, dataflows and designs")
    speedups = grid(batch=BATCH, shares=SHARES)
    convolutions = grid(datasets=IMAGES, batch=BATCH, shares=SHARES, predictor=Predictor(kinds=("convolution",)))
    costs = {(dataset, network): network_cost(dataset, network, batch=BATCH) for dataset, network in (
        ("imagenet", "vgg13"), ("imagenet", "mobilenetv2"), ("cifar10", "mobilenetv2"), ("cifar100", "mobilenetv2"),
        ("multi30k", "transformer"), ("voc", "yolov3"))}
    progress("pipelines of four devices")
    pipelines, free = {}, {}
    for network in CLASSIFIERS:
        micro = network_cost("imagenet", network, batch=BATCH // DEVICES)
        pipelines[network] = network_speedups({design: layer_times(micro, design) for design in DESIGNS}, devices=DEVICES,
                                              micro_batches=DEVICES)
        unpredicted = network_speedups({Design.MAX: layer_times(micro, Design.MAX, free=True)}, devices=DEVICES,
                                       micro_batches=DEVICES)
        free[network] = {pipeline: gains[Design.MAX] for pipeline, gains in unpredicted.items()}
    progress("energy by every table")
    energies = {name: energy_grid(table_name=name, batch=BATCH, shares=SHARES) for name in TABLES}
    only_gp = energy_grid(table_name=ENERGY_TABLE, batch=BATCH, shares=Shares(warmup=0, bp=0, gp=1))
    progress("baselines with more elements")
    equal = {resource: equal_resources(extra, batch=BATCH, shares=SHARES) for resource, extra in EXTRA_ELEMENTS.items()}
    return PaperEvaluation(
        grid=speedups, convolutions=convolutions, costs=costs, layers=_layer_cycles(costs["imagenet", "vgg13"]),
        steps=paper_speedups(devices=DEVICES, micro_batches=DEVICES),
        pipelines=pipelines, free_pipelines=free, energies=energies, equal=equal,
        phase_saving={network: designs[ENERGY_DESIGN]["saving"]["memory"] for network, designs in only_gp.items()},
        runs={network: {design.name: EPOCHS * batches_of_epoch(dataset) * costs[dataset, network].mean_cycles(design, SHARES)
                        for design in (Design.BASELINE, *DESIGNS)}
              for dataset, network in (("multi30k", "transformer"), ("voc", "yolov3"))})


def _layer_cycles(cost: NetworkCost) -> tuple[LayerCycles, ...]:
    batches = EPOCHS * batches_of_epoch("imagenet")
    design = Design.EFFICIENT

    def spent(phase: Phase, share: float) -> np.ndarray:
        return cost.layer_cycles(design, phase) * (batches * float(share))

    rows = zip(cost.layers, cost.layer_cycles(Design.BASELINE, Phase.BP) * float(batches), spent(Phase.WARMUP, SHARES.warmup),
               spent(Phase.BP, SHARES.bp), spent(Phase.GP, SHARES.gp), strict=True)
    return tuple(LayerCycles(name=layer.name, baseline=float(baseline), warmup=float(warmup), bp=float(bp), gp=float(gp))
                 for layer, baseline, warmup, bp, gp in rows)


def overall(speedups: Grid) -> float:
    """Of ADA-GP-MAX, weight stationary, over networks and the data sets of images."""
    return geometric_mean(speedups.geomean(dataset, "WS", "MAX") for dataset in IMAGES)


def values(evaluation: PaperEvaluation) -> dict[str, float]:
    """What is compared with the numbers of paper_published, by their keys."""
    speedups = evaluation.grid
    found = {"pair/speedup": float(Shares(warmup=0, bp=0.5, gp=0.5).speedup(2)),
             "speedup/mean": overall(speedups),
             "energy/mean": 100 * fmean(evaluation.energy_savings(ENERGY_TABLE, ENERGY_DESIGN).values())}
    for dataset in IMAGES:
        for flow in Dataflow:
            found[f"speedup/{dataset}/{flow.value}/mean"] = speedups.geomean(dataset, flow.value, "MAX")
            found[f"speedup/{dataset}/{flow.value}/maximum"] = speedups.maximum(dataset, flow.value, "MAX")
        for resource, larger in evaluation.equal.items():
            found[f"equal/{resource}/{dataset}"] = 100 * (larger.mean(dataset) - 1)
    for pipeline, steps in evaluation.steps.items():
        own = evaluation.pipeline_speedups(pipeline, Design.MAX).values()
        found |= {f"pipeline/{pipeline.value}/{name}": value for name, value in (
            ("baseline", steps.baseline_steps), ("pair", steps.pair_steps), ("steps", steps.speedup),
            ("maximum", max(own)), ("mean", geometric_mean(own)))}
    for network, cycles in evaluation.runs.items():
        for design, count in cycles.items():
            found[f"run/{network}/{design}"] = count
            found[f"speedup/{network}/{design}"] = cycles["BASELINE"] / count
    return found
