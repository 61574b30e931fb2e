"""In which order each device of a pipeline does a batch's work.

Orders are given as numbered slots of equal length for forward and backward passes, as their inventors
draw them. No two actions of one array share a slot, and every action's slot is after those of what it
depends on, so sorting by slot gives each device's order. How long things really take is not said here.
"""

from dataclasses import dataclass
from enum import Enum

from adagp.spec.schedule import Phase

from .costs import whole


class Pipeline(Enum):
    """How work is divided and ordered.

    ``GPIPE`` (Huang et al. 2019): stage s on device s; all forward passes of a batch, then all backward.
    ``DAPPLE`` (Fan et al. 2021): the same stages; one forward, one backward, so that backward passes come
    early and free their activations.
    ``CHIMERA`` (Li and Hoefler 2021): two replicas of each stage and two opposite directions, stage s on
    device s going down and on the mirrored device going up; half of the micro-batches take each. More
    than ``devices`` micro-batches are a direct concatenation of units of ``devices``. As backward passes
    are longer than forward ones this leaves gaps between the units, so with many of them the others are
    faster; forward doubling would fill the gaps at twice the activations.

    Backward passes keep the activations of forward passes and compute nothing again.
    """

    GPIPE = "gpipe"
    DAPPLE = "dapple"
    CHIMERA = "chimera"

    def check(self, devices: int, micro_batches: int) -> None:
        """Raises ValueError for what the pipeline cannot be built for."""
        whole("devices", devices)
        whole("micro_batches", micro_batches)
        if self is Pipeline.CHIMERA:
            for name, value in (("devices", devices), ("micro_batches", micro_batches)):
                if value % 2:
                    raise ValueError(f"{name} must be even in a Chimera pipeline, not {value!r}")

    def hosts(self, stage: int, devices: int) -> tuple[int, ...]:
        """Devices that hold a replica of the stage: the downward one first."""
        return (stage, devices - 1 - stage) if self is Pipeline.CHIMERA else (stage,)


class Kind(Enum):
    """What an action does: the last two once per batch, and per replica of a stage."""

    FORWARD = "F"
    BACKWARD = "B"
    PREDICTION = "P"
    TRAINING = "T"


@dataclass(frozen=True)
class Action:
    """One thing that a device does for a batch; ``micro_batch`` is None for what is done once."""

    slot: float
    device: int
    stage: int
    kind: Kind
    micro_batch: int | None


def batch_actions(pipeline: Pipeline, phase: Phase, devices: int, micro_batches: int) -> tuple[list[Action], int]:
    """The actions of one batch, its first in slot 0, and the slot in which the next batch may begin."""
    actions = []
    predicts = phase is Phase.GP
    for stage in range(devices):
        hosts = pipeline.hosts(stage, devices)
        for micro_batch in range(micro_batches):
            host, forward, backward = _slots(pipeline, predicts, stage, micro_batch, devices, micro_batches)
            actions.append(Action(forward, hosts[host], stage, Kind.FORWARD, micro_batch))
            if not predicts:
                actions.append(Action(backward, hosts[host], stage, Kind.BACKWARD, micro_batch))
        last = max(action.slot for action in actions if action.stage == stage)
        actions += [Action(last + 0.5, host, stage, Kind.PREDICTION if predicts else Kind.TRAINING, None)
                    for host in hosts]
    end = max(action.slot for action in actions if action.micro_batch is not None) + 1
    return actions, micro_batches if predicts else end


def _slots(pipeline: Pipeline, predicts: bool, stage: int, micro_batch: int, devices: int,
           micro_batches: int) -> tuple[int, int, int]:
    """Which host of the stage a micro-batch takes, and the slots of its passes there."""
    last = devices - 1
    if pipeline is Pipeline.CHIMERA:
        unit, place = divmod(micro_batch, devices)
        half = min(devices, micro_batches - unit * devices) // 2  # the last unit may be a smaller one
        up, place = divmod(place, half)
        # a unit of backward passes fills a device for 2·devices slots, one of predictions for devices
        begin = unit * devices * (1 if predicts else 2) + 2 * place
        return up, begin + stage, begin + devices + last - stage
    if pipeline is Pipeline.DAPPLE and not predicts:
        return 0, stage + 2 * micro_batch, devices + last - stage + 2 * micro_batch
    return 0, stage + micro_batch, micro_batches + last + last - stage + micro_batch
