"""How long an instruction keeps its engine and the bus, from its fields alone.

Closed forms of what the engines' models in this package step through, for instructions that follow each other without a
pause and find their banks free:

- array: a tile takes as many cycles as vectors, but not fewer than rows of weights (one more for a single vector), and a
  tile that adds to the words of the one before it not fewer than an accumulator takes from its read to its write;
- load: the longest of the bus (:class:`Bursts`), of the chunks that are written, one a cycle, and transposed of the blocks'
  columns, which are written one a cycle too;
- fill: a word of the memory a cycle;
- vector unit: a word a cycle, two cycles where both operands lie in one bank;
- store: the longest of the bus, and of the pieces that beats are made of, one a cycle.
"""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from adagp.compiler.chaining import reads_b
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, Array, Fill, Format, Instruction, Load, Memory, PredictorArray, Store, Vector

from . import latencies
from .load_pieces import chunks_of
from .memory import ExternalMemory
from .transfers import block_columns


@dataclass(frozen=True, slots=True)
class Occupancy:
    """``cycles`` of the engine; of them, or beside them, ``bus`` cycles of the read or write channel, with ``beats`` on
    it. ``last``: from an array's first vector to behind its last one."""

    cycles: float
    bus: float = 0.0
    beats: int = 0
    last: int = 0


@dataclass(frozen=True)
class Bursts:
    """What runs of bytes are to the bus: ``beats``, and ``cycles`` of the channel. A burst takes it for as long as its
    beats, but not shorter than what its way to the memory and back leaves to each of the outstanding ones."""

    beats: int
    cycles: float


