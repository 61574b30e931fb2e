"""What becomes of a finished tile: activation, gated gradient, prediction, or optimiser step.

Each class takes its words of the vector memory when it is made, and is then called with tiles by
the passes of :mod:`.convolution`.
"""

from copy import copy
from dataclasses import dataclass, replace
from itertools import cycle

from adagp.spec.isa import Function, Memory

from .emitter import Emitter, Tile
from .functions import fold, reciprocal, rsqrt
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Momentum SGD as ``torch.optim.SGD(lr, momentum)``: m ← μ·m + g, w ← w − lr·m."""

    lr: float
    momentum: float = 0.9


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam as ``torch.optim.Adam(lr, betas, eps)``, on the parameters that have a gradient: what a
    smaller layer does not use of the predictor keeps value and moments (as SparseAdam does)."""

    lr: float = 1e-4
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


def add_bias(e: Emitter, tile: Tile, bias_word: int | None, relu: bool = False) -> None:
    """Adds the bias, if there is one, and applies the ReLU, if asked for, in place."""
    if bias_word is not None:
        e.vector(tile.word, tile.word, ((tile.rows, 1, 1, 0),), b=bias_word, plus="b", relu=relu)
    elif relu:
        e.vector(tile.word, tile.word, tile.rows, function=Function.MAXIMUM, plus=0.0)


class StoreActivations:
    """Bias, ReLU, store; before the ReLU the tile goes to ``pool`` if there is one."""

    def __init__(self, e: Emitter, matrix: Tensor, relu: bool, pool: "PooledMean | None" = None):
        self.e, self.matrix, self.relu, self.pool = e, matrix, relu, pool
        self.ordered = pool is not None

    def __call__(self, tile: Tile, bias_word: int | None) -> None:
        add_bias(self.e, tile, bias_word, self.relu and self.pool is None)
        if self.pool:
            self.pool.add(tile)
            add_bias(self.e, tile, None, self.relu)
        self.e.store_tile(self.matrix, tile)


class StoreGradient:
    """Stores a gradient of activations; where they came from a ReLU, only where they are positive."""

    def __init__(self, e: Emitter, matrix: Tensor, activations: Tensor | None, words: int):
        self.e, self.matrix, self.activations = e, matrix, activations
        self._turn = 0
        self._words = [e.scratch.vector(words, bank) for bank in (2, 3)] if activations else []

    def __call__(self, tile: Tile, bias_word: None) -> None:
        if self.activations:
            word = self._words[self._turn]
            self._turn ^= 1
            self.e.load_tile(self.activations, tile, word)
            self.e.vector(tile.word, word, tile.rows, b=tile.word, plus="b", function=Function.GATE)
        self.e.store_tile(self.matrix, tile)


