"""Activations in external memory and their way, with zero padding, into the operand memories."""

from dataclasses import dataclass

from adagp.spec.isa import Memory

from .emitter import Emitter
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Images:
    """Activations seen as (images, height, width, channels).

    ``tensor`` has that shape; or, with ``inner``, (height, width, images) and one channel: the
    predictor's input, in which the output channels of a layer are the samples.
    """

    tensor: Tensor
    inner: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self.inner:
            height, width, images = self.tensor.shape
            return images, height, width, 1
        return self.tensor.shape


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some images, and of each the pixels in [top, bottom) × [left, right); what lies outside the
    image is zero. In an operand memory it is dense: (images, rows, columns, channels)."""

    first: int
    count: int
    top: int
    bottom: int
    left: int
    right: int

    def pitch(self, channels: int) -> int:
        """Elements from one pixel row to the next."""
        return (self.right - self.left) * channels

    def image_pitch(self, channels: int) -> int:
        return (self.bottom - self.top) * self.pitch(channels)

    def elements(self, channels: int) -> int:
        return self.count * self.image_pitch(channels)


def load_window(e: Emitter, images: Images, window: Window, memory: Memory, destination: int) -> None:
    """Brings ``window`` to ``destination`` of the stream or stationary memory."""
    _, height, width, channels = images.shape
    pitch, image_pitch = window.pitch(channels), window.image_pitch(channels)
    top, bottom = max(window.top, 0), min(window.bottom, height)
    left, right = max(window.left, 0), min(window.right, width)
    every = (window.count, image_pitch)
    if top >= bottom or left >= right:
        e.fill(memory, destination, window.elements(channels))
        return
    rows = (window.bottom - window.top, pitch)
    e.fill(memory, destination, (left - window.left) * channels, (rows, every))
    e.fill(memory, destination + (right - window.left) * channels, (window.right - right) * channels, (rows, every))
    e.fill(memory, destination, (top - window.top) * pitch, (every,))
    e.fill(memory, destination + (bottom - window.top) * pitch, (window.bottom - bottom) * pitch, (every,))

    inside = destination + (top - window.top) * pitch + (left - window.left) * channels
    tensor = images.tensor
    if images.inner:
        by_row, by_column, by_image = tensor.strides()
        lanes = e.array_shape.stream_lanes if memory == e.stream else e.array_shape.stationary_lanes
        for start in range(left, right, lanes):
            e.load_transposed(
                tensor, top * by_row + start * by_column + window.first * by_image, memory, inside + start - left,
                rows=min(lanes, right - start), row_stride=by_column, columns=window.count, column_stride=image_pitch,
                loops=((bottom - top, by_row, pitch),))
    else:
        by_image, by_row, by_column, _ = tensor.strides()
        e.load(tensor, window.first * by_image + top * by_row + left * by_column, memory, inside,
               (right - left) * channels, ((bottom - top, by_row, pitch), (window.count, by_image, image_pitch)))


class Slots:
    """A few equal buffers in the scratchpads that keep what was loaded last."""

    def __init__(self, addresses: list[int]):
        self._addresses = addresses
        self._keys = [None] * len(addresses)
        self._next = 0

    def get(self, key, load) -> int:
        """The address of ``key``, after calling ``load(address)`` unless it is still there."""
        if key in self._keys:
            return self._addresses[self._keys.index(key)]
        slot, self._next = self._next, (self._next + 1) % len(self._addresses)
        self._keys[slot] = key
        load(self._addresses[slot])
        return self._addresses[slot]


def slots(take, free: int, elements: int, keys: int) -> Slots:
    """As many buffers of ``elements`` as there are ``keys``, as far as ``free`` elements reach."""
    return Slots([take(elements) for _ in range(max(1, min(keys, free // elements)))])


def pixel_tiles(images: int, rows: int, width: int, fits) -> list[tuple[int, int, int, int]]:
    """Covers all rows of all images with tiles (first image, images, first row, rows): whole images
    if ``fits(images, rows)`` allows one, else a part of one image. Empty if not even a row fits.

    Several tiles let loading, computing and storing overlap, so there are about four, but of no
    fewer than 64 pixels.
    """
    if fits(1, rows):
        most = max(count for count in range(1, images + 1) if fits(count, rows))
        size = min(most, max(-(-images // 4), -(-64 // (rows * width))))
        return [(first, min(size, images - first), 0, rows) for first in range(0, images, size)]
    heights = [height for height in range(1, rows) if fits(1, height)]
    if not heights:
        return []
    number = -(-rows // max(heights))
    height = min(height for height in heights if -(-rows // height) == number)
    return [(image, 1, row, min(height, rows - row)) for image in range(images) for row in range(0, rows, height)]
