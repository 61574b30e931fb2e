"""Softmax over the last dimension and its gradient on the vector unit."""

from dataclasses import dataclass
from math import inf

from adagp.spec.isa import Function, Memory

from .emitter import Emitter
from .finish import StoreGradient
from .functions import exponential, reciprocal
from .operation import INPUT, Operation, Work
from .panels import deliver, row_panels
from .reductions import reduce_rows


@dataclass(frozen=True, kw_only=True)
class Softmax(Operation):
    """``nn.Softmax(dim=-1)`` over the features of each token, or the channels of each pixel."""

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: tuple[int, int, int]


def forward(e: Emitter, operation: Softmax, work: Work) -> None:
    x, y, lanes = work.inputs[0], work.output, e.config.vector_lanes
    room = e.scratch.bank_words // 2
    panels = row_panels(e, operation.name, x, x.shape[-1], room, (e.scratch.bank_words - 2) // 3)
    sources, results = ([e.scratch.vector(room, bank) for _ in range(2)] for bank in (0, 3))
    t, zero, lowest = e.scratch.vector(room, 2), e.scratch.vector(1, 1), e.scratch.vector(1, 1)
    most, total, scale = (e.scratch.vector(panels[0].rows, 1) for _ in range(3))
    e.fill(Memory.VECTOR, zero * lanes, lanes)
    e.fill(Memory.VECTOR, lowest * lanes, lanes, value=-inf)
    for number, panel in e.builder.steps(list(enumerate(panels))):
        panel, word = panel.at(sources[number % 2]), results[number % 2]
        panel.load(e, x)
        reduce_rows(e, most, panel, t, lowest, Function.MAXIMUM)
        e.vector(panel.word, panel.word, panel.per_row, b=most, plus="b", negate_addend=True)
        exponential(e, word, panel.word, t, panel.words)
        panel = panel.at(word)
        reduce_rows(e, total, panel, t, zero)
        reciprocal(e, scale, total, most, panel.rows)
        e.vector(word, word, panel.per_row, b=scale, times="b")
        panel.store(e, y)


def backward(e: Emitter, operation: Softmax, work: Work) -> None:
    """dx = y·(dy − Σ dy·y)."""
    y, dy, (target,) = work.output, work.gradient, work.targets
    if target is None:
        return
    room, lanes = e.scratch.bank_words // 2, e.config.vector_lanes
    panels = row_panels(e, operation.name, y, y.shape[-1], room, room - 1)
    sources = [(e.scratch.vector(room, 0), e.scratch.vector(room, 1)) for _ in range(2)]
    t, total, zero = e.scratch.vector(room, 2), e.scratch.vector(panels[0].rows, 3), e.scratch.vector(1, 3)
    take = StoreGradient(e, target, room)
    e.fill(Memory.VECTOR, zero * lanes, lanes)
    for number, panel in e.builder.steps(list(enumerate(panels))):
        y_word, dy_word = sources[number % 2]
        panel.at(y_word).load(e, y)
        panel.at(dy_word).load(e, dy)
        e.vector(t, dy_word, panel.words, b=y_word, times="b")
        reduce_rows(e, total, panel.at(t), t, zero)
        e.vector(dy_word, dy_word, panel.per_row, b=total, plus="b", negate_addend=True)
        e.vector(dy_word, dy_word, panel.words, b=y_word, times="b")
        deliver(panel.at(dy_word), take)
