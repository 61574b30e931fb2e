"""Average pooling and its gradient on the vector unit, channels in the lanes.

A window is summed down its rows first and then across its columns. Padding is never stored: each
position of the kernel touches the part of the image that it can.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from adagp.spec.isa import Memory

from .emitter import Emitter, Tile
from .finish import StoreGradient
from .images import pixel_tiles
from .operation import INPUT, Operation, Work
from .program import CompileError
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class AveragePool(Operation):
    """An AvgPool2d without ``ceil_mode``; global and evenly adaptive pooling are such ones."""

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    image: tuple[int, int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    count_include_pad: bool = True

    @classmethod
    def adaptive(cls, name: str, inputs: tuple[str, ...], image: tuple[int, int, int], size: tuple[int, int]
                 ) -> "AveragePool":
        """AdaptiveAvgPool2d to ``size``, which must divide that of the image."""
        if image[0] % size[0] or image[1] % size[1]:
            raise CompileError(f"{name}: adaptive pooling needs a size that divides that of the image, {image[:2]}, "
                               f"not {size}")
        kernel = image[0] // size[0], image[1] // size[1]
        return cls(name=name, inputs=inputs, image=image, kernel=kernel, stride=kernel)

    @property
    def output(self) -> tuple[int, int, int]:
        height, width = ((n + 2 * p - k) // s + 1
                         for n, p, k, s in zip(self.image[:2], self.padding, self.kernel, self.stride))
        return height, width, self.image[2]


@dataclass(frozen=True, kw_only=True)
class _Term:
    """One position of a kernel along one axis: output ``output`` + i takes ``position`` + i·stride of
    the input, for i < ``count``."""

    output: int
    position: int
    count: int


def forward(e: Emitter, operation: AveragePool, work: Work) -> None:
    x, y, bank = work.inputs[0], work.output, e.scratch.bank_words
    (images, height, width, _), (_, out_height, out_width, _) = x.shape, y.shape
    down, right = operation.stride
    kernel_height = operation.kernel[0]

    def input_rows(row: int, rows: int) -> tuple[int, int]:
        first = row * down - operation.padding[0]
        return max(first, 0), min(first + (rows - 1) * down + kernel_height, height)

    def fits(count: int, rows: int) -> bool:
        most = 1 if count == rows == 1 else min((rows - 1) * down + kernel_height, height)  # one row may come in parts
        return count * width * max(most, rows) <= bank and 2 * count * rows * out_width <= bank
    tiles = _tiles(operation, pixel_tiles(images, out_height, out_width, fits), bank)
    sources = [e.scratch.vector(bank, number) for number in (0, 1)]
    column_sums = e.scratch.vector(max(count * rows for _, count, _, rows in tiles) * width, 2)
    results = [e.scratch.vector(bank // 2, 3) for _ in range(2)]
    across, turn = _terms(width, out_width, operation, 1), 0
    for channel, channels in _channel_blocks(e, x):
        for number, (image, count, row, rows) in _in_steps(e, tiles):
            result = results[number % 2]
            first, last = input_rows(row, rows)
            part = last - first if count * (last - first) * width <= bank else bank // width
            for begin in range(first, last, part):
                end, source = min(begin + part, last), sources[turn]
                turn ^= 1
                tile = _rows_tile(x, source, image, count, begin, end - begin, channel, channels)
                e.load_tile(x, tile, source)
                terms = _terms(height, out_height, operation, 0, (row, row + rows), (begin, end))
                _sum(e, column_sums, count * rows * width, source, begin == first, [
                    ((term.output - row) * width, (term.position - begin) * width,
                     ((width, 1, 1), (term.count, width, down * width), (count, rows * width, (end - begin) * width)))
                    for term in terms])
            _sum(e, result, count * rows * out_width, column_sums, True, [
                (term.output, term.position, ((term.count, 1, right), (count * rows, out_width, width)))
                for term in across])
            _average(e, operation, result, count, row, rows)
            e.store_tile(y, _rows_tile(y, result, image, count, row, rows, channel, channels))


def backward(e: Emitter, operation: AveragePool, work: Work) -> None:
    dy, (target,), bank = work.gradient, work.targets, e.scratch.bank_words
    if target is None:
        return
    (images, height, width, _), (_, out_height, out_width, _) = target.tensor.shape, dy.shape
    (kernel_height, kernel_width), (down, right), top = operation.kernel, operation.stride, operation.padding[0]

    def output_rows(row: int, rows: int) -> tuple[int, int]:
        first, last = -(-(row + top - kernel_height + 1) // down), (row + rows - 1 + top) // down
        return max(0, first), min(out_height, last + 1)

    def fits(count: int, rows: int) -> bool:
        most = 1 if count == 1 else min(out_height, (rows + kernel_height - 2) // down + 1)  # may come in parts
        return count * max(width * max(rows, most), out_width * most) <= bank // 2
    tiles = _tiles(operation, pixel_tiles(images, height, width, fits), bank)
    gradients = [e.scratch.vector(bank // 2, number) for number in (0, 1)]
    spread, sources = e.scratch.vector(bank // 2, 2), [e.scratch.vector(bank // 2, number) for number in (0, 1)]
    take = StoreGradient(e, target, bank // 2)
    across, turn = _terms(width, out_width, operation, 1), 0
    for channel, channels in _channel_blocks(e, dy):
        for number, (image, count, row, rows) in _in_steps(e, tiles):
            gradient = gradients[number % 2]
            first, last = output_rows(row, rows)
            part = bank // 2 // (count * max(width, out_width))
            if first >= last:
                _clear(e, gradient, count * rows * width)
            for begin in range(first, last, part):
                end, source = min(begin + part, last), sources[turn]
                turn ^= 1
                e.load_tile(dy, _rows_tile(dy, source, image, count, begin, end - begin, channel, channels), source)
                _average(e, operation, source, count, begin, end - begin)
                _sum(e, spread, count * (end - begin) * width, source, True, [
                    (term.position, term.output, ((term.count, right, 1), (count * (end - begin), width, out_width)))
                    for term in across], disjoint=kernel_width <= right)
                terms = _terms(height, out_height, operation, 0, (begin, end), (row, row + rows))
                _sum(e, gradient, count * rows * width, spread, begin == first, [
                    ((term.position - row) * width, (term.output - begin) * width,
                     ((width, 1, 1), (term.count, down * width, width), (count, rows * width, (end - begin) * width)))
                    for term in terms], disjoint=kernel_height <= down)
            take(_rows_tile(target.tensor, gradient, image, count, row, rows, channel, channels))


def _in_steps(e: Emitter, tiles: list) -> Iterable[tuple[int, tuple]]:
    """``tiles`` with their numbers."""
    return e.builder.steps(list(enumerate(tiles)), period=sum(tile[0] == 0 for tile in tiles))


def _tiles(operation: AveragePool, tiles: list, bank: int) -> list:
    if not tiles:
        raise CompileError(f"{operation.name}: one row of {operation.image[1]} pixels does not fit into half of "
                           f"AcceleratorConfig.vector_words / vector_banks, which is {bank}")
    return tiles


def _channel_blocks(e: Emitter, tensor: Tensor) -> list[tuple[int, int]]:
    """(first channel, channels) of each word of a pixel."""
    lanes, channels = e.config.vector_lanes, tensor.shape[3]
    return [(channel, min(lanes, channels - channel)) for channel in range(0, channels, lanes)]


def _rows_tile(tensor: Tensor, word: int, image: int, images: int, row: int, rows: int, channel: int, channels: int
               ) -> Tile:
    """Pixel rows [row, row + rows) of some images, in their order."""
    _, height, width, _ = tensor.shape
    return Tile(word=word, row=(image * height + row) * width, loops=((rows * width, 1), (images, height * width)),
                column=channel, columns=channels)


def _terms(length: int, outputs: int, operation: AveragePool, axis: int, wanted: tuple[int, int] | None = None,
           present: tuple[int, int] | None = None) -> list[_Term]:
    """The positions of the kernel along ``axis`` (0 down, 1 across) that meet the image, for outputs
    in [wanted) and inputs in [present), by default all."""
    stride, padding = operation.stride[axis], operation.padding[axis]
    (first, last), (begin, end) = wanted or (0, outputs), present or (0, length)
    terms = []
    for tap in range(operation.kernel[axis]):
        low = max(first, -(-(begin + padding - tap) // stride))
        high = min(last, (end - 1 + padding - tap) // stride + 1)
        if low < high:
            terms.append(_Term(output=low, position=low * stride - padding + tap, count=high - low))
    return terms


def _sum(e: Emitter, target: int, words: int, source: int, fresh: bool, terms, disjoint: bool = False) -> None:
    """target = sum of the terms, (offset in the target, offset in the source, loops of (count, stride
    in the target, stride in the source)); added to what is there unless ``fresh``. ``disjoint``: no
    two terms share a word of the target."""
    def covered(term) -> int:
        product = 1
        for count, *_ in term[2]:
            product *= count
        return product
    terms = sorted(terms, key=covered, reverse=True)
    whole = bool(terms) and covered(terms[0]) == words
    copies = (len(terms) if disjoint else int(whole)) if fresh else 0
    if fresh and not whole and sum(map(covered, terms[:copies])) < words:
        _clear(e, target, words)
    for number, (to, at, loops) in enumerate(terms):
        if number < copies:
            e.vector(target + to, source + at, [(count, d, s, 0) for count, d, s in loops])
        else:
            e.vector(target + to, target + to, [(count, d, d, s) for count, d, s in loops], b=source + at, plus="b")


def _clear(e: Emitter, word: int, words: int) -> None:
    e.fill(Memory.VECTOR, word * e.config.vector_lanes, words * e.config.vector_lanes)


def _average(e: Emitter, operation: AveragePool, word: int, images: int, row: int, rows: int) -> None:
    """Divides sums of windows, or their gradients, by the number of pixels that count."""
    width = operation.output[1]
    if operation.count_include_pad or operation.padding == (0, 0):
        e.vector(word, word, images * rows * width, times=1 / (operation.kernel[0] * operation.kernel[1]))
        return
    for y, height_count, high in _equal_counts(operation, 0, row, row + rows):
        for x, width_count, wide in _equal_counts(operation, 1, 0, width):
            place = word + (y - row) * width + x
            e.vector(place, place, ((width_count, 1, 1, 0), (height_count, width, width, 0),
                                    (images, rows * width, rows * width, 0)), times=1 / (high * wide))


def _equal_counts(operation: AveragePool, axis: int, first: int, last: int):
    """Cuts the outputs [first, last) into (first, number, pixels of the image in the window)."""
    def inside(output: int) -> int:
        begin = output * operation.stride[axis] - operation.padding[axis]
        return min(begin + operation.kernel[axis], operation.image[axis]) - max(begin, 0)
    for pixels, outputs in groupby(range(first, last), inside):
        outputs = list(outputs)
        yield outputs[0], len(outputs), pixels
