"""What becomes of a finished tile: activation, gated gradient, prediction, or optimiser step.

Each class takes its words of the vector memory when it is made, and is then called with tiles by
the passes of :mod:`.convolution`.
"""

from copy import copy
from dataclasses import replace
from itertools import cycle

from adagp.spec.isa import Function, Memory

from .activation import activate, gate, rectifies
from .emitter import Emitter, Run, Tile
from .functions import reciprocal, rsqrt
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
    """Bias, activation, store.

    Tiles have at most ``words`` rows; an activation with a slope takes as many words of bank 3.
    """

    def __init__(self, e: Emitter, matrix: Tensor, activation: Activation | None, words: int = 0):
        self.e, self.matrix, self.activation = e, matrix, activation
        self._temporary = e.scratch.vector(words, 3) if activation and activation.slope else None

    def __call__(self, tile: Tile, bias_word: int | None) -> None:
        relu = rectifies(self.activation)
        add_bias(self.e, tile, bias_word, relu)
        activate(self.e, self.activation, tile.word, tile.rows, self._temporary, rectified=relu)
        self.e.store_tile(self.matrix, tile)


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
