"""Trains a workload on the simulated hardware, whole epochs at a time, beside the golden machine."""

import copy
import struct
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from adagp.compiler import Training, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, Pass
from adagp.spec.machine import Machine
from adagp.spec.registers import field
from adagp.spec.schedule import Phase, Row, Schedule
from adagp_tb import timeline
from adagp_tb.comparison import difference
from adagp_tb.rtl_machine import RtlMachine
from adagp_tb.timeline import Timeline

from .predictor_traffic import predictor_bytes
from .run_result import RunResult, Stretch
from .timeline import RecordedBatch
from .workload import Workload

_COUNTERS = ["CYCLES", "BYTES_READ", "BYTES_WRITTEN", "BYTES_FETCHED", "INSTRUCTIONS",
             *(f"PHASE_{what}[{phase.value}]" for what in ("CYCLES", "BATCHES") for phase in Phase),
             *(f"PASS_{what}[{which.value}]" for what in ("CYCLES", "MACS") for which in Pass),
             *(f"BUSY[{engine.value}]" for engine in Engine)]


class BitMismatch(Exception):
    """The simulated hardware and the golden machine disagree; the text says where first."""


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """The external memory behind the simulated machine, see :class:`adagp_tb.rtl_machine.RtlMachine`."""

    latency: int = 30
    interval: int = 1
    stall_probability: float = 0.0
    seed: int = 0


def compile_workload(workload: Workload, config: AcceleratorConfig) -> Training:
    """The workload's model, compiled for ``config``; adaptive schedules make it measure."""
    return compile_training(workload.model, config, batch=workload.batch, input_shape=tuple(workload.data.shape[1:]),
                            optimizer=workload.optimizer, predictor=workload.predictor,
                            predictor_optimizer=workload.predictor_optimizer,
                            measure=workload.schedule.adaptive is not None)


def simulate(workload: Workload, config: AcceleratorConfig, timing: MemoryTiming = MemoryTiming(),
             progress: Callable[[int, float], None] = lambda batches, accuracy: None, *, record: int = 0) -> RunResult:
    """Runs ``workload`` on the RTL of ``config`` and, at the same time, on the golden machine.

    The host writes the image and registers and rings; from then on the machine chooses programs and
    samples by itself until ``workload.epochs_per_start`` epochs are done. Then all of external memory is
    compared (weights, momenta, predictor with its optimiser's state, activations, gradients), and the
    test samples are classified; the first difference raises :class:`BitMismatch`. ``progress`` is told
    now and then how many batches are done, and the accuracy so far. ``record`` batches of Phase BP and
    as many of Phase GP are run and recorded after the end of the run.
    """
    training = compile_workload(workload, config)
    size = training.image_bytes(workload.epoch + workload.test_batches)
    rtl = RtlMachine(config, size, latency=timing.latency, interval=timing.interval,
                     stall_probability=timing.stall_probability, seed=timing.seed)
    run = _Run(workload, training, rtl, GoldenMachine(config, size))
    baseline = training.predictor is None
    result = RunResult(config=config, schedule=None if baseline else workload.schedule, predictor=training.predictor,
                       epoch=workload.epoch, accuracy_before=run.evaluate())
    accuracy = result.accuracy_before

    def watch(batch: int) -> None:
        if not baseline and workload.schedule.adaptive and batch >= workload.schedule.warmup:
            gp = register_value(rtl, "PREDICTOR", "gp")
            if not result.gp or result.gp[-1][1] != gp:
                result.gp.append((batch, gp))
        progress(batch, accuracy)

    while result.epochs < workload.epochs:
        epochs = min(workload.epochs_per_start, workload.epochs - result.epochs)
        run.train(result.epochs, epochs, watch)
        counters = Counter({name: rtl.counter(name) for name in _COUNTERS})
        result.register_writes += rtl.register_writes
        watch((result.epochs + epochs) * workload.epoch)
        accuracy = run.evaluate()
        result.stretches.append(Stretch(epochs=epochs, counters=counters, accuracy=accuracy))
    progress(workload.batches, accuracy)
    result.predictor_bytes = {phase: result.batches(phase) * predictor_bytes(training, phase)
                              for phase in training.programs}
    if not baseline and workload.schedule.adaptive:
        result.quality = {layer.name: _float(rtl.read(f"QUALITY[{1 + index}]"))
                          for index, layer in enumerate(training.convolutions[:63])}
    result.recorded = run.record(record, workload.batches)
    rtl.close()
    return result


def count_toggles(workload: Workload, config: AcceleratorConfig, timing: MemoryTiming = MemoryTiming(), *,
                  batches: int = 1, before: int = 4) -> tuple[dict[str, np.ndarray], int]:
    """Toggles of the RTL's signals, see :meth:`adagp_tb.simulation.Simulation.toggles`, and in how many cycles.

    They are those of ``batches`` batches of Phase GP, if there is one, and as many of Phase BP, from one
    doorbell to its interrupt, after a training of ``before`` batches of each.
    """
    training = compile_workload(workload, config)
    rtl = RtlMachine(config, training.image_bytes(workload.epoch + workload.test_batches), latency=timing.latency,
                     interval=timing.interval, stall_probability=timing.stall_probability, seed=timing.seed, countable=True)
    run = _Run(workload, training, rtl)
    if before:
        run.schedule_phases(before)
        rtl.run()
    run.schedule_phases(batches)
    rtl.simulation.count_toggles()
    begin = rtl.cycles
    rtl.run()
    cycles, toggles = rtl.cycles - begin, rtl.simulation.toggles()
    rtl.close()
    return toggles, cycles


