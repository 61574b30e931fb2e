"""How long instructions take, for deciding in which order to issue them.

Derived from the configuration and the components' documented latencies; what memory outside does
is an assumption. Results do not depend on it, only speed.
"""

from dataclasses import dataclass

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Array, Fill, Format, Instruction, Memory, PredictorArray, Vector

from .chaining import VECTOR_LATENCY, reads_b

LOCAL_LATENCY = 10
"""Cycles from the start of a transfer with the predictor memory to its first data."""

EXTERNAL_LATENCY = 45
"""The same for external memory that answers after some 30 cycles."""


EXTERNAL_RUN = 2
"""Cycles that a run of bytes takes at least there, where 16 bursts may be outstanding at once."""

ACCUMULATION = 8
"""Cycles from one vector to the next one that adds to the same word."""


@dataclass(frozen=True)
class Duration:
    """``occupied`` cycles until the engine takes the next instruction, ``latency`` more to completion."""

    occupied: int
    latency: int


def duration(instruction: Instruction, config: AcceleratorConfig) -> Duration:
    """An estimate that knows neither bank conflicts nor other users of the bus."""
    i = instruction
    if isinstance(i, Array):
        return _array(i, config)
    counts = i.count0 * i.count1 * i.count2
    if isinstance(i, Vector):
        lane = max(1, config.vector_words // config.vector_banks)
        conflict = reads_b(i) and i.a // lane == i.b // lane
        return Duration(counts * (1 + conflict), VECTOR_LATENCY)
    if isinstance(i, Fill):
        lanes = config.vector_lanes if i.memory == Memory.VECTOR else config.bus_operands
        return Duration(counts * -(-i.length // lanes), 4)
    size = Format(i.format).bytes
    latency = LOCAL_LATENCY if i.local else EXTERNAL_LATENCY
    runs, length = (i.count1 * i.count2, i.length * i.count0) if i.dense else (counts, i.length)
    beats = -(-length * size // config.bus_bytes)
    return Duration(runs * (beats if i.local else max(beats, EXTERNAL_RUN)) + 2, latency)


def _array(i: Array, config: AcceleratorConfig) -> Duration:
    array = config.predictor_array if isinstance(i, PredictorArray) else config.array
    vectors = i.stream_count0 * i.stream_count1 * i.stream_count2
    chunks = -(-i.row_count0 * i.row_count1 * i.row_count2 // array.rows)
    tiles = chunks * i.outer_count0 * i.outer_count1
    return Duration(tiles * max(vectors, array.rows, ACCUMULATION if chunks > 1 else 0), 5 * array.rows + array.columns + 20)


