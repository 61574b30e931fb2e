"""What becomes of a finished tile: activation, gated gradient, prediction, or optimiser step.

Each class takes its words of the vector memory when it is made, and is then called with tiles by
the passes of :mod:`.convolution`.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from itertools import cycle

from adagp.spec.isa import Function, Memory

from .activation import activate, gate
from .emitter import Emitter, Run, Tile
from .functions import fold, reciprocal, rsqrt
from .operation import Activation, Target, Work
from .optimizer import SGD, Adam
from .quality import Agreement
from .tensors import Tensor


def add_bias(e: Emitter, tile: Tile, bias_word: int | None, relu: bool = False) -> None:
    """Adds the bias, if there is one, and applies the ReLU, if asked for, in place."""
    if bias_word is not None:
        e.vector(tile.word, tile.word, ((tile.rows, 1, 1, 0),), b=bias_word, plus="b", relu=relu)
    elif relu:
        e.vector(tile.word, tile.word, tile.rows, function=Function.MAXIMUM, plus=0.0)


class StoreActivations:
    """Bias, activation, store; what was there before the activation goes to ``pool`` if there is one.

    Tiles have at most ``words`` rows; an activation with a slope takes as many words of bank 3.
    """

    def __init__(self, e: Emitter, matrix: Tensor, activation: Activation | None, words: int = 0,
                 pool: "PooledMean | None" = None):
        self.e, self.matrix, self.activation, self.pool = e, matrix, activation, pool
        self.ordered = pool is not None
        self._temporary = e.scratch.vector(words, 3) if activation and activation.slope else None

    def __call__(self, tile: Tile, bias_word: int | None) -> None:
        relu = self.activation == Activation()
        with self.e.builder.purpose(work="predict"):
            add_rest = self.pool.begin(tile, bias_word) if self.pool else None
        add_bias(self.e, tile, bias_word, relu)
        if not relu:
            activate(self.e, self.activation, tile.word, tile.rows, self._temporary)
        self.e.store_tile(self.matrix, tile)
        if add_rest:
            with self.e.builder.purpose(work="predict"):
                add_rest()


class StoreGradient:
    """The tile is an operation's share of the gradient of ``target``: adds the other shares,
    multiplies by the derivative of the activation that the target came out of, and stores.

    Tiles have at most ``words`` rows; takes as many of banks 2 and 3 unless the share is all.
    """

    def __init__(self, e: Emitter, target: Target, words: int):
        self.e, self.target = e, target
        self._words = [e.scratch.vector(words, bank) for bank in (2, 3)] if target.addend or target.activation else []
        self._turn = 0

    def __call__(self, tile: Tile | Run, bias_word: None = None) -> None:
        e, target = self.e, self.target
        if target.addend:
            e.vector(tile.word, tile.word, tile.rows, b=self._loaded(target.addend, tile), plus="b")
        if target.activation:
            gate(e, target.activation, tile.word, self._loaded(target.activations, tile), tile.rows)
        e.store_tile(target.tensor, tile)

    def _loaded(self, tensor: Tensor, tile: Tile | Run) -> int:
        self._turn ^= 1
        self.e.load_tile(tensor, tile, self._words[self._turn])
        return self._words[self._turn]


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

    def begin(self, tile: Tile, bias_word: int | None) -> Callable[[], None]:
        """Takes what it needs of ``tile``, to which the bias is still to be added; calling the result
        emits the rest. So the array has its accumulators back early."""
        e, pixels, size = self.e, self.height * self.width, self.size * self.size
        if tile.row == 0:
            e.fill(Memory.VECTOR, self.sum * e.config.vector_lanes, size * e.config.vector_lanes)
        images = tile.rows // pixels
        half, first_row = images // 2, tile.row % pixels // self.width
        if not half:
            self._pool(tile.word, first_row, tile.rows // self.width)
            return lambda: self._finish(tile, bias_word)
        e.vector(self.temporary, tile.word, half * pixels, b=tile.word + half * pixels, plus="b")
        if images % 2:
            e.vector(self.temporary, self.temporary, pixels, b=tile.word + 2 * half * pixels, plus="b")

        def rest() -> None:
            fold(e, self.temporary, self.temporary, half, pixels, self.temporary)
            self._pool(self.temporary, first_row, self.height)
            self._finish(tile, bias_word)
        return rest

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

    def _finish(self, tile: Tile, bias_word: int | None) -> None:
        if tile.row + tile.rows < self.images * self.height * self.width:
            return
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
        pooled = Tile(word=self.sum, row=0, loops=((self.size * self.size, 1),), column=tile.column, columns=tile.columns)
        add_bias(self.e, pooled, bias_word)
        self.e.store_tile(self.matrix, pooled)


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
    ``momentum`` (matrices) in external memory. The ``prediction`` of the gradient, if there is one,
    is compared with it first: what ``agreement`` measures, and the gradient of its mean squared
    error, 2/n·(prediction − gradient), which is stored in ``error``.

    Tiles have at most ``words`` rows; ``slots`` of them, one or an even number, are loaded, updated and stored
    at a time, in different banks. Takes slots·words of banks 2 and 3, and words more with a prediction.
    """

    def __init__(self, e: Emitter, optimizer: SGD, weight: Tensor, momentum: Tensor, words: int,
                 slots: int = 2, prediction: Tensor | None = None, error: Tensor | None = None,
                 agreement: Agreement | None = None):
        self.e, self.optimizer, self.weight, self.momentum = e, optimizer, weight, momentum
        self.prediction, self.error, self.agreement = prediction, error, agreement
        banks = [(2, 3)] if slots == 1 else [(2, 2), (3, 3)] * (slots // 2)
        self._slots = cycle([tuple(e.scratch.vector(words, bank) for bank in pair) for pair in banks])
        self._errors = (e.scratch.vector(words, 2), e.scratch.vector(words, 3)) if prediction else None

    def sharing(self, weight: Tensor, momentum: Tensor) -> "MomentumUpdate":
        """An update of another parameter, without a prediction, that works in the same words."""
        update = copy(self)
        update.weight, update.momentum, update.prediction = weight, momentum, None
        return update

    def __call__(self, tile: Tile, bias_word: int | None = None) -> None:
        with self.e.builder.purpose(work="update"):
            self._update(tile, bias_word)

    def _update(self, tile: Tile, bias_word: int | None) -> None:
        e, g, rows = self.e, tile.word, tile.rows
        add_bias(e, tile, bias_word)
        w, m = next(self._slots)
        e.load_tile(self.weight, tile, w)
        e.load_tile(self.momentum, tile, m)
        if self.prediction:
            self._compare(tile)
        e.vector(m, m, rows, times=self.optimizer.momentum, b=g, plus="b")
        e.vector(w, m, rows, times=-self.optimizer.lr, b=w, plus="b")
        e.store_tile(self.momentum, replace(tile, word=m))
        e.store_tile(self.weight, replace(tile, word=w))

    def _compare(self, tile: Tile) -> None:
        e, (p, d) = self.e, self._errors
        e.load_tile(self.prediction, tile, p)
        if self.agreement:
            self.agreement.add(tile, p)
        if self.error:
            scale = 2 / (self.error.shape[0] * self.error.shape[1])
            e.vector(d, p, tile.rows, b=tile.word, plus="b", negate_addend=True)
            e.vector(d, d, tile.rows, times=scale)
            e.store_tile(self.error, replace(tile, word=d))


def parameter_update(e: Emitter, work: Work, name: str, matrix: tuple[int, int], words: int, **options
                     ) -> MomentumUpdate:
    """The update of the operation's parameter ``name``, whose gradient comes in tiles of ``matrix``."""
    return MomentumUpdate(e, work.optimizer, work.parameters[name].view(*matrix), work.momenta[name].view(*matrix),
                          words, **options)


class AdamUpdate:
    """The tile is a gradient: updates ``weight``, ``first`` and ``second`` moment matrices.

    The moments are kept as sums, m ← β1·m + g and v ← β2·v + g², which are those of the textbook
    over (1 − β1) and (1 − β2); ``steps`` (2,) from :func:`adam_step` makes up for it. Takes 3·words
    of banks 2 and 3.
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
        e.vector(t, g, n, times="b", b=g)
        e.vector(m, m, n, times=o.beta1, b=g, plus="b")
        e.vector(v, v, n, times=o.beta2, b=t, plus="b")
        e.store_tile(self.tensors[1], replace(tile, word=m))
        e.store_tile(self.tensors[2], replace(tile, word=v))
        # never zero, so that its reciprocal root is a number
        e.vector(x, v, ((n, 1, 1, 0),), b=self._steps + 1, times="b", broadcast=True, plus=max(o.eps ** 2, 1e-36))
        rsqrt(e, y, x, t, n, iterations=2)
        e.vector(y, y, n, b=m, times="b")
        e.vector(y, y, ((n, 1, 1, 0),), b=self._steps, times="b", broadcast=True)
        e.vector(w, w, n, b=y, plus="b", negate_addend=True)
        e.store_tile(self.tensors[0], replace(tile, word=w))


def adam_step(e: Emitter, optimizer: Adam, powers: Tensor, steps: Tensor) -> None:
    """Advances ``powers`` (β1ᵗ, β2ᵗ) by one step and derives ``steps`` from it:
    lr·(1 − β1)/(1 − β1ᵗ) and (1 − β2)/(1 − β2ᵗ)."""
    e.scratch.begin("Adam step")
    p, c, t, r = (e.scratch.vector(2, bank) for bank in range(4))
    _load_scalars(e, powers, p)
    e.vector(p, p, 1, times=optimizer.beta1)
    e.vector(p + 1, p + 1, 1, times=optimizer.beta2)
    _store_scalars(e, powers, p)
    e.vector(c, p, 2, times=-1.0, plus=1.0)
    reciprocal(e, r, c, t, 2)
    e.vector(r, r, 1, times=optimizer.lr * (1 - optimizer.beta1))
    e.vector(r + 1, r + 1, 1, times=1 - optimizer.beta2)
    _store_scalars(e, steps, r)


def _load_scalars(e: Emitter, tensor: Tensor, word: int) -> None:
    """Each element to lane 0 of a word of its own."""
    lanes = e.config.vector_lanes
    e.load(tensor, 0, Memory.VECTOR, word * lanes, 1, ((tensor.elements, tensor.format.bytes, lanes),))


def _store_scalars(e: Emitter, tensor: Tensor, word: int) -> None:
    e.store(tensor, 0, word * e.config.vector_lanes, 1,
            ((tensor.elements, tensor.format.bytes, e.config.vector_lanes),))
