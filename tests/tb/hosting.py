"""What a host does to run one program, for the tests of machines."""

import numpy as np

from adagp.spec.isa import INSTRUCTION_BYTES, Instruction, encode

PROGRAM = 0x4000
"""Where :func:`install` puts the program."""


def instruction_address(index: int) -> int:
    return PROGRAM + index * INSTRUCTION_BYTES


def install(machine, instructions: list[Instruction | bytes]) -> None:
    """Puts a program (raw bytes stand for themselves) in memory and the registers that run it once."""
    program = b"".join(item if isinstance(item, bytes) else encode(item) for item in instructions)
    machine.memory[PROGRAM:PROGRAM + len(program)] = np.frombuffer(program, np.uint8)
    for register, value in {"PROGRAM[0].ADDRESS": PROGRAM, "PROGRAM[0].SIZE": len(program), "WINDOW_FIRST": 0,
                            "WINDOW_LAST": machine.memory.size - 1, "WARMUP_BATCHES": 0xFFFF_FFFF,
                            "BATCHES": 1}.items():
        machine.write(register, value)
