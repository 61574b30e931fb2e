"""Trains a workload on the simulated hardware, batch by batch beside the golden machine."""

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch

from adagp.compiler import Training, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, Pass
from adagp.spec.machine import Machine
from adagp.spec.registers import field
from adagp.spec.schedule import Phase, Schedule
from adagp_tb import timeline
from adagp_tb.comparison import difference
from adagp_tb.rtl_machine import RtlMachine
from adagp_tb.timeline import Timeline

from .timeline import RecordedBatch
from .workload import Workload


class BitMismatch(Exception):
    """The simulated hardware and the golden machine disagree; the text says where first."""


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """The external memory behind the simulated machine, see :class:`adagp_tb.rtl_machine.RtlMachine`."""

    latency: int = 30
    interval: int = 1
    stall_probability: float = 0.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """One batch: counted cycles, whether all of external memory agreed, mean loss before the update."""

    phase: Phase
    cycles: int
    bit_exact: bool
    loss: float


@dataclass(kw_only=True)
class DesignResult:
    """A whole run on one design. Counters are sums over the training batches."""

    config: AcceleratorConfig
    batches: list[BatchResult] = dataclasses.field(default_factory=list)
    accuracy_before: float = 0.0
    accuracy_after: float = 0.0
    phase_cycles: dict[Phase, int] = dataclasses.field(default_factory=dict)
    pass_cycles: dict[Pass, int] = dataclasses.field(default_factory=dict)
    pass_macs: dict[Pass, int] = dataclasses.field(default_factory=dict)
    busy: dict[Engine, int] = dataclasses.field(default_factory=dict)
    recorded: list[RecordedBatch] = dataclasses.field(default_factory=list)
    bytes_read: int = 0
    bytes_written: int = 0
    bytes_fetched: int = 0

    @property
    def cycles(self) -> int:
        return sum(batch.cycles for batch in self.batches)

    def utilisation(self, which: Pass) -> float:
        """Multiply-accumulates over what the array could do in the cycles booked on the pass."""
        elements = self.config.rows * self.config.columns
        return self.pass_macs[which] / max(1, elements * self.pass_cycles[which])

    def mean_cycles(self, phase: Phase) -> float | None:
        """Mean cycles of a batch of ``phase``; None if there was none."""
        cycles = [batch.cycles for batch in self.batches if batch.phase is phase]
        return sum(cycles) / len(cycles) if cycles else None


def compile_workload(workload: Workload, config: AcceleratorConfig) -> Training:
    """The workload's model, compiled for ``config``."""
    return compile_training(workload.model, config, batch=workload.batch, input_shape=tuple(workload.data.shape[1:]),
                            optimizer=workload.optimizer, predictor=workload.predictor,
                            predictor_optimizer=workload.predictor_optimizer)


def simulate(workload: Workload, config: AcceleratorConfig, timing: MemoryTiming = MemoryTiming(),
             progress: Callable[[BatchResult], None] = lambda result: None, *, record: int = 0) -> DesignResult:
    """Runs ``workload`` on the RTL of ``config`` and on the golden machine.

    After every batch all of external memory is compared (weights, momenta, predictor with its
    optimiser's state, activations, gradients); the first difference raises :class:`BitMismatch`.
    The host writes the image and registers, rings, and reads back; it computes nothing in between.
    The first ``record`` batches of Phase BP and of Phase GP are recorded.
    """
    training = compile_workload(workload, config)
    samples = workload.epoch + workload.test_batches
    size = training.image_bytes(samples)
    rtl = RtlMachine(config, size, latency=timing.latency, interval=timing.interval,
                     stall_probability=timing.stall_probability, seed=timing.seed)
    run = _Run(workload, training, rtl, GoldenMachine(config, size), samples)
    result = DesignResult(config=config)
    result.accuracy_before = run.accuracy()
    rtl.write("CONTROL", field("CONTROL", "clear_counters").mask)  # evaluation is not part of the run
    wanted = {phase: record for phase in (Phase.BP, Phase.GP) if phase in training.programs}
    for number in range(workload.batches):
        batch, recording = run.batch(number, record=any(wanted.values()))
        for each in recording:
            if wanted.get(each.phase):
                wanted[each.phase] -= 1
                result.recorded.append(RecordedBatch(number=number, timeline=each, program=training.programs[each.phase],
                                                     purposes=training.purposes[each.phase]))
        result.batches.append(batch)
        progress(batch)
    _read_counters(rtl, result)
    result.accuracy_after = run.accuracy()
    rtl.close()
    return result


