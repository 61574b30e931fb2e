"""The vector unit: gathers words, evaluates, scatters."""

from dataclasses import replace

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Addend, Function, Multiplier, Vector

from .arithmetic import UNARY, bits, evaluate
from .walk import Walk


def word_walk(instruction: Vector, name: str, config: AcceleratorConfig) -> Walk:
    """Words that the instruction visits at ``name`` (a, b or d); axes are the loops 2, 1, 0."""
    i = instruction
    return Walk(config.vector_words, getattr(i, name), (i.count2, i.count1, i.count0),
                tuple(getattr(i, f"{name}_stride{loop}") for loop in (2, 1, 0)))


def writes_word(instruction: Vector) -> bool:
    return instruction.function != Function.REPORT


def reads_b(instruction: Vector) -> bool:
    if instruction.function == Function.ARITHMETIC:
        return instruction.multiplier == Multiplier.B or instruction.addend == Addend.B
    return instruction.function not in UNARY and instruction.function != Function.REPORT and instruction.addend == Addend.B


def compile_vector(instruction: Vector, config: AcceleratorConfig):
    """A function of the vector memory (float32 [words, lanes]) and of the QUALITY registers (uint32)
    that executes ``instruction``."""
    a, b, d = (word_walk(instruction, name, config) for name in "abd")
    with_b = reads_b(instruction)

    def report(vector: np.ndarray, quality: np.ndarray) -> None:
        replace(d, size=quality.size).write(quality, bits(a.read(vector)[..., 0]))

    def execute(vector: np.ndarray, quality: np.ndarray) -> None:
        second = b.read(vector) if with_b else None
        if with_b and instruction.broadcast:
            second = second[..., instruction.lane:instruction.lane + 1]
        d.write(vector, evaluate(instruction, a.read(vector), second))

    return execute if writes_word(instruction) else report
