"""What training of a network costs on an accelerator: by dataflow and design, over a schedule, on pipelines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import nn

from adagp.cost.dataflows import Dataflow
from adagp.cost.energy import EnergyBreakdown, energy, saving, table
from adagp.cost.grid import DESIGNS
from adagp.cost.hardware import PAPER, Hardware
from adagp.cost.network_work import NetworkWork
from adagp.cost.networks import LayerCost, NetworkCost
from adagp.cost.pipelines import LayerTime, Pipeline, PipelineCost, period
from adagp.cost.predictor_work import Predictor
from adagp.cost.schedules import Shares
from adagp.cost.workloads import layers, workload
from adagp.models import FORMS, build, layer_shapes
from adagp.models.shapes import LayerShape
from adagp.spec.config import Design
from adagp.spec.schedule import Phase

SAMPLES = {"cifar10": 50_000, "cifar100": 50_000, "imagenet": 1_281_167, "multi30k": 29_000, "voc": 16_551}
"""Of an epoch: the usual training sets; Pascal VOC's are those of 2007 and 2012 together."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network and what it is trained on: ``layers`` lists those of a batch of that many samples, ``samples`` make an
    epoch, ``dataset`` is None for a network that the user brought. ``sees_input`` as in NetworkWork.of."""

    network: str
    dataset: str | None
    samples: int
    layers: Callable[[int], Sequence[LayerShape]]
    sees_input: Sequence[int] = (0,)

    @property
    def title(self) -> str:
        return self.network if self.dataset is None else f"{self.network} on {self.dataset}"


def named_subject(network: str, dataset: str, samples: int | None = None) -> Subject:
    """A network of adagp.models on a data set of the paper; ValueError."""
    of = workload(dataset)
    fitting = [name for name, forms in FORMS.items() if of.form in forms]
    if network not in fitting:
        raise ValueError(f"network on {dataset} must be one of {', '.join(fitting)}, not {network!r}")

    def traced(batch: int) -> Sequence[LayerShape]:
        if network in of.networks:
            return layers(dataset, network, batch)
        with torch.device("meta"):  # others than the paper's are not kept
            model = build(network, form=of.form, classes=of.classes)
            return layer_shapes(model, torch.empty(batch, 3, *[of.extent_of(network)] * 2))

    return Subject(network=network, dataset=dataset, samples=SAMPLES[dataset] if samples is None else samples,
                   layers=traced, sees_input=of.sees_input)


def own_subject(name: str, model: nn.Module, inputs: Sequence[tuple[torch.dtype, tuple[int, ...]]], samples: int) -> Subject:
    """A model that the user brought; ``inputs`` are type and shape, without the batch, of what its forward pass
    takes. The first layer sees the first of them, unless these are integers that it embeds."""
    def traced(batch: int) -> Sequence[LayerShape]:
        tensors = [torch.empty(batch, *shape, dtype=kind, device="meta") for kind, shape in inputs]
        try:
            return layer_shapes(model, *tensors)
        except Exception as error:  # a model may raise anything for inputs that do not fit
            shapes = " and ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise ValueError(f"model cannot take inputs of the shape {shapes}: {str(error).splitlines()[0]}") from error

    return Subject(network=name, dataset=None, samples=samples, layers=traced,
                   sees_input=(0,) if inputs[0][0].is_floating_point else ())


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of every subject. ``shares`` are of the run's batches, ``energy`` names a table or is None."""

    shares: Shares
    batch: int = 128
    epochs: int = 90
    hardware: Hardware = PAPER
    predictor: Predictor = Predictor()
    dataflows: Sequence[Dataflow] = (Dataflow.WEIGHT_STATIONARY,)
    designs: Sequence[Design] = DESIGNS
    energy: str | None = None
    pipelines: Sequence[Pipeline] = ()
    devices: int = 4
    micro_batches: int = 4


@dataclass(frozen=True, kw_only=True)
class PipelineGain:
    """Speed-up over the same pipeline without a predictor: of a batch of Phase GP and one of Phase BP together, and of
    the schedule."""

    pair: float
    schedule: float


