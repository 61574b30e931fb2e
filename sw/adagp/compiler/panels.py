"""Pieces of a matrix as words of the vector memory: what operations on the vector unit alone work on."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from .emitter import Emitter
from .program import CompileError
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Rows [row, row + rows) and columns [column, column + columns) of matrices that have ``width``
    columns, with columns in the lanes.

    A row takes ``blocks`` words; lanes of the last one that are past the columns hold anything. The
    word of block c of row r is word + r·row_stride + c·block_stride: row by row where the width is
    a multiple of the lanes, so that transfers are long runs, else block by block. ``column``, and
    there ``columns`` too, are multiples of the lanes.
    """

    word: int = 0
    row: int = 0
    rows: int = 1
    column: int = 0
    columns: int
    width: int
    lanes: int

    @property
    def blocks(self) -> int:
        return -(-self.columns // self.lanes)

    @property
    def words(self) -> int:
        return self.rows * self.blocks

    @property
    def row_stride(self) -> int:
        return self.blocks if self._filled else 1

    @property
    def block_stride(self) -> int:
        return 1 if self._filled else self.rows

    @property
    def per_row(self):
        """Loops over all words in which the operand b has one word for each row."""
        return self._loops(1, 0)

    @property
    def per_column(self):
        """Loops over all words in which the operand b has one word for each block of columns."""
        return self._loops(0, 1)

    def at(self, word: int) -> "Panel":
        return replace(self, word=word)

    def one_row(self, word: int) -> "Panel":
        """The same columns of a matrix of one row: a value for each column."""
        return replace(self, word=word, row=0, rows=1)

    @property
    def pieces(self) -> "list[Piece]":
        """What :mod:`.finish` takes."""
        if self._filled:
            return [Piece(word=self.word, panel=self)]
        return [Piece(word=self.word + block * self.rows, panel=replace(
            self, column=self.column + block * self.lanes, columns=min(self.lanes, self.columns - block * self.lanes)))
            for block in range(self.blocks)]

    def load(self, e: Emitter, tensor: Tensor) -> None:
        for piece in self.pieces:
            e.load_tile(tensor, piece, piece.word)

    def store(self, e: Emitter, tensor: Tensor) -> None:
        for piece in self.pieces:
            e.store_tile(tensor, piece)

    @property
    def _filled(self) -> bool:
        return self.width % self.lanes == 0

    def _loops(self, b_row: int, b_block: int):
        rows, blocks = self.row_stride, self.block_stride
        return sorted([(self.blocks, blocks, blocks, b_block), (self.rows, rows, rows, b_row)],
                      key=lambda loop: loop[1])


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Consecutive words of a panel that one instruction transfers, as :class:`.emitter.Tile`: all of
    ``panel``, which has one block if its columns do not fill the lanes."""

    word: int
    panel: Panel

    @property
    def rows(self) -> int:
        """Words."""
        return self.panel.words

    def runs(self, tensor: Tensor, lanes: int):
        panel, size = self.panel, tensor.format.bytes
        pitch = panel.width * size
        loops = ((panel.blocks, lanes * size, lanes), (panel.rows, pitch, panel.blocks * lanes))
        return panel.row * pitch + panel.column * size, min(lanes, panel.columns), loops


def row_panels(e: Emitter, name: str, tensor: Tensor, width: int, words: int, most_rows: int) -> list[Panel]:
    """Cuts ``tensor``, as a matrix of ``width`` columns, into panels of whole rows, equal but for the
    last: at most ``words`` words and ``most_rows`` rows each, about four so that engines overlap,
    but not below 64 words. Their ``word`` is 0."""
    rows, lanes = tensor.elements // width, e.config.vector_lanes
    blocks = -(-width // lanes)
    most = min(words // blocks, most_rows)
    if most < 1:
        raise CompileError(f"{name}: one row of {width} features does not fit into AcceleratorConfig.vector_words / "
                           f"vector_banks, which is {e.scratch.bank_words}")
    size = min(most, max(-(-rows // 4), -(-64 // blocks)))
    return [Panel(row=row, rows=min(size, rows - row), columns=width, width=width, lanes=lanes)
            for row in range(0, rows, size)]



def deliver(panel: Panel, take: Callable[[Piece], None]) -> None:
    """Gives ``panel`` to one of the classes of :mod:`.finish`."""
    for piece in panel.pieces:
        take(piece)
