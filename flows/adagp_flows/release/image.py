"""The test image of a release: a small network to train, what the host has to do for it, and the result.

The memory before and after the run and the host's commands are written as plain hexadecimal files,
so that a Verilog bench reads them with ``$readmemh`` and firmware with little code.
"""

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import nn

from adagp.compiler import SGD, Adam, PredictorConfig, Training, compile_training
from adagp.cost.machine import training_cost
from adagp.data.digits import digits
from adagp.driver.image import Image, schedule_c
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.identity import identity
from adagp.spec.registers import REGISTERS, field, offset
from adagp.spec.schedule import Phase, Row, Schedule

BATCH, BATCHES = 2, 3
_SLACK = 4
"""A run may take this many times the cycles that the cost model says: the bench's memory pauses."""

_RESULTS = ("INSTRUCTIONS.LO", *(f"PASS_MACS[{index}].LO" for index in range(4)),
            *(f"PHASE_BATCHES[{phase.value}].LO" for phase in Phase))
"""Counters that do not depend on time."""

_HEADER = """\
/* The test image for the driver: load image.bin, run {batches} batches, compare with expected.bin. */
#ifndef ADAGP_TEST_IMAGE_H
#define ADAGP_TEST_IMAGE_H

#include "adagp.h"

#define TEST_BATCHES {batches}u

static {image}
static {schedule}
#endif
"""


class Action(IntEnum):
    """What the host does with ``address``, ``value`` and ``mask``."""

    WRITE = 1       # value to the register at address
    IDENTIFY = 2    # the register must read value under mask: the image is for this machine
    AWAIT = 3       # wait for irq, at most value cycles
    CHECK = 4       # the register must read value under mask: the run went as it should


@dataclass(frozen=True)
class Command:
    """One line of ``run.hex``: four 32-bit words, then as a comment the name of the register."""

    action: Action
    register: str
    value: int
    mask: int = 0xFFFFFFFF

    def line(self) -> str:
        address = 0 if self.action is Action.AWAIT else offset(self.register)
        return (f"{self.action:08x}_{address:08x}_{self.value:08x}_{self.mask:08x} "
                f"// {self.action.name.lower()} {self.register}")


@dataclass(frozen=True, kw_only=True)
class TestImage:
    """External memory from address 0, ``before`` and ``after`` the run of ``commands``, as bytes. ``header``
    tells the C driver the same run."""

    __test__ = False  # pytest: no class of tests

    before: np.ndarray
    after: np.ndarray
    commands: tuple[Command, ...]
    header: str

    def write(self, folder: Path) -> None:
        """``image.hex`` and ``expected.hex`` (32-bit words from address 0), both also as ``.bin``,
        ``run.hex``, ``image.vh`` with their lengths, and ``test_image.h`` for the driver."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, memory in (("image", self.before), ("expected", self.after)):
            (folder / f"{name}.bin").write_bytes(memory.tobytes())
            words = memory.view("<u4")
            (folder / f"{name}.hex").write_text("".join(f"{word:08x}\n" for word in words.tolist()))
        head = "// action, address, value, mask: " + ", ".join(f"{each.value} {each.name.lower()}" for each in Action)
        (folder / "run.hex").write_text("\n".join([head, *(command.line() for command in self.commands), ""]))
        (folder / "test_image.h").write_text(self.header)
        (folder / "image.vh").write_text(
            f"`define ADAGP_IMAGE_WORDS {self.before.size // 4}\n`define ADAGP_IMAGE_COMMANDS {len(self.commands)}\n")


class TestNetwork(nn.Sequential):
    """A convolution (1→2 channels) with pooling, and a classifier, for 8×8 pixels."""

    __test__ = False

    def __init__(self):
        super().__init__(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 10))


def make(config: AcceleratorConfig) -> TestImage:
    """A few handwritten digits on ``config``: a batch of warm-up, one of Phase GP, one of Phase BP (on the
    baseline three of back-propagation), of :data:`BATCH` samples each.

    The golden machine runs the host's commands and checks that the programs are free of races.
    :class:`adagp.compiler.CompileError` where the network does not fit, :class:`adagp.data.datasets.MissingData`
    without scikit-learn.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        return _make(config)


def _make(config: AcceleratorConfig) -> TestImage:
    model = TestNetwork()
    training = compile_training(model, config, batch=BATCH, input_shape=(1, 8, 8), optimizer=SGD(lr=0.1, momentum=0.5),
                                predictor=PredictorConfig(size=2, channels=1), predictor_optimizer=Adam(lr=1e-3))
    data, labels, _, _ = digits()
    samples = BATCHES * BATCH
    host = _Host(GoldenMachine(config, training.image_bytes(BATCHES), check=True))
    host.commands += _identification(config)
    training.image(host.memory, model, data[:samples], labels[:samples])
    before = host.memory.copy()
    schedule = Schedule(warmup=1, rows=(Row(gp=1, bp=1),)) if training.predictor else Schedule(warmup=BATCHES)
    training.configure(host, BATCHES, schedule)
    host.run(_SLACK * _cycles(training))
    return TestImage(before=before, after=host.memory.copy(), commands=tuple(host.commands), header=_HEADER.format(
        batches=BATCHES, image=Image.of(training, BATCHES).c("test_image"), schedule=schedule_c("test_schedule", schedule)))


class _Host:
    """A golden machine whose register writes are kept."""

    def __init__(self, machine: GoldenMachine):
        self.machine, self.memory = machine, machine.memory
        self.commands: list[Command] = []

    def write(self, register: str, value: int) -> None:
        self.machine.write(register, value)
        self.commands.append(Command(Action.WRITE, register, value))

    def run(self, limit: int) -> None:
        """Runs the batches, and says what must be true then, ``limit`` cycles later at the latest."""
        done = field("INTERRUPT_PENDING", "done").mask
        self.write("INTERRUPT_ENABLE", done | field("INTERRUPT_ENABLE", "fault").mask)
        self.write("CONTROL", field("CONTROL", "start").mask)
        self.commands.append(Command(Action.AWAIT, "irq", limit))
        state = sum(field("STATUS", name).mask for name in ("busy", "done", "fault", "draining"))
        self._check("FAULT_CAUSE")
        self._check("STATUS", state)
        self._check("INTERRUPT_PENDING")
        self.write("INTERRUPT_PENDING", done)
        for register in ("INTERRUPT_PENDING", "BATCH", *_RESULTS):
            self._check(register)

    def _check(self, register: str, mask: int = 0xFFFFFFFF) -> None:
        self.commands.append(Command(Action.CHECK, register, self.machine.read(register) & mask, mask))


def _identification(config: AcceleratorConfig) -> list[Command]:
    """What tells the machine that the image is for from all others."""
    fixed = {register: sum(each.reset << each.lsb for each in REGISTERS[register].fields)
             for register in ("ID", "INTERFACE")}
    running = field("PREDICTOR", "gp").mask  # k of the running cycle
    return [Command(Action.IDENTIFY, register, value, 0xFFFFFFFF & ~(running if register == "PREDICTOR" else 0))
            for register, value in (fixed | identity(config)).items()]


def _cycles(training: Training) -> int:
    """Of the whole run, in a memory without pauses."""
    phases = [Phase.WARMUP, Phase.GP, Phase.BP] if training.predictor else [Phase.WARMUP] * BATCHES
    extra = [phase for phase in (Phase.ENTER, Phase.LEAVE) if phase in training.programs]
    cost = {phase: training_cost(training, phase, batches=BATCHES).cycles for phase in {*phases, *extra}}
    return sum(cost[phase] for phase in (*phases, *extra))
