"""The paper's evaluation: networks × data sets × dataflows × designs (sections 6.3, 6.4 and 6.6)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import geometric_mean
from time import process_time

from adagp.spec.config import Design

from .array_size import ArraySize
from .dataflows import Dataflow
from .energy import energy, saving, table
from .hardware import PAPER, Hardware
from .network_work import NetworkWork
from .networks import NetworkCost
from .predictor_work import Predictor
from .schedules import Shares
from .workloads import DATASETS, layers, workload

DESIGNS = Design.LOW, Design.EFFICIENT, Design.MAX
"""Those that a speed-up over the baseline is told of."""


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """``speedups`` by dataflow and design, ``b`` and ``alpha`` by dataflow. ``seconds`` of processor time it took to
    build the network, trace it and evaluate it; some that the same process traced before are not traced again."""

    speedups: dict[str, dict[str, float]]
    b: dict[str, float]
    alpha: dict[str, float]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Grid:
    """``networks`` by dataset and name. Dataflows and designs are keys as "WS" and "MAX"."""

    networks: dict[str, dict[str, NetworkResult]]

    def speedups(self, dataset: str, dataflow: str, design: str) -> dict[str, float]:
        """By network."""
        return {name: result.speedups[dataflow][design] for name, result in self.networks[dataset].items()}

    def geomean(self, dataset: str, dataflow: str, design: str) -> float:
        """Of the speed-ups of all networks."""
        return geometric_mean(self.speedups(dataset, dataflow, design).values())

    def maximum(self, dataset: str, dataflow: str, design: str) -> float:
        """The largest speed-up of a network."""
        return max(self.speedups(dataset, dataflow, design).values())

    def as_dict(self) -> dict:
        """For JSON: "speedups" by dataset, dataflow, design and network, with their "geomean" and "maximum"; "b" and
        "alpha" by dataset, dataflow and network."""
        tables = {"speedups": self.speedups, "geomean": self.geomean, "maximum": self.maximum}
        return {name: {dataset: {flow: {design: table(dataset, flow, design) for design in designs}
                                 for flow, designs in next(iter(results.values())).speedups.items()}
                       for dataset, results in self.networks.items()} for name, table in tables.items()} | {
            name: {dataset: {flow: {network: getattr(result, name)[flow] for network, result in results.items()}
                             for flow in next(iter(results.values())).b}
                   for dataset, results in self.networks.items()} for name in ("b", "alpha")}


def grid(*, datasets: Sequence[str] = tuple(DATASETS), dataflows: Sequence[Dataflow] = tuple(Dataflow),
         designs: Sequence[Design] = DESIGNS, hardware: Hardware = PAPER, batch: int = 128,
         shares: Shares = Shares.paper(), predictor: Predictor = Predictor()) -> Grid:
    """Every network of every data set with every dataflow and design."""
    def evaluate(dataset: str, network: str) -> NetworkResult:
        began = process_time()
        work = network_work(dataset, network, batch, predictor)
        costs = {flow.value: NetworkCost(work, hardware, flow) for flow in map(Dataflow, dataflows)}
        return NetworkResult(
            speedups={flow: {design.name: cost.speedup(design, shares) for design in designs}
                      for flow, cost in costs.items()},
            b={flow: cost.b for flow, cost in costs.items()}, alpha={flow: cost.alpha for flow, cost in costs.items()},
            seconds=process_time() - began)

    return Grid(networks={dataset: {network: evaluate(dataset, network) for network in workload(dataset).networks}
                          for dataset in datasets})


def network_work(dataset: str, network: str, batch: int = 128, predictor: Predictor = Predictor()) -> NetworkWork:
    """A network of a data set, lowered."""
    return NetworkWork.of(layers(dataset, network, batch), predictor, workload(dataset).sees_input)


def network_cost(dataset: str, network: str, *, dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY, hardware: Hardware = PAPER,
                 batch: int = 128, predictor: Predictor = Predictor()) -> NetworkCost:
    """A network of a data set on a hardware."""
    return NetworkCost(network_work(dataset, network, batch, predictor), hardware, dataflow)


def energy_grid(*, table_name: str, dataset: str = "imagenet", dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY,
                designs: Sequence[Design] = DESIGNS, hardware: Hardware = PAPER, batch: int = 128,
                shares: Shares = Shares.paper(), predictor: Predictor = Predictor()) -> dict[str, dict[str, dict]]:
    """By network and design, "BASELINE" among them: the energy of a batch, on average over the schedule, as
    EnergyBreakdown.as_dict gives it, and for the others what they save of the baseline's (figure 21)."""
    source, energies = table(table_name), {}
    for network in workload(dataset).networks:
        cost = network_cost(dataset, network, dataflow=dataflow, hardware=hardware, batch=batch, predictor=predictor)
        spent = {design: energy(cost.mean_traffic(design, shares), source) for design in (Design.BASELINE, *designs)}
        energies[network] = {"BASELINE": spent[Design.BASELINE].as_dict()} | {
            design.name: spent[design].as_dict() | {"saving": saving(spent[design], spent[Design.BASELINE])}
            for design in designs}
    return energies