class PooledMean:
    """Mean over the batch, then adaptive average pooling to size × size, of a layer's outputs.

    ``pooled`` is (size, size, channels): position outermost, so that the predictor reads each
    channel as a sample. Tiles must come column by column, each column's in order of pixels.
    """

    def __init__(self, e: Emitter, pooled: Tensor, images: int, height: int, width: int, tile_words: int):
        self.e, self.images, self.height, self.width = e, images, height, width
        self.size, channels = pooled.shape[0], pooled.shape[2]
        self.matrix = pooled.view(self.size * self.size, channels)
        self.sum = e.scratch.vector(self.size * self.size, 3)
        self.temporary = e.scratch.vector(-(-tile_words // 2), 2)

    def add(self, tile: Tile) -> None:
        e, pixels = self.e, self.height * self.width
        words = self.size * self.size
        if tile.row == 0:
            e.fill(Memory.VECTOR, self.sum * e.config.vector_lanes, words * e.config.vector_lanes)
        source, rows = tile.word, tile.rows
        if rows > pixels:
            fold(e, self.temporary, tile.word, rows // pixels, pixels, self.temporary)
            source, rows = self.temporary, pixels
        first_row = tile.row % pixels // self.width
        self._pool(source, first_row, rows // self.width)
        if tile.row + tile.rows == self.images * pixels:
            self._finish(tile)

    def _pool(self, source: int, first_row: int, rows: int) -> None:
        """Adds each output position's window, as far as its rows are in the tile."""
        across = _window_terms(self.width, self.size)
        for down in _window_terms(self.height, self.size):
            down = [(index, row - first_row) for index, row in down if first_row <= row < first_row + rows]
            for y0, ny, row, row_step in _runs(down):
                for terms in across:
                    for x0, nx, column, column_step in _runs(terms):
                        d = self.sum + y0 * self.size + x0
                        self.e.vector(d, d, ((nx, 1, 1, column_step), (ny, self.size, self.size, row_step * self.width)),
                                      b=source + row * self.width + column, plus="b")

    def _finish(self, tile: Tile) -> None:
        sides = [[len(range(*_window(index, length, self.size))) for index in range(self.size)]
                 for length in (self.height, self.width)]
        if len({height * width for height in sides[0] for width in sides[1]}) == 1:
            self.e.vector(self.sum, self.sum, self.size * self.size,
                          times=1 / (self.images * sides[0][0] * sides[1][0]))
        else:
            for y, height in enumerate(sides[0]):
                for x, width in enumerate(sides[1]):
                    word = self.sum + y * self.size + x
                    self.e.vector(word, word, 1, times=1 / (self.images * height * width))
        self.e.store_tile(self.matrix, Tile(word=self.sum, row=0, loops=((self.size * self.size, 1),),
                                            column=tile.column, columns=tile.columns))


def _window(index: int, length: int, size: int) -> tuple[int, int]:
    """The positions that adaptive pooling of ``length`` to ``size`` averages into ``index``."""
    return index * length // size, -(-(index + 1) * length // size)


def _window_terms(length: int, size: int) -> list[list[tuple[int, int]]]:
    """The k-th positions of all windows that have one, as (window, position), for each k."""
    windows = [range(*_window(index, length, size)) for index in range(size)]
    return [[(index, window[k]) for index, window in enumerate(windows) if k < len(window)]
            for k in range(max(map(len, windows)))]


def _runs(pairs: list[tuple[int, int]]):
    """Cuts (index, position) pairs into (first index, count, first position, step)."""
    while pairs:
        count, step = 1, 0
        for (index, position), (next_index, next_position) in zip(pairs, pairs[1:]):
            if next_index != index + 1 or (count > 1 and next_position - position != step):
                break
            count, step = count + 1, next_position - position
        yield pairs[0][0], count, pairs[0][1], step
        pairs = pairs[count:]


class StorePrediction:
    """Bias, store: a predicted gradient that waits for the true one."""

    def __init__(self, e: Emitter, prediction: Tensor):
        self.e, self.prediction = e, prediction

    def __call__(self, tile: Tile, bias_word: int | None) -> None:
        add_bias(self.e, tile, bias_word)
        self.e.store_tile(self.prediction, tile)


class MomentumUpdate:
    """The tile is a gradient, after adding the bias word if there is one: updates ``weight`` and
    ``momentum`` (matrices) in external memory. With ``error``, the gradient of the predictor's
    mean squared error, 2/n·(prediction − gradient), is stored there first.

    Tiles have at most ``words`` rows; ``slots`` of them, an even number, are loaded, updated and stored
    at a time, in different banks. Takes slots·words of banks 2 and 3, and words more with ``error``.
    """

    def __init__(self, e: Emitter, optimizer: SGD, weight: Tensor, momentum: Tensor, words: int,
                 slots: int = 2, prediction: Tensor | None = None, error: Tensor | None = None):
        self.e, self.optimizer, self.weight, self.momentum = e, optimizer, weight, momentum
        self.prediction, self.error = prediction, error
        self._slots = cycle([(e.scratch.vector(words, bank), e.scratch.vector(words, bank))
                             for _ in range(slots // 2) for bank in (2, 3)])
        self._errors = (e.scratch.vector(words, 2), e.scratch.vector(words, 3)) if error else None

    def sharing(self, weight: Tensor, momentum: Tensor) -> "MomentumUpdate":
        """An update of another parameter, without error, that works in the same words."""
        update = copy(self)
        update.weight, update.momentum, update.error = weight, momentum, None
        return update

    def __call__(self, tile: Tile, bias_word: int | None) -> None:
        e, g, rows = self.e, tile.word, tile.rows
        add_bias(e, tile, bias_word)
        w, m = next(self._slots)
        e.load_tile(self.weight, tile, w)
        e.load_tile(self.momentum, tile, m)
        if self.error:
            p, d = self._errors
            scale = 2 / (self.error.shape[0] * self.error.shape[1])
            e.load_tile(self.prediction, tile, p)
            e.vector(p, p, rows, times=scale)
            e.vector(d, g, rows, times=-scale, b=p, plus="b")
            e.store_tile(self.error, _moved(tile, d))
        e.vector(m, m, rows, times=self.optimizer.momentum, b=g, plus="b")
        e.vector(w, m, rows, times=-self.optimizer.lr, b=w, plus="b")
        e.store_tile(self.momentum, _moved(tile, m))
        e.store_tile(self.weight, _moved(tile, w))


class AdamUpdate:
    """The tile is a gradient: updates ``weight``, ``first`` and ``second`` moment matrices.

    ``steps`` (2,) holds lr/(1 − β1ᵗ) and 1/(1 − β2ᵗ), see :func:`adam_step`. Takes 3·words of
    banks 2 and 3.
    """

    def __init__(self, e: Emitter, optimizer: Adam, weight: Tensor, first: Tensor, second: Tensor, steps: Tensor,
                 words: int):
        self.e, self.optimizer, self.tensors = e, optimizer, (weight, first, second)
        self._steps = e.scratch.vector(2, 2)
        _load_scalars(e, steps, self._steps)
        self._words = [e.scratch.vector(words, bank) for bank in (2, 3, 3, 2, 3, 2)]

    def __call__(self, tile: Tile, bias_word: None) -> None:
        e, g, n, o = self.e, tile.word, tile.rows, self.optimizer
        w, m, v, t, x, y = self._words
        for tensor, word in zip(self.tensors, (w, m, v)):
            e.load_tile(tensor, tile, word)
        e.vector(t, g, n, times=1 - o.beta1)
        e.vector(m, m, n, times=o.beta1, b=t, plus="b")
        e.vector(t, g, n, times="b", b=g)
        e.vector(t, t, n, times=1 - o.beta2)
        e.vector(v, v, n, times=o.beta2, b=t, plus="b")
        e.store_tile(self.tensors[1], _moved(tile, m))
        e.store_tile(self.tensors[2], _moved(tile, v))
        e.vector(x, v, ((n, 1, 1, 0),), b=self._steps + 1, times="b", broadcast=True)
        e.vector(x, x, n, function=Function.MAXIMUM, plus=1e-36)  # keeps 1/√x and √x normal
        rsqrt(e, y, x, t, n)
        e.vector(x, x, n, b=y, times="b", plus=o.eps)
        reciprocal(e, y, x, t, n)
        e.vector(y, y, n, b=m, times="b")
        e.vector(y, y, ((n, 1, 1, 0),), b=self._steps, times="b", broadcast=True)
        e.vector(w, w, n, b=y, plus="b", negate_addend=True)
        e.store_tile(self.tensors[0], _moved(tile, w))


def adam_step(e: Emitter, optimizer: Adam, powers: Tensor, steps: Tensor) -> None:
    """Advances ``powers`` (β1ᵗ, β2ᵗ) by one step and derives ``steps`` from it."""
    e.scratch.begin("Adam step")
    p, c, t, r = (e.scratch.vector(2, bank) for bank in range(4))
    _load_scalars(e, powers, p)
    e.vector(p, p, 1, times=optimizer.beta1)
    e.vector(p + 1, p + 1, 1, times=optimizer.beta2)
    _store_scalars(e, powers, p)
    e.vector(c, p, 2, times=-1.0, plus=1.0)
    reciprocal(e, r, c, t, 2)
    e.vector(r, r, 1, times=optimizer.lr)
    _store_scalars(e, steps, r)


def _moved(tile: Tile, word: int) -> Tile:
    return replace(tile, word=word)


def _load_scalars(e: Emitter, tensor: Tensor, word: int) -> None:
    """Each element to lane 0 of a word of its own."""
    lanes = e.config.vector_lanes
    e.load(tensor, 0, Memory.VECTOR, word * lanes, 1, ((tensor.elements, tensor.format.bytes, lanes),))


def _store_scalars(e: Emitter, tensor: Tensor, word: int) -> None:
    e.store(tensor, 0, word * e.config.vector_lanes, 1,
            ((tensor.elements, tensor.format.bytes, e.config.vector_lanes),))
