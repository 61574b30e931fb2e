"""Two threads of instructions in one program: the model's work, and the predictor's beside it.

All engines but the arrays are shared and work in order, so overlap is a matter of the order in
which instructions are issued. Both threads are recorded as if one followed the other; then they are
merged by following an estimate of the machine's time, without ever exchanging two instructions of
which one depends on the other.
"""

from array import array
from collections import defaultdict, deque
from dataclasses import dataclass, replace

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, Instruction, Vector

from .chaining import VECTOR_LATENCY, WrittenWords
from .emitter import Emitter
from .program import Access, AccessTable, ProgramBuilder, Purpose, Purposeful, footprints
from .scratch import Scratch
from .timing import duration

MAIN, SIDE = 0, 1

_DELAYS = (0, 8, 32, 128, 512)
"""Cycles that an instruction of the side thread may take from the main one; which is best depends on
whether the main thread has time to spare later."""


@dataclass(frozen=True)
class _Recorded:
    instruction: Instruction
    purpose: Purpose
    dependencies: tuple[int, ...]
    """Earlier recorded instructions whose completion this one waits for or whose issue it follows."""
    chained: dict[int, int]
    """Of the vector unit: instructions whose words it reads, each with the most words by which it
    would run ahead of the one that writes, if both started together."""


