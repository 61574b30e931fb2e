"""Golden machines with programs in place, and short ways to write instructions."""

import numpy as np
import pytest

from adagp.golden import GoldenMachine
from adagp.spec.config import preset
from adagp.spec.isa import Addend, Array, End, Engine, FaultCause, Format, Load, Memory, Pass, Store, Vector, encode
from adagp.spec.machine import MachineFault

TINY = preset("tiny")
ONE = 0x3F800000


def machine_with(*programs, config=TINY, memory_bytes=1 << 16) -> GoldenMachine:
    """Program i at address 0x1000·i; the window is everything."""
    machine = GoldenMachine(config, memory_bytes)
    machine.write("WINDOW_LAST", memory_bytes - 1)
    for index, program in enumerate(programs):
        install(machine, index, program)
    return machine


def install(machine: GoldenMachine, index: int, program: list) -> None:
    """Instructions, or the bytes of some, as program ``index`` at address 0x1000·index."""
    code = b"".join(i if isinstance(i, bytes) else encode(i) for i in program)
    machine.memory[0x1000 * index:0x1000 * index + len(code)] = np.frombuffer(code, np.uint8)
    machine.write(f"PROGRAM[{index}].ADDRESS", 0x1000 * index)
    machine.write(f"PROGRAM[{index}].SIZE", len(code))


def store(**options) -> Store:
    return Store(**dict(format=Format.FLOAT32, base=0, offset=0x8000, source=0, length=4) | options)


def load(**options) -> Load:
    return Load(**dict(memory=Memory.VECTOR, format=Format.FLOAT32, base=0, offset=0x8000, destination=0, length=4) | options)


def tile(**options) -> Array:
    return Array(**dict(tag=Pass.FORWARD, columns=4, stream=0, stationary=0, accumulator=0, stream_count0=2,
                        row_count0=3) | options)


def fault(machine) -> tuple[FaultCause, int]:
    with pytest.raises(MachineFault) as caught:
        machine.run()
    assert machine.read("STATUS") & 0b111 == 0b100
    assert (machine.read("FAULT_CAUSE"), machine.read("FAULT_ADDRESS")) == (caught.value.cause, caught.value.address)
    return caught.value.cause, caught.value.address


def counting_program(phase: int) -> list:
    """Stores how often it ran, at word ``phase`` of the vector memory's copy in external memory."""
    lanes = TINY.vector_lanes
    return [Vector(addend=Addend.T, t=ONE, a=phase, d=phase, signal={Engine.STORE}),
            store(source=phase * lanes, length=1, offset=0x8000 + 4 * phase, wait={Engine.VECTOR}), End()]