class _Run:
    """A workload on two machines that must agree after every batch."""

    def __init__(self, workload: Workload, training: Training, rtl: RtlMachine, golden: GoldenMachine, samples: int):
        self.workload, self.training, self.samples = workload, training, samples
        self.rtl, self.golden, self.machines = rtl, golden, (rtl, golden)
        count = workload.epoch * workload.batch, workload.test_batches * workload.batch
        data = torch.cat([workload.data[:count[0]], workload.test_data[:count[1]]])
        self.labels = torch.cat([workload.labels[:count[0]], workload.test_labels[:count[1]]])
        torch.manual_seed(workload.seed)
        predictor = training.new_predictor() if training.predictor else None
        schedule = workload.schedule
        if training.predictor is None:
            schedule = Schedule(warmup=0)
        for machine in self.machines:
            training.image(machine.memory, copy.deepcopy(workload.model), data, self.labels, predictor)
            training.configure(machine, samples, schedule)
            machine.write("BATCHES", 1)

    def batch(self, number: int, record: bool) -> tuple[BatchResult, list[Timeline]]:
        """Training batch ``number`` of the run, and what the engines did if it is to be recorded."""
        sample = number % self.workload.epoch
        before = self.rtl.counter("CYCLES")
        recording = self._run(sample, record)
        phase = Phase((self.rtl.read("STATUS") & field("STATUS", "phase").mask) >> field("STATUS", "phase").lsb)
        return BatchResult(phase=phase, cycles=self.rtl.counter("CYCLES") - before, bit_exact=True,
                           loss=self._loss(sample)), recording

    def accuracy(self) -> float:
        """Share of the test samples that the machine classifies correctly."""
        right = 0
        for machine in self.machines:
            machine.write("MODE", 1)
        for sample in range(self.workload.epoch, self.samples):
            self._run(sample)
            right += (self._logits().argmax(1) == self._labels(sample)).sum().item()
        for machine in self.machines:
            machine.write("MODE", 0)
        return right / (self.workload.test_batches * self.workload.batch)

    def _run(self, sample: int, record: bool = False) -> list[Timeline]:
        for machine in self.machines:
            self.training.seek(machine, self.samples, sample)
        recording = timeline.record(self.rtl) if record else self.rtl.run() or []
        self.golden.run()
        self._compare()
        return recording

    def _compare(self) -> None:
        if text := difference(self.training, self.rtl.memory, self.golden.memory):
            raise BitMismatch(text)

    def _logits(self) -> torch.Tensor:
        last = self.training.layers[-1]
        return self.training.tensors[f"{last.name}.output"].read(self.rtl.memory).flatten(1)

    def _labels(self, sample: int) -> torch.Tensor:
        return self.labels[sample * self.workload.batch:(sample + 1) * self.workload.batch]

    def _loss(self, sample: int) -> float:
        return torch.nn.functional.cross_entropy(self._logits(), self._labels(sample)).item()


def _read_counters(machine: Machine, result: DesignResult) -> None:
    result.phase_cycles = {phase: machine.counter(f"PHASE_CYCLES[{phase.value}]") for phase in Phase}
    result.pass_cycles = {which: machine.counter(f"PASS_CYCLES[{which.value}]") for which in Pass}
    result.pass_macs = {which: machine.counter(f"PASS_MACS[{which.value}]") for which in Pass}
    result.busy = {engine: machine.counter(f"BUSY[{engine.value}]") for engine in Engine}
    result.bytes_read = machine.counter("BYTES_READ")
    result.bytes_written = machine.counter("BYTES_WRITTEN")
    result.bytes_fetched = machine.counter("BYTES_FETCHED")
