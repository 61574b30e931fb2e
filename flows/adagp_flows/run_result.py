"""What a simulated training run gave, and what follows from it."""

from collections import Counter
from dataclasses import dataclass, field

from adagp.compiler import FeedbackConfig, PredictorConfig
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Pass
from adagp.spec.schedule import Phase, Schedule

from .timeline import RecordedBatch


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What the machine did from one doorbell: the ``epochs`` that it ran, what its counters counted in
    them, and the share of the test samples that it classified correctly afterwards."""

    epochs: int
    counters: Counter[str]
    accuracy: float


@dataclass(kw_only=True)
class RunResult:
    """A whole run. ``counters`` are sums over the training, without the evaluation in between.

    ``schedule`` and ``predictor`` are None for the baseline. ``register_writes`` are those of the host
    between a doorbell and its interrupt. ``gp`` has (batch, k) where an adaptive schedule was seen to
    have changed k. ``quality`` is the cosine per layer that the registers showed in the end, if
    Phase BP measures it. ``predictor_bytes`` are those of the predictor's resident tensors that were
    read from external memory, by phase.
    """

    config: AcceleratorConfig
    schedule: Schedule | None
    predictor: PredictorConfig | FeedbackConfig | None
    epoch: int
    accuracy_before: float = 0.0
    stretches: list[Stretch] = field(default_factory=list)
    register_writes: int = 0
    gp: list[tuple[int, int]] = field(default_factory=list)
    quality: dict[str, float] = field(default_factory=dict)
    predictor_bytes: dict[Phase, int] = field(default_factory=dict)
    recorded: list[RecordedBatch] = field(default_factory=list)

    @property
    def counters(self) -> Counter[str]:
        return sum((stretch.counters for stretch in self.stretches), Counter())

    @property
    def epochs(self) -> int:
        return sum(stretch.epochs for stretch in self.stretches)

    @property
    def accuracy(self) -> float:
        """After the last epoch."""
        return self.stretches[-1].accuracy

    @property
    def cycles(self) -> int:
        return self.counters["CYCLES"]

    def batches(self, phase: Phase) -> int:
        return self.counters[f"PHASE_BATCHES[{phase.value}]"]

    def mean_cycles(self, phase: Phase) -> float | None:
        """Mean cycles of a batch of ``phase``; None if there was none."""
        count = self.batches(phase)
        return self.counters[f"PHASE_CYCLES[{phase.value}]"] / count if count else None

    def pass_cycles(self, which: Pass) -> int:
        return self.counters[f"PASS_CYCLES[{which.value}]"]

    def utilisation(self, which: Pass) -> float:
        """Multiply-accumulates over what the array could do in the cycles booked on the pass."""
        elements = self.config.rows * self.config.columns
        return self.counters[f"PASS_MACS[{which.value}]"] / max(1, elements * self.pass_cycles(which))


def baseline_of(results: dict[str, RunResult]) -> RunResult | None:
    """The run without a predictor, if there is one."""
    return next((result for result in results.values() if result.predictor is None), None)


def curve(result: RunResult) -> tuple[list[int], list[float]]:
    """Cycles of training and accuracy, before the run and after each doorbell."""
    cycles, accuracy = [0], [result.accuracy_before]
    for stretch in result.stretches:
        cycles.append(cycles[-1] + stretch.counters["CYCLES"])
        accuracy.append(stretch.accuracy)
    return cycles, accuracy


def speedup(result: RunResult, baseline: RunResult | None) -> float | None:
    """Cycles of the baseline over those of the run, for the epochs of the run; None if the baseline
    is not there or shorter."""
    if baseline is None or baseline.epochs < result.epochs:
        return None
    return baseline.cycles / baseline.epochs * result.epochs / result.cycles


def equal_time_accuracy(result: RunResult, baseline: RunResult | None) -> float | None:
    """Of the baseline, between its evaluations, after as many cycles as the run took; None if the
    baseline is not there or shorter."""
    if baseline is None or baseline.cycles < result.cycles:
        return None
    points = list(zip(*curve(baseline)))
    for (start, before), (end, after) in zip(points, points[1:]):
        if result.cycles <= end:
            return before + (after - before) * (result.cycles - start) / (end - start)
