"""Channels behind one another, put together and taken apart in the vector memory."""

from adagp.spec.isa import Memory

from .elementwise import runs
from .emitter import Emitter
from .finish import StoreGradient
from .network import Concatenate
from .operation import Target, Work
from .tensors import Tensor


def forward(e: Emitter, operation: Concatenate, work: Work) -> None:
    """y = the inputs' channels, pixel by pixel; memory is read and written in long runs."""
    total = operation.output[2]
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(4)]
    for run in e.builder.steps(runs(e, operation.name, work.output.elements, words, unit=total), edge=4):
        element = run.word * e.config.vector_lanes
        for x in work.inputs:
            channels, by_pixel = x.shape[-1], x.strides()[-2]
            e.load(x, run.first // total * by_pixel, Memory.VECTOR, element, channels,
                   ((run.elements // total, by_pixel, total),))
            element += channels
        e.store_tile(work.output, run)


def backward(e: Emitter, operation: Concatenate, work: Work) -> None:
    """Gives each input that has a target its channels of the gradient."""
    first = 0
    for shape, target in zip(operation.input_shapes, work.targets):
        if target:
            e.scratch.begin(operation.name)
            _deliver(e, operation, work.gradient, first, shape[2], target)
        first += shape[2]


def _deliver(e: Emitter, operation: Concatenate, gradient: Tensor, first: int, channels: int, target: Target) -> None:
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in (0, 1)]
    store = StoreGradient(e, target, e.scratch.bank_words)
    by_pixel, by_channel = gradient.strides()[-2:]
    for run in e.builder.steps(runs(e, operation.name, target.tensor.elements, words, unit=channels)):
        e.load(gradient, run.first // channels * by_pixel + first * by_channel, Memory.VECTOR,
               run.word * e.config.vector_lanes, channels, ((run.elements // channels, by_pixel, channels),))
        store(run)
