"""Weight gradient: pixels of x are stationary as they lie, dy streams transposed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adagp.spec.isa import Pass

from ..emitter import Emitter, Tile
from ..images import Images, Window, Windows, slots
from ..network import Convolution
from ..program import CompileError
from ..tensors import Tensor
from .forward import input_window
from .tiling import Block, Consume, PixelTile, beat_period, blocks, column_tiles, evenly, pixel_tilings, tile_pattern


def weight_gradient(e: Emitter, layer: Convolution, x: Images, dy: Tensor, consume: Consume,
                    consume_bias: Consume | None, tag: Pass = Pass.WEIGHT_GRADIENT, most_rows: int | None = None) -> None:
    """dW; tiles of the matrix (output channels, kernel height · kernel width · input channels of a
    group), and with ``consume_bias`` the bias gradient as tiles of (output channels, 1).

    A tile has at most ``most_rows`` rows.

    The contraction runs over pixels. The bias gradient is the same with a column of ones. Several
    groups are worked on together by computing their whole product, of which the tiles are the
    diagonal blocks.
    """
    array, one = e.array_shape, PixelTile(0, 1, 0, 1)
    inputs, outputs = layer.image[2] // layer.groups, layer.channels // layer.groups
    most_rows = min(e.scratch.bank_words, most_rows or e.scratch.bank_words)
    most = min(array.columns // inputs, most_rows // outputs,
               (array.stationary_elements - 1) // 2 // (input_window(layer, one).pixels * inputs),
               array.stream_elements // 2 // (pixel_chunks(layer, one, array.rows) * array.rows * outputs))
    groups = blocks(layer, most, lambda n: max(n * outputs, array.rows) * len(
        _works_of(layer, array.columns, n, [(0, n * inputs)], (0, n * inputs))))
    pass_ = _WeightGradient(e, layer, x, dy, consume, consume_bias, tag, groups[0], most_rows)
    for block in e.builder.steps(groups):
        pass_.emit(block)


@dataclass(frozen=True, kw_only=True)
class _Work:
    """``columns`` columns of the result from ``column`` on (of each group): what lies under tap
    (``down``, ``across``) from ``channel`` of the slice of x on."""

    down: int
    across: int
    channel: int
    column: int
    columns: int


def _works_of(layer: Convolution, width: int, groups: int, slices: list[tuple[int, int]],
              part: tuple[int, int]) -> list[_Work]:
    """The columns that ``part``, one of the ``slices`` of x, gives: a kernel row is one run if all channels are
    there and its taps are neighbours."""
    channels, (height, across) = layer.image[2] // layer.groups, layer.kernel
    if groups == 1 and len(slices) == 1 and layer.dilation[1] == 1:
        return [_Work(down=row, across=0, channel=first, column=row * across * channels + first, columns=count)
                for row in range(height) for first, count in column_tiles(across * channels, width)]
    return [_Work(down=tap // across, across=tap % across, channel=first,
                  column=tap * channels + part[0] + first, columns=count)
            for tap in range(height * across) for first, count in column_tiles(part[1] // groups, width)]


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """``parts`` of the outputs and ``slices`` of the input channels, both (first, count); the outer loop
    is over the parts or, with ``slices_first``, over the slices. ``together`` works, each for one part of
    the outputs, accumulate over the pixel tiles at a time."""

    tiles: list[PixelTile]
    slices: list[tuple[int, int]]
    parts: list[tuple[int, int]]
    slices_first: bool
    together: int


class _Planner:
    """Chooses the plan of fewest cycles for one block."""

    def __init__(self, e: Emitter, layer: Convolution, images: int, block: Block, most_rows: int):
        self.e, self.layer, self.images, self.block, self.most_rows = e, layer, images, block, most_rows

    def plan(self) -> _Plan | None:
        best, least = None, float("inf")
        for tiles in pixel_tilings(self.images, self.layer.output[0]):
            for slices in self._slices(tiles[0]):
                works = [len(_works_of(self.layer, self.e.array_shape.columns, self.block.groups, slices, part))
                         for part in slices]
                for parts in self._parts(tiles[0]):
                    together = min(self.e.scratch.bank_words // parts[0][1], max(works))
                    if len(slices) == len(parts) == 1 and together == works[0] > 1:
                        together = -(-together // 2)  # something to finish while the rest accumulates
                    for slices_first in (True, False):
                        plan = _Plan(tiles=tiles, slices=slices, parts=parts, slices_first=slices_first, together=together)
                        cycles = self._cycles(plan, works)
                        if cycles < least:
                            best, least = plan, cycles
        return best

    def _slices(self, tile: PixelTile):
        array = self.e.array_shape
        most = (array.stationary_elements - 1) // 2 // input_window(self.layer, tile).pixels
        if self.block.groups > 1 or most >= self.block.channels:
            return [[(0, self.block.channels)]] if most >= self.block.channels else []
        return [evenly(self.block.channels, size, array.columns) for size in {most, most // 2} if size]

    def _parts(self, tile: PixelTile):
        array, outputs = self.e.array_shape, self.block.outputs
        most = min(self.most_rows, array.stream_elements // 2 // (pixel_chunks(self.layer, tile, array.rows) * array.rows))
        if self.block.groups > 1 or not most:
            return [[(0, outputs)]] if most >= outputs else []
        return [evenly(outputs, size) for size in sorted({-(-outputs // n) for n in range(1, outputs + 1)})
                if min(array.rows, most, outputs) <= size <= most]

    def _cycles(self, plan: _Plan, works: list[int]) -> float:
        """What the array or the load engine needs, and what happens before and after."""
        array, bus, layer = self.e.array_shape, self.e.config.bus_bytes, self.layer
        tiles, parts, slices = len(plan.tiles), len(plan.parts), len(plan.slices)
        part, channels = plan.parts[0][1], plan.slices[0][1]
        window = input_window(layer, plan.tiles[0]).pixels
        chunks = pixel_chunks(layer, plan.tiles[0], array.rows)
        windows = (array.stationary_elements - 1) // (window * channels)
        gradients = array.stream_elements // (chunks * array.rows * part)
        stages = sum(-(-n // plan.together) for n in works)
        if plan.slices_first:
            x_times = 1 if tiles <= windows else parts * stages / slices
            dy_times = 1 if tiles * parts <= gradients else slices if tiles <= gradients else stages
        else:
            x_times = (1 if tiles * slices <= windows else parts if tiles <= windows else parts * stages / slices)
            dy_times = 1 if tiles <= gradients else stages
        x_beats = tiles * window * -(-2 * channels // bus) * slices
        dy_beats = tiles * chunks * array.rows * sum(-(-2 * count // bus) for _, count in plan.parts)
        results = sum(works) * parts
        transfers = results * (8 * part * array.columns / bus + _TILE_BEATS) + results * tiles * _ARRAY_BEATS
        loads = x_beats * x_times + dy_beats * dy_times + transfers
        cycles = (tiles * chunks * sum(works) * sum(max(count, array.rows) for _, count in plan.parts)
                  + results * tiles * _ARRAY_BEATS)
        start = window * channels * 2 / bus + chunks * array.rows * part * 2 / bus
        return max(cycles, loads) + start + plan.together * part * array.columns * 8 / bus


_ARRAY_BEATS, _TILE_BEATS = 8, 32
"""Beats of instructions to accumulate, and to finish a tile (roughly, of a bus of 128 bits)."""


def pixel_chunks(layer: Convolution, tile: PixelTile, rows: int) -> int:
    """Chunks of ``rows`` pixels of a tile of dy."""
    return -(-tile.count * tile.rows * layer.output[1] // rows)


class _WeightGradient:
    """The pass with its plan and its buffers, made for the largest block."""

    def __init__(self, e: Emitter, layer: Convolution, x: Images, dy: Tensor, consume: Consume,
                 consume_bias: Consume | None, tag: Pass, largest: Block, most_rows: int):
        self.e, self.layer, self.x, self.dy, self.tag = e, layer, x, dy, tag
        self.consume, self.consume_bias = consume, consume_bias
        array = e.array_shape
        self.plan = plan = _Planner(e, layer, x.shape[0], largest, most_rows).plan()
        if not plan:
            one = PixelTile(0, 1, 0, 1)
            raise CompileError(
                f"{layer.name}: one row of pixels needs {input_window(layer, one).pixels} elements of half "
                f"{e.scratch.stationary_parameter}, which is {array.stationary_elements // 2}, and "
                f"{pixel_chunks(layer, one, array.rows) * array.rows} of half {e.scratch.stream_parameter}, "
                f"which is {array.stream_elements // 2}")
        tile, channels, outputs = plan.tiles[0], plan.slices[0][1], plan.parts[0][1]
        self.ones = e.scratch.stationary(1)
        if consume_bias:
            e.fill(e.stationary, self.ones, 1, value=1.0)
        self.windows = Windows(e, e.stationary, slots(
            e.scratch.stationary, e.scratch.free_stationary(), input_window(layer, tile).pixels * channels,
            len(plan.tiles) * len(plan.slices)))
        self.gradients = slots(e.scratch.stream, array.stream_elements,
                               pixel_chunks(layer, tile, array.rows) * outputs * array.rows, len(plan.tiles) * len(plan.parts))
        self.accumulators = [e.scratch.vector(plan.together * outputs, bank) for bank in (0, 1)]
        self.turn = 0
        self.finished: list[tuple[Consume, Tile]] = []

    def emit(self, block: Block) -> None:
        slices = [(first, min(count, block.channels - first)) for first, count in self.plan.slices if first < block.channels]
        parts = [(first, min(count, block.outputs - first)) for first, count in self.plan.parts if first < block.outputs]
        for channels, part in self._order(slices, parts):
            works = _works_of(self.layer, self.e.array_shape.columns, block.groups, slices, channels)
            if self.consume_bias and channels == slices[-1]:
                works = [*works, None]
            stages = evenly(len(works), self.plan.together)
            period = beat_period(self.e, stages[0][1] * self.e.array_shape.columns)
            for first, count in self.e.builder.steps(stages, period=period):
                self._accumulate(block, channels, part, works[first:first + count])
        self._finish(len(self.finished))

    def _order(self, slices: list[tuple[int, int]], parts: list[tuple[int, int]]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Slices of x and parts of the outputs, in the order of the plan."""
        steps = self.e.builder.steps
        if self.plan.slices_first:
            return ((channels, part) for channels in steps(slices) for part in parts)
        return ((channels, part) for part in steps(parts) for channels in slices)

    def _accumulate(self, block: Block, channels: tuple[int, int], part: tuple[int, int], works: list) -> None:
        """One stage. That before it is finished meanwhile, little by little, so that its transfers do not
        stand in the way of the next tiles."""
        word, self.turn = self.accumulators[self.turn], self.turn ^ 1
        waiting, steps = len(self.finished), len(self.plan.tiles) * len(works)
        results = []
        for number, tile in self._numbered_tiles():
            view = input_window(self.layer, tile)
            if works != [None]:
                pixels = self.windows.get((block, tile, channels), self.x.slice(block.channel + channels[0], channels[1]), view)
            stream = self.gradients.get((block, tile, part), lambda address: self._load_gradients(
                tile, block.output + part[0], part[1], address))
            for index, work in enumerate(works):
                fields = dict(tag=self.tag, accumulate=int(number > 0), accumulator=word + index * part[1])
                if work:
                    down, right = self.layer.dilation
                    stationary = (pixels + work.down * down * view.pitch(channels[1])
                                  + work.across * right * channels[1] + work.channel)
                    self._multiply(tile, part[1], stream, view, channels[1], stationary, block.groups * work.columns, **fields)
                else:
                    self._multiply(tile, part[1], stream, view, 0, self.ones, 1, **fields)
                step = number * len(works) + index + 1
                with self.e.builder.aside():
                    self._finish(len(self.finished) - (waiting - waiting * step // steps))
        self.finished = [self._result(block, part, word + index * part[1], work) for index, work in enumerate(works)]

    def _numbered_tiles(self) -> Iterable[tuple[int, PixelTile]]:
        tiles = self.plan.tiles
        return self.e.builder.steps(list(enumerate(tiles)), **tile_pattern(tiles, max(len(self.windows), len(self.gradients))))

    def _finish(self, count: int) -> None:
        for consume, tile in self.finished[:count]:
            consume(tile, None)
        del self.finished[:count]

    def _result(self, block: Block, part: tuple[int, int], word: int, work) -> tuple[Consume, Tile]:
        row, rows = block.output + part[0], part[1]
        if not work:
            return self.consume_bias, Tile(word=word, row=row, loops=((rows, 1),), column=0, columns=1)
        outputs = rows // block.groups
        return self.consume, Tile(word=word, row=row, loops=((outputs, 1), (block.groups, outputs)),
                                  shift=work.columns, column=work.column, columns=work.columns)

    def _multiply(self, tile: PixelTile, outputs: int, stream: int, view: Window, channels: int, stationary: int,
                  columns: int, **fields) -> None:
        (down, right), rows = self.layer.stride, self.e.array_shape.rows
        self.e.array(columns=columns, stationary=stationary, stream=stream, stream_count0=outputs, stream_stride0=rows,
                     chunk_stride=outputs * rows, row_count0=self.layer.output[1], row_stride0=right * channels,
                     row_count1=tile.rows, row_stride1=down * view.pitch(channels),
                     row_count2=tile.count, row_stride2=view.image_pitch(channels), **fields)

    def _load_gradients(self, tile: PixelTile, output: int, outputs: int, address: int) -> None:
        """Chunks of as many pixels as the array has rows: (chunk, output channel, pixel)."""
        e, dy, rows, by_pixel = self.e, self.dy, self.e.array_shape.rows, self.dy.strides()[2]
        height, width, _ = self.layer.output
        chunks, rest = divmod(tile.count * tile.rows * width, rows)
        offset = (tile.first * height + tile.row) * width * by_pixel + output * dy.format.bytes
        if chunks:
            e.load_transposed(dy, offset, e.stream, address, rows=rows, row_stride=by_pixel, columns=outputs,
                              column_stride=rows, loops=((chunks, rows * by_pixel, outputs * rows),))
        if rest:
            e.load_transposed(dy, offset + chunks * rows * by_pixel, e.stream, address + chunks * outputs * rows,
                              rows=rest, row_stride=by_pixel, columns=outputs, column_stride=rows)
