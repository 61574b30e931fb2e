"""Max pooling and its gradient on the vector unit, channels in the lanes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from adagp.spec.isa import Function, Memory

from .activation import gate
from .emitter import Emitter
from .network import MaxPool
from .operation import Work
from .program import CompileError
from .tensors import Tensor


def forward(e: Emitter, layer: MaxPool, work: Work) -> None:
    """y = maximum over the windows of x."""
    (x,), y = work.inputs, work.output
    tiles, rows, words = _tiles(e, layer, x, y, apart=False)
    inputs = [e.scratch.vector(rows, bank) for bank in (0, 1)]
    outputs = [e.scratch.vector(words, bank) for bank in (2, 3)]
    for number, tile in _in_steps(e, tiles):
        source, result = inputs[number % 2], outputs[number % 2]
        if tile.padded(layer):
            e.fill(Memory.VECTOR, source * e.config.vector_lanes, tile.input_words * e.config.vector_lanes,
                   value=float("-inf"))
        _transfer_input(e, e.load, x, tile, source)
        taps = _taps(layer, tile)
        e.vector(result, source + taps[0], tile.loops(layer, "dx"))
        for tap in taps[1:]:
            e.vector(result, source + tap, tile.loops(layer, "dxd"), b=result, plus="b", function=Function.MAXIMUM)
        _transfer_output(e, e.store, y, tile, result)


def backward(e: Emitter, layer: MaxPool, work: Work) -> None:
    """dx: each window's gradient goes to its first maximum in row-major order, as in PyTorch.

    Without other shares the derivative of the activation is taken at the maxima, which are fewer.
    """
    (x,), y, dy, (target,) = work.inputs, work.output, work.gradient, work.targets
    if not target:
        return
    sets = 2
    try:
        tiles, rows, words = _tiles(e, layer, x, y, inputs=2, outputs=4)
    except CompileError:  # one tile at a time then, without overlap
        sets = 1
        tiles, rows, words = _tiles(e, layer, x, y, inputs=1, outputs=2)
    places = [(e.scratch.vector(rows, 0), e.scratch.vector(rows, 1), e.scratch.vector(words, 2),
               e.scratch.vector(words, 2), e.scratch.vector(words, 3), e.scratch.vector(words, 3))
              for _ in range(sets)]
    lanes = e.config.vector_lanes
    adds = target.addend or any(k > s for k, s in zip(layer.kernel, layer.stride))
    for number, tile in _in_steps(e, tiles):
        source, gradient, y_word, mask, g_word, part = places[number % sets]
        if tile.padded(layer):
            e.fill(Memory.VECTOR, source * lanes, tile.input_words * lanes, value=float("-inf"))
        _transfer_input(e, e.load, x, tile, source)
        _transfer_output(e, e.load, y, tile, y_word)
        _transfer_output(e, e.load, dy, tile, g_word)
        if target.addend:
            _transfer_input(e, e.load, target.addend, tile, gradient)
        else:
            if not tile.covered(layer):
                e.fill(Memory.VECTOR, gradient * lanes, tile.input_words * lanes)
            gate(e, target.activation, g_word, y_word, tile.output_words, temporary=mask)
        *taps, last = _taps(layer, tile)
        for tap in taps:
            e.vector(mask, source + tap, tile.loops(layer, "dxd"), b=y_word, plus="b", function=Function.EQUAL)
            if adds:
                e.vector(part, mask, tile.output_words, b=g_word, times="b")
                e.vector(g_word, g_word, tile.output_words, b=part, plus="b", negate_addend=True)
                e.vector(gradient + tap, gradient + tap, tile.loops(layer, "xxd"), b=part, plus="b")
            else:
                e.vector(gradient + tap, mask, tile.loops(layer, "xdd"), b=g_word, times="b")
                e.vector(g_word, g_word, tile.loops(layer, "ddx"), b=gradient + tap, plus="b", negate_addend=True)
        if adds:  # what no other position has got
            e.vector(gradient + last, gradient + last, tile.loops(layer, "xxd"), b=g_word, plus="b")
        else:
            e.vector(gradient + last, g_word, tile.loops(layer, "xd"))
        if target.addend:
            gate(e, target.activation, gradient, source, tile.input_words)
        _transfer_input(e, e.store, target.tensor, tile, gradient)


@dataclass(frozen=True, kw_only=True)
class _PoolTile:
    """Output rows [row, row + rows) of some images and up to a word's lanes of channels, and the
    input pixels [top, bottom) × [left, right) that belong to them, padding included."""

    image: int
    images: int
    row: int
    rows: int
    columns: int
    channel: int
    channels: int
    top: int
    bottom: int
    left: int
    right: int

    @property
    def output_words(self) -> int:
        return self.images * self.rows * self.columns

    @property
    def pitch(self) -> int:
        return self.right - self.left

    @property
    def input_words(self) -> int:
        return self.images * (self.bottom - self.top) * self.pitch

    def padded(self, layer: MaxPool) -> bool:
        height, width, _ = layer.image
        return self.top < 0 or self.left < 0 or self.bottom > height or self.right > width

    def covered(self, layer: MaxPool) -> bool:
        """Whether every input position is in exactly one window."""
        return layer.kernel == layer.stride and self.input_words == (
            self.output_words * layer.kernel[0] * layer.kernel[1])

    def loops(self, layer: MaxPool, operands: str):
        """Loops over output positions; each operand is of the output ("d") or the input ("x")."""
        down, right = layer.stride
        strides = {"d": (1, self.columns, self.rows * self.columns),
                   "x": (right, down * self.pitch, (self.bottom - self.top) * self.pitch)}
        operands = operands.ljust(3, "d")
        return [(count, *(strides[operand][axis] for operand in operands))
                for axis, count in enumerate((self.columns, self.rows, self.images))]


def _in_steps(e: Emitter, tiles: list[_PoolTile]) -> Iterator[tuple[int, _PoolTile]]:
    """``tiles`` with their numbers."""
    parts = sum(tile.image == 0 and tile.channel == 0 for tile in tiles)
    by_channel = [list(some) for _, some in groupby(enumerate(tiles), lambda numbered: numbered[1].channel)]
    for some in e.builder.steps(by_channel):
        yield from e.builder.steps(some, period=parts)


def _taps(layer: MaxPool, tile: _PoolTile) -> list[int]:
    """Word offsets of the window's positions in row-major order."""
    return [y * tile.pitch + x for y in range(layer.kernel[0]) for x in range(layer.kernel[1])]


