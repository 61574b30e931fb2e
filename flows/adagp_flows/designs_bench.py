"""What predicted gradients save on each design, measured on the RTL, and what they could save.

For blocks of well-known networks and the digits network on the 8×8 machine: cycles and bytes of an
evaluation, of a batch of back-propagation and of one of Phase GP. From these follow the speed-up of
the paper's schedule, and its limit: what a Phase GP as short as the forward pass, and a predictor
that costs nothing in Phase BP, would give.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from adagp.compiler import FeedbackConfig, PredictorConfig, Training, compile_training
from adagp.compiler.timing import duration
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.isa import INSTRUCTION_BYTES, Array, PredictorArray, decode
from adagp.spec.registers import field
from adagp.spec.schedule import Phase, PhaseCounter, Schedule
from adagp_tb import timeline
from adagp_tb.rtl_machine import RtlMachine

from .networks import BLOCKS, Block
from .timeline import RecordedBatch
from .workload import DigitsNetwork

REPORT = Path("build/bench/designs.json")
LARGER = 4
"""By how much batches are larger than those of :data:`BLOCKS`: a predictor's work does not grow with them."""

NETWORKS = {name: replace(block, batch=LARGER * block.batch) for name, block in BLOCKS.items()} | {
    "digits": Block(make=lambda channels: DigitsNetwork(), channels=1, extent=(8, 8), batch=128)}
SMALL, PAPER, FEEDBACK = PredictorConfig(size=4, channels=4), PredictorConfig(size=8, channels=16), FeedbackConfig()
PREDICTORS = {"16 features": SMALL, "256 features": PAPER, "feedback": FEEDBACK}
PAPER_ON = "VGG13"
"""The network that is also measured with a predictor of the paper's size."""

SCHEDULE_BATCHES = 90 * 60
"""Batches over which the shares of the paper's schedule are counted."""


@dataclass(frozen=True, kw_only=True)
class LayerResult:
    """An operation's counters: cycles from its first vector in the array to the next one's first, and
    multiply-accumulates over what the array could do in them."""

    cycles: int
    utilisation: float


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """One batch on the RTL. ``forward`` are the cycles until the forward pass was complete, with its
    predictions if there are any."""

    cycles: int
    forward: int
    instructions: int
    bytes_read: int
    bytes_written: int
    layers: dict[str, LayerResult]


def configuration(design: Design, predictor: PredictorConfig | FeedbackConfig) -> AcceleratorConfig:
    """Preset ``small`` with as much predictor memory as a large predictor needs; on design MAX with
    twice the accumulators, as there are two arrays."""
    config = replace(preset("small").with_design(design), predictor_elements=1 << 20)
    if design is not Design.MAX:
        return config
    return replace(config, vector_words=2 * config.vector_words, vector_banks=2 * config.vector_banks)


def compiled(block: Block, design: Design, predictor: PredictorConfig | FeedbackConfig) -> Training:
    return compile_training(block.model(), configuration(design, predictor), batch=block.batch,
                            input_shape=block.input_shape, predictor=predictor)


def measure(block: Block, training: Training) -> dict[Phase, BatchResult]:
    """A batch of evaluation, of Phase BP, and of Phase GP where the design has one, in this order."""
    phases = [phase for phase in (Phase.EVALUATE, Phase.BP, Phase.GP) if phase in training.programs]
    machine = RtlMachine(training.config, training.image_bytes(len(phases)))
    training.image(machine.memory, block.model(), *block.samples(len(phases)))
    training.configure(machine, len(phases), Schedule(warmup=0))
    machine.write("BATCHES", 0)
    machine.run()  # fills the predictor memory
    machine.write("BATCHES", 1)
    results = {}
    for phase in phases:
        machine.write("SCHEDULE[0].RATIO", int(phase is Phase.GP) | int(phase is not Phase.GP) << 16)
        machine.write("MODE", field("MODE", "stay").mask | (field("MODE", "evaluate").mask if phase is Phase.EVALUATE else 0))
        results[phase] = _batch(machine, training, phase)
    machine.close()
    return results