class Recorder:
    """Takes instructions of two threads in sequential order: what was recorded first, counts first.

    ``thread(number)`` is what an Emitter emits into. ``merge`` gives the program.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self._recorded: list[_Recorded] = []
        self._threads: tuple[list[int], list[int]] = ([], [])
        self._accesses = AccessTable()
        self._words = WrittenWords(config)
        self._starts, self._vectors = array("q"), []  # the first word of each vector instruction, and its index

    def thread(self, number: int) -> "Thread":
        return Thread(self, number)

    def record(self, number: int, instruction: Instruction, purpose: Purpose) -> None:
        index, queue = len(self._recorded), (number, instruction.engine)
        accesses = list(footprints(instruction, self.config))
        dependencies = self._accesses.dependencies(queue, accesses, same=instruction.engine is Engine.VECTOR)
        chained = self._chained(instruction, index) if isinstance(instruction, Vector) else {}
        self._recorded.append(_Recorded(instruction, purpose, tuple(sorted(set(dependencies.values()))), chained))
        self._threads[number].append(index)
        for space, footprint, write in accesses:
            self._accesses.record(space, Access(footprint, write, queue, index))

    def _chained(self, instruction: Vector, index: int) -> dict[int, int]:
        sources = self._words.sources(instruction)
        reader = np.nonzero(sources >= 0)[0]
        writer = np.searchsorted(np.frombuffer(self._starts, np.int64), sources[reader], "right") - 1 if reader.size else reader
        ahead = {number: max(0, int((sources[reader] - self._starts[number] - reader)[writer == number].max()))
                 for number in np.unique(writer).tolist()}
        self._starts.append(self._words.issued)
        self._vectors.append(index)
        self._words.issue(instruction)
        return {self._vectors[number]: most for number, most in ahead.items()}

    def merge(self) -> ProgramBuilder:
        """The instructions in an order that keeps the engines busy: the best by the estimate of a few."""
        orders = [self._order(delay) for delay in _DELAYS]
        builder = ProgramBuilder(self.config)
        for index in min(orders, key=lambda order: order[0])[1]:
            recorded = self._recorded[index]
            builder.present = recorded.purpose
            builder.emit(recorded.instruction)
        return builder

    def _order(self, delay: int) -> tuple[int, list[int]]:
        """When all is done, and the order: one of the side thread goes where it delays the main thread's
        next one on the same engine by at most ``delay`` cycles."""
        clock, order = _Clock(self.config), []
        main, side = (deque(thread) for thread in self._threads)
        following, lag = self._following(), 0
        while main or side:
            first = side and self._goes_first(clock, side[0], main, following, lag + delay)
            index = (side if first else main).popleft()
            clock.issue(index, self._recorded[index])
            if not first:
                lag = max(0, clock.started[index] - following[self._recorded[index].instruction.engine].popleft())
            order.append(index)
        return clock.end, order

    def _goes_first(self, clock: "_Clock", index: int, main: deque[int], following, slack: int) -> bool:
        recorded = self._recorded[index]
        if not main or not clock.issued(self._recorded[main[0]]):  # the main thread waits for this one
            return True
        if not clock.issued(recorded):
            return False
        rivals = following[recorded.instruction.engine]
        occupied = duration(recorded.instruction, self.config).occupied
        return not rivals or clock.start(recorded) + occupied <= rivals[0] + slack

    def _following(self) -> dict[Engine, deque[int]]:
        """When the instructions of the main thread would start without the other, by engine."""
        clock, starts = _Clock(self.config), defaultdict(deque)
        for index in self._threads[MAIN]:
            recorded = self._recorded[index]
            own = tuple(other for other in recorded.dependencies if clock.known(other))
            chained = {other: ahead for other, ahead in recorded.chained.items() if clock.known(other)}
            clock.issue(index, replace(recorded, dependencies=own, chained=chained))
            starts[recorded.instruction.engine].append(clock.started[index])
        return starts


class Thread(Purposeful):
    """The end of a :class:`Recorder` that takes the instructions of one thread."""

    def __init__(self, recorder: Recorder, number: int):
        super().__init__()
        self._recorder, self._number = recorder, number

    def emit(self, instruction: Instruction) -> None:
        self._recorder.record(self._number, instruction, self.present)


def emitters(recorder: Recorder) -> tuple[Emitter, Emitter]:
    """One for the model's work on the main array, one for the predictor's on its own.

    Each has half of the words of every bank of the vector memory.
    """
    config = recorder.config
    half = config.vector_words // config.vector_banks // 2
    return (Emitter(config, Engine.ARRAY, recorder.thread(MAIN), Scratch(config, words=(0, half))),
            Emitter(config, Engine.PREDICTOR, recorder.thread(SIDE),
                    Scratch(config, Engine.PREDICTOR, words=(half, half))))


class _Clock:
    """The machine's time, as far as the order of issue decides it: engines in order, queues of limited
    length, a dispatcher that stands still while the queue that it needs is full."""

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._free: dict[Engine, int] = defaultdict(int)
        self.started: dict[int, int] = {}
        self._finished: dict[int, int] = {}
        self._engines: dict[int, Engine] = {}
        self._queues = {engine: deque(maxlen=config.queue_depth) for engine in Engine}
        self._dispatched = 0

    @property
    def end(self) -> int:
        return max(self._finished.values(), default=0)

    def known(self, index: int) -> bool:
        return index in self._finished

    def issued(self, recorded: _Recorded) -> bool:
        return all(map(self.known, recorded.dependencies))

    def start(self, recorded: _Recorded) -> int:
        """When the instruction would start if it were issued next."""
        engine = recorded.instruction.engine
        vector = engine is Engine.VECTOR
        completed = (self._finished[index] for index in recorded.dependencies
                     if not (vector and self._engines[index] is Engine.VECTOR))
        written = (self.started[index] + VECTOR_LATENCY + ahead for index, ahead in recorded.chained.items())
        return max(self._free[engine], self._dispatch(engine) + 2, *completed, *written)

    def issue(self, index: int, recorded: _Recorded) -> None:
        engine, start = recorded.instruction.engine, self.start(recorded)
        self._dispatched = self._dispatch(engine)
        time = duration(recorded.instruction, self._config)
        self.started[index] = start
        self._free[engine] = start + time.occupied
        self._finished[index] = start + time.occupied + time.latency
        self._queues[engine].append(start)
        self._engines[index] = engine

    def _dispatch(self, engine: Engine) -> int:
        queue = self._queues[engine]
        full_until = queue[0] if len(queue) == queue.maxlen else 0
        return max(self._dispatched + 2, full_until)
