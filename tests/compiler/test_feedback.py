"""Learned feedback on the golden machine against its definition in float64."""

import pytest
import torch
from torch.nn import functional

from adagp.compiler.emitter import Emitter
from adagp.compiler.feedback import FeedbackConfig, FeedbackProgram, invert, transposed_product
from adagp.compiler.network import Convolution
from adagp.compiler.operation import Work
from adagp.compiler.tensors import Layout
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Format

CONFIG = AcceleratorConfig(rows=5, columns=6, stream_elements=4096, stationary_elements=4096, vector_words=1024)


def run(layout: Layout, values: dict, emit) -> GoldenMachine:
    e = Emitter(CONFIG)
    emit(e)
    program = e.builder.finish()
    size = -(-layout.size // 64) * 64
    machine = GoldenMachine(CONFIG, size + len(program) + 64, check=True)
    for name, value in values.items():
        layout.tensors[name].write(machine.memory, value)
    machine.memory[size:size + len(program)] = torch.frombuffer(bytearray(program), dtype=torch.uint8).numpy()
    machine.write("WINDOW_LAST", machine.memory.size - 1)
    machine.write("PROGRAM[1].ADDRESS", size)
    machine.write("PROGRAM[1].SIZE", len(program))
    machine.run()
    return machine


def off(got: torch.Tensor, want: torch.Tensor) -> float:
    return ((got.double() - want.double()).norm() / want.double().norm()).item()


@pytest.mark.parametrize("images, few, values", [(7, 3, 50), (12, 10, 301), (1, 2, 4), (32, 10, 64)])
def test_transposed_product(images, few, values):
    layout = Layout()
    left, right = (layout.place(name, (images, n), Format.OPERAND) for name, n in (("left", few), ("right", values)))
    result = layout.place("result", (few, values), Format.FLOAT32)
    a, b = torch.randn(images, few).bfloat16(), torch.randn(images, values).bfloat16()

    def emit(e):
        e.scratch.begin("product")
        transposed_product(e, left, right, lambda tiles: [e.store_tile(result, tile) for tile in tiles])
    machine = run(layout, {"left": a.float(), "right": b.float()}, emit)
    assert off(result.read(machine.memory), a.double().T @ b.double()) < 1e-5


@pytest.mark.parametrize("n", [2, 5, 8, 10, 17])
def test_inverse_of_error_sums(n):
    error = torch.softmax(torch.randn(200, n), 1) - functional.one_hot(torch.randint(n, (200,)), n)
    sums = error.double().T @ error.double()
    layout = Layout()
    tensors = {name: layout.place(name, (n, n), Format.FLOAT32) for name in ("sums", "inverse", "identity", "ones")}

    def emit(e):
        e.scratch.begin("inverse")
        invert(e, *tensors.values(), ridge=1e-3)
    machine = run(layout, {"sums": sums.float(), "identity": torch.eye(n), "ones": torch.ones(n, n)}, emit)
    mean = sums.trace() / n
    want = torch.linalg.inv(sums + mean * (1e-3 * torch.eye(n) + torch.ones(n, n)))
    assert off(tensors["inverse"].read(machine.memory), want) < 1e-4


@pytest.mark.parametrize("layer", [
    Convolution(name="conv", image=(5, 4, 3), channels=7, kernel=(3, 3), padding=(1, 1)),
    Convolution(name="strided", image=(6, 6, 4), channels=5, kernel=(3, 3), stride=(2, 2), padding=(1, 1)),
    Convolution(name="linear", image=(1, 1, 30), channels=11)])
def test_prediction_is_least_squares_on_the_error(layer):
    torch.manual_seed(layer.channels)
    batch, classes, batches = 12, 4, 3
    layout = Layout()
    program = FeedbackProgram(FeedbackConfig(), layout, layout, [layer], batch, classes)
    height, width, channels = layer.output
    x = layout.place("x", (batch, *layer.image), Format.OPERAND)
    outputs = height * width * channels
    weights = layer.kernel[0] * layer.kernel[1] * layer.image[2]
    prediction = layout.place("prediction", (channels, weights), Format.FLOAT32)
    names = [(f"e{n}", f"d{n}") for n in range(batches)]
    placed = [(layout.place(e, (batch, classes), Format.OPERAND), layout.place(d, (batch, *layer.output), Format.OPERAND))
              for e, d in names]
    truth = torch.randn(classes, outputs)
    values = {"x": torch.randn(batch, *layer.image)} | program.constants()
    for e, d in names:
        error = torch.softmax(torch.randn(batch, classes), 1) - functional.one_hot(torch.randint(classes, (batch,)), classes)
        values[e] = (error / batch).bfloat16().float()
        values[d] = (values[e] @ truth + 0.01 * torch.randn(batch, outputs)).reshape(batch, *layer.output)

    def emit(e):
        for error, gradient in placed:
            program.begin(e, error)
            program.learn(e, layer, Work(inputs=(x,), output=gradient, gradient=gradient), error)
        program.predict(e, layer, Work(inputs=(x,), output=x), placed[-1][0], lambda: lambda tile, bias: e.store_tile(prediction, tile))
    machine = run(layout, values, emit)

    see = sed = 0
    for e, d in names:
        see = 0.97 * see + values[e].double().T @ values[e].double()
        sed = 0.97 * sed + values[e].double().T @ values[d].double().reshape(batch, -1)
    ridge = see.trace() / classes * (1e-3 * torch.eye(classes) + torch.ones(classes, classes))
    delta = (values[names[-1][0]].double() @ torch.linalg.inv(see + ridge) @ sed).reshape(batch, *layer.output)
    image = values["x"].double().permute(0, 3, 1, 2)
    want = torch.nn.grad.conv2d_weight(image, (channels, layer.image[2], *layer.kernel), delta.permute(0, 3, 1, 2),
                                       layer.stride, layer.padding)
    got = prediction.read(machine.memory)
    assert off(got, want.permute(0, 2, 3, 1).reshape(channels, -1)) < 0.03
