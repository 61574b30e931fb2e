"""How a pass is cut: groups into blocks, pixels into tiles, channels into slices, outputs into columns.

The plans of the passes are chosen by estimated cycles: what the array needs, or what the load
engine needs if that is more, and the time before the array can begin.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd, lcm
from typing import NamedTuple

from ..emitter import Emitter, Tile
from ..network import Convolution

Consume = Callable[[Tile, int | None], None]
"""Takes a tile and the address of the word with its columns' biases, if there are any."""


LATENCY = 48
"""Cycles in which a tile goes from the array's last sum through the vector unit, however small it is."""

INSTRUCTIONS = 64
"""Cycles that fetching and issuing the instructions of a tile may take from the engines."""


class PixelTile(NamedTuple):
    """``rows`` pixel rows from ``row`` on of each of ``count`` images from ``first`` on."""

    first: int
    count: int
    row: int
    rows: int


@dataclass(frozen=True, kw_only=True)
class Block:
    """Consecutive groups of a convolution that are worked on together: a dense convolution of some
    input channels to some output channels, whose weights are block-diagonal if there are several."""

    groups: int
    channel: int
    channels: int
    output: int
    outputs: int


def column_tiles(columns: int, width: int) -> list[tuple[int, int]]:
    """Cuts ``columns`` into (first, count) of at most ``width``."""
    return [(first, min(width, columns - first)) for first in range(0, columns, width)]