def register_value(machine: RtlMachine, register: str, name: str) -> int:
    """One field of a register."""
    part = field(register, name)
    return (machine.read(register) & part.mask) >> part.lsb


def rehearse(workload: Workload, config: AcceleratorConfig) -> tuple[dict[Phase, int], float]:
    """The same run on the golden machine alone: batches by phase, and the accuracy in the end."""
    training = compile_workload(workload, config)
    golden = GoldenMachine(config, training.image_bytes(workload.epoch + workload.test_batches))
    run = _Run(workload, training, golden)
    run.train(0, workload.epochs)
    batches = {phase: golden.counter(f"PHASE_BATCHES[{phase.value}]") for phase in Phase}
    return batches, run.evaluate()


class _Run:
    """A workload on one machine, or on several that must agree whenever they stand still."""

    def __init__(self, workload: Workload, training: Training, *machines: Machine):
        self.workload, self.training, self.machines = workload, training, machines
        self.samples = workload.epoch + workload.test_batches
        self.schedule = Schedule(warmup=0) if training.predictor is None else workload.schedule
        kept, tested = workload.epoch * workload.batch, workload.test_batches * workload.batch
        data = torch.cat([workload.data[:kept], workload.test_data[:tested]])
        labels = torch.cat([workload.labels[:kept], workload.test_labels[:tested]])
        self.test_labels = labels[kept:]
        torch.manual_seed(workload.seed)
        predictor = training.new_predictor() if training.predictor else None
        for machine in machines:
            training.image(machine.memory, copy.deepcopy(workload.model), data, labels, predictor)
            training.configure(machine, self.samples, self.schedule, epoch=workload.epoch, step=workload.step)

    def train(self, done: int, epochs: int, watch: Callable[[int], None] | None = None) -> None:
        """Runs ``epochs`` epochs after ``done`` from one doorbell. ``watch`` is told of the progress of an
        RTL. Counters are those of these batches."""
        epoch = self.workload.epoch
        self._prepare(mode=self.schedule.registers()["MODE"], batches=epochs * epoch, sample=0)
        self._write("CONTROL", field("CONTROL", "clear_counters").mask)
        first = self.machines[0]
        self._run(f"batches {done * epoch} to {(done + epochs) * epoch - 1}",
                  (lambda: first.run(progress=watch)) if watch else first.run)

    def evaluate(self) -> float:
        """Share of the test samples that the machine classifies correctly."""
        mode = field("MODE", "evaluate").mask | field("MODE", "stay").mask
        logits = []
        for sample in range(self.workload.epoch, self.samples):
            self._prepare(mode=mode, batches=1, sample=sample)
            self._run(f"evaluation of batch {sample - self.workload.epoch}", self.machines[0].run)
            logits.append(self._logits())
        return (torch.cat(logits).argmax(1) == self.test_labels).double().mean().item()

    def record(self, count: int, number: int) -> list[RecordedBatch]:
        """Recordings of ``count`` batches of Phase GP, if there is one, and of Phase BP. The first
        gets ``number``."""
        if not count:
            return []
        self.schedule_phases(count)
        recorded: list[Timeline] = []
        self._run("recorded batches", lambda: recorded.extend(timeline.record(self.machines[0])))
        recorded = [each for each in recorded if each.phase in (Phase.BP, Phase.GP)]
        return [RecordedBatch(number=number + index, timeline=each, program=self.training.programs[each.phase],
                              purposes=self.training.purposes[each.phase]) for index, each in enumerate(recorded)]

    def schedule_phases(self, count: int) -> None:
        """The next run begins with the first sample and has ``count`` batches of Phase GP, if there is one,
        and then as many of Phase BP."""
        row = Row(gp=count, bp=count) if Phase.GP in self.training.programs else Row()
        for machine in self.machines:
            self.training.configure(machine, self.samples, Schedule(warmup=0, rows=(row,)), epoch=self.workload.epoch)
        self._write("BATCHES", row.gp + count)

    def _prepare(self, *, mode: int, batches: int, sample: int) -> None:
        self._write("MODE", mode)
        self._write("BATCHES", batches)
        for machine in self.machines:
            self.training.seek(machine, self.samples, sample)

    def _write(self, register: str, value: int) -> None:
        for machine in self.machines:
            machine.write(register, value)

    def _run(self, what: str, run_first: Callable[[], None]) -> None:
        """Runs all machines at the same time; Python is free while an RTL is clocked."""
        with ThreadPoolExecutor() as pool:
            others = [pool.submit(machine.run) for machine in self.machines[1:]]
            run_first()
            for other in others:
                other.result()
        for other in self.machines[1:]:
            if text := difference(self.training, self.machines[0].memory, other.memory):
                raise BitMismatch(f"after {what} {text}")

    def _logits(self) -> torch.Tensor:
        last = self.training.layers[-1]
        return self.training.tensors[f"{last.name}.output"].read(self.machines[0].memory).flatten(1)


def _float(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits))[0]
