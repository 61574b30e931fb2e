"""Forward pass: weights are stationary, pixels of x stream."""

from adagp.spec.isa import Memory, Pass

from ..emitter import Emitter, Tile
from ..images import Images, Slots, Window, Windows, slots
from ..network import Convolution
from ..program import CompileError
from ..tensors import Tensor
from .tiling import (Block, Consume, PixelTile, beat_period, column_tiles, kernel_chunks, pixel_tilings, plan_streaming,
                     streamed_blocks, tile_pattern)


def forward(e: Emitter, layer: Convolution, x: Images, weight: Tensor, bias: Tensor | None, consume: Consume,
            tag: Pass = Pass.FORWARD, *, most_rows: int | None = None) -> None:
    """y = x ∗ weight; tiles of the matrix (output pixels, output channels), without the bias.

    A tile has at most ``most_rows`` rows.
    """
    groups = streamed_blocks(e, layer, layer.image[2] // layer.groups, layer.channels // layer.groups,
                             input_window(layer, PixelTile(0, 1, 0, 1)).pixels)
    pass_ = _Forward(e, layer, x, weight, bias, consume, tag, groups[0], most_rows or e.scratch.bank_words)
    for block in e.builder.steps(groups):
        pass_.emit(block)


def input_window(layer: Convolution, tile: PixelTile) -> Window:
    """The pixels of x from which the output pixels of ``tile`` are made."""
    (down, right), (top, left), (height, width) = layer.stride, layer.padding, layer.reach
    return Window(first=tile.first, count=tile.count, top=tile.row * down - top,
                  bottom=(tile.row + tile.rows - 1) * down - top + height,
                  left=-left, right=(layer.output[1] - 1) * right - left + width)


