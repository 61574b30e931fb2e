"""When a program does what: fetch, dispatch, queues and tokens around the engines."""

from collections import deque

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, Engine, Opcode

from . import latencies
from .arrays import ArrayTime
from .banks import Banks
from .engine import NEVER
from .fields import engines, instructions
from .loads import LoadTime
from .memory import ExternalMemory, ReadChannel, WriteChannel
from .stores import StoreTime
from .vector_unit import VectorTime

_ENGINE = {Opcode.LOAD: Engine.LOAD, Opcode.FILL: Engine.LOAD, Opcode.ARRAY: Engine.ARRAY, Opcode.PREDICTOR_ARRAY: Engine.PREDICTOR,
           Opcode.VECTOR: Engine.VECTOR, Opcode.STORE: Engine.STORE}


class _Queue:
    """Instructions of an engine that are dispatched, and what they wait for."""

    def __init__(self, engine: Engine, model, depth: int):
        self.engine, self.model, self.depth = engine, model, depth
        self.waiting: deque[tuple[int, int]] = deque()  # index, cycle of dispatch
        self.left = deque([-latencies.QUEUE] * depth)  # when the latest instructions left
        self.done = deque([-latencies.TOKEN] * latencies.IN_FLIGHT)
        self.time, self.stale, self.version = NEVER, True, -1  # of the engine's next step
        self.offer: int | None = None  # when the first that waits is offered; None if that has to be found out
        self.running: deque[int] = deque()  # handed over, not complete
        self.given = False  # the first that waits is handed over
        self.tokens: dict[Engine, deque[int]] = {engine: deque() for engine in Engine}


class ProgramTime:
    """Steps through a program, always with whoever is earliest.

    ``instructions`` are those of :func:`.fields.instructions`. ``offered`` and ``done`` have the cycle of each in which
    its queue offers it to its engine, and in which it is complete; ``entered`` has (instruction, cycle of its first
    vector) of those of the main array.
    """

    def __init__(self, program: bytes, config: AcceleratorConfig, memory: ExternalMemory, bases: tuple[int, ...], address: int):
        self.instructions = instructions(program)
        self._reads, self._writes = ReadChannel(memory), WriteChannel(memory)
        self._banks = banks = Banks(config)
        models = {Engine.LOAD: LoadTime(config, self._reads, banks, bases), Engine.ARRAY: ArrayTime(config, config.array, banks),
                  Engine.VECTOR: VectorTime(config, banks), Engine.STORE: StoreTime(config, self._writes, banks, bases)}
        if config.design.has_predictor_array:
            models[Engine.PREDICTOR] = ArrayTime(config, config.predictor_array, banks)
        self._queues = {engine: _Queue(engine, model, config.queue_depth) for engine, model in models.items()}
        self._fetch = _Fetch(config, self._reads, len(program), address)
        self._moved = True  # what fetch and dispatch wait for
        self._next = 0
        self._dispatched = 0
        self.entered: list[tuple[int, int]] = []
        self.offered = [0] * len(self.instructions)
        self.done = [0] * len(self.instructions)

    def run(self) -> int:
        """Cycles from its request to its end. ValueError for a program that waits for itself."""
        queues, last, banks = list(self._queues.values()), len(self.instructions) - 1, self._banks
        while True:
            if self._moved:
                self._moved = False
                self._dispatches = self._dispatch_time() if self._next < last else NEVER
                self._fetches = self._fetch.time
            best, who = self._fetches, self._fetch
            if self._dispatches < best:
                best, who = self._dispatches, None
            for queue in queues:
                if queue.stale or queue.version != banks.version and queue.model.watches:
                    queue.time, queue.stale, queue.version = queue.model.time, False, banks.version
                if queue.time < best:
                    best, who, offers = queue.time, queue, False
                if queue.offer is None:
                    queue.offer = self._offer(queue)
                if queue.offer < best and queue.model.accepts:
                    best, who, offers = queue.offer, queue, True
            if best == NEVER:
                break
            banks.now = max(banks.now, best)
            if who is self._fetch:
                who.step()
                self._moved = self._queues[Engine.LOAD].stale = True
            elif who is None:
                self._dispatch(best)
            else:
                self._advance(who, best, offers)
        if self._next < last or any(queue.waiting for queue in queues):
            raise ValueError(f"program must not wait for itself, but goes no further than instruction {self._next}")
        end = self._fetch.whole(last, self._dispatched) + 1
        return max(end, max(self.done) + 2) + 1

    def _dispatch_time(self) -> int:
        """When the next instruction leaves for its queue."""
        whole = self._fetch.whole(self._next, self._dispatched)
        queue = self._queues[_ENGINE[self.instructions[self._next].opcode]]
        room = queue.depth - len(queue.waiting)
        if whole == NEVER or not room:
            return NEVER
        return max(whole + 1, queue.left[-room] + 1)

    def _dispatch(self, cycle: int) -> None:
        queue = self._queues[_ENGINE[self.instructions[self._next].opcode]]
        queue.waiting.append((self._next, cycle))
        queue.offer = None
        self._moved = True
        self._dispatched = cycle
        self._next += 1

    def _offer(self, queue: _Queue) -> int:
        """When the queue offers its head to the engine."""
        if not queue.waiting:
            return NEVER
        index, dispatched = queue.waiting[0]
        if len(queue.running) == latencies.IN_FLIGHT:
            return NEVER
        cycle = max(dispatched, queue.left[-1], queue.done[len(queue.running)]) + latencies.QUEUE
        for engine in engines(self.instructions[index].wait):
            tokens = self._queues[engine].tokens[queue.engine]
            if not tokens:
                return NEVER
            cycle = max(cycle, tokens[0] + latencies.TOKEN)
        return cycle

    def _advance(self, queue: _Queue, cycle: int, offers: bool) -> None:
        """The engine goes on, or takes the instruction that the queue ``offers``."""
        engine, accepted = queue.model, self._reads.accepted
        queue.stale = True
        if offers:
            self._take(queue, cycle)
            engine.begin(self.instructions[queue.waiting[0][0]], cycle)
            queue.given = True
            if queue.engine is Engine.ARRAY:
                self.entered.append((queue.waiting[0][0], engine.first))
        else:
            engine.step()
        self._moved |= accepted != self._reads.accepted
        if queue.given and not engine.holds:
            self._leave(queue)
        while engine.completed:
            self._complete(queue, engine.completed.popleft())

    def _take(self, queue: _Queue, offered: int) -> None:
        """The head takes its tokens and goes to the engine."""
        index, _ = queue.waiting[0]
        self.offered[index] = offered
        queue.running.append(index)
        for engine in engines(self.instructions[index].wait):
            self._queues[engine].tokens[queue.engine].popleft()

    def _leave(self, queue: _Queue) -> None:
        """The engine has taken the head."""
        queue.waiting.popleft()
        queue.given, queue.offer, self._moved = False, None, True
        queue.left.append(queue.model.free)
        queue.left.popleft()

    def _complete(self, queue: _Queue, cycle: int) -> None:
        index = queue.running.popleft()
        self.done[index] = cycle
        queue.offer = None
        queue.done.append(cycle)
        queue.done.popleft()
        for engine in engines(self.instructions[index].signal):
            queue.tokens[engine].append(cycle)
            self._queues[engine].offer = None


