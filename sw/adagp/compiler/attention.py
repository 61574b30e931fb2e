"""Scaled dot-product attention: its matrix products on the array, its softmax on the vector unit.

Scores are computed transposed, a word for each key with the queries in the lanes, so that maxima
and sums over the keys are taken word by word.
"""

from dataclasses import dataclass, replace
from math import inf

from adagp.spec.isa import Format, Function, Memory, Pass

from .emitter import Emitter, Tile
from .finish import StoreActivations, StoreGradient
from .functions import exponential, reciprocal
from .operation import Operation, Target, Work
from .products import Matrices, Product
from .program import CompileError
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Heads:
    """Where the heads of queries, keys or values lie: of each token of input number ``source``,
    head h takes the features from ``first`` + h·``pitch`` on."""

    source: int
    first: int = 0
    pitch: int


@dataclass(frozen=True, kw_only=True)
class Attention(Operation):
    """softmax(``scale``·Q·Kᵀ)·V for each of ``heads`` heads, as ``scaled_dot_product_attention``.

    ``images`` are the (1, tokens, features) of the inputs, all of whose features are read. A head
    has ``size`` features; those of the output lie behind one another. With ``causal`` a query sees
    only the keys up to its own position.
    """

    name: str
    inputs: tuple[str, ...]
    images: tuple[tuple[int, int, int], ...]
    heads: int
    size: int
    queries: Heads
    keys: Heads
    values: Heads
    scale: float
    causal: bool = False

    def __post_init__(self):
        if not self.scale > 0:
            raise ValueError(f"Attention.scale must be positive, not {self.scale!r}")

    @property
    def input_shapes(self) -> tuple[tuple[int, int, int], ...]:
        return self.images

    @property
    def output(self) -> tuple[int, int, int]:
        return 1, self.tokens(self.queries), self.heads * self.size

    def tokens(self, part: Heads) -> int:
        return self.images[part.source][1]

    def saved(self, images: int):
        """The softmax of each image and head, transposed; the backward pass makes it the gradient of
        the scores."""
        return {"probabilities": ((images, self.heads, self.tokens(self.keys), self.tokens(self.queries)),
                                  Format.OPERAND)}


def forward(e: Emitter, operation: Attention, work: Work) -> None:
    q, k, v = _parts(operation, work.inputs)
    scores = _scores(work)
    product = Product(e, operation.name, k, q.T, scores, tag=Pass.FORWARD, upper=operation.causal,
                      most_images=_most_images(e, operation))
    product.emit(_Softmax(e, operation, scores, product))
    e.scratch.begin(operation.name)
    product = Product(e, operation.name, scores.T, v, _heads(operation, work.output), tag=Pass.FORWARD)
    product.emit(StoreActivations(e, work.output, None, product.words))


def backward(e: Emitter, operation: Attention, work: Work) -> None:
    q, k, v = _parts(operation, work.inputs)
    scores, dy = _scores(work), _heads(operation, work.gradient)
    parts = operation.values, operation.keys, operation.queries
    targets = [_target(work, parts, number) for number in range(3)]

    def deliver(target: Target | None, part: Heads, a: Matrices, b: Matrices) -> None:
        if target:
            e.scratch.begin(operation.name)
            product = Product(e, operation.name, a, b, _heads(operation, target.tensor, part), tag=Pass.INPUT_GRADIENT)
            product.emit(StoreGradient(e, target, product.words))

    deliver(targets[0], operation.values, scores, dy)
    if targets[1] or targets[2]:
        e.scratch.begin(operation.name)
        product = Product(e, operation.name, v, dy.T, scores, tag=Pass.INPUT_GRADIENT, upper=operation.causal,
                          most_images=_most_images(e, operation))
        product.emit(_ScoreGradient(e, operation, scores, product))
    deliver(targets[1], operation.keys, scores, q)
    deliver(targets[2], operation.queries, scores.T, k)


def _target(work: Work, parts: tuple[Heads, ...], number: int) -> Target | None:
    """That of part ``number``; parts that are the same features add to one another."""
    target, same = work.targets[parts[number].source], [part == parts[number] for part in parts]
    if target is None:
        return None
    if any(same[:number]):
        target = replace(target, addend=target.tensor)
    if any(same[number + 1:]):
        target = replace(target, activation=None, activations=None)
    return target


def _parts(operation: Attention, tensors: tuple[Tensor, ...]) -> tuple[Matrices, ...]:
    """Queries, keys and values as (tokens, features of a head)."""
    return tuple(_heads(operation, tensors[part.source], part)
                 for part in (operation.queries, operation.keys, operation.values))


def _heads(operation: Attention, tensor: Tensor, part: Heads | None = None) -> Matrices:
    """The heads in the features of ``tensor``, by default one behind the other."""
    part = part or Heads(source=0, pitch=operation.size)
    by_image, _, by_token, size = tensor.strides()
    return Matrices(tensor=tensor, offset=part.first * size, images=tensor.shape[0], heads=operation.heads,
                    rows=tensor.shape[2], columns=operation.size, by_image=by_image, by_head=part.pitch * size,
                    by_row=by_token)


def _scores(work: Work) -> Matrices:
    """(keys, queries) of each image and head."""
    tensor = work.saved["probabilities"]
    images, heads, keys, queries = tensor.shape
    by_image, by_head, by_key, _ = tensor.strides()
    return Matrices(tensor=tensor, images=images, heads=heads, rows=keys, columns=queries, by_image=by_image,
                    by_head=by_head, by_row=by_key)


