"""Input gradient: weights are stationary as they lie, pixels of dy stream."""

from dataclasses import dataclass
from math import gcd

from adagp.spec.isa import Memory, Pass

from ..emitter import Emitter, Tile
from ..images import Images, Window, Windows, slots
from ..network import Convolution
from ..program import CompileError
from ..tensors import Tensor
from .tiling import (Block, Consume, PixelTile, beat_period, column_tiles, kernel_chunks, pixel_tilings, plan_streaming,
                     streamed_blocks, tile_pattern)


def input_gradient(e: Emitter, layer: Convolution, dy: Tensor, weight: Tensor, consume: Consume,
                   tag: Pass = Pass.INPUT_GRADIENT) -> None:
    """dx; tiles of the matrix (input pixels, input channels).

    A stride splits the input pixels into classes that see different taps of the kernel; each class
    is a convolution of dy with stride 1, so no multiplication by inserted zeros is done.
    """
    seen = _Seen(layer)
    groups = streamed_blocks(e, layer, layer.channels // layer.groups, layer.image[2] // layer.groups,
                             seen.window(PixelTile(0, 1, 0, min(layer.stride[0], layer.image[0]))).pixels)
    pass_ = _InputGradient(e, layer, dy, weight, consume, tag, groups[0], seen)
    for block in e.builder.steps(groups):
        pass_.emit(block)


@dataclass(frozen=True, kw_only=True)
class _Class:
    """Input pixels along one axis that see the same taps, within a range of pixels.

    ``pixel`` is the first of ``count`` pixels, a stride apart. The first one sees position ``first`` of
    dy through tap ``last_tap``, and with each of ``taps`` taps a position ``step`` further on through a
    tap ``tap_step`` before.
    """

    pixel: int
    count: int
    first: int
    step: int
    taps: int
    last_tap: int
    tap_step: int

    @property
    def beyond(self) -> int:
        """The position after the last that is seen."""
        return self.first + (self.taps - 1) * self.step + self.count


