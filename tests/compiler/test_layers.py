"""Multiply-accumulates are booked on the operation that they are for."""

from torch import nn

from adagp.compiler import PredictorConfig, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.schedule import Schedule

import torch


def test_layer_counters_hold_the_work_of_each_operation():
    model = nn.Sequential(nn.Conv2d(3, 5, 3, bias=False), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2, bias=False), nn.ReLU(),
                          nn.Flatten(), nn.Linear(4 * 2 * 2, 6, bias=False))
    config = AcceleratorConfig(rows=4, columns=4, design=Design.BASELINE)
    training = compile_training(model, config, batch=3, input_shape=(3, 8, 8), predictor=PredictorConfig(size=2, channels=1))
    machine = GoldenMachine(config, training.image_bytes(1))
    training.image(machine.memory, model, torch.randn(3, 3, 8, 8), torch.zeros(3, dtype=torch.long))
    training.configure(machine, 1, Schedule(warmup=1))
    machine.run()
    passes = {"0": 2, "1": 0, "2": 3, "5": 3}  # the first layer needs no input gradient
    macs = {"0": 3 * 36 * 5 * 27, "1": 0, "2": 3 * 4 * 4 * 20, "5": 3 * 6 * 16}
    for number, operation in enumerate(training.layers):
        machine.write("LAYER", number)
        counted = machine.counter("LAYER_MACS")
        name = operation.name
        if name == "2":  # the input gradient multiplies the padding of dy with zeros too
            assert counted >= passes[name] * macs[name]
        else:
            assert counted == passes[name] * macs[name], name
