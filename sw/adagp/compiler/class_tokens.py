"""Tokens that are parameters, put before those of every sample."""

from dataclasses import dataclass

from .elementwise import runs
from .emitter import Emitter
from .finish import StoreGradient
from .operation import Operation, Work
from .positions import of_image, update_from_sum


@dataclass(frozen=True, kw_only=True)
class ClassTokens(Operation):
    """``weight``, which has ``count`` tokens, and then those of the input."""

    name: str
    inputs: tuple[str, ...]
    image: tuple[int, int, int]
    count: int = 1

    @property
    def output(self) -> tuple[int, int, int]:
        return 1, self.count + self.image[1], self.image[2]

    @property
    def parameters(self):
        return {"weight": (1, self.count, self.image[2])}


def forward(e: Emitter, operation: ClassTokens, work: Work) -> None:
    (x,), y, weight = work.inputs, work.output, work.parameters["weight"]
    words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(2)]
    for run in runs(e, operation.name, weight.elements, words):
        e.load_tile(weight, run, run.word)
        for image in range(y.shape[0]):
            e.store_tile(y, of_image(run, y, image, run.word))
    for run in runs(e, operation.name, x.elements // x.shape[0], words):
        for image in range(x.shape[0]):
            word = words[image % 2]
            e.load_tile(x, of_image(run, x, image, word), word)
            e.store_tile(y, of_image(run, y, image, word, skip=weight.elements))


def backward(e: Emitter, operation: ClassTokens, work: Work) -> None:
    (target,), dy, weight = work.targets, work.gradient, work.parameters["weight"]
    if target:
        words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in range(2)]
        store = StoreGradient(e, target, e.scratch.bank_words)
        for run in runs(e, operation.name, target.tensor.elements // dy.shape[0], words):
            for image in range(dy.shape[0]):
                word = words[image % 2]
                e.load_tile(dy, of_image(run, dy, image, word, skip=weight.elements), word)
                store(of_image(run, target.tensor, image, word))
        e.scratch.begin(operation.name)
    update_from_sum(e, operation.name, work)
