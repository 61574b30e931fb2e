"""Learned feedback: predicts the gradients of a layer's outputs as a linear map of the output error.

With e the error of the logits (images, classes) and δ the gradient of a layer's outputs (images,
values), Phase BP keeps decayed sums S_ee = Σ eᵀe and S_eδ = Σ eᵀδ. The least-squares map A =
(S_ee + ridge)⁻¹·S_eδ predicts δ' = e·A. As that is linear in e, the weight gradient needs only one
pseudo-image per class, x̃_c = Σ_n e_nc·x_n: it is the layer's ordinary weight gradient between x̃ and
A. Everything is matrix products and vector arithmetic; nothing is trained by descent.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch

from adagp.spec.isa import Format, Memory, Pass

from . import convolution
from .emitter import Emitter, Tile
from .functions import fold, lane_sum, reciprocal
from .images import Images
from .network import Convolution
from .operation import Work
from .residence import Residence
from .tensors import Layout, Tensor


@dataclass(frozen=True, kw_only=True)
class FeedbackConfig:
    """``decay`` of the sums per batch of Phase BP; ``ridge`` relative to the mean of S_ee's diagonal."""

    decay: float = 0.97
    ridge: float = 1e-3

    def __post_init__(self):
        if not 0 < self.decay < 1:
            raise ValueError(f"FeedbackConfig.decay must be in (0, 1), not {self.decay!r}")
        if not self.ridge > 0:
            raise ValueError(f"FeedbackConfig.ridge must be positive, not {self.ridge!r}")


class FeedbackProgram:
    """Emits the work of learned feedback for one of ``layers`` at a time.

    ``resident`` takes what lives from batch to batch (the sums and the maps), ``layout`` what a batch
    leaves behind.
    """

    timely: ClassVar[bool] = False
    """It predicts when the forward pass has ended, since it needs the error."""

    def __init__(self, config: FeedbackConfig, layout: Layout, resident: Layout | Residence, layers: list[Convolution],
                 batch: int, classes: int):
        self.config, self.batch, self.classes = config, batch, classes
        square = (classes, classes)
        self.error_sums = resident.place("feedback.error_sums", square, Format.FLOAT32)
        self.inverse = resident.place("feedback.inverse", square, Format.OPERAND)
        self.identity = resident.place("feedback.identity", square, Format.FLOAT32)
        self.ones = resident.place("feedback.ones", square, Format.FLOAT32)
        self.sums, self.maps, self.pseudo, self._predictions = {}, {}, {}, {}
        for layer in layers:
            self.sums[layer.name] = resident.place(f"{layer.name}.feedback.sums", (classes, *layer.output), Format.FLOAT32)
            self.maps[layer.name] = resident.place(f"{layer.name}.feedback.map", (classes, *layer.output), Format.OPERAND)
            self.pseudo[layer.name] = layout.place(f"{layer.name}.feedback.pseudo", (classes, *layer.image),
                                                   Format.OPERAND)
            weights = prod(layer.weight_shape[1:])
            self._predictions[layer.name] = layout.place(f"{layer.name}.prediction", (layer.channels, weights),
                                                         Format.FLOAT32)

    def constants(self) -> dict[str, torch.Tensor]:
        """What an image has to hold beside the parameters and zeros."""
        return {self.identity.name: torch.eye(self.classes), self.ones.name: torch.ones(self.classes, self.classes)}

    def matrices(self, layer: Convolution) -> tuple[Tensor, None]:
        """The prediction as a matrix (output channels, weights of one), for comparison."""
        return self._predictions[layer.name], None

    def begin(self, e: Emitter, error: Tensor) -> None:
        """Adds a batch's eᵀe and inverts. ``error`` is (images, classes)."""
        e.scratch.begin("feedback error sums")
        self._add(e, error, error, self.error_sums)
        e.scratch.begin("feedback inverse")
        invert(e, self.error_sums, self.inverse, self.identity, self.ones, self.config.ridge)

    def learn(self, e: Emitter, layer: Convolution, work: Work, error: Tensor) -> None:
        """Adds a batch's eᵀδ of ``layer`` and derives its map."""
        sums, gradient = self.sums[layer.name], work.gradient
        values = gradient.elements // self.batch
        e.scratch.begin(f"feedback sums of {layer.name}")
        self._add(e, error, gradient.view(self.batch, values), sums.view(self.classes, values))
        e.scratch.begin(f"feedback map of {layer.name}")
        linear = Convolution(name=f"feedback map of {layer.name}", image=(1, 1, values), channels=self.classes)
        matrix = self.maps[layer.name].view(self.classes, values)
        convolution.input_gradient(
            e, linear, self.inverse.view(self.classes, 1, 1, self.classes), sums.view(self.classes, 1, 1, values),
            lambda tile, bias: e.store_tile(matrix, tile), Pass.PREDICTOR)

    def predict(self, e: Emitter, layer: Convolution, work: Work, error: Tensor,
                consume_for: Callable[[], convolution.Consume], most_rows: int | None = None) -> None:
        """The predicted weight gradient of ``layer`` for its inputs in ``work``, in tiles to
        ``consume_for()`` with at most ``most_rows`` rows each."""
        x = work.inputs[0]
        pseudo, values = self.pseudo[layer.name], x.elements // self.batch
        e.scratch.begin(f"pseudo-images of {layer.name}")
        matrix = pseudo.view(self.classes, values)
        transposed_product(e, error, x.view(self.batch, values),
                           lambda tiles: [e.store_tile(matrix, tile) for tile in tiles])
        e.scratch.begin(layer.name)
        convolution.weight_gradient(e, layer, Images(tensor=pseudo), self.maps[layer.name], consume_for(), None,
                                    tag=Pass.PREDICTOR, most_rows=most_rows)

    def _add(self, e: Emitter, error: Tensor, values: Tensor, sums: Tensor) -> None:
        """sums ← decay·sums + errorᵀ·values."""
        room = e.scratch.bank_words
        words = [e.scratch.vector(room, bank) for bank in (2, 3)]
        turn = 0

        def add(tiles: list[Tile]) -> None:
            nonlocal turn
            word, turn = words[turn], turn ^ 1
            first, used = tiles[0].word, sum(tile.rows for tile in tiles)
            for tile in tiles:
                e.load_tile(sums, tile, word + tile.word - first)
            e.vector(first, word, used, times=self.config.decay, b=first, plus="b")
            for tile in tiles:
                e.store_tile(sums, tile)

        transposed_product(e, error, values, add)