class _Classes:
    """How a stride splits the input pixels along one axis."""

    def __init__(self, size: int, kernel: int, stride: int, padding: int, dilation: int):
        self.size, self.kernel, self.stride, self.padding, self.dilation = size, kernel, stride, padding, dilation

    def parts(self, start: int, count: int) -> list[_Class]:
        """The classes of the pixels in [start, start + count), empty ones left out."""
        parts, common = [], gcd(self.stride, self.dilation)
        for residue in range(self.stride):
            pixel = start + (residue - self.padding - start) % self.stride
            number = len(range(pixel, start + count, self.stride))
            taps = [tap for tap in range(self.kernel) if tap * self.dilation % self.stride == residue]
            if number:
                last = taps[-1] if taps else 0
                parts.append(_Class(
                    pixel=pixel, count=number, first=(pixel + self.padding - last * self.dilation) // self.stride,
                    step=self.dilation // common, taps=len(taps), last_tap=last, tap_step=self.stride // common))
        return parts

    @staticmethod
    def extent(parts: list[_Class]) -> tuple[int, int]:
        """The positions of dy that ``parts`` see: [first, beyond)."""
        seen = [part for part in parts if part.taps]
        return (min(part.first for part in seen), max(part.beyond for part in seen)) if seen else (0, 1)


class _Seen:
    """What the input pixels of a layer see of dy."""

    def __init__(self, layer: Convolution):
        self._vertical, horizontal = (
            _Classes(*axis) for axis in zip(layer.image, layer.kernel, layer.stride, layer.padding, layer.dilation))
        self.across = horizontal.parts(0, layer.image[1])
        self._left, self._right = horizontal.extent(self.across)

    def down(self, tile: PixelTile) -> list[_Class]:
        return self._vertical.parts(tile.row, tile.rows)

    def window(self, tile: PixelTile) -> Window:
        top, bottom = self._vertical.extent(self.down(tile))
        return Window(first=tile.first, count=tile.count, top=top, bottom=bottom, left=self._left, right=self._right)


class _InputGradient:
    """The pass with its plan and its buffers, made for the largest block."""

    def __init__(self, e: Emitter, layer: Convolution, dy: Tensor, weight: Tensor, consume: Consume, tag: Pass,
                 largest: Block, seen: _Seen):
        self.e, self.layer, self.dy, self.weight, self.consume, self.tag = e, layer, Images(tensor=dy), weight, consume, tag
        self.seen, self.taps = seen, layer.kernel[0] * layer.kernel[1]
        (height, width, _), (down, right), array = layer.image, layer.stride, e.array_shape
        widths = [count for _, count in self._columns(largest)]
        self.plan = plan = plan_streaming(
            e, tilings=pixel_tilings(dy.shape[0], height, down), words=lambda tile: tile.count * tile.rows * width,
            pixels=lambda tile: seen.window(tile).pixels, most_words=e.scratch.bank_words, channels=largest.outputs,
            taps=self.taps, chunks=lambda n: kernel_chunks(layer, n, array.rows) / (down * right), widths=widths,
            whole=largest.groups > 1)
        if not plan:
            pixels = seen.window(PixelTile(0, 1, 0, min(down, height))).pixels
            raise CompileError(
                f"{layer.name}: {down} input rows need {down * width} words of AcceleratorConfig.vector_words / "
                f"vector_banks, which is {e.scratch.bank_words}, and {pixels} elements of half {e.scratch.stream_parameter}, "
                f"which is {array.stream_elements // 2}; a channel's weights need {self.taps * max(widths)} elements of half "
                f"{e.scratch.stationary_parameter}, which is {array.stationary_elements // 2}")
        channels = plan.slices[0][1]
        windows = max(seen.window(tile).pixels for tile in plan.tiles) * channels
        self.windows = Windows(e, e.stream, slots(e.scratch.stream, array.stream_elements, windows,
                                                  len(plan.tiles) * len(plan.slices)))
        self.weights = slots(e.scratch.stationary, array.stationary_elements, self.taps * channels * max(widths),
                             2 * plan.columns * len(plan.slices))
        words = plan.tiles[0].count * plan.tiles[0].rows * width
        self.accumulators = [e.scratch.vector(words, number % 2)
                             for number in range(2 * min(plan.columns, e.scratch.bank_words // words))]
        self.turn = 0

    def _columns(self, block: Block) -> list[tuple[int, int]]:
        return [(block.channel + first, count)
                for first, count in column_tiles(block.channels, self.e.array_shape.columns)]

    def emit(self, block: Block) -> None:
        columns = self._columns(block)
        period = beat_period(self.e, self.plan.columns * self.e.array_shape.columns)
        for start in self.e.builder.steps(range(0, len(columns), self.plan.columns), period=period):
            for tile in self.e.builder.steps(self.plan.tiles, **tile_pattern(self.plan.tiles, len(self.windows))):
                self._tile(block, tile, columns[start:start + self.plan.columns])

    def _tile(self, block: Block, tile: PixelTile, columns: list[tuple[int, int]]) -> None:
        words = [self.accumulators[(self.turn + number) % len(self.accumulators)] for number in range(len(columns))]
        self.turn += len(columns)
        slices = [(first, min(count, block.outputs - first)) for first, count in self.plan.slices if first < block.outputs]
        for output, outputs in slices:
            view = self.seen.window(tile)
            source = self.windows.get((block, tile, output), self.dy.slice(block.output + output, outputs), view)
            for (column, count), word in zip(columns, words):
                stationary = self.weights.get((column, output), lambda address: self._load_weights(
                    block, column, count, output, outputs, address))
                for y in self.seen.down(tile):
                    for x in self.seen.across:
                        self._multiply(tile, view, y, x, outputs, source, stationary, count, word, accumulate=output > 0)
                        if (output, outputs) == slices[-1]:
                            self.consume(self._result(tile, y, x, column, count, word), None)
                        word += tile.count * y.count * x.count

    def _result(self, tile: PixelTile, y: _Class, x: _Class, column: int, count: int, word: int) -> Tile:
        (height, width, _), (down, right) = self.layer.image, self.layer.stride
        return Tile(word=word, row=(tile.first * height + y.pixel) * width + x.pixel,
                    loops=((x.count, right), (y.count, down * width), (tile.count, height * width)),
                    column=column, columns=count)

    def _load_weights(self, block: Block, column: int, count: int, output: int, outputs: int, address: int) -> None:
        """To (output, tap, channel) of the stationary memory, with zeros between different groups."""
        e, taps = self.e, self.taps
        by_output, _, by_tap, by_channel = self.weight.strides()
        inputs, outputs = count // block.groups, outputs // block.groups
        if block.groups > 1:
            e.fill(e.stationary, address, outputs * block.groups * taps * count)
        e.load(self.weight, (block.output + output) * by_output + (column - block.channel) * by_channel, e.stationary,
               address, inputs, ((taps, by_tap, count), (outputs, by_output, taps * count),
                                 (block.groups, outputs * by_output, outputs * taps * count + inputs)))

    def _multiply(self, tile: PixelTile, view: Window, y: _Class, x: _Class, outputs: int, source: int, stationary: int,
                  count: int, word: int, *, accumulate: bool) -> None:
        e, size, pitch = self.e, tile.count * y.count * x.count, view.pitch(outputs)
        if not y.taps or not x.taps:
            if not accumulate:
                e.fill(Memory.VECTOR, word * e.config.vector_lanes, size * e.config.vector_lanes)
            return
        width = self.layer.kernel[1]
        if x.step == 1:  # what a pixel row contributes lies in one run
            contraction = dict(row_count0=outputs, row_stride0=self.taps * count,
                               row_count1=x.taps, row_stride1=-x.tap_step * count,
                               outer_count0=y.taps, stream_outer_stride0=y.step * pitch,
                               stationary_outer_stride0=-y.tap_step * width * count)
        else:
            contraction = dict(row_count0=outputs, row_stride0=self.taps * count,
                               outer_count0=x.taps, stream_outer_stride0=x.step * outputs,
                               stationary_outer_stride0=-x.tap_step * count,
                               outer_count1=y.taps, stream_outer_stride1=y.step * pitch,
                               stationary_outer_stride1=-y.tap_step * width * count)
        e.array(tag=self.tag, accumulate=int(accumulate), columns=count, accumulator=word,
                stream=source + (y.first - view.top) * pitch + (x.first - view.left) * outputs,
                stationary=stationary + (y.last_tap * width + x.last_tap) * count,
                stream_count0=x.count, stream_stride0=outputs, stream_count1=y.count, stream_stride1=pitch,
                stream_count2=tile.count, stream_stride2=view.image_pitch(outputs),
                chunk_stride=e.array_shape.rows, **contraction)