def _tiles(e: Emitter, layer: MaxPool, x: Tensor, y: Tensor, inputs: int = 1, outputs: int = 1, apart: bool = True):
    """The tiles, and the most input and output words of one. ``inputs`` and ``outputs`` of these must
    fit into a bank. ``apart``: no two tiles may share input rows."""
    (images, height, width, channels), (_, out_height, out_width, _) = x.shape, y.shape
    (kernel_height, kernel_width), (down, right), (top, left) = layer.kernel, layer.stride, layer.padding
    last_column = max(width, (out_width - 1) * right - left + kernel_width)
    splits = kernel_height <= down or not apart

    def rows_of(row, rows):
        begin = row * down - top
        end = max((row + rows) * down, (row + rows - 1) * down + kernel_height) - top
        return begin, (max(height, end - max(0, down - kernel_height)) if row + rows == out_height else end)

    def fits(count, rows):
        most = max(rows_of(row, min(rows, out_height - row))[1] - rows_of(row, 1)[0]
                   for row in range(0, out_height, rows))
        return (count * most * (last_column + left) * inputs <= e.scratch.bank_words
                and count * rows * out_width * outputs <= e.scratch.bank_words)

    rows = next((rows for rows in range(out_height, 0, -1) if (splits or rows == out_height) and fits(1, rows)), 0)
    if not rows:
        raise CompileError(f"{layer.name}: {'one row of windows' if splits else 'one image'} does not fit into "
                           f"AcceleratorConfig.vector_words / vector_banks, which is {e.scratch.bank_words}")
    count = 1
    while rows == out_height and count < images and fits(count + 1, rows):
        count += 1
    lanes, tiles = e.config.vector_lanes, []
    for channel in range(0, channels, lanes):
        for image in range(0, images, count):
            for row in range(0, out_height, rows):
                some = min(rows, out_height - row)
                begin, end = rows_of(row, some)
                tiles.append(_PoolTile(
                    image=image, images=min(count, images - image), row=row, rows=some, columns=out_width,
                    channel=channel, channels=min(lanes, channels - channel), top=begin, bottom=end,
                    left=-left, right=last_column))
    return tiles, max(tile.input_words for tile in tiles), max(tile.output_words for tile in tiles)


def _transfer_input(e: Emitter, transfer, tensor: Tensor, tile: _PoolTile, word: int) -> None:
    """``transfer`` (load or store) between the pixels of the tile inside the image and its words."""
    _, height, width, _ = tensor.shape
    by_image, by_row, by_column, by_channel = tensor.strides()
    lanes = e.config.vector_lanes
    top, bottom = max(tile.top, 0), min(tile.bottom, height)
    left, right = max(tile.left, 0), min(tile.right, width)
    offset = tile.image * by_image + top * by_row + left * by_column + tile.channel * by_channel
    element = (word + (top - tile.top) * tile.pitch + left - tile.left) * lanes
    loops = ((right - left, by_column, lanes), (bottom - top, by_row, tile.pitch * lanes),
             (tile.images, by_image, (tile.bottom - tile.top) * tile.pitch * lanes))
    _transfer(e, transfer, tensor, offset, element, tile.channels, loops)


def _transfer_output(e: Emitter, transfer, tensor: Tensor, tile: _PoolTile, word: int) -> None:
    by_image, by_row, by_column, by_channel = tensor.strides()
    lanes = e.config.vector_lanes
    offset = tile.image * by_image + tile.row * by_row + tile.channel * by_channel
    loops = ((tile.columns, by_column, lanes), (tile.rows, by_row, tile.columns * lanes),
             (tile.images, by_image, tile.rows * tile.columns * lanes))
    _transfer(e, transfer, tensor, offset, word * lanes, tile.channels, loops)


def _transfer(e: Emitter, transfer, tensor: Tensor, offset: int, element: int, length: int, loops) -> None:
    if transfer == e.load:
        e.load(tensor, offset, Memory.VECTOR, element, length, loops)
    else:
        e.store(tensor, offset, element, length, loops)