def _batch(machine: RtlMachine, training: Training, phase: Phase) -> BatchResult:
    machine.write("CONTROL", field("CONTROL", "clear_counters").mask)
    recorded, = timeline.record(machine)
    if recorded.phase is not phase or recorded.cycles != machine.counter(f"PHASE_CYCLES[{phase.value}]"):
        raise RuntimeError(f"the machine ran {recorded.phase.name} for {recorded.cycles} cycles, not {phase.name}")
    elements, layers = training.config.rows * training.config.columns, {}
    for number, layer in enumerate(training.layers):
        machine.write("LAYER", number)
        cycles, macs = machine.counter("LAYER_CYCLES"), machine.counter("LAYER_MACS")
        layers[layer.name] = LayerResult(cycles=cycles, utilisation=macs / max(1, elements * cycles))
    batch = RecordedBatch(number=0, timeline=recorded, program=training.programs[phase], purposes=training.purposes[phase])
    return BatchResult(
        cycles=recorded.cycles, forward=_end_of_forward(batch), instructions=len(batch.purposes),
        bytes_read=machine.counter("BYTES_READ"), bytes_written=machine.counter("BYTES_WRITTEN"), layers=layers)


def _end_of_forward(batch: RecordedBatch) -> int:
    return int(max(end for engine, work in batch.work.items()
                   for (_, purpose), end in zip(work, batch.timeline.engines[engine].ends, strict=True)
                   if purpose.work == "forward"))


def shares(schedule: Schedule, batches: int) -> dict[Phase, float]:
    """Shares of the phases in a run of ``batches`` batches, as the phase controller would choose them."""
    registers = schedule.registers()
    counter = PhaseCounter(registers.__getitem__)
    phases: Counter[Phase] = Counter()
    for batch in range(batches):
        phase = counter.choose(batch)
        counter.complete(phase)
        phases[phase] += 1
    return {phase: count / batches for phase, count in phases.items()}


@dataclass(frozen=True, kw_only=True)
class Saving:
    """What a design makes of the paper's schedule. ``gp`` is a Phase GP over the forward pass of
    training, ``bp`` a Phase BP over that of the baseline; ``speedup`` is that over the baseline in mean
    cycles per batch, ``limit`` what it were with both at 1."""

    gp: float
    bp: float
    mean_cycles: float
    speedup: float
    limit: float


def saving(baseline: dict[Phase, BatchResult], design: dict[Phase, BatchResult]) -> Saving:
    run = shares(Schedule.paper(batches=SCHEDULE_BATCHES), SCHEDULE_BATCHES)
    predicted = run[Phase.GP]
    reference, forward = baseline[Phase.BP].cycles, baseline[Phase.BP].forward
    bp = design[Phase.BP].cycles
    gp = design[Phase.GP].cycles if Phase.GP in design else bp
    mean = (1 - predicted) * bp + predicted * gp
    return Saving(gp=gp / forward, bp=bp / reference, mean_cycles=mean, speedup=reference / mean,
                  limit=reference / ((1 - predicted) * reference + predicted * forward))


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """Cycles that the predictor's array of design MAX needs for ``layer`` in Phase GP, and those of the
    main array's work until the next layer that is predicted is complete, which hides them. The former
    grow with the predictor's ``features``, the latter with the ``vectors``, batch × pixels, of that layer."""

    layer: str
    predictor: int
    main: int
    features: int
    vectors: int

    @property
    def exposed(self) -> int:
        return max(0, self.predictor - self.main)


def hidings(training: Training) -> list[Hiding]:
    """Of each layer but the last one, behind which nothing comes. Estimates, not measurements."""
    own, main = Counter(), Counter()
    program = training.programs[Phase.GP]
    instructions = (decode(program[place:place + INSTRUCTION_BYTES]) for place in range(0, len(program), INSTRUCTION_BYTES))
    for instruction, purpose in zip(instructions, training.purposes[Phase.GP]):
        if isinstance(instruction, Array):
            counter = own if isinstance(instruction, PredictorArray) else main
            counter[purpose.layer] += duration(instruction, training.config).occupied
    names = [layer.name for layer in training.layers]
    result = []
    for layer, following in zip(training.convolutions, training.convolutions[1:]):
        between = names[names.index(layer.name) + 1:names.index(following.name) + 1]
        result.append(Hiding(
            layer=layer.name, predictor=own[layer.name], main=sum(main[name] for name in between),
            features=training.predictor.features, vectors=training.batch * following.output[0] * following.output[1]))
    return result


