"""Some consecutive tokens of every sample, and their gradient."""

from dataclasses import dataclass

from adagp.spec.isa import Memory

from .elementwise import runs
from .emitter import Emitter
from .finish import StoreGradient
from .operation import Operation, Work
from .positions import of_image


@dataclass(frozen=True, kw_only=True)
class TokenSlice(Operation):
    """``count`` tokens of the input, from number ``first`` on."""

    name: str
    inputs: tuple[str, ...]
    image: tuple[int, int, int]
    first: int
    count: int = 1

    @property
    def output(self) -> tuple[int, int, int]:
        return 1, self.count, self.image[2]


def forward(e: Emitter, operation: TokenSlice, work: Work) -> None:
    (x,), y = work.inputs, work.output
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(2)]
    for run in runs(e, operation.name, y.elements // y.shape[0], words):
        for image in range(x.shape[0]):
            word = words[image % 2]
            e.load_tile(x, of_image(run, x, image, word, skip=operation.first * x.shape[-1]), word)
            e.store_tile(y, of_image(run, y, image, word))


def backward(e: Emitter, operation: TokenSlice, work: Work) -> None:
    """The other tokens get zero as this operation's share."""
    (target,), dy = work.targets, work.gradient
    if target is None:
        return
    features, after = dy.shape[-1], operation.first + operation.count
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(2)]
    store = StoreGradient(e, target, e.scratch.bank_words)
    for start, tokens, own in ((0, operation.first, False), (operation.first, operation.count, True),
                               (after, operation.image[1] - after, False)):
        for run in runs(e, operation.name, tokens * features, words):
            for image in range(dy.shape[0]):
                word = words[image % 2]
                if own:
                    e.load_tile(dy, of_image(run, dy, image, word), word)
                else:
                    e.fill(Memory.VECTOR, word * e.config.vector_lanes, run.rows * e.config.vector_lanes)
                store(of_image(run, target.tensor, image, word, skip=start * features))
