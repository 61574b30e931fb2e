"""Embedding lookup as a product: one-hot rows, made on the vector unit, times the table.

The lookup is the input gradient of a linear layer that has the table as its weight, and the table's
gradient is that layer's weight gradient.
"""

from dataclasses import dataclass

from adagp.spec.isa import Format, Function, Memory, Pass

from . import convolution
from .emitter import Emitter
from .finish import StoreActivations, parameter_update
from .images import Images
from .network import Convolution
from .operation import INPUT, Operation, Work
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Embedding(Operation):
    """``nn.Embedding(entries, features)`` of ``tokens`` entry numbers, which the input has as float32.

    The entry ``padding``, if there is one, is looked up as zeros and gets no gradient.
    """

    name: str
    inputs: tuple[str, ...] = (INPUT,)
    tokens: int
    entries: int
    features: int
    padding: int | None = None

    @property
    def input_format(self) -> Format:
        return Format.FLOAT32

    @property
    def input_shapes(self) -> tuple[tuple[int, int, int], ...]:
        return ((1, self.tokens, 1),)

    @property
    def output(self) -> tuple[int, int, int]:
        return 1, self.tokens, self.features

    @property
    def parameters(self):
        return {"weight": (self.entries, self.features)}

    def saved(self, images: int):
        return {"one_hot": ((images * self.tokens, 1, 1, self.entries), Format.OPERAND)}

    @property
    def transpose(self) -> Convolution:
        """The linear layer, of single pixels, from features to entries that has the same weight."""
        return Convolution(name=self.name, image=(1, 1, self.features), channels=self.entries, bias=False)


def forward(e: Emitter, operation: Embedding, work: Work) -> None:
    one_hot, table = work.saved["one_hot"], work.parameters["weight"]
    _encode(e, operation, work.inputs[0], one_hot)
    e.scratch.begin(operation.name)
    store = StoreActivations(e, work.output, None, e.scratch.bank_words)
    convolution.input_gradient(e, operation.transpose, one_hot, table.view(*operation.transpose.weight_shape), store,
                               tag=Pass.FORWARD)


def backward(e: Emitter, operation: Embedding, work: Work) -> None:
    one_hot, dy = work.saved["one_hot"], work.gradient
    rows = min(operation.entries, (e.scratch.bank_words - 8) // 4)
    update = parameter_update(e, work, "weight", (operation.entries, operation.features), rows)
    pixels = Images(tensor=dy.view(one_hot.shape[0], 1, 1, operation.features))
    convolution.weight_gradient(e, operation.transpose, pixels, one_hot, update, None, most_rows=rows)


def _encode(e: Emitter, operation: Embedding, numbers: Tensor, one_hot: Tensor) -> None:
    """Row t of ``one_hot`` becomes 1 at the entry that ``numbers``[t] names, else 0."""
    lanes, bank, tokens = e.config.vector_lanes, e.scratch.bank_words, one_hot.shape[0]
    blocks = min(-(-operation.entries // lanes), bank // 2)
    most = min(bank // (blocks + 1), max(-(-tokens // 4), -(-64 // blocks)))
    entry, t = e.scratch.vector(blocks, 3), e.scratch.vector(most, 2)
    places = [(e.scratch.vector(most, bank), e.scratch.vector(most * blocks, bank)) for bank in (0, 1)]
    _count_up(e, entry, blocks)
    by_token, turn = one_hot.strides()[0], 0
    for first in range(0, operation.entries, blocks * lanes):
        entries = min(blocks * lanes, operation.entries - first)
        if first:
            e.vector(entry, entry, blocks, plus=float(blocks * lanes))
        for token in range(0, tokens, most):
            (number, row), count = places[turn], min(most, tokens - token)
            turn ^= 1
            e.load(numbers, token * numbers.format.bytes, Memory.VECTOR, number * lanes, 1,
                   ((count, numbers.format.bytes, lanes),))
            if operation.padding is not None:  # becomes −1, which no entry has
                e.vector(t, number, count, plus=float(operation.padding), function=Function.EQUAL)
                e.vector(number, t, count, times=-1.0 - operation.padding, b=number, plus="b")
            e.vector(row, entry, ((blocks, 1, 1, 0), (count, blocks, 0, 1)), b=number, plus="b", broadcast=True,
                     function=Function.EQUAL)
            e.store(one_hot, token * by_token + first * one_hot.format.bytes, row * lanes, entries,
                    ((count, by_token, blocks * lanes),))


def _count_up(e: Emitter, word: int, words: int) -> None:
    """All lanes of all words, in order, become 0, 1, 2, …"""
    lanes, done = e.config.vector_lanes, 1
    for lane in range(lanes):
        e.fill(Memory.VECTOR, word * lanes + lane, 1, value=float(lane))
    while done < words:
        e.vector(word + done, word, min(done, words - done), plus=float(done * lanes))
        done *= 2
