"""Sums and activations of whole tensors: all elements alike, whatever the shape."""

from .activation import activate, rectifies
from .emitter import MOST, Emitter, Run
from .finish import StoreGradient
from .network import Add
from .operation import Work
from .program import CompileError


def runs(e: Emitter, name: str, elements: int, places: list[int], unit: int = 1,
         words: int | None = None) -> list[Run]:
    """Cuts ``elements`` into runs of whole ``unit``s of elements, each at most ``words`` long, by default
    a bank, placed at the words ``places`` in turn. CompileError with ``name`` if a unit is longer.

    About sixteen, so that loading, computing and storing overlap, but of no fewer than 32 words.
    """
    lanes = e.config.vector_lanes
    room = min((words or e.scratch.bank_words) * lanes, MOST)
    if unit > room:
        raise CompileError(f"{name}: {unit} channels must fit into AcceleratorConfig.vector_words / vector_banks "
                           f"words, which hold {room} elements")
    size = min(room // unit, max(1, 32 * lanes // unit, -(-elements // (16 * unit)))) * unit
    return [Run(word=places[number % len(places)], first=first, elements=min(size, elements - first),
                rows=-(-min(size, elements - first) // lanes))
            for number, first in enumerate(range(0, elements, size))]


def forward(e: Emitter, operation: Add, work: Work) -> None:
    """y = activation(sum of the inputs)."""
    words = e.scratch.bank_words
    relu = rectifies(operation.activation) and len(work.inputs) > 1
    sums, terms = ([e.scratch.vector(words, bank) for bank in banks] for banks in ((0, 1), (2, 3)))
    for number, run in e.builder.steps(list(enumerate(runs(e, operation.name, work.output.elements, sums)))):
        term = terms[number % 2]
        e.load_tile(work.inputs[0], run, run.word)
        for position, x in enumerate(work.inputs[1:], 2):
            e.load_tile(x, run, term)
            e.vector(run.word, run.word, run.rows, b=term, plus="b", relu=relu and position == len(work.inputs))
        activate(e, operation.activation, run.word, run.rows, term, rectified=relu)
        e.store_tile(work.output, run)


def backward(e: Emitter, operation: Add, work: Work) -> None:
    """Gives the gradient to each input that has a target."""
    for target in filter(None, work.targets):
        e.scratch.begin(operation.name)
        words = [e.scratch.vector(e.scratch.bank_words, bank) for bank in (0, 1)]
        store = StoreGradient(e, target, e.scratch.bank_words)
        for run in e.builder.steps(runs(e, operation.name, work.gradient.elements, words)):
            e.load_tile(work.gradient, run, run.word)
            store(run)
