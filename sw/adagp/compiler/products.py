"""Products of activations with activations on the array: one for each image and head."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from adagp.spec.isa import Pass

from .convolution import column_tiles
from .emitter import Emitter, Tile
from .images import slots
from .program import CompileError
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Matrices:
    """A matrix for each image and head, of ``rows`` × ``columns`` as it lies in ``tensor``.

    Element (image, head, row, column) is at byte ``offset`` + image·by_image + head·by_head +
    row·by_row + column·size. A row of it is in one row of the tensor's last dimension, which is
    ``by_row`` bytes long. ``transposed`` ones are the transposes of what lies there.
    """

    tensor: Tensor
    offset: int = 0
    images: int
    heads: int
    rows: int
    columns: int
    by_image: int
    by_head: int
    by_row: int
    transposed: bool = False

    @property
    def T(self) -> "Matrices":
        """Of each the transpose."""
        return replace(self, transposed=not self.transposed)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of one, transposed or not."""
        return (self.columns, self.rows) if self.transposed else (self.rows, self.columns)

    def address(self, head: int, image: int, row: int = 0, column: int = 0) -> int:
        """Byte offset into the tensor; row and column as they lie."""
        return (self.offset + image * self.by_image + head * self.by_head + row * self.by_row
                + column * self.tensor.format.bytes)

    def tile(self, word: int, head: int, image: int, images: int, rows: range, columns: range) -> Tile:
        """Rows and columns of the matrices of some images, in the tensor as a matrix of its last dimension."""
        row, rest = divmod(self.address(head, image, rows.start, columns.start), self.by_row)
        return Tile(word=word, row=row, loops=((len(rows), 1), (images, self.by_image // self.by_row)),
                    column=rest // self.tensor.format.bytes, columns=len(columns))


class Product:
    """``a``·``b`` for each image and head, whose tiles are blocks of ``c``: one matrix row per word,
    those of several images of a head one after the other.

    A tile has ``words`` words at most. With ``most_images``, it has all rows of so many images at
    most; else parts of the rows if not all fit. An ``upper`` product is needed only up to the
    diagonal: of each tile of columns only the rows above its end are computed. Takes ``words`` words
    of banks 0 and 1. ``name`` is named in errors.
    """

    def __init__(self, e: Emitter, name: str, a: Matrices, b: Matrices, c: Matrices, *, tag: Pass,
                 most_images: int | None = None, upper: bool = False):
        self.e, self.a, self.b, self.c, self.tag, self.upper = e, a, b, c, tag, upper
        array = e.array_shape
        (rows, self.contraction), columns = a.shape, b.shape[1]
        self.columns = column_tiles(columns, array.columns)
        self.widest = max(count for _, count in self.columns)
        self.pitch = -(-self.contraction // array.rows) * array.rows if a.transposed else self.contraction
        for parameter, size, needed in (
                (e.scratch.stationary_parameter, array.stationary_elements, self.contraction * self.widest),
                (e.scratch.stream_parameter, array.stream_elements, self.pitch)):
            if needed > size // 2:
                raise CompileError(f"{name}: needs {needed} elements of half {parameter}, which is {size // 2}")
        self.rows = rows if most_images else min(rows, e.scratch.bank_words)
        room = min(most_images or e.scratch.bank_words // self.rows,
                   array.stationary_elements // 2 // (self.contraction * self.widest),
                   array.stream_elements // 2 // (self.pitch * self.rows))
        overlapping = max(-(-a.images * a.heads // 4), -(-64 // self.rows))
        self.images = max(1, min(a.images, room, overlapping))
        self.stream_rows = min(self.rows, array.stream_elements // 2 // (self.pitch * self.images))
        self.words = self.images * self.rows

    def emit(self, consume: Callable[[Tile, None], None]) -> None:
        """Emits everything; ``consume`` finishes the tiles."""
        e, a = self.e, self.a
        parts = -(-self.rows // self.stream_rows)
        self._stationary = slots(e.scratch.stationary, e.scratch.free_stationary(),
                                 self.images * self.contraction * self.widest, 2)
        self._stream = slots(e.scratch.stream, e.scratch.free_stream(),
                             self.images * self.stream_rows * self.pitch, max(2, parts))
        accumulators = [e.scratch.vector(self.words, bank) for bank in (0, 1)]
        turn = 0
        for head in e.builder.steps(range(a.heads), edge=max(2, parts)):
            for image in e.builder.steps(range(0, a.images, self.images), edge=max(2, parts)):
                images = min(self.images, a.images - image)
                for first, count in self.columns:
                    beyond = min(a.shape[0], first + count) if self.upper else a.shape[0]
                    for row in range(0, beyond, self.rows):
                        rows, columns = range(row, min(row + self.rows, beyond)), range(first, first + count)
                        word = accumulators[turn]
                        turn ^= 1
                        self._tile(word, head, image, images, rows, columns)
                        consume(self.c.tile(word, head, image, images, rows, columns), None)

    def _tile(self, word: int, head: int, image: int, images: int, rows: range, columns: range) -> None:
        group = head, image, images
        stationary = self._stationary.get((group, columns),
                                          lambda address: self._load_stationary(group, columns, address))
        natural = not self.a.transposed
        for row in range(rows.start, rows.stop, self.stream_rows):
            part = range(row, min(row + self.stream_rows, rows.stop))
            stream = self._stream.get((group, part), lambda address: self._load_stream(group, part, address))
            step = self.e.array_shape.rows
            self.e.array(tag=self.tag, columns=len(columns), accumulator=word + row - rows.start,
                         stream=stream, stream_count0=len(part), stream_stride0=self.contraction if natural else step,
                         chunk_stride=step if natural else len(part) * step,
                         stationary=stationary, row_count0=self.contraction, row_stride0=len(columns),
                         outer_count0=images, stream_outer_stride0=len(part) * self.pitch,
                         stationary_outer_stride0=self.contraction * len(columns),
                         accumulator_outer_stride0=len(rows))

    def _load_stationary(self, group, columns: range, address: int) -> None:
        """(image, contraction, column)."""
        b, count, (head, image, images) = self.b, len(columns), group
        every = (images, b.by_image, self.contraction * count)
        if b.transposed:
            self.e.load_transposed(b.tensor, b.address(head, image, row=columns.start), self.e.stationary, address,
                                   rows=count, row_stride=b.by_row, columns=self.contraction, column_stride=count,
                                   loops=(every,))
        else:
            self.e.load(b.tensor, b.address(head, image, column=columns.start), self.e.stationary, address, count,
                        ((self.contraction, b.by_row, count), every))

    def _load_stream(self, group, rows: range, address: int) -> None:
        """(image, row, contraction); or transposed (image, chunk, row, contraction in the chunk)."""
        a, count, (head, image, images) = self.a, len(rows), group
        every = (images, a.by_image, count * self.pitch)
        if not a.transposed:
            self.e.load(a.tensor, a.address(head, image, row=rows.start), self.e.stream, address, self.contraction,
                        ((count, a.by_row, self.contraction), every))
            return
        step = self.e.array_shape.rows
        chunks, rest = divmod(self.contraction, step)
        loads = [(0, step, ((chunks, step * a.by_row, count * step), every))] if chunks else []
        loads += [(chunks, rest, (every,))] if rest else []
        for chunk, height, loops in loads:
            self.e.load_transposed(a.tensor, a.address(head, image, row=chunk * step, column=rows.start), self.e.stream,
                                   address + chunk * count * step, rows=height, row_stride=a.by_row, columns=count,
                                   column_stride=step, loops=loops)
