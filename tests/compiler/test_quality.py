"""Quality of predictions on the golden machine against its definition."""

import struct

import torch
from torch import nn

from adagp.compiler import compile_training
from adagp.compiler.emitter import Tile
from adagp.compiler.quality import Quality
from adagp.compiler.tensors import Layout
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import Format, Memory
from adagp.spec.schedule import Schedule

from .test_feedback import run

SHAPES = {"a": (9, 13), "b": (4, 6), "c": (20, 3)}


def test_sums_decay_and_cosines_and_errors_are_reported():
    torch.manual_seed(0)
    layout = Layout()
    quality = Quality(layout, {name: rows * columns for name, (rows, columns) in SHAPES.items()}, decay=0.5)
    true, predicted, values = {}, {}, {}
    for name, shape in SHAPES.items():
        for kind, tensors in (("g", true), ("p", predicted)):
            tensors[name] = layout.place(f"{name}.{kind}", shape, Format.FLOAT32)
        values[f"{name}.g"] = torch.randn(shape)
        values[f"{name}.p"] = 0.3 * values[f"{name}.g"] + torch.randn(shape)
    batches = 2

    def emit(e):
        for _ in range(batches):
            for name, (rows, columns) in SHAPES.items():
                e.scratch.begin(name)
                agreement = quality.of_layer(e, name, rows)
                g, p = e.scratch.vector(rows, 0), e.scratch.vector(rows, 1)
                for column in range(0, columns, e.config.columns):
                    some = min(e.config.columns, columns - column)
                    tile = Tile(word=g, row=0, loops=((rows, 1),), column=column, columns=some)
                    e.fill(Memory.VECTOR, g * e.config.vector_lanes, rows * e.config.vector_lanes)
                    e.load_tile(true[name], tile, g)
                    e.load_tile(predicted[name], tile, p)
                    agreement.add(tile, p)
                agreement.finish()
            quality.report(e)

    machine = run(layout, values, emit)

    def register(index: int) -> float:
        return struct.unpack("<f", struct.pack("<I", machine.read(f"QUALITY[{index}]")))[0]
    cosines = []
    for number, name in enumerate(SHAPES):
        g, p = values[f"{name}.g"], values[f"{name}.p"]
        want = torch.stack([(p * g).sum(), (p * p).sum(), (g * g).sum()]) * 1.5  # 0.5 of the first batch and the second
        torch.testing.assert_close(quality.sums.read(machine.memory)[number], want, rtol=1e-5, atol=0)
        cosines.append(torch.cosine_similarity(p.flatten(), g.flatten(), 0).item())
        assert abs(register(1 + number) - cosines[-1]) < 1e-5
        error = 0.5 * 1.5 * ((p - g) ** 2).mean().item()
        assert abs(register(65 + number) / error - 1) < 1e-5
    assert abs(register(0) - sum(cosines) / len(cosines)) < 1e-5


def test_gradients_of_packed_groups_alone_are_measured():
    """Not what their block-diagonal product holds beside them."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(9, 18, 3, padding=1, groups=9), nn.ReLU(), nn.Conv2d(18, 12, (1, 3), groups=6),
                          nn.Flatten(), nn.Linear(12 * 5 * 3, 4))
    config = AcceleratorConfig(rows=5, columns=6, design=Design.LOW)
    training = compile_training(model, config, batch=2, input_shape=(9, 5, 5), measure=True)
    machine = GoldenMachine(config, training.image_bytes(1), check=True)
    predictor = training.new_predictor()
    nn.init.normal_(predictor.linear.weight)
    training.image(machine.memory, model, torch.randn(2, 9, 5, 5), torch.tensor([1, 3]), predictor)
    training.configure(machine, 1, Schedule(warmup=1, gp=1, bp=1))
    machine.run()
    sums = training.tensors["quality.sums"].read(machine.memory)
    for number, name in enumerate(("0", "2", "4")):
        p = training.tensors[f"{name}.prediction"].read(machine.memory).flatten()
        g = training.tensors[f"{name}.weight.momentum"].read(machine.memory).flatten()
        torch.testing.assert_close(sums[number], torch.stack([p @ g, p @ p, g @ g]), rtol=1e-4, atol=1e-6)
