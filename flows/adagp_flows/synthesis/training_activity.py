"""Switching activity of the RTL while it trains."""

import hashlib
import sys
from pathlib import Path

import torch

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.schedule import Schedule
from adagp_hdl.verilog import generate

from ..simulation import MemoryTiming, count_toggles
from ..workload import DigitsNetwork, Workload, digits
from .activity import Activity
from .subject import Subject


def record(workload: Workload, config: AcceleratorConfig, timing: MemoryTiming = MemoryTiming(), *, batches: int = 1) -> Activity:
    """That of the machine in the course of a training, see :func:`adagp_flows.simulation.count_toggles`."""
    toggles, cycles = count_toggles(workload, config, timing, batches=batches)
    phases = "Phase GP and of Phase BP" if config.design is not Design.BASELINE else "Phase BP"
    batch = f"{batches} batch{'es' if batches > 1 else ''} of {workload.batch} samples of {phases}"
    return Activity(source=f"RTL, {batch}, {type(workload.model).__name__}, {cycles} cycles",
                    signals={path.partition(".")[2]: counts / cycles for path, counts in toggles.items() if "." in path})


def of_training(subject: Subject, cache: Path) -> Activity:
    """That of ``subject`` while its accelerator trains :class:`DigitsNetwork` on the digits, 16 at a time; of an element, the
    mean over all of the main array. The accelerator is compiled and simulated unless ``cache`` has the result."""
    whole = _of_machine(subject.config, cache)
    if subject.part == "machine":
        return whole
    array = "array_engine.array"
    if subject.part == "array":
        return whole.within([array], what="the array")
    places = [f"{array}.element{row}_{column}" for row in range(subject.config.rows) for column in range(subject.config.columns)]
    return whole.within(places, what=f"{len(places)} elements")


def _of_machine(config: AcceleratorConfig, cache: Path) -> Activity:
    file = cache / f"activity-{hashlib.sha256(generate(config).encode()).hexdigest()[:12]}.npz"
    if not file.exists():
        print("switching activity: simulating batches of digits", file=sys.stderr, flush=True)
        torch.manual_seed(0)
        data, labels, test_data, test_labels = digits()
        record(Workload(model=DigitsNetwork(), data=data, labels=labels, test_data=test_data, test_labels=test_labels, batch=16,
                        epochs=1, schedule=Schedule(warmup=0)), config).save(file)
    return Activity.load(file)