def transposed_product(e: Emitter, left: Tensor, right: Tensor, consume: Callable[[list[Tile]], None]) -> None:
    """leftᵀ·right of (images, few) and (images, values), as lists of tiles of the (few, values) matrix
    that lie one after the other in the vector memory.

    ``right`` is stationary as it lies, a row of the array per image, and ``left`` streams.
    """
    (images, few), values = left.shape, right.shape[1]
    rows, columns, shape = e.array_shape.rows, e.array_shape.columns, e.array_shape
    chunks = -(-images // rows)
    stream = e.scratch.stream(chunks * few * rows)
    for chunk in range(chunks):
        count = min(rows, images - chunk * rows)
        e.load_transposed(left, chunk * rows * left.strides()[0], e.stream, stream + chunk * few * rows,
                          rows=count, row_stride=left.strides()[0], columns=few, column_stride=rows)
    most = min(e.scratch.bank_words // few, shape.stationary_elements // 2 // images // columns)
    if not most:
        raise convolution.CompileError(
            f"feedback: {few} classes and {images} images need {few} words of AcceleratorConfig.vector_words / "
            f"vector_banks, which is {e.scratch.bank_words}, and {2 * images * columns} of "
            f"{e.scratch.stationary_parameter}, which is {shape.stationary_elements}")
    places = [e.scratch.stationary(images * most * columns) for _ in (0, 1)]
    accumulators = [e.scratch.vector(most * few, bank) for bank in (0, 1)]
    turn = 0
    for first in range(0, values, most * columns):
        length = min(most * columns, values - first)
        stationary, word = places[turn], accumulators[turn]
        turn ^= 1
        e.load(right, first * right.format.bytes, e.stationary, stationary, length,
               ((images, right.strides()[0], length),))
        tiles = []
        for start, count, some in _tiles(length, columns):
            e.array(tag=Pass.PREDICTOR, columns=some, stream=stream, stationary=stationary + start,
                    accumulator=word + start // columns * few, stream_count0=few, stream_stride0=rows,
                    chunk_stride=few * rows, row_count0=images, row_stride0=length, outer_count0=count,
                    stationary_outer_stride0=columns, accumulator_outer_stride0=few)
            tiles += [Tile(word=word + (start // columns + tile) * few, row=0, loops=((few, 1),),
                           column=first + start + tile * columns, columns=some) for tile in range(count)]
        consume(tiles)


def _tiles(length: int, columns: int) -> list[tuple[int, int, int]]:
    """(start, tiles, columns of one) that cover ``length``."""
    full, rest = divmod(length, columns)
    return [(0, full, columns)] * bool(full) + [(full * columns, 1, rest)] * bool(rest)


def invert(e: Emitter, matrix: Tensor, inverse: Tensor, identity: Tensor, ones: Tensor, ridge: float) -> None:
    """inverse of matrix + ridge·t·I + t·11ᵀ, t the mean of the diagonal, by Gauss-Jordan elimination.

    ``matrix`` is symmetric and positive semi-definite, so the diagonal is a safe pivot. Errors sum to
    zero over the classes, which makes 1 a direction in which ``matrix`` is zero; S_eδ has nothing in
    it either, so t·11ᵀ changes no prediction but keeps the inverse of moderate size.
    """
    n, lanes = matrix.shape[0], e.config.vector_lanes
    half = -(-n // lanes)
    row, size = 2 * half, 2 * half * n
    m, saved = e.scratch.vector(size, 0), e.scratch.vector(row, 1)
    product, mask = e.scratch.vector(size, 2), e.scratch.vector(size, 3)
    trace, pivot, t = e.scratch.vector(half, 1), e.scratch.vector(1, 1), e.scratch.vector(1, 0)
    zero = e.scratch.vector(1, 3)

    def place(tensor, word):
        e.load(tensor, 0, Memory.VECTOR, word * lanes, n, ((n, tensor.strides()[0], row * lanes),))

    left = ((half, 1, 1, 1), (n, row, row, row))
    for word, words in ((m, size), (mask, size), (zero, 1)):
        e.fill(Memory.VECTOR, word * lanes, words * lanes)
    place(matrix, m)
    place(identity, mask)
    e.vector(product, m, left, b=mask, times="b")
    for index in range(n):  # the diagonal, a word at a time
        e.vector(trace, product + index * row, half, **({"b": trace, "plus": "b"} if index else {}))
    fold(e, trace, trace, half, 1, trace)
    lane_sum(e, pivot, trace, 1, zero)
    e.vector(pivot, pivot, 1, times=1 / n)
    e.vector(pivot, pivot, 1, plus=1e-30)
    scaled = ((half, 1, 1, 0), (n, row, row, 0))
    e.vector(product, mask, scaled, b=pivot, times="b")
    e.vector(m, product, ((half, 1, 1, 1), (n, row, row, row)), b=m, times=ridge, plus="b")
    e.vector(m + half, mask, left)
    place(ones, mask)
    e.vector(product, mask, scaled, b=pivot, times="b")
    e.vector(m, product, left, b=m, plus="b")
    for k in range(n):
        own, lane = m + k * row, k % lanes
        e.vector(pivot, zero, 1, b=own + k // lanes, plus="b", broadcast=True, lane=lane)
        reciprocal(e, trace, pivot, t, 1)
        e.vector(saved, own, ((row, 1, 1, 0),), b=trace, times="b")
        e.vector(product, saved, ((row, 1, 1, 0), (n, row, 0, row)), b=m + k // lanes, times="b",
                 broadcast=True, lane=lane)
        e.vector(m, product, size, b=m, plus="b", negate_product=True)
        e.vector(own, saved, row)
    e.store(inverse, 0, (m + half) * lanes, n, ((n, inverse.strides()[0], row * lanes),))
