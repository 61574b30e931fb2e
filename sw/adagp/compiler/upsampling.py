"""Nearest-neighbour upsampling: repeats pixels while loading, and rows while storing."""

from adagp.spec.isa import Memory

from .emitter import MOST, Emitter, Run
from .finish import StoreGradient
from .network import Upsample
from .operation import Work
from .program import CompileError


def forward(e: Emitter, operation: Upsample, work: Work) -> None:
    """y = each pixel of x as a block of ``factor`` pixels."""
    x, y, (down, right) = work.inputs[0], work.output, operation.factor
    _, by_row, by_pixel, _ = x.strides()
    _, by_output_row, by_output_pixel, _ = y.strides()
    channels, lanes = x.shape[-1], e.config.vector_lanes
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(4)]
    for number, (row, rows, column, columns) in enumerate(_blocks(e, operation, x, right, e.scratch.bank_words)):
        word, length = words[number % 4], columns * right * channels
        e.load(x, row * by_row + column * by_pixel, Memory.VECTOR, word * lanes, channels,
               ((right, 0, channels), (columns, by_pixel, right * channels), (rows, by_row, length)))
        e.store(y, row * down * by_output_row + column * right * by_output_pixel, word * lanes, length,
                ((down, by_output_row, 0), (rows, down * by_output_row, length)))


def backward(e: Emitter, operation: Upsample, work: Work) -> None:
    """dx = the sum over each pixel's block, to the target if there is one."""
    dy, (target,), (down, right) = work.gradient, work.targets, operation.factor
    if not target:
        return
    dx = target.tensor
    _, by_row, by_pixel, _ = dy.strides()
    (_, _, width, channels), lanes, room = dx.shape, e.config.vector_lanes, e.scratch.bank_words // 2
    sums, terms = ([e.scratch.vector(room, bank) for bank in (0, 1)] for _ in range(2))
    store = StoreGradient(e, target, room)
    for number, (row, rows, column, columns) in enumerate(_blocks(e, operation, dx, 1, room)):
        elements = rows * columns * channels
        run = Run(word=sums[number % 2], first=(row * width + column) * channels, elements=elements,
                  rows=-(-elements // lanes))
        for tap in range(down * right):
            word = terms[(number + tap) % 2] if tap else run.word  # in turn, to load while adding
            e.load(dy, (row * down + tap // right) * by_row + (column * right + tap % right) * by_pixel, Memory.VECTOR,
                   word * lanes, channels, ((columns, right * by_pixel, channels),
                                            (rows, down * by_row, columns * channels)))
            if tap:
                e.vector(run.word, run.word, run.rows, b=word, plus="b")
        store(run)


def _blocks(e: Emitter, operation: Upsample, x, copies: int, words: int) -> list[tuple[int, int, int, int]]:
    """(first row, rows, first column, columns) of pixels of all images of ``x`` one below the other,
    of which ``copies`` fit into ``words``: whole rows, or parts of one."""
    images, height, width, channels = x.shape
    pixels = min(words * e.config.vector_lanes, MOST) // (channels * copies)
    if not pixels:
        raise CompileError(f"{operation.name}: {channels * copies} elements must fit into {words} words of "
                           f"AcceleratorConfig.vector_words / vector_banks")
    columns = min(width, pixels)
    rows = pixels // width or 1
    rows = min(rows, max(1, -(-images * height // 8)))
    return [(row, min(rows, images * height - row), column, min(columns, width - column))
            for row in range(0, images * height, rows) for column in range(0, width, columns)]