def _most_images(e: Emitter, operation: Attention) -> int:
    """Images whose scores, with a sum for each, fit into a bank beside the mask."""
    keys, room = operation.tokens(operation.keys), e.scratch.bank_words - _mask_words(e, operation)
    if keys + 1 > room:
        raise CompileError(f"{operation.name}: tokens of the keys must be below {room}, what is free of "
                           f"AcceleratorConfig.vector_words / vector_banks, not {keys}")
    return room // (keys + 1)


def _mask_words(e: Emitter, operation: Attention) -> int:
    return e.array_shape.columns + 1 if operation.causal else 0


class _Softmax:
    """The tile is a block of scores with all keys: stores its softmax."""

    def __init__(self, e: Emitter, operation: Attention, scores: Matrices, product: Product):
        self.e, self.operation, self.scores = e, operation, scores
        self._y, self._t = (e.scratch.vector(product.words, bank) for bank in (2, 3))
        self._most, self._sum, self._scale = (e.scratch.vector(product.images, bank) for bank in (0, 1, 2))
        if operation.causal:
            self._zero, self._mask = e.scratch.vector(1, 3), e.scratch.vector(e.array_shape.columns, 3)
            self._fill_mask()

    def __call__(self, tile: Tile, bias_word: None) -> None:
        e, z, y, t, scale = self.e, tile.word, self._y, self._t, self.operation.scale
        (keys, _), (images, _) = tile.loops
        per_query = ((keys, 1, 1, 0), (images, keys, keys, 1))
        if self.operation.causal:
            self._apply_mask(z, keys, images, tile.column)
        _fold(e, self._most, z, images, keys, t, Function.MAXIMUM)
        e.vector(self._most, self._most, images, times=scale)
        e.vector(z, z, per_query, b=self._most, times=scale, plus="b", negate_addend=True)
        exponential(e, y, z, t, tile.rows, for_operand=True)
        _fold(e, self._sum, y, images, keys, t)
        reciprocal(e, self._scale, self._sum, self._most, images)
        e.vector(y, y, per_query, b=self._scale, times="b")
        e.store_tile(self.scores.tensor, replace(tile, word=y))
        if self.operation.causal:
            self._store_zeros(tile, keys, images)

    def _fill_mask(self) -> None:
        """Word j has −∞ where the lane is below j: for key first + j and query first + lane."""
        columns, lanes = self.e.array_shape.columns, self.e.config.vector_lanes
        self.e.fill(Memory.VECTOR, self._zero * lanes, lanes)
        self.e.fill(Memory.VECTOR, self._mask * lanes, columns * lanes)
        for j in range(1, columns):
            self.e.fill(Memory.VECTOR, (self._mask + j) * lanes, j, value=-inf)

    def _apply_mask(self, z: int, keys: int, images: int, query: int) -> None:
        """Before key ``query`` + 1 every query of the tile, whose first is ``query``, sees all."""
        later = keys - query - 1
        if later > 0:
            self.e.vector(z + query + 1, z + query + 1, ((later, 1, 1, 1), (images, keys, keys, 0)),
                          b=self._mask + 1, plus="b")

    def _store_zeros(self, tile: Tile, keys: int, images: int) -> None:
        """For the keys that no query of the tile sees."""
        tensor, unseen = self.scores.tensor, self.scores.rows - keys
        if unseen:
            pitch = self.scores.by_row
            self.e.store(tensor, (tile.row + keys) * pitch + tile.column * tensor.format.bytes,
                         self._zero * self.e.config.vector_lanes, tile.columns,
                         ((unseen, pitch, 0), (images, self.scores.by_image, 0)))


class _ScoreGradient:
    """The tile is a block of dP, the gradient of the probabilities P, with all keys: replaces P by
    the gradient of Q·Kᵀ, scale·P·(dP − Σ P·dP). What a mask has made zero stays zero."""

    def __init__(self, e: Emitter, operation: Attention, scores: Matrices, product: Product):
        self.e, self.scale, self.scores = e, operation.scale, scores
        self._p, self._t = (e.scratch.vector(product.words, bank) for bank in (2, 3))
        self._sum = e.scratch.vector(product.images, 2)

    def __call__(self, tile: Tile, bias_word: None) -> None:
        e, z, p, t, scale = self.e, tile.word, self._p, self._t, self.scale
        (keys, _), (images, _) = tile.loops
        e.load_tile(self.scores.tensor, tile, p)
        e.vector(t, z, tile.rows, b=p, times="b")
        _fold(e, self._sum, t, images, keys, t)
        e.vector(self._sum, self._sum, images, times=scale)
        e.vector(z, z, ((keys, 1, 1, 0), (images, keys, keys, 1)), b=self._sum, times=scale, plus="b",
                 negate_addend=True)
        e.vector(z, z, tile.rows, b=p, times="b")
        e.store_tile(self.scores.tensor, tile)


def _fold(e: Emitter, target: int, source: int, groups: int, size: int, temporary: int,
          function: Function = Function.ARITHMETIC) -> None:
    """target[g] = sum (or MAXIMUM) over the ``size`` words of group g, by halving.

    Groups lie one behind the other. ``temporary`` has room for all of them, or is the source itself
    if that may be lost.
    """
    def combine(a: int, b: int, words: int) -> None:
        e.vector(temporary, a, ((words, 1, 1, 1), (groups, size, size, size)), b=b, plus="b", function=function)
    left = size
    while left > 1:
        half = left // 2
        combine(source, source + half, half)
        if left % 2:
            combine(temporary, source + left - 1, 1)
        source, left = temporary, half
    e.vector(target, source, ((groups, 1, size, 0),))
