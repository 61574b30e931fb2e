"""The weight-stationary array: sums of tiles in the order of the hardware, vectorised in torch."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch

from adagp.spec.config import AcceleratorConfig, ArrayShape
from adagp.spec.isa import Array, PredictorArray

from .arithmetic import MAGNITUDE, add, bits, canonical, flush, widen
from .walk import Walk

BLOCK_ELEMENTS = (1 << 15) - 1
"""Partial sums that are computed together: few enough to stay in the cache and for torch to keep
to one thread, whose start would cost more than it gains."""

SMALL_PRODUCTS = 1 << 14
"""Up to so many products in an instruction numpy's lighter calls beat torch's fused ones."""


@dataclass(frozen=True)
class Operands:
    """float32 operands of an instruction: x[parallel, sequence, rows, vectors] and
    w[parallel, sequence, rows, columns]. Tiles along ``sequence`` add up in one accumulator.

    ``exact`` says that neither a product nor a sum of these can be subnormal, that no product
    overflows and that all are finite: then no flushing is needed.
    """

    x: np.ndarray
    w: np.ndarray
    exact: bool


def compile_array(instruction: Array, config: AcceleratorConfig):
    """A function of (stream, stationary, vector) that executes ``instruction``."""
    steps = [_Pass(part, config) for part in _split(instruction, config)]

    def execute(stream: np.ndarray, stationary: np.ndarray, vector: np.ndarray) -> None:
        for step in steps:
            step(stream, stationary, vector)

    return execute


def array_of(instruction: Array, config: AcceleratorConfig) -> ArrayShape:
    """The array that ``instruction`` runs on."""
    return config.predictor_array if isinstance(instruction, PredictorArray) else config.array


def multiply_accumulates(instruction: Array) -> int:
    """Useful multiply-accumulates: active rows times active columns per vector."""
    i = instruction
    return (i.outer_count0 * i.outer_count1 * i.stream_count0 * i.stream_count1 * i.stream_count2
            * i.row_count0 * i.row_count1 * i.row_count2 * i.columns)


def accumulator_walk(instruction: Array, config: AcceleratorConfig) -> Walk:
    """Words of the accumulators: axes of the two outer loops and of the vectors."""
    i = instruction
    vectors = i.stream_count0 * i.stream_count1 * i.stream_count2
    return Walk(config.vector_words, i.accumulator, (i.outer_count1, i.outer_count0, vectors),
                (i.accumulator_outer_stride1, i.accumulator_outer_stride0, 1))


def stream_walk(instruction: Array, config: AcceleratorConfig) -> Walk:
    """Axes: outer 1, outer 0, chunk, row, stream 2, 1, 0. Covers whole chunks."""
    i, array = instruction, array_of(instruction, config)
    chunks = -(-i.row_count0 * i.row_count1 * i.row_count2 // array.rows)
    return Walk(array.stream_elements, i.stream,
                (i.outer_count1, i.outer_count0, chunks, array.rows, i.stream_count2, i.stream_count1, i.stream_count0),
                (i.stream_outer_stride1, i.stream_outer_stride0, i.chunk_stride, 1,
                 i.stream_stride2, i.stream_stride1, i.stream_stride0))


def stationary_walk(instruction: Array, config: AcceleratorConfig) -> Walk:
    """Axes: outer 1, outer 0, row 2, 1, 0, column."""
    i = instruction
    return Walk(array_of(i, config).stationary_elements, i.stationary,
                (i.outer_count1, i.outer_count0, i.row_count2, i.row_count1, i.row_count0, i.columns),
                (i.stationary_outer_stride1, i.stationary_outer_stride0,
                 i.row_stride2, i.row_stride1, i.row_stride0, 1))


def _split(instruction: Array, config: AcceleratorConfig) -> list[Array]:
    """The instruction itself if its accumulators are either the same or apart, else one per tile."""
    i = instruction
    accumulators = accumulator_walk(i, config)
    apart = replace(accumulators, counts=tuple(
        1 if stride == 0 else count for count, stride in zip(accumulators.counts, accumulators.strides)))
    if apart.distinct:
        return [instruction]
    parts, array = [], array_of(i, config)
    for i1, i0 in product(range(i.outer_count1), range(i.outer_count0)):
        fresh = (i1 == 0 or i.accumulator_outer_stride1) and (i0 == 0 or i.accumulator_outer_stride0)
        parts.append(replace(
            i, outer_count0=1, outer_count1=1, accumulate=int(i.accumulate or not fresh),
            stream=(i.stream + i1 * i.stream_outer_stride1 + i0 * i.stream_outer_stride0) % array.stream_elements,
            stationary=(i.stationary + i1 * i.stationary_outer_stride1
                        + i0 * i.stationary_outer_stride0) % array.stationary_elements,
            accumulator=(i.accumulator + i1 * i.accumulator_outer_stride1
                         + i0 * i.accumulator_outer_stride0) % config.vector_words))
    return parts


class _Pass:
    """An instruction whose outer loops either all share one accumulator or have it apart."""

    def __init__(self, instruction: Array, config: AcceleratorConfig):
        self.instruction, self.array = instruction, array_of(instruction, config)
        self.rows = instruction.row_count0 * instruction.row_count1 * instruction.row_count2
        self.stream = stream_walk(instruction, config)
        self.stationary = stationary_walk(instruction, config)
        words = accumulator_walk(instruction, config)
        self.chunks, self.vectors = self.stream.counts[2], words.counts[2]
        shared = [stride == 0 for stride in words.strides[:2]]
        self.words = replace(words, counts=tuple(
            1 if same else count for same, count in zip(shared, words.counts)) + (self.vectors,))
        self.parallel = self.words.counts[0] * self.words.counts[1]
        self.order = tuple([axis for axis in (0, 1) if not shared[axis]] + [axis for axis in (0, 1) if shared[axis]])

    def __call__(self, stream: np.ndarray, stationary: np.ndarray, vector: np.ndarray) -> None:
        operands = self._operands(stream, stationary)
        words = self.words.read(vector).reshape(self.parallel, self.vectors, -1)
        old = words.transpose(0, 2, 1) if self.instruction.accumulate else None
        exact = operands.exact and (old is None or _smallest_exponent(old) > 23)
        columns = self.instruction.columns if exact else self.array.columns
        sums = (_sum_exactly if exact else _sum_flushing)(
            operands, None if old is None else np.ascontiguousarray(old[:, :columns]), columns)
        result = np.zeros(words.shape, np.float32)
        result[:, :, :columns] = canonical(sums).transpose(0, 2, 1)
        if old is not None:
            idle = words[:, :, columns:self.array.columns]
            result[:, :, columns:self.array.columns] = canonical(add(idle, np.zeros(1, np.float32)))
        self.words.write(vector, result.reshape(*self.words.counts, -1))

    def _operands(self, stream: np.ndarray, stationary: np.ndarray) -> Operands:
        array, tiles = self.array, (self.parallel, -1)
        w = self.stationary.read(stationary)
        outers = w.shape[:2]
        padded = np.zeros((*outers, self.chunks * array.rows, w.shape[-1]), np.uint16)
        padded[:, :, :self.rows] = w.reshape(*outers, self.rows, -1)
        padded = padded.transpose(*self.order, 2, 3).reshape(*tiles, array.rows, w.shape[-1])
        region, walk = stream, self.stream
        if walk.straight:
            region = stream[walk.first:walk.last + 1]
            walk = Walk(region.size, self.stream.base % stream.size - walk.first, walk.counts, walk.strides)
        x = walk.read(widen(region)).transpose(*self.order, 2, 3, 4, 5, 6)
        x = np.ascontiguousarray(x.reshape(*tiles, self.chunks, array.rows, self.vectors))
        if self.rows % array.rows:
            x[:, :, -1, self.rows % array.rows:] = 0
        return Operands(x.reshape(*tiles, array.rows, self.vectors), widen(padded),
                        _products_are_exact(region, padded)
                        or _products_are_exact((bits(x) >> np.uint32(16)).astype(np.uint16), padded))


def _products_are_exact(x: np.ndarray, w: np.ndarray) -> bool:
    """Whether all products, hence all sums, are finite multiples of the smallest normal."""
    (x_least, x_most), (w_least, w_most) = _exponents(x), _exponents(w)
    return (x_least > 0 and w_least > 0 and x_least + w_least >= 142
            and x_most < 255 and w_most < 255 and x_most + w_most <= 379)


def _exponents(operands: np.ndarray) -> tuple[int, int]:
    """Biased exponents of the smallest operand that is not zero and of the largest."""
    magnitude = operands & np.uint16(0x7FFF)
    most = int(magnitude.max())
    magnitude -= np.uint16(1)
    return int(magnitude.min()) + 1 >> 7, most >> 7


def _smallest_exponent(values: np.ndarray) -> int:
    """Biased exponent of the smallest value that is not zero; 256 if all are."""
    return int(((bits(values) & MAGNITUDE) - np.uint32(1)).min()) + 1 >> 23


def _sum_exactly(operands: Operands, old: np.ndarray | None, columns: int) -> np.ndarray:
    """Accumulators [parallel, columns, vectors]; products need no rounding, sums no flushing."""
    parallel, sequence, rows, vectors = operands.x.shape
    if parallel * sequence * rows * vectors * columns <= SMALL_PRODUCTS:
        products = operands.x[:, :, :, None, :] * operands.w[..., None]
        sums = products[:, :, 0] + np.float32(0)
        for row in range(1, rows):
            sums += products[:, :, row]
        return _accumulate(sums.transpose(1, 0, 2, 3), old)
    x, w = torch.from_numpy(operands.x).unsqueeze(3), torch.from_numpy(operands.w).unsqueeze(4)
    tile = columns * vectors
    at_once = max(1, min(sequence, BLOCK_ELEMENTS // tile))
    groups = max(1, BLOCK_ELEMENTS // (tile * at_once))
    result = np.empty((parallel, columns, vectors), np.float32)
    for k in range(0, parallel, groups):
        accumulator = None if old is None else old[k:k + groups]
        for s in range(0, sequence, at_once):
            block = x[k:k + groups, s:s + at_once], w[k:k + groups, s:s + at_once]
            sums = torch.zeros(block[0].shape[:2] + (columns, vectors))
            for x_row, w_row in zip(block[0].unbind(2), block[1].unbind(2)):
                sums.addcmul_(x_row, w_row)
            accumulator = _accumulate(sums.numpy().transpose(1, 0, 2, 3), accumulator)
        result[k:k + groups] = accumulator
    return result


def _accumulate(sums: np.ndarray, accumulator: np.ndarray | None) -> np.ndarray:
    """Adds the sums of tiles one after the other; without an accumulator the first one starts it."""
    tiles = iter(sums)
    total = next(tiles) if accumulator is None else accumulator
    for tile in tiles:
        total = total + tile
    return total


def _sum_flushing(operands: Operands, old: np.ndarray | None, columns: int) -> np.ndarray:
    """As :func:`_sum_exactly` for any operands; columns beyond those of ``w`` have w = +0."""
    parallel, sequence, rows, vectors = operands.x.shape
    x, w = flush(operands.x), np.zeros((parallel, sequence, rows, columns), np.float32)
    w[..., :operands.w.shape[3]] = flush(operands.w)
    total = old
    for s in range(sequence):
        sums = np.zeros((parallel, columns, vectors), np.float32)
        for r in range(rows):
            sums = flush(sums + flush(x[:, s, r, None, :] * w[:, s, r, :, None]))
        total = sums if total is None else add(total, sums)
    return total
