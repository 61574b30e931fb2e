"""The same values added to every sample: position embeddings."""

from dataclasses import dataclass, replace

from . import elementwise
from .elementwise import runs
from .emitter import Emitter, Run
from .finish import parameter_update
from .operation import Operation, Work
from .tensors import Tensor


@dataclass(frozen=True, kw_only=True)
class Positions(Operation):
    """x + ``weight``, which has the shape of one sample: a parameter if it is ``trained``, else a buffer."""

    name: str
    inputs: tuple[str, ...]
    image: tuple[int, int, int]
    trained: bool = True

    @property
    def parameters(self):
        return {"weight": self.image} if self.trained else {}

    @property
    def buffers(self):
        return {} if self.trained else {"weight": self.image}


def forward(e: Emitter, operation: Positions, work: Work) -> None:
    (x,), y, half = work.inputs, work.output, e.scratch.bank_words // 2
    weight = (work.parameters | work.buffers)["weight"]
    terms, sums = ([e.scratch.vector(half, bank) for bank in banks] for banks in ((2, 3), (0, 1)))
    for term in runs(e, operation.name, weight.elements, terms, words=half):
        e.load_tile(weight, term, term.word)
        for image in range(x.shape[0]):
            run = of_image(term, x, image, sums[image % 2])
            e.load_tile(x, run, run.word)
            e.vector(run.word, run.word, run.rows, b=term.word, plus="b")
            e.store_tile(y, run)


def backward(e: Emitter, operation: Positions, work: Work) -> None:
    elementwise.backward(e, operation, work)
    if operation.trained:
        e.scratch.begin(operation.name)
        update_from_sum(e, operation.name, work)


def update_from_sum(e: Emitter, name: str, work: Work) -> None:
    """Updates ``weight``, whose gradient is the sum over images of the first elements of theirs."""
    gradient, weight, quarter = work.gradient, work.parameters["weight"], e.scratch.bank_words // 4
    sums, terms = ([e.scratch.vector(quarter, bank) for bank in banks] for banks in ((0, 1), (2, 3)))
    update = parameter_update(e, work, "weight", (1, weight.elements), quarter)
    for total in runs(e, name, weight.elements, sums, words=quarter):
        e.load_tile(gradient, total, total.word)
        for image in range(1, gradient.shape[0]):
            term = of_image(total, gradient, image, terms[image % 2])
            e.load_tile(gradient, term, term.word)
            e.vector(total.word, total.word, total.rows, b=term.word, plus="b")
        update(total)


def of_image(run: Run, tensor: Tensor, image: int, word: int, skip: int = 0) -> Run:
    """At ``word`` the same elements of another image of ``tensor``, of which ``skip`` are passed over."""
    return replace(run, word=word, first=run.first + skip + image * (tensor.elements // tensor.shape[0]))