def evenly(total: int, most: int, unit: int = 1) -> list[tuple[int, int]]:
    """Cuts ``total`` into (first, count) of nearly equal size, at most ``most``; multiples of ``unit``
    but the last, if ``most`` allows one."""
    unit = unit if unit <= most < total else 1
    parts = -(-total // (most // unit * unit))
    size = -(-total // (parts * unit)) * unit
    return [(first, min(size, total - first)) for first in range(0, total, size)]


def blocks(layer: Convolution, most: int, cost: Callable[[int], float]) -> list[Block]:
    """All groups in blocks of at most ``most``; ``cost`` are the cycles per pixel of a block of so many groups."""
    channels, outputs = layer.image[2] // layer.groups, layer.channels // layer.groups
    size = min(range(min(most, layer.groups), 0, -1), key=lambda n: cost(n) * -(-layer.groups // n), default=1)
    return [Block(groups=count, channel=first * channels, channels=count * channels,
                  output=first * outputs, outputs=count * outputs)
            for first in range(0, layer.groups, size) for count in (min(size, layer.groups - first),)]


def streamed_blocks(e: Emitter, layer: Convolution, inputs: int, outputs: int, pixels: int) -> list[Block]:
    """For a pass in which each group contracts ``inputs`` channels to ``outputs`` columns. A block of several
    groups is one column tile and one slice of the contraction; ``pixels`` are streamed at least."""
    array, taps = e.array_shape, layer.kernel[0] * layer.kernel[1]
    most = max((n for n in range(1, array.columns // outputs + 1)
                if taps * n * inputs * n * outputs <= array.stationary_elements // 2
                and pixels * n * inputs <= array.stream_elements // 2), default=1)
    return blocks(layer, most, lambda n: kernel_chunks(layer, n * inputs, array.rows)
                  * len(column_tiles(n * outputs, array.columns)))


def kernel_chunks(layer: Convolution, channels: int, rows: int) -> int:
    """Chunks of ``rows`` in which the kernel's taps over ``channels`` are contracted: a kernel row is one
    run, with a horizontal dilation each tap."""
    height, width = layer.kernel
    return height * width * -(-channels // rows) if layer.dilation[1] > 1 else height * -(-width * channels // rows)


def pixel_tilings(images: int, rows: int, step: int = 1) -> Iterator[list[PixelTile]]:
    """The ways to cover all rows of all images with nearly equal tiles, from large tiles to small:
    of whole images, or of multiples of ``step`` rows of one image."""
    for count in sorted({-(-images // parts) for parts in range(1, images + 1)}, reverse=True):
        yield [PixelTile(first, min(count, images - first), 0, rows) for first in range(0, images, count)]
    heights = {-(-rows // (parts * step)) * step for parts in range(2, -(-rows // step) + 1)}
    for height in sorted((height for height in heights if height < rows), reverse=True):
        yield [PixelTile(image, 1, row, min(height, rows - row))
               for image in range(images) for row in range(0, rows, height)]


def beat_period(e: Emitter, columns: int) -> int:
    """Steps of so many ``columns`` until they lie to the beats of the bus as before."""
    return e.config.bus_operands // gcd(columns, e.config.bus_operands)


def tile_pattern(tiles: list[PixelTile], slots: int) -> dict[str, int]:
    """How steps over ``tiles``, whose windows are kept in so many ``slots``, resemble each other; see
    :meth:`.Purposeful.steps`. Parts of images lie differently to their borders, and zeros around them are written
    where a slot held another part before."""
    parts = sum(tile.first == tiles[0].first for tile in tiles)
    return {"edge": slots, "period": 1 if parts == 1 else lcm(parts, slots)}


@dataclass(frozen=True, kw_only=True)
class StreamPlan:
    """For a pass whose images stream while weights are stationary: ``columns`` column tiles go through
    the ``slices`` (first channel, channels) of the contraction together, for one pixel tile after the
    other."""

    tiles: list[PixelTile]
    slices: list[tuple[int, int]]
    columns: int


def plan_streaming(e: Emitter, *, tilings: Iterator[list[PixelTile]], words: Callable[[PixelTile], int],
                   pixels: Callable[[PixelTile], int], most_words: int, channels: int, taps: int,
                   chunks: Callable[[int], float], widths: list[int], whole: bool) -> StreamPlan | None:
    """The plan of fewest cycles; none if nothing fits.

    A tile takes ``words(tile)`` accumulators and ``pixels(tile)`` pixels of the stream memory, wherever it
    lies; a slice of n channels is contracted in ``chunks(n)`` passes. ``widths`` are the column tiles'.
    With ``whole`` there is only one slice, as a block of several groups wants it.
    """
    array, bus = e.array_shape, e.config.bus_bytes
    widest, best, least = max(widths), None, float("inf")
    for tiles in tilings:
        shapes = [(words(PixelTile(0, count, 0, rows)), pixels(PixelTile(0, count, 0, rows)), number)
                  for (count, rows), number in Counter((tile.count, tile.rows) for tile in tiles).items()]
        size, window, _ = shapes[0]
        most_channels = min(array.stream_elements // 2 // max(window, 1), array.stationary_elements // 2 // (taps * widest))
        if size > most_words or not most_channels:
            continue
        slices = evenly(channels, most_channels, array.rows)
        if whole and len(slices) > 1:
            continue
        slice_channels = slices[0][1]
        weights = array.stationary_elements // (taps * slice_channels * widest)
        kept = array.stream_elements // max(window * slice_channels, 1) >= len(tiles) * len(slices)
        pixel_beats = -(-2 * slice_channels // bus) * len(slices) * sum(window * number for _, window, number in shapes)
        weight_beats = taps * channels * sum(widths) * 4 / bus
        passes = sum(chunks(n) for _, n in slices)
        cycles = len(widths) * sum(number * (max(passes * max(size, array.rows), size + LATENCY) + INSTRUCTIONS)
                                   for size, _, number in shapes)
        start = (window * 2 + taps * widths[0] * 4) * slice_channels / bus
        for columns in sorted({-(-len(widths) // parts) for parts in range(1, len(widths) + 1)}):
            if columns * size > most_words:
                break
            once = len(tiles) == 1 or columns * len(slices) <= weights
            loads = pixel_beats * (1 if kept else -(-len(widths) // columns)) + weight_beats * (1 if once else len(tiles))
            estimate = max(cycles, loads) + start + 3 * size
            if estimate < least:
                best, least = StreamPlan(tiles=tiles, slices=slices, columns=columns), estimate
    return best
