"""Softmax with cross-entropy and its gradient on the vector unit, samples in the lanes."""

from adagp.spec.isa import Function, Memory

from .emitter import Emitter
from .functions import exponential, fold, logarithm, reciprocal
from .program import CompileError
from .tensors import Tensor


def cross_entropy(e: Emitter, logits: Tensor, labels: Tensor, loss: Tensor, gradient: Tensor) -> None:
    """Per-sample ``loss`` (batch,) and the ``gradient`` of its mean (batch, classes).

    ``logits`` is (batch, classes); ``labels`` (batch,) holds class numbers as float32.
    """
    (batch, classes), lanes = logits.shape, e.config.vector_lanes
    room = e.scratch.bank_words // 2
    if classes > room:
        raise CompileError(f"cross entropy: classes must be at most AcceleratorConfig.vector_words / vector_banks / 2, "
                           f"which is {room}, not {classes}")
    step = room // classes * lanes
    blocks = -(-min(step, batch) // lanes)
    words = classes * blocks
    z, one_hot = e.scratch.vector(words, 0), e.scratch.vector(words, 1)
    y, t = e.scratch.vector(words, 2), e.scratch.vector(words, 3)
    small = [e.scratch.vector(blocks, bank % 4) for bank in range(7)]
    for first in range(0, batch, step):
        count = min(step, batch - first)
        _cross_entropy(e, logits, labels, loss, gradient, first, count, (z, one_hot, y, t), small, batch)


def _cross_entropy(e, logits, labels, loss, gradient, first, count, large, small, batch) -> None:
    classes, lanes = logits.shape[1], e.config.vector_lanes
    blocks = -(-count // lanes)
    words = classes * blocks
    (z, one_hot, y, t), (label, top, total, picked, u, v, w) = large, small
    per_class = ((blocks, 1, 1, 1), (classes, blocks, blocks, 0))
    for offset, element, loops in _transposed(logits, first, count, blocks, lanes):
        e.load(logits, offset, Memory.VECTOR, z * lanes + element, 1, loops)
    e.load(labels, first * labels.format.bytes, Memory.VECTOR, label * lanes, count)
    for number in range(classes):
        e.vector(one_hot + number * blocks, label, blocks, function=Function.EQUAL, plus=float(number))
    fold(e, top, z, classes, blocks, t, function=Function.MAXIMUM)
    e.vector(z, z, per_class, b=top, plus="b", negate_addend=True)
    e.vector(y, one_hot, words, b=z, times="b")
    fold(e, picked, y, classes, blocks, t)
    exponential(e, y, z, t, words)
    fold(e, total, y, classes, blocks, t)
    reciprocal(e, top, total, u, blocks)
    e.vector(y, y, per_class, b=top, times="b")
    e.vector(y, y, words, b=one_hot, plus="b", negate_addend=True)
    e.vector(y, y, words, times=1 / batch)
    for offset, element, loops in _transposed(gradient, first, count, blocks, lanes):
        e.store(gradient, offset, y * lanes + element, 1, loops)
    logarithm(e, top, total, u, v, w, blocks)
    e.vector(top, top, blocks, b=picked, plus="b", negate_addend=True)
    e.store(loss, first * loss.format.bytes, top * lanes, count)


def _transposed(matrix: Tensor, first: int, count: int, blocks: int, lanes: int):
    """Transfers between (sample, class) in memory and words (class, block) with samples in lanes:
    (offset, element, loops) for the full blocks and for the rest."""
    by_sample, by_class = matrix.strides()
    full, rest = divmod(count, lanes)
    for block, number, samples in ((0, full, lanes), (full, 1, rest)):
        if number and samples:
            yield ((first + block * lanes) * by_sample, block * lanes,
                   ((matrix.shape[1], by_class, blocks * lanes), (samples, by_sample, 1),
                    (number, lanes * by_sample, lanes)))