class _Forward:
    """The pass with its plan and its buffers, made for the largest block."""

    def __init__(self, e: Emitter, layer: Convolution, x: Images, weight: Tensor, bias: Tensor | None,
                 consume: Consume, tag: Pass, largest: Block, most_rows: int):
        self.e, self.layer, self.x, self.weight, self.bias = e, layer, x, weight, bias
        self.consume, self.tag = consume, tag
        self.taps = layer.kernel[0] * layer.kernel[1]
        images, (height, width, _), array = x.shape[0], layer.output, e.array_shape
        most_words = min(e.scratch.bank_words, most_rows)
        widths = [count for _, count in self._columns(largest)]
        self.plan = plan = plan_streaming(
            e, tilings=pixel_tilings(images, height), words=lambda tile: tile.count * tile.rows * width,
            pixels=lambda tile: input_window(layer, tile).pixels, most_words=most_words, channels=largest.channels,
            taps=self.taps, chunks=lambda n: kernel_chunks(layer, n, array.rows), widths=widths,
            whole=largest.groups > 1)
        if not plan:
            pixels = input_window(self.layer, PixelTile(0, 1, 0, 1)).pixels
            raise CompileError(
                f"{layer.name}: one output row needs {width} words of AcceleratorConfig.vector_words / vector_banks, of "
                f"which {most_words} are free, and {pixels} elements of half {e.scratch.stream_parameter}, which is "
                f"{array.stream_elements // 2}; a channel's weights need {self.taps * max(widths)} elements of half "
                f"{e.scratch.stationary_parameter}, which is {array.stationary_elements // 2}")
        channels = plan.slices[0][1]
        windows = max(input_window(self.layer, tile).pixels for tile in plan.tiles) * channels
        self.windows = Windows(e, e.stream, slots(e.scratch.stream, array.stream_elements, windows,
                                                  len(plan.tiles) * len(plan.slices)))
        self.weights = slots(e.scratch.stationary, array.stationary_elements, self.taps * channels * max(widths),
                             2 * plan.columns * len(plan.slices))
        words = plan.tiles[0].count * plan.tiles[0].rows * width
        self.accumulators = [e.scratch.vector(words, number % 2)
                             for number in range(2 * min(plan.columns, e.scratch.bank_words // words))]
        self.biases = Slots([e.scratch.vector(1, bank) for bank in (2, 3, 2, 3) if e.scratch.free_vector(bank)]
                            ) if bias else None
        self.turn = 0

    def _columns(self, block: Block) -> list[tuple[int, int]]:
        return [(block.output + first, count)
                for first, count in column_tiles(block.outputs, self.e.array_shape.columns)]

    def emit(self, block: Block) -> None:
        columns = self._columns(block)
        period = beat_period(self.e, self.plan.columns * self.e.array_shape.columns)
        for start in self.e.builder.steps(range(0, len(columns), self.plan.columns), period=period):
            for tile in self.e.builder.steps(self.plan.tiles, **tile_pattern(self.plan.tiles, len(self.windows))):
                self._tile(block, tile, columns[start:start + self.plan.columns])

    def _tile(self, block: Block, tile: PixelTile, columns: list[tuple[int, int]]) -> None:
        height, width, _ = self.layer.output
        words = [self.accumulators[(self.turn + number) % len(self.accumulators)] for number in range(len(columns))]
        self.turn += len(columns)
        slices = [(first, min(count, block.channels - first)) for first, count in self.plan.slices if first < block.channels]
        for channel, channels in slices:
            view, last = input_window(self.layer, tile), (channel, channels) == slices[-1]
            source = self.windows.get((block, tile, channel), self.x.slice(block.channel + channel, channels), view)
            for (column, count), word in zip(columns, words):
                bias = self._bias(column, count) if last else None
                stationary = self.weights.get((column, channel), lambda address: self._load_weights(
                    block, column, count, channel, channels, address))
                self._multiply(tile, view, channels, source, stationary, count, word, accumulate=channel > 0)
                if last:
                    self.consume(Tile(word=word, row=(tile.first * height + tile.row) * width,
                                      loops=((tile.count * tile.rows * width, 1),), column=column, columns=count), bias)

    def _bias(self, column: int, count: int) -> int | None:
        """The word with the biases of these columns."""
        e, bias = self.e, self.bias
        return self.biases.get(column, lambda word: e.load(
            bias, column * bias.format.bytes, Memory.VECTOR, word * e.config.vector_lanes, count)) if bias else None

    def _load_weights(self, block: Block, column: int, count: int, channel: int, channels: int, address: int) -> None:
        """To (tap, channel, output) of the stationary memory, with zeros between different groups."""
        e, weight = self.e, self.weight
        by_output, _, by_tap, by_channel = weight.strides()
        inputs, outputs = channels // block.groups, count // block.groups
        offset = column * by_output + channel * by_channel
        groups = (block.groups, outputs * by_output, inputs * count + outputs)
        if block.groups > 1:
            e.fill(e.stationary, address, self.taps * channels * count)
        if outputs == 1:
            e.load(weight, offset, e.stationary, address, 1, (
                (inputs, by_channel, count), (self.taps, by_tap, channels * count), groups))
        elif inputs * by_channel == by_tap and block.groups == 1:
            e.load_transposed(weight, offset, e.stationary, address, rows=count, row_stride=by_output,
                              columns=self.taps * inputs, column_stride=count)
        else:
            e.load_transposed(weight, offset, e.stationary, address, rows=outputs, row_stride=by_output,
                              columns=inputs, column_stride=count, loops=((self.taps, by_tap, channels * count), groups))

    def _multiply(self, tile: PixelTile, view: Window, channels: int, source: int, stationary: int, count: int,
                  word: int, *, accumulate: bool) -> None:
        layer, pitch = self.layer, view.pitch(channels)
        (height, width), (down, right), (below, beside) = layer.kernel, layer.stride, layer.dilation
        if beside == 1:  # a kernel row lies in one run
            contraction = dict(row_count0=width * channels, outer_count0=height, stream_outer_stride0=below * pitch,
                               stationary_outer_stride0=width * channels * count)
        else:
            contraction = dict(row_count0=channels, outer_count0=width, stream_outer_stride0=beside * channels,
                               stationary_outer_stride0=channels * count,
                               outer_count1=height, stream_outer_stride1=below * pitch,
                               stationary_outer_stride1=width * channels * count)
        self.e.array(tag=self.tag, accumulate=int(accumulate), columns=count, accumulator=word,
                     stream=source, stationary=stationary,
                     stream_count0=layer.output[1], stream_stride0=right * channels,
                     stream_count1=tile.rows, stream_stride1=down * pitch,
                     stream_count2=tile.count, stream_stride2=view.image_pitch(channels),
                     row_stride0=count, chunk_stride=self.e.array_shape.rows, **contraction)
