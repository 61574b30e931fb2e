"""The order in which a program's instructions are issued, so that the engines are busy.

Each engine works in order, and dispatch is in order too: an instruction whose queue is full holds up
all that follow, on whatever engine. So an instruction that could start early should come early.
What is emitted in a natural order is recorded, and then issued in the order in which an estimate of
the machine's time would have it start; the instructions of one engine keep their order, and no two
change places of which one depends on the other.

There may be two threads of instructions: the model's work, and beside it that of a predictor with an
array of its own. Both are recorded as if one followed the other; on an engine that both use, the
second goes first where it hardly delays the model's work.
"""

from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Engine, Instruction, Vector

from .chaining import VECTOR_LATENCY, WrittenWords
from .emitter import Emitter
from .program import Access, AccessTable, ProgramBuilder, Purpose, Purposeful, footprints
from .scratch import Scratch
from .timing import Duration, duration

MAIN, SIDE = 0, 1

_OPTIONS = ((8, 0.0), (128, 0.0), (32, 0.25), (32, 0.5), (32, 1.0))
"""By how many cycles, or by what share of those that it can spare, an instruction of the main thread
may be delayed by one of the side thread. Which is best depends on how much the estimate misses."""


@dataclass(eq=False)
class _Recorded:
    instruction: Instruction
    purpose: Purpose
    thread: int
    time: Duration
    before: dict[int, int]
    """Earlier recorded instructions that must be issued before: least cycles from start to start."""
    after: list[int] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        return self.instruction.engine


