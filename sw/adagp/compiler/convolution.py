"""The three passes of a convolution on the array: forward, input gradient, weight gradient.

A linear layer is a 1×1 convolution of 1×1 images. Each pass gives its results as tiles in the
vector memory to ``consume``, which finishes them with the vector unit and stores them.
"""

from collections.abc import Callable

from adagp.spec.isa import Memory, Pass

from .emitter import Emitter, Tile
from .images import Images, Window, load_window, pixel_tiles, slots
from .network import Convolution
from .program import CompileError
from .tensors import Tensor

Consume = Callable[[Tile, int | None], None]
"""Takes a tile and the address of the word with its columns' biases, if there are any."""


def column_tiles(columns: int, width: int, run: int | None = None) -> list[tuple[int, int]]:
    """Cuts ``columns`` into (first, count) of at most ``width``, never across multiples of ``run``."""
    run = run or columns
    return [(start + first, min(width, run - first))
            for start in range(0, columns, run) for first in range(0, run, width)]


def forward(e: Emitter, layer: Convolution, x: Images, weight: Tensor, bias: Tensor | None,
            columns: list[tuple[int, int]], consume: Consume, tag: Pass = Pass.FORWARD,
            most_rows: int | None = None) -> None:
    """y = x ∗ weight; tiles of the matrix (output pixels, output channels), without the bias.

    A tile has at most ``most_rows`` rows.
    """
    config, array, (images, _, _, channels) = e.config, e.array_shape, x.shape
    height, width, _ = layer.output
    (kernel_height, kernel_width), (down, right), (top, left) = layer.kernel, layer.stride, layer.padding
    run = kernel_width * channels
    widest = max(count for _, count in columns)

    def window(first, count, row, rows):
        return Window(first=first, count=count, top=row * down - top,
                      bottom=(row + rows - 1) * down - top + kernel_height,
                      left=-left, right=(width - 1) * right - left + kernel_width)

    parts = _kernel_parts(kernel_height, run, widest, array.stationary_elements // 2)
    most_words = min(e.scratch.bank_words, most_rows or e.scratch.bank_words)
    tiles = pixel_tiles(images, height, width, lambda n, rows: n * rows * width <= most_words
                        and window(0, n, 0, rows).elements(channels) <= array.stream_elements // 2)
    if not tiles:
        raise CompileError(f"{layer.name}: one output row needs {width} words of AcceleratorConfig.vector_words "
                           f"/ vector_banks, of which {most_words} are free, and {window(0, 1, 0, 1).elements(channels)} "
                           f"elements of half {e.scratch.stream_parameter}, which is {array.stream_elements // 2}")
    part_elements = max(rows * length for _, rows, _, length in parts) * widest
    weights = slots(e.scratch.stationary, array.stationary_elements, part_elements, 2 * len(parts))
    inputs = slots(e.scratch.stream, array.stream_elements, window(*tiles[0]).elements(channels), len(tiles))
    words = max(count * rows for _, count, _, rows in tiles) * width
    accumulators = [e.scratch.vector(words, bank) for bank in (0, 1)]
    biases = [e.scratch.vector(1, bank) for bank in (2, 3)] if bias else [None, None]
    turn = 0
    for number, (column, count) in enumerate(columns):
        bias_word = biases[number % 2]
        if bias:
            e.load(bias, column * bias.format.bytes, Memory.VECTOR, bias_word * config.vector_lanes, count)
        for tile in tiles:
            first, some, row, rows = tile
            view = window(*tile)
            source = inputs.get(tile, lambda address: load_window(e, x, view, e.stream, address))
            word = accumulators[turn]
            turn ^= 1
            for index, (kernel_row, kernel_rows, start, length) in enumerate(parts):
                stationary = weights.get((column, index), lambda address: e.load_transposed(
                    weight, (column * kernel_height * run + kernel_row * run + start) * weight.format.bytes,
                    e.stationary, address, rows=count, row_stride=kernel_height * run * weight.format.bytes,
                    columns=length if kernel_rows == 1 else kernel_rows * length, column_stride=count))
                e.array(tag=tag, accumulate=int(index > 0), columns=count, accumulator=word,
                        stream=source + kernel_row * view.pitch(channels) + start, stationary=stationary,
                        stream_count0=width, stream_stride0=right * channels,
                        stream_count1=rows, stream_stride1=down * view.pitch(channels),
                        stream_count2=some, stream_stride2=view.image_pitch(channels),
                        row_count0=length, row_stride0=count, chunk_stride=array.rows,
                        outer_count0=kernel_rows, stream_outer_stride0=view.pitch(channels),
                        stationary_outer_stride0=length * count)
            consume(Tile(word=word, row=(first * height + row) * width, loops=((some * rows * width, 1),),
                         column=column, columns=count), bias_word)


def input_gradient(e: Emitter, layer: Convolution, dy: Tensor, weight: Tensor, consume: Consume,
                   tag: Pass = Pass.INPUT_GRADIENT) -> None:
    """dx; tiles of the matrix (input pixels, input channels).

    A stride splits the input pixels into classes that see different taps of the kernel; each class
    is a convolution of dy with stride 1, so no multiplication by inserted zeros is done.
    """
    config, array, (images, _, _, outputs) = e.config, e.array_shape, dy.shape
    in_height, in_width, channels = layer.image
    kernel_height, kernel_width = layer.kernel
    down, right = layer.stride
    columns = column_tiles(channels, array.columns)
    widest = max(count for _, count in columns)
    vertical = _Classes(in_height, layer.kernel[0], down, layer.padding[0])
    horizontal = _Classes(in_width, layer.kernel[1], right, layer.padding[1])
    across = horizontal.parts(0, in_width)
    left, beyond = horizontal.extent(across)

    def window(first, count, row, rows):
        top, bottom = vertical.extent(vertical.parts(row, rows))
        return Window(first=first, count=count, top=top, bottom=bottom, left=left, right=beyond)

    tiles = pixel_tiles(images, in_height, in_width, lambda n, rows: (rows == in_height or rows % down == 0)
                        and n * rows * in_width <= e.scratch.bank_words
                        and window(0, n, 0, rows).elements(outputs) <= array.stream_elements // 2)
    if not tiles:
        raise CompileError(f"{layer.name}: {down} input rows need {down * in_width} words of "
                           f"AcceleratorConfig.vector_words / vector_banks, which is {e.scratch.bank_words}, and "
                           f"{window(0, 1, 0, down).elements(outputs)} elements of half "
                           f"{e.scratch.stream_parameter}, which is {array.stream_elements // 2}")
    taps = kernel_height * kernel_width
    whole = outputs * taps * widest <= array.stationary_elements // 2
    slice_outputs = outputs if whole else min(outputs, array.stationary_elements // 2 // widest)
    weights = slots(e.scratch.stationary, array.stationary_elements,
                    (outputs * taps if whole else slice_outputs) * widest, 2)
    largest = max(window(*tile).elements(outputs) for tile in tiles)
    inputs = slots(e.scratch.stream, array.stream_elements, max(largest, 1), len(tiles))
    words = max(count * rows for _, count, _, rows in tiles) * in_width
    accumulators = [e.scratch.vector(words, bank) for bank in (0, 1)]
    by_output, by_row, by_tap, by_channel = weight.strides()
    turn = 0
    for column, count in columns:
        def load_whole(address):
            e.load(weight, column * by_channel, e.stationary, address, count,
                   ((taps, by_tap, count), (outputs, by_output, taps * count)))
        for tile in tiles:
            first, some, row, rows = tile
            view = window(*tile)
            pitch = view.pitch(outputs)
            source = inputs.get(tile, lambda address: load_window(e, Images(tensor=dy), view, e.stream, address))
            word = accumulators[turn]
            turn ^= 1
            for y in vertical.parts(row, rows):
                for x in across:
                    size = some * y.count * x.count
                    fields = dict(tag=tag, columns=count, accumulator=word,
                                  stream_count0=x.count, stream_stride0=outputs,
                                  stream_count1=y.count, stream_stride1=pitch,
                                  stream_count2=some, stream_stride2=view.image_pitch(outputs),
                                  chunk_stride=array.rows)
                    start = source + (y.first - view.top) * pitch + (x.first - left) * outputs
                    if not y.taps or not x.taps:
                        e.fill(Memory.VECTOR, word * config.vector_lanes, size * config.vector_lanes)
                    elif whole:
                        base = weights.get(column, load_whole)
                        e.array(**fields, stream=start,
                                stationary=base + (y.last_tap * kernel_width + x.last_tap) * count,
                                row_count0=outputs, row_stride0=taps * count,
                                row_count1=x.taps, row_stride1=-right * count,
                                outer_count0=y.taps, stream_outer_stride0=pitch,
                                stationary_outer_stride0=-down * kernel_width * count)
                    else:
                        steps = [(j, i, o) for j in range(y.taps) for i in range(x.taps)
                                 for o in range(0, outputs, slice_outputs)]
                        for number, (j, i, o) in enumerate(steps):
                            length = min(slice_outputs, outputs - o)
                            offset = (o * by_output + (y.last_tap - down * j) * by_row
                                      + (x.last_tap - right * i) * by_tap + column * by_channel)
                            base = weights.get((column, offset), lambda address: e.load(
                                weight, offset, e.stationary, address, count, ((length, by_output, count),)))
                            e.array(**fields, accumulate=int(number > 0), stationary=base,
                                    stream=start + j * pitch + i * outputs + o,
                                    row_count0=length, row_stride0=count)
                    consume(Tile(word=word, row=(first * in_height + y.pixel) * in_width + x.pixel,
                                 loops=((x.count, right), (y.count, down * in_width), (some, in_height * in_width)),
                                 column=column, columns=count), None)
                    word += size


def weight_gradient(e: Emitter, layer: Convolution, x: Images, dy: Tensor, consume: Consume,
                    consume_bias: Consume | None, tag: Pass = Pass.WEIGHT_GRADIENT, most_rows: int | None = None) -> None:
    """dW; tiles of the matrix (output channels, kernel height · kernel width · input channels), and
    with ``consume_bias`` the bias gradient as tiles of (output channels, 1).

    A tile has at most ``most_rows`` rows.

    The contraction runs over pixels: pixels of x are stationary as they lie, dy streams transposed.
    The bias gradient is the same with a column of ones.
    """
    config, array, (images, _, _, channels) = e.config, e.array_shape, x.shape
    height, width, outputs = layer.output
    (kernel_height, kernel_width), (down, right), (top, left) = layer.kernel, layer.stride, layer.padding
    run = kernel_width * channels

    def window(first, count, row, rows):
        return Window(first=first, count=count, top=row * down - top,
                      bottom=(row + rows - 1) * down - top + kernel_height,
                      left=-left, right=(width - 1) * right - left + kernel_width)

    def chunks(count, rows):
        return -(-count * rows * width // array.rows)

    some_outputs = min(outputs, e.scratch.bank_words, most_rows or outputs)
    while chunks(1, 1) * some_outputs * array.rows > array.stream_elements // 2 and some_outputs > 1:
        some_outputs = -(-some_outputs // 2)
    tiles = pixel_tiles(images, height, width, lambda n, rows: window(0, n, 0, rows).elements(channels)
                        <= (array.stationary_elements - 1) // 2
                        and chunks(n, rows) * some_outputs * array.rows <= array.stream_elements // 2)
    if not tiles:
        raise CompileError(f"{layer.name}: one row of pixels needs {window(0, 1, 0, 1).elements(channels)} elements of "
                           f"half {e.scratch.stationary_parameter}, which is {array.stationary_elements // 2}, "
                           f"and {chunks(1, 1) * some_outputs * array.rows} of half {e.scratch.stream_parameter}, "
                           f"which is {array.stream_elements // 2}")
    ones = e.scratch.stationary(1)
    if consume_bias:
        e.fill(e.stationary, ones, 1, value=1.0)
    inputs = slots(e.scratch.stationary, e.scratch.free_stationary(), window(*tiles[0]).elements(channels), len(tiles))
    gradients = slots(e.scratch.stream, array.stream_elements,
                      chunks(tiles[0][1], tiles[0][3]) * some_outputs * array.rows, len(tiles))
    works = [(kernel_row, start, count) for kernel_row in range(kernel_height)
             for start, count in column_tiles(run, array.columns)]
    works += [None] if consume_bias else []
    per_stage = max(1, min(e.scratch.bank_words // some_outputs, -(-len(works) // 2)))
    accumulators = [e.scratch.vector(per_stage * some_outputs, bank) for bank in (0, 1)]
    turn, finished = 0, []
    for output in range(0, outputs, some_outputs):
        part = min(some_outputs, outputs - output)
        for stage in _evenly(works, per_stage):
            word = accumulators[turn]
            turn ^= 1
            share = -(-len(finished) // len(tiles))
            for tile in tiles:
                view, (first, some, row, rows) = window(*tile), tile
                if stage != [None]:
                    pixels = inputs.get(tile, lambda address: load_window(e, x, view, e.stationary, address))
                stream = gradients.get((output, tile), lambda address: _load_pixels_transposed(
                    e, dy, (first * height + row) * width, some * rows * width, output, part, address))
                for index, work in enumerate(stage):
                    fields = dict(tag=tag, accumulate=int(tile != tiles[0]), accumulator=word + index * part,
                                  stream=stream, stream_count0=part, stream_stride0=array.rows,
                                  chunk_stride=part * array.rows,
                                  row_count0=width, row_count1=rows, row_count2=some)
                    if work:
                        kernel_row, start, count = work
                        e.array(**fields, columns=count,
                                stationary=pixels + kernel_row * view.pitch(channels) + start,
                                row_stride0=right * channels, row_stride1=down * view.pitch(channels),
                                row_stride2=view.image_pitch(channels))
                    else:
                        e.array(**fields, columns=1, stationary=ones)
                # the stage before is finished a little at a time, so that its transfers do not stand
                # in the way of the next tiles
                for finish, result in finished[:share]:
                    finish(result, None)
                del finished[:share]
            finished = [(consume if work else consume_bias,
                         Tile(word=word + index * part, row=output, loops=((part, 1),),
                              column=work[0] * run + work[1] if work else 0, columns=work[2] if work else 1))
                        for index, work in enumerate(stage)]
    for finish, result in finished:
        finish(result, None)


def _evenly(works: list, most: int) -> list[list]:
    """Cuts ``works`` into parts of nearly equal length, none longer than ``most``."""
    parts = -(-len(works) // most)
    bounds = [len(works) * part // parts for part in range(parts + 1)]
    return [works[start:end] for start, end in zip(bounds, bounds[1:])]


def _load_pixels_transposed(e: Emitter, dy: Tensor, pixel: int, pixels: int, output: int, outputs: int,
                            address: int) -> None:
    """Chunks of ``array.rows`` pixels: (chunk, output channel, pixel) in the stream memory."""
    rows, by_pixel = e.array_shape.rows, dy.strides()[2]
    offset = pixel * by_pixel + output * dy.format.bytes
    chunks, rest = divmod(pixels, rows)
    if chunks:
        e.load_transposed(dy, offset, e.stream, address, rows=rows, row_stride=by_pixel, columns=outputs,
                          column_stride=rows, loops=((chunks, rows * by_pixel, outputs * rows),))
    if rest:
        e.load_transposed(dy, offset + chunks * rows * by_pixel, e.stream, address + chunks * outputs * rows,
                          rows=rest, row_stride=by_pixel, columns=outputs, column_stride=rows)


def _kernel_parts(kernel_height: int, run: int, columns: int, room: int) -> list[tuple[int, int, int, int]]:
    """Cuts the contraction into (first kernel row, kernel rows, start in the row, length) whose
    weights for ``columns`` outputs fit into ``room`` elements."""
    if run * columns > room:
        length = room // columns
        return [(row, 1, start, min(length, run - start)) for row in range(kernel_height)
                for start in range(0, run, length)]
    rows = room // (run * columns)
    return [(row, min(rows, kernel_height - row), 0, run) for row in range(0, kernel_height, rows)]


class _Class:
    """Input pixels along one axis that see the same taps, within a range of pixels.

    ``pixel`` is the first of ``count`` pixels, a stride apart; ``first`` the position in dy that
    the first pixel sees through tap ``last_tap``, from where positions rise and taps fall.
    """

    def __init__(self, pixel, count, first, taps, last_tap):
        self.pixel, self.count, self.first, self.taps, self.last_tap = pixel, count, first, taps, last_tap


class _Classes:
    """How a stride splits the input pixels along one axis."""

    def __init__(self, size: int, kernel: int, stride: int, padding: int):
        self.size, self.kernel, self.stride, self.padding = size, kernel, stride, padding

    def parts(self, start: int, count: int) -> list[_Class]:
        """The classes of the pixels in [start, start + count), empty ones left out."""
        parts = []
        for residue in range(self.stride):
            pixel = start + (residue - self.padding - start) % self.stride
            number = len(range(pixel, start + count, self.stride))
            taps = len(range(residue, self.kernel, self.stride))
            if number:
                position = (pixel + self.padding - residue) // self.stride
                parts.append(_Class(pixel, number, position - taps + 1, taps, residue + (taps - 1) * self.stride))
        return parts

    @staticmethod
    def extent(parts: list[_Class]) -> tuple[int, int]:
        """The positions of dy that ``parts`` see: [first, beyond)."""
        seen = [(part.first, part.first + part.taps - 1 + part.count) for part in parts if part.taps]
        return (min(first for first, _ in seen), max(beyond for _, beyond in seen)) if seen else (0, 1)
