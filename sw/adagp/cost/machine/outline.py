"""What training a whole network costs on this project's machine, estimated without compiling it.

The instructions are those that the compiler would issue, but they are not ordered, and of loops whose steps are alike
only some steps are looked at; :mod:`.timeline` says when they would run. So the time that this takes hardly depends on
batch and image size. Bytes are those of the counters, except that the steps of a loop are taken to lie alike to the
bus: they do where rows of tensors and of the array are whole beats.

On design MAX the main thread is timed by itself. Then each layer's work of the predictor takes what time the engines
have left, once the layer's own is done and the predictor's former work too, and no less than it takes alone; where the
main thread reads what is not there yet, all that follows is later.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from adagp.compiler import SGD, Adam, FeedbackConfig, PredictorConfig, Purpose
from adagp.compiler.ordering import MAIN, SIDE
from adagp.compiler.training import Prepared, Sequence, prepare
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import INSTRUCTION_BYTES, Engine
from adagp.spec.schedule import Phase

from ..schedules import Shares
from .memory import ExternalMemory
from .regions import Tensors
from .timeline import Timeline, Work


@dataclass(frozen=True, kw_only=True)
class WorkEstimate:
    """What a layer's work of one kind costs. ``cycles`` are those by which it makes the program longer, or with
    ``beside``, as the predictor's on its own array, those that it takes alone. ``busy`` are cycles by engine."""

    cycles: float
    busy: Mapping[Engine, float]
    instructions: int
    bytes_read: int
    bytes_written: int
    beside: bool = False


@dataclass(frozen=True, kw_only=True)
class PhaseEstimate:
    """A batch: cycles, and bytes as the counters BYTES_READ, BYTES_FETCHED and BYTES_WRITTEN. The cycles of ``works`` that
    are not beside, and the ``exposed`` ones of those that are, add up to ``cycles``."""

    cycles: float
    works: Mapping[Purpose, WorkEstimate]

    @property
    def bytes_read(self) -> int:
        return sum(work.bytes_read for work in self.works.values())

    @property
    def bytes_fetched(self) -> int:
        return INSTRUCTION_BYTES * (self.instructions + 1)

    @property
    def bytes_written(self) -> int:
        return sum(work.bytes_written for work in self.works.values())

    @property
    def instructions(self) -> int:
        """``End`` left out."""
        return sum(work.instructions for work in self.works.values())

    @property
    def exposed(self) -> float:
        """Cycles that the work beside adds to those of the rest."""
        return self.cycles - sum(work.cycles for work in self.works.values() if not work.beside)

    @property
    def layers(self) -> dict[str, dict[str, WorkEstimate]]:
        """``works`` by layer and kind."""
        layers: dict[str, dict[str, WorkEstimate]] = {}
        for purpose, work in self.works.items():
            layers.setdefault(purpose.layer, {})[purpose.work] = work
        return layers


@dataclass(frozen=True, kw_only=True)
class MachineNetworkCost:
    """Of a network on a machine, by phase; the baseline has no Phase GP."""

    config: AcceleratorConfig
    batch: int
    phases: Mapping[Phase, PhaseEstimate]

    def mean_cycles(self, shares: Shares) -> float:
        """Of a batch, on average over a schedule. The baseline does back-propagation whatever the schedule."""
        if self.config.design is Design.BASELINE:
            return self.phases[Phase.BP].cycles
        return float(shares.mean(lambda phase: self.phases[phase].cycles))

    def speedup(self, baseline: "MachineNetworkCost", shares: Shares) -> float:
        """Over the same network and batch on ``baseline``, a machine of that design."""
        if baseline.config.design is not Design.BASELINE or baseline.batch != self.batch:
            raise ValueError(f"baseline must be of design BASELINE with a batch of {self.batch}, not of "
                             f"{baseline.config.design.name} with {baseline.batch}")
        return baseline.mean_cycles(shares) / self.mean_cycles(shares)


def network_cost(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...],
                 predictor: PredictorConfig | FeedbackConfig = PredictorConfig(),
                 memory: ExternalMemory = ExternalMemory()) -> MachineNetworkCost:
    """Estimates all phases of the training of ``model``, which is as :func:`adagp.compiler.compile_training` takes it.
    CompileError for what the machine has no mapping for."""
    prepared = prepare(model, config, batch=batch, input_shape=input_shape, optimizer=SGD(lr=0.01), predictor=predictor,
                       predictor_optimizer=Adam())
    estimates = {sequence: _phase(prepared, sequence, config, memory) for sequence in dict.fromkeys(prepared.sequences.values())}
    return MachineNetworkCost(config=config, batch=batch, phases={
        phase: estimates[sequence] for phase, sequence in prepared.sequences.items()})


def _phase(prepared: Prepared, sequence: Sequence, config: AcceleratorConfig, memory: ExternalMemory) -> PhaseEstimate:
    main = _timed(prepared, sequence, config, memory, MAIN)
    if not sequence.beside:
        return PhaseEstimate(cycles=main.end, works=_works(main, config))
    side = _timed(prepared, sequence, config, memory, SIDE)
    return PhaseEstimate(cycles=_together(main, side), works=_works(main, config) | _works(side, config, beside=True))


def _timed(prepared: Prepared, sequence: Sequence, config: AcceleratorConfig, memory: ExternalMemory, thread: int) -> Timeline:
    timeline = Timeline(config, memory, thread, (Tensors(prepared.placement.layout), Tensors(prepared.residence.layout)))
    sequence.emit_into(timeline)
    return timeline


def _works(timeline: Timeline, config: AcceleratorConfig, beside: bool = False) -> dict[Purpose, WorkEstimate]:
    bus, first = config.bus_bytes, 0.0 if beside else timeline.begin_of_program
    works = {}
    for purpose, work in timeline.works.items():  # what comes before the first work belongs to it
        works[purpose] = WorkEstimate(
            cycles=work.cycles + first, busy=dict(zip(Engine, work.busy)), instructions=work.instructions,
            bytes_read=bus * work.beats_read, bytes_written=bus * work.beats_written, beside=beside)
        first = 0.0
    return works


def _together(main: Timeline, side: Timeline) -> float:
    """Cycles of both; uses up what the engines of ``main`` have left."""
    ready = [*main.ends, main.end]  # by position: when all until then is done
    late = done = 0.0
    for position, work in _by_layer(side):
        begin = max(ready[position] + late, done)
        done = max([begin + work.cycles, *(main.engines[engine].take_parts(begin, busy)[1]
                                           for engine, busy in zip(Engine, work.busy) if busy)])
        for tensor, written in side.writes.items():
            if position in written:
                needed = [cycle for read, cycle in main.reads.get(tensor, {}).items() if read > position]
                late = max(late, done - min(needed, default=done))
    return max(main.end + late, done)


def _by_layer(side: Timeline) -> list[tuple[int, Work]]:
    """Positions and works of the predictor, those for the same layer at the same position as one."""
    joined: dict[tuple[str, int], Work] = {}
    for purpose, work in side.works.items():
        joined.setdefault((purpose.layer, work.position), Work(work.position)).add(work)
    return [(position, work) for (_, position), work in joined.items()]
