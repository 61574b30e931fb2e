"""Activations in external memory and their way, with zero padding, into the operand memories."""

from dataclasses import dataclass, replace

from adagp.spec.isa import Memory

from .emitter import Emitter
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Images:
    """Activations seen as (images, height, width, channels).

    ``tensor`` has that shape, and of its channels ``channels`` from ``channel`` on are seen, by
    default all; or, with ``inner``, it has (height, width, images) and one channel: the predictor's
    input, in which the output channels of a layer are the samples.
    """

    tensor: Tensor
    inner: bool = False
    channel: int = 0
    channels: int | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        if self.inner:
            height, width, images = self.tensor.shape
            return images, height, width, 1
        return *self.tensor.shape[:3], self.tensor.shape[3] if self.channels is None else self.channels

    def slice(self, channel: int, channels: int) -> "Images":
        """Only ``channels`` channels from ``channel`` on."""
        return self if self.inner else replace(self, channel=self.channel + channel, channels=channels)


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

    @property
    def pixels(self) -> int:
        return self.count * self.image_pitch(1)


@dataclass(frozen=True)
class _Inside:
    """The part of a window that lies within the image: rows and columns counted from its corner."""

    count: int
    rows: int
    columns: int
    channels: int
    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def of(cls, images: Images, window: Window) -> "_Inside":
        _, height, width, channels = images.shape
        return cls(window.count, window.bottom - window.top, window.right - window.left, channels,
                   max(window.top, 0) - window.top, min(window.bottom, height) - window.top,
                   max(window.left, 0) - window.left, min(window.right, width) - window.left)

    @property
    def empty(self) -> bool:
        return self.top >= self.bottom or self.left >= self.right


class Windows:
    """A few equal buffers for windows of images in an operand memory, which keep what was loaded last."""

    def __init__(self, e: Emitter, memory: Memory, slots: "Slots"):
        self._e, self._memory, self._slots = e, memory, slots
        self._zeros: dict[int, _Inside] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def get(self, key, images: Images, window: Window) -> int:
        """The address of ``window``, loaded unless ``key`` is still there."""
        return self._slots.get(key, lambda address: self._load(images, window, address))

    def _load(self, images: Images, window: Window, address: int) -> None:
        """The zeros around the images are still there if the buffer's last window lay as this one."""
        inside = _Inside.of(images, window)
        if self._zeros.get(address) != inside:
            self._fill_outside(inside, address)
            self._zeros[address] = inside
        if not inside.empty:
            self._load_inside(images, window, inside, address)

    def _fill_outside(self, i: _Inside, address: int) -> None:
        e, memory, pitch = self._e, self._memory, i.columns * i.channels
        if i.empty:
            e.fill(memory, address, i.count * i.rows * pitch)
            return
        every, rows = (i.count, i.rows * pitch), (i.rows, pitch)
        e.fill(memory, address, i.left * i.channels, (rows, every))
        e.fill(memory, address + i.right * i.channels, (i.columns - i.right) * i.channels, (rows, every))
        e.fill(memory, address, i.top * pitch, (every,))
        e.fill(memory, address + i.bottom * pitch, (i.rows - i.bottom) * pitch, (every,))

    def _load_inside(self, images: Images, window: Window, i: _Inside, address: int) -> None:
        e, memory, tensor, pitch = self._e, self._memory, images.tensor, i.columns * i.channels
        top, left, width = window.top + i.top, window.left + i.left, i.right - i.left
        address += i.top * pitch + i.left * i.channels
        rows, every = (i.bottom - i.top, pitch), (i.count, i.rows * pitch)
        if images.inner:
            by_row, by_column, by_image = tensor.strides()
            lanes = e.array_shape.stream_lanes if memory == e.stream else e.array_shape.stationary_lanes
            for start in range(0, width, lanes):
                e.load_transposed(
                    tensor, top * by_row + (left + start) * by_column + window.first * by_image, memory, address + start,
                    rows=min(lanes, width - start), row_stride=by_column, columns=i.count, column_stride=every[1],
                    loops=((rows[0], by_row, pitch),))
        else:
            by_image, by_row, by_column, by_channel = tensor.strides()
            e.load(tensor, window.first * by_image + top * by_row + left * by_column + images.channel * by_channel,
                   memory, address, i.channels,
                   ((width, by_column, i.channels), (rows[0], by_row, pitch), (i.count, by_image, every[1])))


class Slots:
    """A few equal buffers in the scratchpads that keep what was loaded last."""

    def __init__(self, addresses: list[int]):
        self._addresses = addresses
        self._keys = [None] * len(addresses)
        self._next = 0

    def __len__(self) -> int:
        return len(self._addresses)

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
