"""The pooled mean alone against PyTorch, on both arrays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from adagp.compiler.emitter import Emitter
from adagp.compiler.pooled_mean import pooled_mean
from adagp.compiler.program import CompileError
from adagp.compiler.tensors import Layout
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import Engine, Format

from .standalone import assert_close, samples

CONFIG = AcceleratorConfig(rows=5, columns=6, bus_bits=64, stream_elements=1024, stationary_elements=2048, vector_words=512,
                           design=Design.MAX, predictor_rows=2, predictor_columns=4, predictor_stationary_elements=512,
                           predictor_stream_elements=512)


def pooled(array: Engine, y: torch.Tensor, size: int, config=CONFIG, form: Format = Format.OPERAND) -> torch.Tensor:
    """On the checking golden machine, whose memories begin with NaN."""
    layout, e = Layout(), Emitter(config, array)
    source = layout.place("y", y.shape, form)
    target = layout.place("pooled", (size, size, y.shape[3]), Format.OPERAND)
    pooled_mean(e, "layer", source, target)
    program = e.builder.finish()
    start = -(-layout.size // 64) * 64
    machine = GoldenMachine(config, start + len(program), check=True)
    machine.vector[...] = np.nan
    source.write(machine.memory, y)
    machine.memory[start:] = np.frombuffer(program, np.uint8)
    for register, value in (("PROGRAM[3].ADDRESS", start), ("PROGRAM[3].SIZE", len(program)), ("MODE", 1),
                            ("WINDOW_LAST", machine.memory.size - 1), ("BATCHES", 1)):
        machine.write(register, value)
    machine.run()
    return target.read(machine.memory).float()


def want(y: torch.Tensor, size: int) -> torch.Tensor:
    return functional.adaptive_avg_pool2d(y.mean(0).permute(2, 0, 1), size).permute(1, 2, 0)


@pytest.mark.parametrize("array", [Engine.ARRAY, Engine.PREDICTOR])
@pytest.mark.parametrize("shape, size", [
    ((3, 8, 8, 12), 4), ((2, 7, 9, 5), 4), ((5, 1, 1, 13), 4), ((1, 1, 6, 7), 2), ((4, 5, 3, 3), 8), ((2, 20, 30, 9), 4),
    ((9, 4, 4, 24), 2), ((1, 11, 60, 6), 4), ((3, 2, 200, 1), 2)])
def test_is_that_of_pytorch(array, shape, size):
    y = samples(shape, 1, mean=0.3)
    assert_close(pooled(array, y, size), want(y, size), 0.004)


def test_outputs_in_float32_are_rounded_to_operands():
    y = torch.randn(4, 1, 1, 10, generator=torch.Generator().manual_seed(2))
    assert_close(pooled(Engine.ARRAY, y, 4, form=Format.FLOAT32), want(y, 4), 0.01)


def test_a_row_of_pixels_that_does_not_fit_is_refused():
    config = replace(CONFIG, predictor_stationary_elements=128)
    with pytest.raises(CompileError, match="layer: one row of 65 pixels does not fit into half of "
                                           "AcceleratorConfig.predictor_stationary_elements, which is 128"):
        pooled(Engine.PREDICTOR, torch.zeros(1, 2, 65, 3), 4, config)