class _Fetch:
    """Reads the program ahead as far as the reader's buffer goes."""

    def __init__(self, config: AcceleratorConfig, channel: ReadChannel, size: int, address: int):
        self._channel, self._most, self._room = channel, config.burst_beats, config.read_buffer_beats
        self._per_instruction = INSTRUCTION_BYTES // config.bus_bytes
        self._beat = self._first = address // config.bus_bytes
        self._end = self._first + size // config.bus_bytes
        self._issued = latencies.REQUEST - 1
        self._came: list[int] = []  # beats on the bus
        self._left: list[int] = []  # the same, when they left the buffer

    @property
    def time(self) -> int:
        """When the next burst is requested, as far as that is known."""
        if self._beat == self._end:
            return NEVER
        needed = self._beat + self._beats() - self._first - self._room  # beats that must have left
        if needed > len(self._left):
            return NEVER
        return max(self._issued + 1, self._channel.accepted, self._left[needed - 1] + 1 if needed > 0 else 0)

    def _beats(self) -> int:
        return min(self._most - self._beat % self._most, self._end - self._beat)

    def step(self) -> None:
        cycle, beats = self.time, self._beats()
        self._issued = cycle
        _, first, last = self._channel.request(cycle + 1, beats)
        interval = (last - first) // (beats - 1) if beats > 1 else 1
        self._came += range(first, last + 1, interval)
        self._beat += beats

    def whole(self, index: int, dispatched: int) -> int:
        """When instruction ``index`` can be looked at, the one before having been dispatched at ``dispatched``."""
        beats, left = self._per_instruction, self._left
        end = (index + 1) * beats
        for beat in range(len(left), min(end, len(self._came))):
            left.append(max(left[-1] + 1 if beat % beats else dispatched, self._came[beat] + latencies.BUFFERED))
        return left[end - 1] + 1 if len(left) >= end else NEVER
