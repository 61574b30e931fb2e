"""A small training job and where the tests put it in memory."""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import nn

from adagp.compiler import PredictorConfig, Training, compile_training
from adagp.driver.image import Image, schedule_c
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.schedule import Adaptive, Row, Schedule

ADDRESS = 0x2_0040
"""Of the image: far from 0, and a multiple of 64 but not of more."""

BATCHES, BATCH = 5, 2

SCHEDULES = {
    "brief": (Schedule(warmup=1, gp=1, bp=1), {}),
    "epochs": (Schedule(warmup=2, rows=(Row(batches=3, gp=2, bp=1), Row(gp=1, bp=2))), {"epoch": 4, "step": 3}),
    "adaptive": (Schedule(warmup=0, gp=1, bp=1, adaptive=Adaptive(
        least=1, most=9, raise_at=0.5, lower_at=-0.25, patience=2)), {"step": 2}),
    "eight_rows": (Schedule(warmup=0, rows=(*(Row(batches=n + 1, gp=n, bp=1) for n in range(7)), Row(gp=3, bp=4))), {}),
    "one_batch": (Schedule(warmup=0, gp=2, bp=1), {"epoch": 1}),
}
"""Schedules, and what ``Training.configure`` is told besides."""


@dataclass(frozen=True)
class Job:
    """``training`` of a network with initial ``state`` and samples."""

    training: Training
    contents: np.ndarray  # the image's bytes

    @property
    def image(self) -> Image:
        return Image.of(self.training, BATCHES)

    @property
    def memory_bytes(self) -> int:
        """Of a machine's memory: as much again as the image behind it, which nobody may touch."""
        return -(-(ADDRESS + 2 * self.image.bytes) // 64) * 64

    def place(self, memory: np.ndarray) -> None:
        """Writes the image, and marks around it."""
        memory[:] = 0xA5
        memory[ADDRESS:ADDRESS + self.contents.size] = self.contents

    def of(self, memory: np.ndarray) -> np.ndarray:
        """The image in ``memory``; nothing else has changed there."""
        assert (memory[:ADDRESS] == 0xA5).all() and (memory[ADDRESS + self.contents.size:] == 0xA5).all()
        return memory[ADDRESS:ADDRESS + self.contents.size]

    def reference(self, schedule: str, *runs: int) -> GoldenMachine:
        """The golden machine after ``runs`` of so many batches, without the driver, the image at 0. It also
        proves that the programs have no races."""
        machine = GoldenMachine(self.training.config, self.contents.size, check=True)
        machine.memory[:] = self.contents
        rule, options = SCHEDULES[schedule]
        self.training.configure(machine, BATCHES, rule, **options)
        for batches in runs:
            machine.write("BATCHES", batches)
            machine.run()
        return machine

    def definitions(self) -> str:
        """C: ``image``, each of the schedules, and images that do not fit."""
        image = self.image
        texts = [image.c("image"),
                 replace(image, configuration=image.configuration ^ 1).c("image_for_another_core"),
                 replace(image, instruction_set=image.instruction_set + 1).c("image_of_another_instruction_set"),
                 *(schedule_c(name, rule, **options) for name, (rule, options) in SCHEDULES.items())]
        return "".join(texts)


@cache
def job(config: AcceleratorConfig = preset("tiny").with_design(Design.MAX)) -> Job:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 4))
    training = compile_training(model, config, batch=BATCH, input_shape=(2, 4, 4),
                                predictor=PredictorConfig(size=2, channels=1), measure=True)
    contents = np.zeros(training.image_bytes(BATCHES), np.uint8)
    samples = BATCHES * BATCH
    training.image(contents, model, torch.randn(samples, 2, 4, 4), torch.arange(samples) % 4)
    return Job(training, contents)
