"""The instructions of a training without their order: what cost models need, in a fraction of the time."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from torch import nn

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Instruction
from adagp.spec.schedule import Phase

from .feedback import FeedbackConfig
from .optimizer import SGD, Adam
from .ordering import MAIN, Thread
from .predictor import PredictorConfig
from .program import Item, Purpose, Purposeful
from .training import prepare


Mark = TypeVar("Mark")


@dataclass(frozen=True)
class OutlineEntry:
    """An instruction as it is emitted, without tokens: what it is there for, and in which ``thread``, MAIN or SIDE."""

    instruction: Instruction
    purpose: Purpose
    thread: int = MAIN


class Outline:
    """Takes the instructions of up to two threads, as :class:`.Recorder` does, and keeps them in their sequential order."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.entries: list[OutlineEntry] = []

    def thread(self, number: int) -> Thread:
        return Thread(self, number)

    def record(self, number: int, instruction: Instruction, purpose: Purpose) -> None:
        self.entries.append(OutlineEntry(instruction, purpose, number))


def outline(model: nn.Module, config: AcceleratorConfig, *, batch: int, input_shape: tuple[int, ...],
            optimizer: SGD = SGD(lr=0.01), predictor: PredictorConfig | FeedbackConfig = PredictorConfig(),
            predictor_optimizer: Adam = Adam()) -> dict[Phase, list[OutlineEntry]]:
    """The instructions of each phase that :func:`.compile_training` would issue, ``End`` left out: the same but for
    their order, ``wait``, ``signal``, ``behind`` and ``each``. Raises :class:`.CompileError` for what cannot be mapped."""
    prepared = prepare(model, config, batch=batch, input_shape=input_shape, optimizer=optimizer, predictor=predictor,
                       predictor_optimizer=predictor_optimizer)
    return prepared.emitted(lambda: Outline(config), lambda taken: taken.entries)


class Sampler(Protocol):
    """Takes the instructions of a training, but of loops whose steps are alike only some steps.

    ``mark`` is called before some steps of a thread, ``repeat`` with its answer behind them: they come ``times`` more
    often than they are emitted, but for what was emitted between the marks of each pair in ``aside``.
    """

    config: AcceleratorConfig

    def record(self, number: int, instruction: Instruction, purpose: Purpose, *, aside: bool) -> None:
        """``aside``: it belongs to no step."""

    def mark(self, number: int) -> Mark:
        ...

    def repeat(self, number: int, mark: Mark, times: int, aside: list[tuple[Mark, Mark]]) -> None:
        ...


class SamplingThread(Purposeful):
    """The end of a :class:`Sampler` that takes the instructions of one thread."""

    def __init__(self, sampler: Sampler, number: int):
        super().__init__()
        self._sampler, self._number = sampler, number
        self._aside, self._begun = False, None  # the mark before the first instruction that is aside
        self._measured: list[list[tuple[Mark, Mark]] | None] = [None]
        """Of the loops under way: what was aside in the steps that are measured, None for the others."""

    def emit(self, instruction: Instruction) -> None:
        if self._aside and self._begun is None and self._measured[-1] is not None:
            self._begun = self._sampler.mark(self._number)
        self._sampler.record(self._number, instruction, self.present, aside=self._aside)

    def steps(self, items: Sequence[Item], *, edge: int = 2, period: int = 1) -> Iterator[Item]:
        """The first ones, two periods for the engines to find their pace, and the last ones; what is left out is counted
        as the second of the two periods."""
        period = max(period, 2)  # buffers take turns
        first, second = edge + period, edge + 2 * period
        times = max(0, (len(items) - second - edge) // period)
        self._measured.append(None)
        if not times:
            yield from items
            self._measured.pop()
            return
        yield from items[:first]
        mark = self._sampler.mark(self._number)
        self._measured[-1] = aside = []
        yield from items[first:second]
        self._measured[-1] = None
        self._sampler.repeat(self._number, mark, times, aside)
        yield from items[second + times * period:]
        self._measured.pop()

    @contextmanager
    def aside(self) -> Iterator[None]:
        self._aside = True
        try:
            yield
        finally:
            self._aside = False
            if self._begun is not None:
                self._measured[-1].append((self._begun, self._sampler.mark(self._number)))
                self._begun = None