def designs(names: Iterable[str] = NETWORKS) -> dict:
    """Measures the networks ``names``; figures also go to ``build/bench/designs.json``, one by one."""
    report = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    for label, predictor in PREDICTORS.items():
        for name in names if predictor != PAPER else [PAPER_ON]:
            report.setdefault(name, {})[label] = _network(name, label, predictor)
            replace_file(REPORT, lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))
    return report


def _network(name: str, label: str, predictor: PredictorConfig | FeedbackConfig) -> dict:
    """Feedback leaves the predictor's array alone, so that MAX would repeat EFFICIENT. Designs run side by
    side; Python is free while an RTL is clocked."""
    block, measured, result = NETWORKS[name], {}, {}
    print(f"{name}, batch {block.batch}, {label}", flush=True)
    print(f"  {'design':10}{'evaluation':>12}{'forward':>12}{'BP':>12}{'GP':>12}{'GP/forward':>12}{'BP/baseline':>12}"
          f"{'mean':>12}{'speed-up':>9}{'limit':>7}", flush=True)
    chosen = [design for design in Design if design is not Design.MAX or predictor != FEEDBACK]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        trainings = {design: compiled(block, design, predictor) for design in chosen}
        running = [pool.submit(measure, block, trainings[design]) for design in chosen]
    for design, run in zip(chosen, running):
        training = trainings[design]
        measured[design] = batches = run.result()
        saved = saving(measured[Design.BASELINE], batches)
        result[design.name.lower()] = {phase.name.lower(): asdict(batch) for phase, batch in batches.items()} | {
            "saving": asdict(saved)}
        gp = f"{batches[Phase.GP].cycles:12,}{saved.gp:12.3f}" if Phase.GP in batches else " " * 24
        print(f"  {design.name.lower():10}{batches[Phase.EVALUATE].cycles:12,}{batches[Phase.BP].forward:12,}"
              f"{batches[Phase.BP].cycles:12,}{gp}{saved.bp:12.3f}{saved.mean_cycles:12,.0f}{saved.speedup:9.3f}"
              f"{saved.limit:7.3f}", flush=True)
        if design is Design.MAX:
            result["hiding"] = _print_hiding(training, batches, measured[Design.BASELINE][Phase.BP].forward)
    means = [result[design.name.lower()]["saving"]["mean_cycles"] for design in measured]
    result["in order"] = means == sorted(means, reverse=True)
    print(f"  mean cycles fall from design to design: {'yes' if result['in order'] else 'NO'}")
    layers = measured[Design.BASELINE][Phase.BP].layers
    print("  utilisation of the baseline by layer, both passes: " + ", ".join(
        f"{layer} {figures.utilisation:.2f}" for layer, figures in layers.items() if figures.utilisation))
    if predictor == FEEDBACK:
        print(f"  1.15 + classes/batch: {1.15 + training.layers[-1].channels / block.batch:.3f}")
    return result


def _print_hiding(training: Training, batches: dict[Phase, BatchResult], reference: int) -> dict:
    """``reference`` are the cycles of the forward pass of training on the baseline."""
    layers = hidings(training)
    exposed = sum(hiding.exposed for hiding in layers)
    fitting = (batches[Phase.GP].cycles - exposed) / reference
    print(f"  predictor's array behind the main one, estimated: {exposed / reference:.3f} of a forward pass do not fit; "
          f"without them GP/forward is {fitting:.3f}")
    for hiding in layers:
        if hiding.exposed:
            print(f"    {hiding.layer}: {hiding.predictor:,} cycles behind {hiding.main:,} until the next layer is complete, "
                  f"with {hiding.features} features and {hiding.vectors} vectors")
    return {"exposed": exposed / reference, "gp_without": fitting, "layers": [asdict(hiding) for hiding in layers]}
