"""What training a network costs on this project's own machine, from its compiled programs or an estimate of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from torch import nn

from adagp.compiler import PredictorConfig, compile_training
from adagp.cost.machine import ExternalMemory, PhaseEstimate, WorkCost, by_work, network_cost, training_cost
from adagp.cost.schedules import Shares
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.schedule import Phase

PHASES = {Phase.EVALUATE: "evaluation", Phase.BP: "warm-up, Phase BP", Phase.GP: "Phase GP"}
"""What they are called."""
NOT_HIDDEN = "", "predictor, not hidden"


@dataclass(frozen=True, kw_only=True)
class PhaseCost:
    """A batch: cycles, bytes over the bus (those of the program are fetched), and by (layer, work) what they are for. Work
    beside that of the main array has no cycles but those ``NOT_HIDDEN``."""

    cycles: int
    bytes_read: int
    bytes_fetched: int
    bytes_written: int
    work: Mapping[tuple[str, str], WorkCost]


@dataclass(frozen=True, kw_only=True)
class MachineEvaluation:
    """Of a network, by design and phase; the baseline has no Phase GP. ``shares`` are of the run's batches."""

    config: AcceleratorConfig
    memory: ExternalMemory
    batch: int
    shares: Shares
    designs: Mapping[Design, Mapping[Phase, PhaseCost]]
    estimated: bool

    def mean_cycles(self, design: Design) -> float:
        """Of a batch of the run."""
        return mean(self.designs[design], self.shares, lambda phase: phase.cycles)

    def speedup(self, design: Design) -> float:
        """Over the baseline."""
        return self.mean_cycles(Design.BASELINE) / self.mean_cycles(design)


def phases(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...],
           predictor: PredictorConfig = PredictorConfig(), memory: ExternalMemory = ExternalMemory(),
           progress: Callable[[str], None] = lambda text: None, estimated: bool = False) -> dict[Phase, PhaseCost]:
    """Compiles ``model`` and follows its programs instruction by instruction, or with ``estimated`` does neither.
    CompileError for what the machine has no mapping for."""
    design = config.design.name.lower()
    if estimated:
        progress(f"{design}: estimates")
        network = network_cost(model, config, batch=batch, input_shape=input_shape, predictor=predictor, memory=memory)
        return {phase: _estimate(network.phases[phase]) for phase in PHASES if phase in network.phases}
    progress(f"{design}: compiles")
    training = compile_training(model, config, batch=batch, input_shape=input_shape, predictor=predictor)
    found = {}
    for phase in filter(training.programs.__contains__, PHASES):
        progress(f"{design}: {PHASES[phase]}, {len(training.purposes[phase]):,} instructions")
        cost = training_cost(training, phase, memory=memory)
        work = by_work(cost, training.purposes[phase])
        found[phase] = PhaseCost(
            cycles=cost.cycles, bytes_read=cost.bytes_read, bytes_fetched=cost.bytes_fetched, bytes_written=cost.bytes_written,
            work={(each.layer, each.work): share for each, share in work.items()})
    return found


def _estimate(phase: PhaseEstimate) -> PhaseCost:
    work = {(purpose.layer, purpose.work): WorkCost(cycles=0 if each.beside else round(each.cycles), bytes_read=each.bytes_read,
                                                    bytes_written=each.bytes_written) for purpose, each in phase.works.items()}
    return PhaseCost(cycles=round(phase.cycles), bytes_read=phase.bytes_read, bytes_fetched=phase.bytes_fetched,
                     bytes_written=phase.bytes_written, work=work | {NOT_HIDDEN: WorkCost(cycles=round(phase.exposed))})


def evaluate(model: nn.Module, config: AcceleratorConfig, *, shares: Shares, batch: int,
             memory: ExternalMemory = ExternalMemory(), designs: Sequence[Design] = tuple(Design), estimated: bool = False,
             **options) -> MachineEvaluation:
    """With each design, the baseline among them; ``options`` as of :func:`phases`."""
    return MachineEvaluation(config=config, memory=memory, batch=batch, shares=shares, estimated=estimated, designs={
        design: phases(model, config.with_design(design), batch=batch, memory=memory, estimated=estimated, **options)
        for design in dict.fromkeys((Design.BASELINE, *designs))})


def mean(phases: Mapping[Phase, PhaseCost], shares: Shares, cost: Callable[[PhaseCost], float]) -> float:
    """Of a batch of the run; a design without Phase GP spends its share on Phase BP."""
    return float(shares.mean(lambda phase: cost(phases[Phase.GP if phase is Phase.GP and Phase.GP in phases else Phase.BP])))


_FACTS = {"cycles": "cycles", "bytes read": "bytes_read", "bytes of the program": "bytes_fetched", "bytes written": "bytes_written"}


def text(title: str, evaluation: MachineEvaluation, *, layers: bool = False) -> str:
    """A table with a column for each design, and with ``layers`` what each layer's work of each phase takes."""
    config, shares = evaluation.config, evaluation.shares
    lines = [f"{title} on the {config.rows}×{config.columns} machine, bus of {config.bus_bits} bits, memory of "
             f"{evaluation.memory.latency} cycles, batch of {evaluation.batch}{', estimated' if evaluation.estimated else ''}",
             f"of all batches warm-up {float(shares.warmup):.1%}, Phase BP {float(shares.bp):.1%}, Phase GP {float(shares.gp):.1%}", ""]
    designs = evaluation.designs
    rows = [["", *(design.name.lower() for design in designs)]]
    for phase, called in PHASES.items():
        for fact, name in _FACTS.items():
            rows.append([f"{called}: {fact}", *(f"{getattr(phases[phase], name):,}" if phase in phases else "–"
                                                    for phases in designs.values())])
    rows.append(["speed-up", *(f"{evaluation.speedup(design):.3f}" for design in designs)])
    lines.append(_aligned(rows))
    if layers:
        for phase, called in PHASES.items():
            lines += ["", f"{called}: cycles", _aligned(_layer_rows(evaluation, phase))]
    return "\n".join(lines)


def _layer_rows(evaluation: MachineEvaluation, phase: Phase) -> list[list[str]]:
    designs = {design: phases[phase].work for design, phases in evaluation.designs.items() if phase in phases}
    keys = dict.fromkeys(key for work in designs.values() for key, cost in work.items() if cost.cycles)
    none = WorkCost()
    return [["layer, work", *(design.name.lower() for design in designs)], *(
        [f"{layer} {kind}".strip(), *(f"{work.get((layer, kind), none).cycles:,}" for work in designs.values())]
        for layer, kind in keys)]


def _aligned(cells: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.rjust(width) if column else cell.ljust(width)
                               for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells)


def as_json(title: str, evaluation: MachineEvaluation) -> dict:
    return {
        "network": title, "estimated": evaluation.estimated, "batch": evaluation.batch, "memory": asdict(evaluation.memory),
        "machine": {name: getattr(evaluation.config, name) for name in ("rows", "columns", "bus_bits")},
        "shares": {name: float(getattr(evaluation.shares, name)) for name in ("warmup", "bp", "gp")},
        "designs": {design.name: {"speedup": evaluation.speedup(design), "phases": {
            phase.name: {name: getattr(cost, name) for name in _FACTS.values()} | {"work": [
                {"layer": layer, "work": kind} | asdict(each) for (layer, kind), each in cost.work.items()]}
            for phase, cost in phases.items()}} for design, phases in evaluation.designs.items()}}
