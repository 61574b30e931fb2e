"""When instructions would run: each as soon as its engine is free and what it needs is there.

An estimate for programs that are not ordered. What the compiler's order achieves is that engines fill their waiting
time with work of operations to come, so here an instruction takes the first time that its engine has left for it. Rules:

- within an operation (of a thread), instructions of an engine keep their order; an operation begins when the third
  before it has issued all of them;
- what is read must be written, what is written must have been read and written before, by other engines; ranges are
  those of the fields, in external memory blocks of rows and columns of tensors;
- of vector instructions, those that read what others of the same operation have just computed keep behind them;
- a bank of the vector memory that an array adds to is its own meanwhile;
- fetching takes the bus from loads.

Times of instructions are those of :mod:`.occupancy` and :mod:`.latencies`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from adagp.compiler.chaining import reads_b
from adagp.compiler.ordering import MAIN
from adagp.compiler.outline import SamplingThread
from adagp.compiler.program import Item, Purpose, Purposeful
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, Array, Engine, Fill, Instruction, Load, Memory, PredictorArray, Store, Vector

from . import latencies, regions
from .memory import ExternalMemory
from .occupancy import Occupancies, Occupancy

_WINDOW = 3
"""Operations of a thread that may be under way at the same time."""

_LEAST = 1e-6
"""Cycles below which nothing is left."""

_SEARCHED = 64
"""Idle times of an engine that are tried for an instruction."""


@dataclass
class Work:
    """What is done for a purpose: ``instructions``, ``busy`` cycles by engine, beats on the bus, and ``cycles`` by which it
    makes the program longer. ``position``: main operations that had begun when it began."""

    position: int
    instructions: int = 0
    busy: list[float] = field(default_factory=lambda: [0.0] * len(Engine))
    beats_read: int = 0
    beats_written: int = 0
    cycles: float = 0.0

    def copy(self) -> "Work":
        return Work(self.position, self.instructions, self.busy.copy(), self.beats_read, self.beats_written, self.cycles)

    def add(self, other: "Work", times: int = 1) -> None:
        self.instructions += times * other.instructions
        self.busy = [own + times * more for own, more in zip(self.busy, other.busy)]
        self.beats_read += times * other.beats_read
        self.beats_written += times * other.beats_written
        self.cycles += times * other.cycles


class EngineTime:
    """What time an engine has given away, and what it has left: idle times before ``free``, [begin, end) at a share ``rate`` of
    its cycles, in their order."""

    def __init__(self):
        self.free = 0.0
        self._past: list[tuple[float, float, float]] = []  # idle times that only take_parts looks at
        self._begins: list[float] = []
        self._ends: list[float] = []
        self._rates: list[float] = []

    def take(self, lower: float, cycles: float) -> tuple[float, float]:
        """The first ``cycles`` in one piece from ``lower`` on: from when to when."""
        ends, begins, rates = self._ends, self._begins, self._rates
        first = bisect_right(ends, lower)
        for index in range(first, min(first + _SEARCHED, len(ends))):
            start = begins[index] if begins[index] > lower else lower
            taken = cycles / rates[index]
            if ends[index] - start >= taken:
                self._replace(index, index + 1, [(begins[index], start, rates[index]),
                                                 (start + taken, ends[index], rates[index])])
                return start, start + taken
        return self._take_last(lower, cycles)

    def take_parts(self, lower: float, cycles: float) -> tuple[float, float]:
        """The same in as many pieces as it takes."""
        self._recall()
        first = index = bisect_right(self._ends, lower)
        begin, left = None, []
        while index < len(self._ends) and cycles > 0:
            start, end, rate = max(self._begins[index], lower), self._ends[index], self._rates[index]
            taken = min(cycles / rate, end - start)
            cycles -= taken * rate
            begin = start if begin is None else begin
            left += [(self._begins[index], start, rate), (start + taken, end, rate)]
            last, index = start + taken, index + 1
        self._replace(first, index, left)
        if cycles <= _LEAST:
            return begin, last
        start, last = self._take_last(lower, cycles)
        return start if begin is None else begin, last

    def skip(self, cycles: float, share: float) -> None:
        """Goes on ``cycles`` later; a ``share`` of the time between is idle."""
        if share > 0:
            self._leave(self.free, self.free + cycles, share)
        self.free += cycles

    def forget(self, until: float) -> None:
        """Idle times before cycle ``until`` are no longer asked for by :meth:`take`."""
        count = bisect_right(self._ends, until)
        self._past += zip(self._begins[:count], self._ends[:count], self._rates[:count])
        del self._begins[:count], self._ends[:count], self._rates[:count]

    def _recall(self) -> None:
        self._replace(0, 0, self._past)
        self._past = []

    def _take_last(self, lower: float, cycles: float) -> tuple[float, float]:
        start = max(self.free, lower)
        if start > self.free:
            self._leave(self.free, start, 1.0)
        self.free = start + cycles
        return start, self.free

    def _leave(self, begin: float, end: float, rate: float) -> None:
        self._begins.append(begin)
        self._ends.append(end)
        self._rates.append(rate)

    def _replace(self, first: int, beyond: int, parts: list[tuple[float, float, float]]) -> None:
        """Idle times number [first, beyond) by those of ``parts`` that are there."""
        parts = [part for part in parts if part[1] - part[0] > _LEAST]
        self._begins[first:beyond] = [part[0] for part in parts]
        self._ends[first:beyond] = [part[1] for part in parts]
        self._rates[first:beyond] = [part[2] for part in parts]


@dataclass(frozen=True)
class Mark:
    """The state before some steps."""

    dispatched: float
    works: dict[Purpose, Work]


class Timeline:
    """Takes the instructions of one ``thread`` of a program, and lets those of the other go by.

    ``tensors`` say when those outside the scratchpads are written, behind base register STATE and in the predictor memory.
    """

    def __init__(self, config: AcceleratorConfig, memory: ExternalMemory, thread: int,
                 tensors: tuple[regions.Tensors, regions.Tensors]):
        self.config = config
        self.engines = {engine: EngineTime() for engine in Engine}
        self.works: dict[Purpose, Work] = {}
        self.position = 0
        """Operations of the main thread so far."""
        self.reads: dict[str, dict[int, float]] = {}
        """By tensor and position: when it is first read."""
        self.writes: dict[str, dict[int, float]] = {}
        """By tensor and position: when it is written."""
        self.ends: list[float] = []
        """By position: when what the operations before have to do was done."""
        beats = INSTRUCTION_BYTES // config.bus_bytes
        self.begin_of_program = (latencies.REQUEST + 1 + memory.latency + beats * memory.interval + latencies.BUFFERED + 1
                                 + latencies.QUEUE)
        """When the first instruction is offered."""
        self.end = self._dispatched = self.begin_of_program
        self._memory, self._thread = memory, thread
        self._occupancies = Occupancies(config, memory)
        self._external, self._local = tensors
        self._lanes, self._bank = config.vector_lanes, config.vector_words // config.vector_banks
        self._vector = regions.VectorMemory(config)
        main, own = config.array, config.predictor_array
        self._operands = {
            Memory.STREAM: regions.OperandMemory(main.stream_elements),
            Memory.STATIONARY: regions.OperandMemory(main.stationary_elements),
            Memory.PREDICTOR_STREAM: regions.OperandMemory(own.stream_elements),
            Memory.PREDICTOR_STATIONARY: regions.OperandMemory(own.stationary_elements)}
        self._held = [0.0] * config.vector_banks
        self._layers: dict[int, str] = {}
        self._present: dict[Purpose, Work] = {}  # works of the present layer
        self._issued = [0.0] * (_WINDOW + 1)  # when the latest operations, this one last, issued their last instruction
        self._last: dict[tuple[Engine, bool], float] = {}
        self._computed: list[tuple[regions.Range, float, float]] = []
        self._unfetched = 0.0
        self._loads_begin = (latencies.REQUEST + memory.latency + latencies.BUFFERED + latencies.WRITTEN + 1
                             + latencies.REORDERED * config.design.has_predictor_memory)

    def thread(self, number: int):
        return SamplingThread(self, number) if number == self._thread else _PassingThread(self, number)

    def record(self, number: int, i: Instruction, purpose: Purpose, *, aside: bool) -> None:
        if self._layers.get(number) != purpose.layer:
            self.begin(number, purpose.layer)
        engine, occupancy = i.engine, self._occupancies.of(i)
        self._dispatched += max(latencies.QUEUE, self._occupancies.fetch)
        self._unfetched += self._occupancies.fetch
        lower = max(self._dispatched, self._issued[0], self._last.get((engine, aside), 0.0))
        start, done = self._TAKES[type(i)](self, i, occupancy, lower)
        self._last[engine, aside] = start
        self._issued[-1] = max(self._issued[-1], start)
        work = self.works.get(purpose)
        if work is None:
            work = self.works[purpose] = Work(self.position)
        self._present[purpose] = work
        work.instructions += 1
        work.busy[engine] += occupancy.cycles
        if engine is Engine.LOAD:
            work.beats_read += occupancy.beats
        else:
            work.beats_written += occupancy.beats
        if done > self.end:
            work.cycles += done - self.end
            self.end = done

    def begin(self, number: int, layer: str) -> None:
        """The next operation of a thread."""
        self._layers[number] = layer
        if number == MAIN:
            self.position += 1
            self.ends.append(self.end)
        if number == self._thread:
            self._issued = [*self._issued[1:], 0.0]
            self._issued[0] = max(self._issued[:2])
            self._last.clear()
            self._computed.clear()
            self._present = {purpose: work for purpose, work in self._present.items() if purpose.layer == layer}
            for time in self.engines.values():
                time.forget(self._issued[0])

    # Steps that come again

    def mark(self, number: int) -> Mark:
        return Mark(self._dispatched, {purpose: work.copy() for purpose, work in self._present.items()})

    def repeat(self, number: int, mark: Mark, times: int, aside: list[tuple[Mark, Mark]]) -> None:
        busy, advance = [0.0] * len(Engine), 0.0
        for purpose, work in self._present.items():
            once = work.copy()
            for sign, other in ((-1, mark), *((sign, each) for pair in aside for sign, each in zip((1, -1), pair))):
                if purpose in other.works:
                    once.add(other.works[purpose], sign)
            work.add(once, times)
            busy = [own + more for own, more in zip(busy, once.busy)]
            advance += once.cycles
        later = times * advance
        for engine, time in self.engines.items():
            time.skip(later, max(0.0, 1 - busy[engine] / advance) if advance else 0.0)
        self._dispatched += times * (self._dispatched - mark.dispatched)
        self._last = {key: start + later for key, start in self._last.items()}
        self._issued[-1] += later
        self.end += later
        self._computed.clear()

    # Instructions

    def _load(self, i: Load, occupancy: Occupancy, lower: float) -> tuple[float, float]:
        place = regions.written_on_chip(i, self._lanes)
        ready = self._writable(i.memory, place)
        if i.local or i.base == 0:
            tensor = (self._local if i.local else self._external).at(i.offset)
            ready = max(ready, tensor.part(i.offset, *regions.moved(i)).max())
        lower = max(lower, ready + latencies.TOKEN)
        cycles = occupancy.cycles
        if not i.local:
            waited = max(0.0, lower - self.engines[Engine.LOAD].free)
            cycles = max(cycles, occupancy.bus + max(0.0, self._unfetched - waited))
            self._unfetched = 0.0
        start, end = self.engines[Engine.LOAD].take(lower, cycles)
        done = end + (latencies.LOCAL + latencies.WRITTEN + 1 if i.local else self._loads_begin)
        self._written(i.memory, place, done)
        if i.local or i.base == 0:
            self.reads.setdefault(tensor.name, {}).setdefault(self.position, start)
        return start, done

    def _fill(self, i: Fill, occupancy: Occupancy, lower: float) -> tuple[float, float]:
        place = regions.written_on_chip(i, self._lanes)
        lower = max(lower, self._writable(i.memory, place) + latencies.TOKEN)
        start, end = self.engines[Engine.LOAD].take(lower, occupancy.cycles)
        self._written(i.memory, place, end + latencies.WRITTEN + 2)
        return start, end + latencies.WRITTEN + 2

    def _writable(self, memory: Memory, place: regions.Range) -> float:
        if memory == Memory.VECTOR:
            return max(self._vector.writable_by_load(place), self._free_bank(place))
        return self._operands[memory].read[place[0]:place[1]].max()

    def _written(self, memory: Memory, place: regions.Range, done: float) -> None:
        if memory == Memory.VECTOR:
            self._vector.loaded(place, done)
        else:
            self._operands[memory].written[place[0]:place[1]] = done

    def _array(self, i: Array, occupancy: Occupancy, lower: float) -> tuple[float, float]:
        own = type(i) is PredictorArray
        shape, engine = (self.config.predictor_array if own else self.config.array), i.engine
        memories = ((Memory.PREDICTOR_STREAM, Memory.PREDICTOR_STATIONARY) if own else (Memory.STREAM, Memory.STATIONARY))
        stream, stationary, sums = regions.operands(i, shape.rows)
        vectors, weights = (self._operands[memory] for memory in memories)
        ready = max(vectors.written[slice(*stream)].max(initial=0.0), weights.written[slice(*stationary)].max(initial=0.0),
                    self._vector.writable_by_array(sums))
        lower = max(lower, ready + latencies.TOKEN)
        first = shape.rows if lower > self.engines[engine].free else 0  # weights load behind nothing
        start, end = self.engines[engine].take(lower, occupancy.cycles + first)
        done = start + first + occupancy.last + latencies.array(shape.rows, shape.columns)
        vectors.read[slice(*stream)] = weights.read[slice(*stationary)] = done
        self._vector.summed(sums, done)
        for bank in self._banks(sums):
            self._held[bank] = max(self._held[bank], done)
        return start, done

    def _vector_unit(self, i: Vector, occupancy: Occupancy, lower: float) -> tuple[float, float]:
        sources = [regions.words(i, "a")] + ([regions.words(i, "b")] if reads_b(i) else [])
        result = regions.words(i, "d")
        ready = max(*(self._vector.readable_by_vector(place) for place in sources), self._vector.writable_by_vector(result),
                    *(self._free_bank(place) for place in (*sources, result)))
        lower = max(lower, ready + latencies.TOKEN, self._behind(sources))
        start, end = self.engines[Engine.VECTOR].take(lower, occupancy.cycles)
        done = end + latencies.VECTOR_UNIT + 1
        self._computed = [each for each in self._computed if each[2] + latencies.VECTOR_UNIT + 1 > end]
        self._computed.append((result, start, end))
        for place in sources:
            self._vector.read(place, done)
        self._vector.computed(result, done)
        return start, done

    def _behind(self, sources: list[regions.Range]) -> float:
        """When words that were just computed can be read: in their order, or from the middle on."""
        earliest = 0.0
        for (low, high), start, end in self._computed:
            for first, beyond in sources:
                if first < high and low < beyond:
                    skipped = min(max(0, first - low), end - start)
                    earliest = max(earliest, start + skipped + latencies.VECTOR_UNIT + 1)
        return earliest

    def _store(self, i: Store, occupancy: Occupancy, lower: float) -> tuple[float, float]:
        place = regions.read_by_store(i, self._lanes)
        ready = max(self._vector.readable_by_store(place), self._free_bank(place))
        start, end = self.engines[Engine.STORE].take(max(lower, ready + latencies.TOKEN), occupancy.cycles)
        done = end + latencies.STORED + 2 + (0 if i.local else self._memory.latency)
        self._vector.stored(place, done)
        tensor = (self._local if i.local else self._external).at(i.offset)
        tensor.part(i.offset, *regions.moved(i))[...] = done
        written = self.writes.setdefault(tensor.name, {})
        written[self.position] = max(written.get(self.position, 0.0), done)
        return start, done

    def _banks(self, place: regions.Range) -> range:
        return range(place[0] // self._bank, (place[1] - 1) // self._bank + 1)

    def _free_bank(self, place: regions.Range) -> float:
        """When no array adds to the words' banks any more; whoever waits for that needs no token."""
        return max(self._held[bank] for bank in self._banks(place)) - latencies.TOKEN

    _TAKES = {Load: _load, Fill: _fill, Array: _array, PredictorArray: _array, Vector: _vector_unit, Store: _store}


class _PassingThread(Purposeful):
    """Lets instructions go by; only notices which operation they are of."""

    def __init__(self, timeline: Timeline, number: int):
        super().__init__()
        self._timeline, self._number, self._layer = timeline, number, None

    def emit(self, instruction: Instruction) -> None:
        if self._layer != self.present.layer:
            self._layer = self.present.layer
            self._timeline.begin(self._number, self._layer)

    def steps(self, items: Sequence[Item], *, edge: int = 2, period: int = 1) -> Sequence[Item]:
        return items[-1:]
