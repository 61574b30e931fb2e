"""What the paper's predictor sees of a layer: its mean over the batch, pooled to a few cells.

Both are sums over pixels, so they are products of the outputs with ones, and the array adds them up:
pixels in the rows, channels in the columns, a single vector of ones that streams. So the predictor's
own array does it where there is one.
"""

from collections.abc import Iterator
from itertools import cycle

from adagp.spec.isa import Pass

from .emitter import Emitter, Tile
from .program import CompileError
from .tensors import Tensor


def pooled_mean(e: Emitter, name: str, y: Tensor, pooled: Tensor) -> None:
    """Mean of ``y`` (images, height, width, channels) over the images, then as AdaptiveAvgPool2d:
    ``pooled`` is (size, size, channels), so that the predictor reads each channel as a sample."""
    e.scratch.begin(f"pooled mean of {name}")
    rows, columns, channels, cells = *_shape(e), y.shape[3], pooled.shape[0] ** 2
    ones = e.scratch.stream(rows)
    e.fill(e.stream, ones, rows, value=1.0)
    room = e.scratch.free_stationary() // 2
    pixels = cycle([e.scratch.stationary(room) for _ in range(2)])
    block = _channels_at_once(e, name, y, room, cells)
    sums = cycle([e.scratch.vector(-(-block // columns) * cells, bank) for bank in range(2)])
    full = channels // columns * columns
    for first, last in ((0, full), (full, channels)):  # the last columns are fewer
        for channel in e.builder.steps(range(first, last, block)):
            some, total = (channel, min(block, last - channel)), next(sums)
            _sum(e, y, pooled.shape[0], some, room, ones, pixels, total)
            _average(e, y, pooled, some, total)


def _shape(e: Emitter) -> tuple[int, int]:
    return e.array_shape.rows, e.array_shape.columns


def _channels_at_once(e: Emitter, name: str, y: Tensor, room: int, cells: int) -> int:
    """As many as leave room for the whole batch, or as fill the array, or for a row of pixels."""
    images, height, width, channels = y.shape
    columns = min(e.array_shape.columns, channels)
    if room < width:
        raise CompileError(f"{name}: one row of {width} pixels does not fit into half of "
                           f"{e.scratch.stationary_parameter}, which is {2 * room}")
    tiles = min(room // (images * height * width * columns), e.scratch.bank_words // cells, channels // columns)
    return tiles * columns if tiles else min(columns, room // width)


def _sum(e: Emitter, y: Tensor, size: int, some: tuple[int, int], room: int, ones: int, pixels: Iterator[int],
         sums: int) -> None:
    """Sums of the cells of the channels ``some``, (first, number), to size² words for each tile of columns."""
    images, height, width, _ = y.shape
    channels = some[1]
    columns = min(e.array_shape.columns, channels)
    begun = set()
    chunks = list(_chunks(images, height, room // (width * channels)))
    parts = sum(image == 0 for image, *_ in chunks)
    for image, count, row, rows in e.builder.steps(chunks, edge=max(2, parts), period=parts):
        place = next(pixels)
        _load(e, y, place, (image, count), (row, rows), some)
        for down in range(size):
            window = _window(down, height, size)
            begin, end = max(window.start, row), min(window.stop, row + rows)
            if begin >= end:
                continue
            for cell, cells, start, step, wide in _runs(width, size):
                e.array(tag=Pass.PREDICTOR, accumulate=int(down in begun), columns=columns, stream=ones, stream_count0=1,
                        stationary=place + ((begin - row) * width + start) * channels,
                        accumulator=sums + down * size + cell,
                        row_count0=wide, row_count1=end - begin, row_count2=count,
                        row_stride0=channels, row_stride1=width * channels, row_stride2=rows * width * channels,
                        outer_count0=cells, stationary_outer_stride0=step * channels, accumulator_outer_stride0=1,
                        outer_count1=channels // columns, stationary_outer_stride1=columns,
                        accumulator_outer_stride1=size * size)
            begun.add(down)


def _load(e: Emitter, y: Tensor, place: int, images: tuple[int, int], rows: tuple[int, int], channels: tuple[int, int]
          ) -> None:
    """Each as (first, number); pixel by pixel."""
    _, height, width, all_channels = y.shape
    pixel = all_channels * y.format.bytes
    offset = (images[0] * height + rows[0]) * width * pixel + channels[0] * y.format.bytes
    e.load(y, offset, e.stationary, place, channels[1], (
        (rows[1] * width, pixel, channels[1]), (images[1], height * width * pixel, rows[1] * width * channels[1])))


def _average(e: Emitter, y: Tensor, pooled: Tensor, some: tuple[int, int], sums: int) -> None:
    """Sums to means, and these to ``pooled``."""
    images, height, width, _ = y.shape
    size, columns = pooled.shape[0], min(e.array_shape.columns, some[1])
    tiles, cells = some[1] // columns, size * size
    counts = [images * len(_window(down, height, size)) * len(_window(right, width, size))
              for down in range(size) for right in range(size)]
    if len(set(counts)) == 1:
        e.vector(sums, sums, tiles * cells, times=1 / counts[0])
    else:
        for cell, count in enumerate(counts):
            e.vector(sums + cell, sums + cell, ((tiles, cells, cells, 0),), times=1 / count)
    matrix = pooled.view(cells, pooled.shape[2])
    for tile in range(tiles):
        e.store_tile(matrix, Tile(word=sums + tile * cells, row=0, loops=((cells, 1),),
                                  column=some[0] + tile * columns, columns=columns))


def _chunks(images: int, height: int, rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Cuts the batch into (first image, images, first row, rows) of at most ``rows`` rows of pixels."""
    count, rows = max(1, rows // height), min(rows, height)
    for image in range(0, images, count):
        for row in range(0, height, rows):
            yield image, min(count, images - image), row, min(rows, height - row)


def _window(index: int, length: int, size: int) -> range:
    """The positions that adaptive pooling of ``length`` to ``size`` averages into ``index``."""
    return range(index * length // size, -(-(index + 1) * length // size))


def _runs(length: int, size: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Windows that are alike, as (first index, number, first position, step, positions)."""
    windows = [_window(index, length, size) for index in range(size)]
    first = 0
    while first < size:
        step = windows[first + 1].start - windows[first].start if first + 1 < size else 0
        count = 1
        while first + count < size and len(windows[first + count]) == len(windows[first]) and (
                windows[first + count].start == windows[first].start + count * step):
            count += 1
        yield first, count, windows[first].start, step, len(windows[first])
        first += count