class Recorder:
    """Takes instructions of up to two threads in sequential order: what was recorded first, counts first.

    ``thread(number)`` is what an Emitter emits into. ``program`` gives all in the order of issue.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self._recorded: list[_Recorded] = []
        self._accesses = AccessTable()
        self._words = WrittenWords(config)
        self._starts, self._vectors = array("q"), []  # the first word of each vector instruction, and its index

    def thread(self, number: int) -> "Thread":
        return Thread(self, number)

    def record(self, number: int, instruction: Instruction, purpose: Purpose) -> None:
        index, queue = len(self._recorded), (number, instruction.engine)
        accesses = list(footprints(instruction, self.config))
        before = {}
        for other in self._accesses.dependencies(queue, accesses).values():
            time = self._recorded[other].time
            before[other] = 0 if self._recorded[other].engine is instruction.engine else time.occupied + time.latency
        if isinstance(instruction, Vector):
            before |= self._chained(instruction, index)
        self._recorded.append(_Recorded(instruction, purpose, number, duration(instruction, self.config), before))
        for other in before:
            self._recorded[other].after.append(index)
        for space, footprint, write in accesses:
            self._accesses.record(space, Access(footprint, write, queue, index))

    def _chained(self, instruction: Vector, index: int) -> dict[int, int]:
        """Of the vector instructions whose words this one reads, the cycles from their start to its own."""
        sources = self._words.sources(instruction)
        readers = np.nonzero(sources >= 0)[0]
        writers = np.searchsorted(np.frombuffer(self._starts, np.int64), sources[readers], "right") - 1 if readers.size else readers
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
        plan = _Timeline(self._recorded, self.config, threads={MAIN})
        plan.run(plan.head)
        best = plan
        if any(recorded.thread == SIDE for recorded in self._recorded):
            spare = _spare(self._recorded, plan)
            both = [_Both(self._recorded, self.config, plan, spare, *option) for option in _OPTIONS]
            for timeline in both:
                timeline.run(timeline.choose)
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


def emitters(recorder: Recorder) -> tuple[Emitter, Emitter]:
    """One for the model's work on the main array, one for the predictor's on its own.

    Each has half of the words of every bank of the vector memory.
    """
    config = recorder.config
    half = config.vector_words // config.vector_banks // 2
    return (Emitter(config, Engine.ARRAY, recorder.thread(MAIN), Scratch(config, words=(0, half))),
            Emitter(config, Engine.PREDICTOR, recorder.thread(SIDE),
                    Scratch(config, Engine.PREDICTOR, words=(half, half))))


class _Timeline:
    """The machine's time, as far as the order of issue decides it: engines in order, queues of limited
    length, a dispatcher that stands still while the queue that it needs is full. Only ``threads`` exist."""

    def __init__(self, recorded: list[_Recorded], config: AcceleratorConfig, threads: Iterable[int]):
        self.recorded = recorded
        self.order: list[int] = []
        self.started: dict[int, int] = {}
        self.end = 0
        self.waiting = {(thread, engine): deque() for thread in threads for engine in Engine}
        self._missing, self._ready = {}, defaultdict(int)
        for index, each in enumerate(recorded):
            if each.thread in threads:
                self.waiting[each.thread, each.engine].append(index)
                self._missing[index] = sum(recorded[other].thread in threads for other in each.before)
        self._free = dict.fromkeys(Engine, 0)
        self._queues = {engine: deque(maxlen=config.queue_depth) for engine in Engine}
        self._dispatched = 0

    def run(self, choose: Callable[[Engine], int | None]) -> None:
        """Issues everything; ``choose`` gives the next of an engine if it has one that may be issued."""
        while any(self.waiting.values()):
            candidates = [index for index in map(choose, Engine) if index is not None]
            if not candidates:
                candidates = [queue[0] for queue in self.waiting.values() if queue and self.issuable(queue[0])]
            self.issue(min(candidates, key=lambda index: (self.start(index), index)))

    def head(self, engine: Engine, thread: int = MAIN) -> int | None:
        """The next instruction of a thread on an engine, if it may be issued."""
        queue = self.waiting[thread, engine]
        return queue[0] if queue and self.issuable(queue[0]) else None

    def issuable(self, index: int) -> bool:
        return not self._missing[index]

    def start(self, index: int) -> int:
        """When the instruction starts if it is issued next."""
        engine = self.recorded[index].engine
        return max(self._free[engine], self._ready[index], self._dispatch(engine) + 2)

    def issue(self, index: int) -> None:
        recorded, start = self.recorded[index], self.start(index)
        engine, time = recorded.engine, recorded.time
        self.waiting[recorded.thread, engine].popleft()
        self._dispatched = self._dispatch(engine)
        self.started[index] = start
        self.order.append(index)
        self._free[engine] = start + time.occupied
        self._queues[engine].append(start)
        self.end = max(self.end, start + time.occupied + time.latency)
        for other in recorded.after:
            if other in self._missing:
                self._missing[other] -= 1
                self._ready[other] = max(self._ready[other], start + self.recorded[other].before[index])

    def _dispatch(self, engine: Engine) -> int:
        queue = self._queues[engine]
        full_until = queue[0] if len(queue) == queue.maxlen else 0
        return max(self._dispatched + 2, full_until)


class _Both(_Timeline):
    """Two threads: the main one as in ``plan``, where ``spare`` cycles may be lost, and the side one."""

    def __init__(self, recorded, config, plan: _Timeline, spare: dict[int, int], delay: int, share: float):
        super().__init__(recorded, config, threads={MAIN, SIDE})
        self._plan, self._spare, self._delay, self._share = plan, spare, delay, share
        self._lag = dict.fromkeys(Engine, 0)

    def choose(self, engine: Engine) -> int | None:
        """The head of the side thread where it delays the main one's by as much as is allowed at most."""
        main, side = self.head(engine), self.head(engine, SIDE)
        if side is None:
            return main
        if not self.waiting[MAIN, engine]:
            return side
        rival = self.waiting[MAIN, engine][0]
        expected = self._plan.started[rival] + self._lag[engine] if main is None else self.start(main)
        allowed = max(self._delay, self._share * self._spare[rival])
        return side if self.start(side) + self.recorded[side].time.occupied <= expected + allowed else main

    def issue(self, index: int) -> None:
        super().issue(index)
        recorded = self.recorded[index]
        if recorded.thread == MAIN:
            self._lag[recorded.engine] = max(0, self.started[index] - self._plan.started[index])


def _spare(recorded: list[_Recorded], plan: _Timeline) -> dict[int, int]:
    """By how many cycles each instruction of ``plan`` could start later without any effect on its end."""
    latest: dict[int, int] = {}
    following: dict[Engine, int] = {}
    for index in reversed(plan.order):
        each = recorded[index]
        start = plan.end - each.time.occupied - each.time.latency
        if each.engine in following:
            start = min(start, following[each.engine] - each.time.occupied)
        for other in each.after:
            if other in latest:
                start = min(start, latest[other] - recorded[other].before[index])
        latest[index] = following[each.engine] = start
    return {index: start - plan.started[index] for index, start in latest.items()}
