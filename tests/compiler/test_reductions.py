"""Sums and maxima of panels on the golden machine, exactly: the values are small integers."""

import numpy as np
import pytest
import torch

from adagp.compiler.emitter import Emitter
from adagp.compiler.panels import Panel
from adagp.compiler.reductions import fold_rows, reduce_rows
from adagp.compiler.tensors import Layout
from adagp.golden import GoldenMachine
from adagp.spec.isa import Format, Function, Memory

from .standalone import SMALL

LANES, TARGET, TEMPORARY, IDENTITY, SOURCE = SMALL.vector_lanes, 0, 128, 255, 256


def computed(values: torch.Tensor, row: int, emit) -> np.ndarray:
    """The vector memory after ``emit(e, panel, tensor)``, where ``tensor`` holds ``values`` and ``panel``
    is for its rows from ``row`` on, at SOURCE; NaN in all that nobody wrote."""
    layout, e = Layout(), Emitter(SMALL)
    tensor = layout.place("x", tuple(values.shape), Format.OPERAND)
    panel = Panel(word=SOURCE, row=row, rows=values.shape[0] - row, columns=values.shape[1], width=values.shape[1],
                  lanes=LANES)
    emit(e, panel, tensor)
    program = e.builder.finish()
    start = -(-layout.size // 64) * 64
    machine = GoldenMachine(SMALL, start + len(program), check=True)
    tensor.write(machine.memory, values)
    machine.vector[...] = np.nan
    machine.memory[start:] = np.frombuffer(program, np.uint8)
    for register, value in (("PROGRAM[3].ADDRESS", start), ("PROGRAM[3].SIZE", len(program)), ("MODE", 1),
                            ("WINDOW_LAST", machine.memory.size - 1)):
        machine.write(register, value)
    machine.run()
    return machine.vector


def integers(rows: int, columns: int) -> torch.Tensor:
    return torch.randint(-50, 50, (rows, columns), generator=torch.Generator().manual_seed(rows)).float()


SHAPES = [(1, 1), (3, 3), (5, 4), (2, 17), (7, 22), (6, 24), (3, 40)]


@pytest.mark.parametrize("rows, columns", SHAPES)
@pytest.mark.parametrize("function, identity, reduced", [
    (Function.ARITHMETIC, 0.0, lambda x: x.sum(1)), (Function.MAXIMUM, -np.inf, lambda x: x.amax(1))])
@pytest.mark.parametrize("in_place", (True, False))
def test_every_lane_gets_the_whole_row(rows, columns, function, identity, reduced, in_place):
    values = integers(rows + 2, columns)

    def emit(e, panel, tensor):
        panel.load(e, tensor)
        e.fill(Memory.VECTOR, IDENTITY * LANES, LANES, value=identity)
        reduce_rows(e, TARGET, panel, panel.word if in_place else TEMPORARY, IDENTITY, function)
    got = computed(values, 2, emit)[TARGET:TARGET + rows]
    assert np.array_equal(got, reduced(values[2:]).numpy()[:, None].repeat(LANES, axis=1))


@pytest.mark.parametrize("rows, columns", SHAPES)
@pytest.mark.parametrize("in_place", (True, False))
@pytest.mark.parametrize("times", (1, 2))
def test_columns_are_summed_over_rows(rows, columns, in_place, times):
    values = integers(rows, columns)

    def emit(e, panel, tensor):
        for time in range(times):
            panel.load(e, tensor)
            fold_rows(e, TARGET, panel, panel.word if in_place else TEMPORARY, accumulate=time > 0)
    got = computed(values, 0, emit)[TARGET:TARGET + -(-columns // LANES)].reshape(-1)[:columns]
    assert np.array_equal(got, times * values.sum(0).numpy())