@dataclass(frozen=True, kw_only=True)
class DesignCost:
    """Cycles of a batch by phase, and of all batches; of the energy of a batch, on average over the schedule, what is
    saved. The baseline has no speed-up, saving and pipelines."""

    cycles: dict[Phase, int]
    run_cycles: float
    speedup: float | None
    energy: EnergyBreakdown | None
    saving: dict[str, float | None] | None
    pipelines: dict[Pipeline, PipelineGain]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Of one network with one dataflow."""

    subject: Subject
    dataflow: Dataflow
    batches: int
    b: float
    alpha: float
    layers: tuple[LayerCost, ...]
    designs: dict[Design, DesignCost]


def evaluate(subject: Subject, question: Question) -> list[Evaluation]:
    """With each dataflow. ValueError for what has no mapping."""
    work = NetworkWork.of(subject.layers(question.batch), question.predictor, subject.sees_input)
    return [_evaluate(subject, question, NetworkCost(work, question.hardware, dataflow)) for dataflow in question.dataflows]


def _evaluate(subject: Subject, question: Question, cost: NetworkCost) -> Evaluation:
    batches = ceil(subject.samples / question.batch) * question.epochs
    pipelines = _pipelines(subject, question, cost.dataflow)
    source = table(question.energy) if question.energy is not None else None
    spent = {design: energy(cost.mean_traffic(design, question.shares), source) if source else None
             for design in (Design.BASELINE, *question.designs)}

    def of(design: Design) -> DesignCost:
        plain = design is Design.BASELINE
        return DesignCost(
            cycles={phase: cost.batch_cycles(design, phase) for phase in ((Phase.BP,) if plain else (Phase.BP, Phase.GP))},
            run_cycles=batches * cost.mean_cycles(design, question.shares),
            speedup=None if plain else cost.speedup(design, question.shares), energy=spent[design],
            saving=None if plain or not source else saving(spent[design], spent[Design.BASELINE]),
            pipelines={} if plain else {pipeline: gains[design] for pipeline, gains in pipelines.items()})

    return Evaluation(subject=subject, dataflow=cost.dataflow, batches=batches, b=cost.b, alpha=cost.alpha,
                      layers=cost.layers, designs={design: of(design) for design in spent})


def _pipelines(subject: Subject, question: Question, dataflow: Dataflow) -> dict[Pipeline, dict[Design, PipelineGain]]:
    if not question.pipelines:
        return {}
    if question.batch % question.micro_batches:
        raise ValueError(f"batch must be a multiple of the micro-batches, {question.micro_batches}, not {question.batch}")
    micro = NetworkWork.of(subject.layers(question.batch // question.micro_batches), question.predictor, subject.sees_input)
    return pipeline_gains(NetworkCost(micro, question.hardware, dataflow), question.shares, designs=question.designs,
                          pipelines=question.pipelines, devices=question.devices, micro_batches=question.micro_batches)


def pipeline_gains(cost: NetworkCost, shares: Shares, *, designs: Sequence[Design] = DESIGNS,
                   pipelines: Sequence[Pipeline] = tuple(Pipeline), devices: int = 4,
                   micro_batches: int = 4) -> dict[Pipeline, dict[Design, PipelineGain]]:
    """``cost`` is of a micro-batch. A batch of Phase GP counts by what it adds to one of Phase BP that follows, which is
    within 0.1 % of running the whole schedule."""
    def gain(pipeline: Pipeline, design: Design) -> PipelineGain:
        times, size = layer_times(cost, design), {"devices": devices, "micro_batches": micro_batches}
        costs, plain = (PipelineCost.of(times, devices, each) for each in (design, Design.BASELINE))
        batch, bp = (period(pipeline, [Phase.BP], costs=each, **size) for each in (plain, costs))
        pair = period(pipeline, [Phase.GP, Phase.BP], costs=costs, **size)
        mean = shares.mean(lambda phase: pair - bp if phase is Phase.GP else bp)
        return PipelineGain(pair=2 * batch / pair, schedule=float(batch / mean))

    for pipeline in pipelines:
        pipeline.check(devices, micro_batches)
    return {pipeline: {design: gain(pipeline, design) for design in designs} for pipeline in pipelines}


def layer_times(cost: NetworkCost, design: Design, *, free: bool = False) -> list[LayerTime]:
    """Of the layers of ``cost``, which is of a micro-batch; with ``free`` predictions take no time."""
    def predictor(layer: LayerCost) -> tuple[int, int]:
        if free:
            return 0, 0
        if design.has_predictor_array:
            return layer.predict_beside, layer.train_beside
        loads = design is Design.LOW
        return layer.predict + loads * layer.load_predict, layer.train + loads * layer.load_train

    return [LayerTime(forward=layer.forward, backward=layer.backward, prediction=predict, training=train)
            for layer, (predict, train) in ((layer, predictor(layer)) for layer in cost.layers)]
