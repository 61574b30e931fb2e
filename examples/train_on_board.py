"""Trains handwritten digits on a board at a serial port: ``python train_on_board.py /dev/ttyUSB0``.

The board is a ULX3S with the machine of ``adagp board ulx3s --preset tiny``; see docs/boards.md.
"""

import sys
import time

from torch import manual_seed, nn

from adagp import data
from adagp.compiler import SGD, compile_training
from adagp.host import ByteStream, HostedMachine, Link, open_serial
from adagp.spec.config import preset
from adagp.spec.schedule import Schedule

BITS_PER_SECOND, CLOCK_HZ = 1_000_000, 25e6
BATCH = 32


def train(stream: ByteStream, model: nn.Module, *, batches: int, epochs: int) -> HostedMachine:
    """Trains ``model`` in place with the first ``batches`` batches of the digits, from one doorbell."""
    machine = HostedMachine(Link(stream), preset("tiny"))
    training = compile_training(model, machine.config, batch=BATCH, input_shape=(64,), optimizer=SGD(lr=0.05, momentum=0.9))
    images, labels = next(data.Batches(data.load("digits").train, batch=batches * BATCH, shuffle=False).epoch(0))
    training.image(machine.memory, model, images.flatten(1), labels)
    training.configure(machine, batches, Schedule(warmup=0), epochs=epochs)
    machine.run()
    training.read_model(machine.memory, model)
    return machine


def main() -> None:
    manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    start = time.monotonic()
    machine = train(open_serial(sys.argv[1], BITS_PER_SECOND), model, batches=44, epochs=10)
    print(f"{time.monotonic() - start:.1f} s, of which the machine worked {machine.counter('CYCLES') / CLOCK_HZ:.2f} s")
    test = data.load("digits").test
    images, labels = next(data.Batches(test, batch=len(test), shuffle=False).epoch(0))
    print(f"{(model(images.flatten(1)).argmax(1) == labels).float().mean():.1%} of the test images are right")


if __name__ == "__main__":
    main()
