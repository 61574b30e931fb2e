"""The order in which a program's instructions are issued, so that the engines are busy.

Each engine works in order, and dispatch is in order too: an instruction whose queue is full holds up
all that follow, on whatever engine. So an instruction that could start early should come early.
What is emitted in a natural order is recorded, and then issued in the order in which an estimate of
the machine's time would have it start. So an operation may begin before the one before it has
ended; within an operation the instructions of one engine keep their order, and no two ever change
places of which one depends on the other.

There may be two threads of instructions: the model's work, and beside it that of a predictor with an
array of its own. Both are recorded as if one followed the other; on an engine that both use, the
second goes first where it hardly delays the model's work.
"""

from array import array
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, Instruction, Memory, Vector

from .chaining import VECTOR_LATENCY, WrittenWords
from .emitter import Emitter
from .program import Access, AccessTable, ProgramBuilder, Purpose, Purposeful, footprints
from .scratch import Scratch
from .timing import Duration, duration

MAIN, SIDE = 0, 1
_ARRAYS = Engine.ARRAY, Engine.PREDICTOR

_WINDOW = 3
"""Operations of a thread that may be under way at the same time."""

_DELAYS = 0, 8, 32, 128
"""Cycles that an instruction of the side thread may take from one of the main thread. Which is best
depends on how much time the main thread has to spare later."""


@dataclass(eq=False)
class _Recorded:
    instruction: Instruction
    purpose: Purpose
    thread: int
    operation: int
    """Number of the operation within the thread."""
    time: Duration
    banks: frozenset[int]
    """Those of the vector memory that it uses."""
    before: dict[int, int]
    """Earlier recorded instructions that must be issued before: least cycles from start to start."""
    after: list[int] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.instruction.engine


class TakesThreads(Protocol):
    """What emitters emit into: instructions of up to two threads, in sequential order."""

    config: AcceleratorConfig

    def thread(self, number: int) -> ProgramBuilder | Purposeful:
        """The end that takes those of thread MAIN or SIDE."""


