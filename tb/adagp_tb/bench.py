"""How fast the simulator itself is: seconds to generate and compile, cycles per second."""

import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Addend, Array, End, Engine, Fill, Format, Instruction, Load, Memory, Pass, Store, Vector, encode

from . import verilator
from .rtl_machine import RtlMachine

_MEMORY = 1 << 20
_PROGRAM = 1 << 16


def measure(config: AcceleratorConfig) -> dict[str, float]:
    """Seconds from an empty cache to a machine; cycles per second idle and with all engines busy."""
    with _empty_cache():
        start = time.perf_counter()
        machine = RtlMachine(config, _MEMORY)
        build = time.perf_counter() - start
        start, cycles = time.perf_counter(), machine.cycles
        try:
            machine.simulation.run(200_000)
        except TimeoutError:
            idle = (machine.cycles - cycles) / (time.perf_counter() - start)
        program = b"".join(map(encode, busy_program(config)))
        machine.memory[_PROGRAM:_PROGRAM + len(program)] = np.frombuffer(program, np.uint8)
        for register, value in {"WINDOW_LAST": _MEMORY - 1, "PROGRAM[0].ADDRESS": _PROGRAM, "WARMUP_BATCHES": 1,
                                "PROGRAM[0].SIZE": len(program)}.items():
            machine.write(register, value)
        start, cycles = time.perf_counter(), machine.cycles
        machine.run()
        busy = (machine.cycles - cycles) / (time.perf_counter() - start)
        utilisation = machine.counter("BUSY[1]") / machine.counter("CYCLES")
        machine.close()
    return {"build seconds": build, "idle cycles/s": idle, "busy cycles/s": busy, "array busy %": 100 * utilisation}


def busy_program(config: AcceleratorConfig) -> list[Instruction]:
    """Loads, array passes, vector arithmetic and stores at the same time, for about 200,000 cycles."""
    rounds, words = 64, config.vector_words // 4
    lanes = config.vector_lanes
    work = [Fill(memory=Memory.STREAM, value=0x3F80_0000, destination=0, length=4096),
            Fill(memory=Memory.STATIONARY, value=0x3F00_0000, destination=0, length=4096,
                 signal=frozenset({Engine.ARRAY}))]
    for index in range(rounds):
        work += [
            Array(tag=Pass.FORWARD, columns=config.columns, stream=0, stationary=0, accumulator=0,
                  stream_count0=words, stream_stride0=1, row_count0=8 * config.rows, row_stride0=config.columns,
                  chunk_stride=config.rows, wait=frozenset({Engine.LOAD} if index == 0 else ())),
            Load(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=0, destination=words * lanes,
                 length=words * lanes),
            *[Vector(addend=Addend.B, a=2 * words, b=2 * words, d=2 * words, count0=words,
                     a_stride0=1, b_stride0=1, d_stride0=1)] * 4,
            Store(format=Format.OPERAND, base=0, offset=_MEMORY // 2, source=3 * words * lanes,
                  length=words * lanes)]
    return [*work, End()]


@contextmanager
def _empty_cache():
    cache = verilator.BUILD
    with tempfile.TemporaryDirectory() as name:
        verilator.BUILD = Path(name)
        try:
            yield
        finally:
            verilator.BUILD = cache
            verilator._runtime.cache_clear()