@dataclass(frozen=True, kw_only=True)
class EqualResources:
    """What a baseline with more elements would gain instead of ADA-GP, as geometric means over networks.

    ``baselines`` are speed-ups over the baseline with the array of ``hardware``, by array shape and dataset;
    ``designs`` those of the designs with that array, by design and dataset."""

    elements: int
    baselines: dict[ArraySize, dict[str, float]]
    designs: dict[str, dict[str, float]]

    def mean(self, dataset: str) -> float:
        """Of the array shapes."""
        return geometric_mean(speedups[dataset] for speedups in self.baselines.values())

    def best(self, dataset: str) -> tuple[ArraySize, float]:
        """The array shape that gains most, and its speed-up."""
        size = max(self.baselines, key=lambda size: self.baselines[size][dataset])
        return size, self.baselines[size][dataset]

    def as_dict(self) -> dict:
        return {"elements": self.elements, "designs": self.designs,
                "baselines": {str(size): speedups for size, speedups in self.baselines.items()}}


def equal_resources(extra: float, *, datasets: Sequence[str] = ("cifar10", "cifar100", "imagenet"),
                    dataflow: Dataflow = Dataflow.WEIGHT_STATIONARY, designs: Sequence[Design] = DESIGNS,
                    hardware: Hardware = PAPER, batch: int = 128, shares: Shares = Shares.paper(),
                    predictor: Predictor = Predictor()) -> EqualResources:
    """Compares ADA-GP with a baseline of a share ``extra`` of elements more, in all :func:`near_shapes` (section 6.6.1: 10 %
    for the power of design MAX, 11 % for its area)."""
    if not 0 < extra <= 1:
        raise ValueError(f"extra must be a share above 0 and at most 1, not {extra!r}")
    elements = round(hardware.array.elements * (1 + extra))
    larger = {size: {} for size in near_shapes(elements)}
    gains = {design.name: {} for design in designs}
    for dataset in datasets:
        costs = [NetworkCost(network_work(dataset, network, batch, predictor), hardware, dataflow)
                 for network in workload(dataset).networks]
        for size in larger:
            larger[size][dataset] = geometric_mean(
                cost.mean_cycles(Design.BASELINE, shares) / cost.on(replace(hardware, array=size)).mean_cycles(
                    Design.BASELINE, shares) for cost in costs)
        for design in designs:
            gains[design.name][dataset] = geometric_mean(cost.speedup(design, shares) for cost in costs)
    return EqualResources(elements=elements, baselines=larger, designs=gains)


def near_shapes(elements: int, *, unused: float = 0.025, most_oblong: float = 2.0) -> tuple[ArraySize, ...]:
    """All arrays of at most ``elements``, and at most a share ``unused`` fewer, whose longer side is at most
    ``most_oblong`` times the shorter one."""
    if not isinstance(elements, int) or elements < 1:
        raise ValueError(f"elements must be an integer of at least 1, not {elements!r}")
    return tuple(ArraySize(rows=rows, columns=columns) for rows in range(1, elements + 1)
                 for columns in range(1, elements // rows + 1)
                 if rows * columns >= elements * (1 - unused)
                 and max(rows, columns) <= most_oblong * min(rows, columns))