class Occupancies:
    """Of the instructions of ``config`` before ``memory``. Addresses count only modulo the longest burst."""

    def __init__(self, config: AcceleratorConfig, memory: ExternalMemory):
        self._config, self._memory = config, memory
        self._bank = config.vector_words // config.vector_banks
        self._kinds = {Load: self._load, Fill: self._fill, Array: self._array, PredictorArray: self._array,
                       Vector: self._vector, Store: self._store}
        self._runs = lru_cache(maxsize=1 << 16)(self._runs_of)
        self.fetch = self._burst_cycles(config.burst_beats) / config.burst_beats * (INSTRUCTION_BYTES // config.bus_bytes)
        """Cycles of the read channel to fetch an instruction."""

    def of(self, instruction: Instruction) -> Occupancy:
        return self._kinds[type(instruction)](instruction)

    def _array(self, i: Array) -> Occupancy:
        config = self._config
        rows = (config.predictor_array if type(i) is PredictorArray else config.array).rows
        vectors = i.stream_count0 * i.stream_count1 * i.stream_count2
        chunks = -(-i.row_count0 * i.row_count1 * i.row_count2 // rows)
        moving = max(vectors, rows + (vectors == 1))
        again = max(moving, latencies.ACCUMULATOR + 1)
        outer = i.outer_count0 * i.outer_count1
        before = (outer * (chunks - 1) * again
                  + i.outer_count1 * (i.outer_count0 - 1) * (moving if i.accumulator_outer_stride0 else again)
                  + (i.outer_count1 - 1) * (moving if i.accumulator_outer_stride1 else again))
        return Occupancy(before + (again if i.accumulate else moving), last=before + vectors)

    def _vector(self, i: Vector) -> Occupancy:
        conflict = reads_b(i) and i.a // self._bank == i.b // self._bank
        return Occupancy(i.count0 * i.count1 * i.count2 * (1 + conflict))

    def _fill(self, i: Fill) -> Occupancy:
        config = self._config
        lanes = {Memory.STREAM: config.stream_lanes, Memory.STATIONARY: config.stationary_lanes,
                 Memory.VECTOR: config.vector_lanes, Memory.PREDICTOR_STREAM: config.predictor_array.stream_lanes,
                 Memory.PREDICTOR_STATIONARY: config.predictor_array.stationary_lanes}[i.memory]
        each = chunks_of(i.destination, i.length, lanes, lanes if i.memory == Memory.VECTOR else None)
        return Occupancy(each * i.count0 * i.count1 * i.count2)

    def _load(self, i: Load) -> Occupancy:
        config, size, modulus = self._config, Format(i.format).bytes, self._modulus
        cap = config.bus_bytes // size
        if i.transpose:
            return self._transposed(i, size, cap)
        lanes = config.vector_lanes if i.memory == Memory.VECTOR else None
        each = chunks_of(i.destination, i.length, cap, lanes)
        counts = i.count0, i.count1, i.count2
        runs, groups = i.count0 * i.count1 * i.count2, 1
        if i.dense:
            runs, groups, counts = i.count1 * i.count2, i.count0, (1, i.count1, i.count2)
        bursts = self._runs(i.offset % modulus, i.length * groups * size, counts, (
            i.source_stride0 % modulus, i.source_stride1 % modulus, i.source_stride2 % modulus))
        chunks = max(runs * groups * each, bursts.beats)
        return self._transfer(i.local, chunks, bursts)

    def _transposed(self, i: Load, size: int, cap: int) -> Occupancy:
        config, modulus = self._config, self._modulus
        most = block_columns(config)
        cycles, beats, bus = 0, 0, 0.0
        for column in range(0, i.length, most):
            columns = min(most, i.length - column)
            bursts = self._runs((i.offset + column * size) % modulus, columns * size, (i.count0, i.count1, i.count2),
                                (i.source_stride0 % modulus, i.source_stride1 % modulus, i.source_stride2 % modulus))
            blocks = i.count1 * i.count2
            rows = max(blocks * i.count0 * -(-columns // cap), bursts.beats)
            cycles += max(rows, blocks * columns)
            beats, bus = beats + bursts.beats, bus + bursts.cycles
        return self._transfer(i.local, cycles, Bursts(beats, bus))

    def _transfer(self, local: int, cycles: int, bursts: Bursts) -> Occupancy:
        if local:
            return Occupancy(max(cycles, bursts.beats))
        return Occupancy(max(cycles, bursts.cycles), bursts.cycles, bursts.beats)

    def _store(self, i: Store) -> Occupancy:
        size = Format(i.format).bytes
        unit, modulus = self._config.bus_bytes // size, self._modulus
        runs, groups, counts = i.count0 * i.count1 * i.count2, 1, (i.count0, i.count1, i.count2)
        if i.dense:
            runs, groups, counts = i.count1 * i.count2, i.count0, (1, i.count1, i.count2)
        bursts = self._runs(i.offset % modulus, i.length * groups * size, counts, (
            i.destination_stride0 % modulus, i.destination_stride1 % modulus, i.destination_stride2 % modulus))
        pieces = runs * groups * -(-(i.source % unit + i.length) // unit)
        return self._transfer(i.local, max(pieces, bursts.beats), bursts)

    # The bus

    @property
    def _modulus(self) -> int:
        return self._config.burst_beats * self._config.bus_bytes

    def _burst_cycles(self, beats: int) -> float:
        memory = self._memory
        return max(beats * memory.interval, (memory.latency + beats * memory.interval) / memory.outstanding, 1)

    def _runs_of(self, first: int, length: int, counts: tuple[int, ...], strides: tuple[int, ...]) -> Bursts:
        """Of ``length`` bytes each, which begin at ``first`` plus sums of multiples of ``strides``, modulo the longest burst."""
        modulus, bus = self._modulus, self._config.bus_bytes
        places = Counter({first: 1})
        for count, stride in zip(counts, strides):
            if count > 1:
                steps = _multiples(count, stride, modulus)
                new = Counter()
                for place, number in places.items():
                    for step, times in steps.items():
                        new[(place + step) % modulus] += number * times
                places = new
        beats, cycles = 0, 0.0
        for place, number in places.items():
            begin, end = place // bus, (place + length - 1) // bus + 1
            beats += number * (end - begin)
            cycles += number * self._run_cycles(begin, end)
        return Bursts(beats, cycles)

    def _run_cycles(self, begin: int, end: int) -> float:
        """Of the bursts of the beats [begin, end), which end at multiples of the longest."""
        most = self._config.burst_beats
        head = min(-begin % most, end - begin)
        whole, rest = divmod(end - begin - head, most)
        return (self._burst_cycles(head) * (head > 0) + whole * self._burst_cycles(most)
                + self._burst_cycles(rest) * (rest > 0))


def _multiples(count: int, stride: int, modulus: int) -> Counter:
    """How often each residue occurs among the first ``count`` multiples of ``stride``."""
    residues, step = [], 0
    while step not in residues[:1] and len(residues) < count:
        residues.append(step)
        step = (step + stride) % modulus
    times, rest = divmod(count, len(residues))
    return Counter({residue: times + (number < rest) for number, residue in enumerate(residues)})
