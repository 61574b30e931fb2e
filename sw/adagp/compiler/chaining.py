"""How closely vector instructions may follow each other: what of an earlier one's words they read.

The vector unit issues a word per cycle and writes it ``VECTOR_LATENCY`` cycles later. Who reads the
words of an instruction in the order in which it writes them can follow without a pause, if there
are enough; who needs the last one first has to wait for it.
"""

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import WORDS_IN_FLIGHT, Addend, Function, Multiplier, Vector

VECTOR_LATENCY = 14
"""Cycles from the issue of a word to that of one that depends on it."""

_NEVER = -(1 << 40)


class WrittenWords:
    """Numbers the words that the vector unit issues, and knows the number of the one that was last
    written to each place of the vector memory."""

    def __init__(self, config: AcceleratorConfig):
        self._writer = np.full(config.vector_words, _NEVER, np.int64)
        self.issued = 0

    def sources(self, instruction: Vector) -> np.ndarray:
        """For each word that ``instruction`` issues, the number of the latest that it reads from: int64
        [words], far below zero where the vector unit wrote none."""
        sources = self._writer[self._places(instruction, "a")]
        return np.maximum(sources, self._writer[self._places(instruction, "b")]) if reads_b(instruction) else sources

    def issue(self, instruction: Vector) -> None:
        places = self._places(instruction, "d")
        if instruction.function != Function.REPORT:
            self._writer[places] = self.issued + np.arange(places.size)
        self.issued += places.size

    def _places(self, i: Vector, operand: str) -> np.ndarray:
        places = getattr(i, operand)
        for loop in (2, 1, 0):
            steps = np.arange(getattr(i, f"count{loop}")) * getattr(i, f"{operand}_stride{loop}")
            places = np.add.outer(places, steps)
        return places.ravel() % self._writer.size

    def distances(self, instruction: Vector) -> tuple[int, int]:
        """The most that ``behind`` of ``instruction`` may be: without ``each``, and with it."""
        sources = self.sources(instruction)
        first = self.issued - sources
        each = first + np.arange(first.size)
        return tuple(int(min(WORDS_IN_FLIGHT - 1, distance.min() - 1)) for distance in (first, each))

    def waiting(self, instruction: Vector) -> dict[str, int]:
        """The fields ``behind`` and ``each`` with which ``instruction`` waits least for what it reads."""
        first, each = self.distances(instruction)
        words = instruction.count0 * instruction.count1 * instruction.count2
        pause = max(0, VECTOR_LATENCY - 1 - first)
        pauses = max(0, words * (VECTOR_LATENCY - 1 - each) / (each + 1))
        return {"behind": each, "each": 1} if pauses < pause else {"behind": first, "each": 0}


def reads_b(instruction: Vector) -> bool:
    """Whether it may read the word at b (a superset for functions of a alone)."""
    i = instruction
    return i.addend == Addend.B or (i.multiplier == Multiplier.B and i.function == Function.ARITHMETIC)
