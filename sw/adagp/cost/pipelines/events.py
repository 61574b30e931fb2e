"""What happened when on the devices of a pipeline."""

from collections.abc import Sequence
from dataclasses import dataclass

from adagp.spec.schedule import Phase

from .costs import PipelineCost
from .slots import Kind, Pipeline


@dataclass(frozen=True)
class Event:
    """One thing that a device did from ``start`` to ``end``; ``micro_batch`` counts within the batch and
    is None for what is done once per batch."""

    start: float
    end: float
    device: int
    stage: int
    batch: int
    kind: Kind
    micro_batch: int | None


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """The events of some batches, one phase each, in the order of their starts.

    Times are in the unit of ``costs``; the first event starts at 0.
    """

    pipeline: Pipeline
    phases: tuple[Phase, ...]
    devices: int
    micro_batches: int
    costs: PipelineCost
    events: tuple[Event, ...]

    @property
    def steps(self) -> float:
        """Time until everything is done."""
        return max(event.end for event in self.events)

    def passes(self, device: int) -> list[Event]:
        """Forward and backward passes on a device, in their order."""
        return [event for event in self.events if event.device == device and event.micro_batch is not None]

    def busy(self, device: int) -> float:
        """Share of the time in which the device does forward or backward passes; the rest are bubbles and
        the predictor."""
        return sum(event.end - event.start for event in self.passes(device)) / self.steps

    def peak_activations(self, sizes: Sequence[float] | None = None) -> tuple[float, ...]:
        """The most activations that each device holds at a time.

        Those of a micro-batch on a stage count from the start of the forward pass to the end of the
        backward pass, in Phase GP to the end of the forward pass. ``sizes`` are of one micro-batch, for
        each stage (bytes, say); without them all count 1.
        """
        if sizes is not None and len(sizes) != self.devices:
            raise ValueError(f"sizes must be {self.devices}, one for each stage, not {len(sizes)}")
        changes = [[] for _ in range(self.devices)]
        for event in self.events:
            size = 1 if sizes is None else sizes[event.stage]
            if event.kind is Kind.FORWARD:
                changes[event.device].append((event.start, size))
            if event.kind is (Kind.FORWARD if self.phases[event.batch] is Phase.GP else Kind.BACKWARD):
                changes[event.device].append((event.end, -size))
        peaks = []
        for device in changes:
            held = peak = 0
            for _, change in sorted(device):  # at one time, what is freed goes first
                held += change
                peak = max(peak, held)
            peaks.append(peak)
        return tuple(peaks)