class Recorder:
    """Takes instructions of up to two threads in sequential order: what was recorded first, counts first.

    ``thread(number)`` is what an Emitter emits into. ``program`` gives all in the order of issue.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self._recorded: list[_Recorded] = []
        self._operations = {MAIN: (0, ""), SIDE: (0, "")}  # the present one's number and layer
        self._accesses = AccessTable()
        self._words = WrittenWords(config)
        self._starts, self._vectors = array("q"), []  # the first word of each vector instruction, and its index

    def thread(self, number: int) -> "Thread":
        return Thread(self, number)

    def record(self, number: int, instruction: Instruction, purpose: Purpose) -> None:
        operation, layer = self._operations[number]
        if purpose.layer != layer:
            operation += 1
            self._operations[number] = operation, purpose.layer
        index, queue = len(self._recorded), (number, operation, instruction.engine)
        accesses = list(footprints(instruction, self.config))
        before = {}
        for other in self._accesses.dependencies(queue, accesses).values():
            time = self._recorded[other].time
            before[other] = 0 if self._recorded[other].engine is instruction.engine else time.occupied + time.latency
        if isinstance(instruction, Vector):
            before |= self._chained(instruction, index)
        size = self.config.vector_elements // self.config.vector_banks
        banks = frozenset(bank % self.config.vector_banks for space, footprint, _ in accesses if space == Memory.VECTOR
                          for bank in range(footprint.low // size, -(-footprint.high // size)))
        self._recorded.append(_Recorded(
            instruction, purpose, number, operation, duration(instruction, self.config), banks, before))
        for other in before:
            self._recorded[other].after.append(index)
        for space, footprint, write in accesses:
            self._accesses.record(space, Access(footprint, write, queue, index))

    def _chained(self, instruction: Vector, index: int) -> dict[int, int]:
        """Of the vector instructions whose words this one reads, the cycles from their start to its own."""
        sources = self._words.sources(instruction)
        readers = np.nonzero(sources >= 0)[0]
        if readers.size:
            writers = np.searchsorted(np.frombuffer(self._starts, np.int64), sources[readers], "right") - 1
        else:
            writers = readers
        cycles = {}
        for writer in np.unique(writers).tolist():
            ahead = (sources[readers] - self._starts[writer] - readers)[writers == writer].max()
            cycles[self._vectors[writer]] = VECTOR_LATENCY + max(0, int(ahead))
        self._starts.append(self._words.issued)
        self._vectors.append(index)
        self._words.issue(instruction)
        return cycles

    def program(self) -> ProgramBuilder:
        """The best order by the estimate, of a few where there are two threads."""
        best = plan = _Timeline(self._recorded, self.config, threads=(MAIN,))
        plan.run()
        if any(recorded.thread == SIDE for recorded in self._recorded):
            both = [_Both(self._recorded, self.config, plan, delay) for delay in _DELAYS]
            for timeline in both:
                timeline.run()
            best = min(both, key=lambda timeline: timeline.end)
        builder = ProgramBuilder(self.config)
        for index in best.order:
            builder.present = self._recorded[index].purpose
            builder.emit(self._recorded[index].instruction)
        return builder


class Thread(Purposeful):
    """The end of a :class:`Recorder` that takes the instructions of one thread."""

    def __init__(self, recorder: Recorder, number: int):
        super().__init__()
        self._recorder, self._number = recorder, number

    def emit(self, instruction: Instruction) -> None:
        self._recorder.record(self._number, instruction, self.present)


def emitters(recorder: TakesThreads) -> tuple[Emitter, Emitter]:
    """One for the model's work on the main array, one for the predictor's on its own.

    The latter has a quarter of the banks of the vector memory, so that neither array waits for the other's.
    """
    config = recorder.config
    banks = range(config.vector_banks)
    own = len(banks) - max(1, len(banks) // 4)
    return (Emitter(config, Engine.ARRAY, recorder.thread(MAIN), Scratch(config, banks=banks[:own])),
            Emitter(config, Engine.PREDICTOR, recorder.thread(SIDE), Scratch(config, Engine.PREDICTOR, banks=banks[own:])))


class _Timeline:
    """The machine's time, as far as the order of issue decides it: engines in order, queues of limited
    length, a dispatcher that stands still while the queue that it needs is full, banks of the vector
    memory that nobody else gets at while an array adds to them. Only ``threads`` exist."""

    def __init__(self, recorded: list[_Recorded], config: AcceleratorConfig, threads: Sequence[int]):
        self.recorded = recorded
        self.order: list[int] = []
        self.started: dict[int, int] = {}
        self.end = 0
        self.waiting = {thread: deque() for thread in threads}  # operations not ended, of queues by engine
        self._ended = dict.fromkeys(threads, 0)  # operations that are no longer in it
        self._missing, self._ready = {}, defaultdict(int)
        for index, each in enumerate(recorded):
            if each.thread in threads:
                operations = self.waiting[each.thread]
                while len(operations) <= each.operation:
                    operations.append({engine: deque() for engine in Engine})
                operations[each.operation][each.engine].append(index)
                self._missing[index] = sum(recorded[other].thread in threads for other in each.before)
        self._free = dict.fromkeys(Engine, 0)
        self._held = dict.fromkeys(range(config.vector_banks), 0)
        self._queues = {engine: deque(maxlen=config.queue_depth) for engine in Engine}
        self._dispatched = 0

    def run(self) -> None:
        """Issues everything."""
        while any(self.waiting.values()):
            candidates = [index for index in map(self.choose, Engine) if index is not None]
            if not candidates:
                candidates = [index for index in (self.head(engine, thread) for engine in Engine for thread in self.waiting)
                              if index is not None]
            self.issue(min(candidates, key=lambda index: (self.start(index), index)))

    def choose(self, engine: Engine) -> int | None:
        """The next instruction of ``engine``, if there is one that may be issued."""
        return self.head(engine, MAIN)

    def head(self, engine: Engine, thread: int) -> int | None:
        """The next instruction of a thread: that of its operations under way which starts first."""
        heads = [queues[engine][0] for queues in self._under_way(thread) if queues[engine]]
        return min(filter(self.issuable, heads), key=lambda index: (self.start(index), index), default=None)

    def _under_way(self, thread: int) -> Iterable[dict[Engine, deque[int]]]:
        operations = self.waiting[thread]
        while operations and not any(operations[0].values()):
            operations.popleft()
            self._ended[thread] += 1
        return islice(operations, _WINDOW)

    def issuable(self, index: int) -> bool:
        return not self._missing[index]

    def start(self, index: int) -> int:
        """When the instruction starts if it is issued next."""
        recorded = self.recorded[index]
        return max(self._free[recorded.engine], self._ready[index], self._dispatch(recorded.engine) + 2,
                   *(self._held[bank] for bank in recorded.banks))

    def issue(self, index: int) -> None:
        recorded, start = self.recorded[index], self.start(index)
        engine, time = recorded.engine, recorded.time
        self.waiting[recorded.thread][recorded.operation - self._ended[recorded.thread]][engine].popleft()
        self._under_way(recorded.thread)
        self._dispatched = self._dispatch(engine)
        self.started[index] = start
        self.order.append(index)
        self._free[engine] = start + time.occupied
        self._queues[engine].append(start)
        end = start + time.occupied + time.latency
        self.end = max(self.end, end)
        if engine in _ARRAYS:
            self._held.update(dict.fromkeys(recorded.banks, end))
        for other in recorded.after:
            if other in self._missing:
                self._missing[other] -= 1
                self._ready[other] = max(self._ready[other], start + self.recorded[other].before[index])

    def _dispatch(self, engine: Engine) -> int:
        queue = self._queues[engine]
        full_until = queue[0] if len(queue) == queue.maxlen else 0
        return max(self._dispatched + 2, full_until)


class _Both(_Timeline):
    """Two threads: the main one as in ``plan`` if it can be, and the side one, which may delay an
    instruction of the main one by ``delay`` cycles."""

    def __init__(self, recorded: list[_Recorded], config: AcceleratorConfig, plan: _Timeline, delay: int):
        super().__init__(recorded, config, threads=(MAIN, SIDE))
        self._plan, self._delay = plan, delay
        self._lag = dict.fromkeys(Engine, 0)
        self._planned = {engine: deque() for engine in Engine}
        for index in plan.order:
            self._planned[recorded[index].engine].append(index)

    def choose(self, engine: Engine) -> int | None:
        main, side = self.head(engine, MAIN), self.head(engine, SIDE)
        if side is None:
            return main
        if main is not None:
            expected = self.start(main)
        else:
            planned = self._planned[engine]
            while planned and planned[0] in self.started:
                planned.popleft()
            if not planned:
                return side
            expected = self._plan.started[planned[0]] + self._lag[engine]
        return side if self.start(side) + self.recorded[side].time.occupied <= expected + self._delay else main

    def issue(self, index: int) -> None:
        super().issue(index)
        recorded = self.recorded[index]
        if recorded.thread == MAIN:
            self._lag[recorded.engine] = max(0, self.started[index] - self._plan.started[index])
