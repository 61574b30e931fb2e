"""Proof that a program is well synchronised: its meaning does not depend on how engines overlap."""

from bisect import bisect_right

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    WORDS_IN_FLIGHT, Addend, Array, Engine, Instruction, Load, Store, Vector, disassemble)

from .accesses import EXTERNAL_UNIT, Access, History, Space, accesses
from .arithmetic import BINARY
from .vector_unit import reads_b, word_walk, writes_word


class ProgramError(Exception):
    """A program breaks a rule of the instruction set, or a race decides its result."""


class Checker:
    """Follows one batch in program order.

    A vector clock per engine counts the instructions of each engine that are certainly complete
    when its next instruction starts. A token carries the clock of the giver with the giver itself.
    Instructions of one engine take effect in order, but that of the vector unit's words some are
    still on their way to the memory when later ones are read.
    """

    def __init__(self, config: AcceleratorConfig, memory_bytes: int):
        self._config = config
        self._history = History(config, memory_bytes)
        self._issued: list[Instruction] = []
        self._positions: list[int] = []  # of an instruction among those of its engine, from 1
        self._started = dict.fromkeys(Engine, 0)
        self._clocks = {engine: dict.fromkeys(Engine, 0) for engine in Engine}
        self._tokens: dict[tuple[Engine, Engine], list[dict[Engine, int]]] = {}
        self._words = _WordsInFlight(config)

    def issue(self, instruction: Instruction, bases: list[int]) -> None:
        """Takes the next instruction; raises :class:`ProgramError`. Its tokens must be there."""
        engine, number = instruction.engine, len(self._issued)
        check_instruction(instruction, self._config, number)
        clock = self._clocks[engine]
        for giver in instruction.wait:
            token = self._tokens[giver, engine].pop(0)
            clock.update({other: max(clock[other], token[other]) for other in Engine})
        touched = accesses(instruction, bases, self._config)
        self._issued.append(instruction)
        if not isinstance(instruction, Vector):
            self._words.overwrite(touched)
        elif unwritten := self._words.issue(instruction, number):
            earlier, word = unwritten
            raise ProgramError(f"{self._name(number)} reads word {word}, which {self._name(earlier)} "
                               "may not have written yet")
        for earlier, place in sorted(self._history.conflicts(touched).items()):
            self._require_order(earlier, number, place)
        self._history.record(number, engine, touched)
        self._started[engine] += 1
        self._positions.append(self._started[engine])
        completion = clock | {engine: self._started[engine]}
        for taker in instruction.signal:
            self._tokens.setdefault((engine, taker), []).append(dict(completion))

    def _require_order(self, earlier: int, later: int, place: tuple[Space, int]) -> None:
        first, second = self._issued[earlier], self._issued[later]
        if first.engine != second.engine and self._clocks[second.engine][first.engine] < self._positions[earlier]:
            raise ProgramError(f"no token orders {self._name(earlier)} and {self._name(later)}, "
                               f"which both use {_describe(place)}")

    def _name(self, number: int) -> str:
        return f"instruction {number} ({disassemble(self._issued[number])})"


class _WordsInFlight:
    """Numbers the vector unit's words in the order in which they are read, and follows which of them
    are certainly written."""

    def __init__(self, config: AcceleratorConfig):
        self._config = config
        self._writers = np.full(config.vector_words, -1)
        self._starts: list[int] = []
        self._instructions: list[int] = []
        self._count = self._written = 0  # words below the latter are written

    def issue(self, instruction: Vector, number: int) -> tuple[int, int] | None:
        """The number of an instruction that may not have written the word that this one reads, and the word."""
        places = [word_walk(instruction, name, self._config).addresses().ravel()
                  for name in ("a", "b") if name == "a" or reads_b(instruction)]
        numbers = self._count + np.arange(places[0].size)
        starts = numbers if instruction.each else np.full_like(numbers, self._count)
        written = np.maximum.accumulate(np.maximum(starts - instruction.behind, numbers - (WORDS_IN_FLIGHT - 1)))
        written = np.maximum(written, self._written)
        for read in places:
            early = np.nonzero(self._writers[read] >= written)[0]
            if early.size:
                place = bisect_right(self._starts, self._writers[read[early[0]]]) - 1
                return self._instructions[place], int(read[early[0]])
        if writes_word(instruction):
            self._writers[word_walk(instruction, "d", self._config).addresses().ravel()] = numbers
        self._starts.append(self._count)
        self._instructions.append(number)
        self._count, self._written = self._count + numbers.size, int(written[-1])
        return None

    def overwrite(self, touched: list[Access]) -> None:
        """Another engine makes these accesses; to be allowed to write, it knows the unit's words complete."""
        for access in touched:
            if access.write and access.space == Space.VECTOR:
                self._writers[access.addresses // self._config.vector_lanes] = -1


def check_instruction(instruction: Instruction, config: AcceleratorConfig, number: int = 0) -> None:
    """Raises :class:`ProgramError` if ``instruction`` alone breaks a rule."""
    problem = None
    if isinstance(instruction, Vector):
        problem = _vector_problem(instruction, config)
    elif isinstance(instruction, Array):
        vectors = instruction.stream_count0 * instruction.stream_count1 * instruction.stream_count2
        if vectors > config.vector_words:
            problem = f"visits more words per tile than the {config.vector_words} of the vector memory"
    elif isinstance(instruction, Load | Store):
        written = next(access for access in accesses(instruction, [0] * 8, config) if access.write)
        if np.unique(written.addresses).size < written.addresses.size:
            problem = f"writes an address of {written.space.name} twice"
    if problem:
        raise ProgramError(f"instruction {number} ({disassemble(instruction)}) {problem}")


def _vector_problem(instruction: Vector, config: AcceleratorConfig) -> str | None:
    if not writes_word(instruction):
        return None
    if instruction.function in BINARY and instruction.addend == Addend.NONE:
        return "needs addend B or T as its y"
    written = word_walk(instruction, "d", config).addresses().ravel()
    if np.unique(written).size < written.size:
        return "writes a word twice"
    writer = np.full(config.vector_words, -1)
    writer[written] = np.arange(written.size)
    for name in ("a", "b") if reads_b(instruction) else ("a",):
        by = writer[word_walk(instruction, name, config).addresses().ravel()]
        if ((by >= 0) & (by != np.arange(by.size))).any():
            return f"reads at {name} a word that it writes at another loop index"
    return None


def _describe(place: tuple[Space, int]) -> str:
    space, address = place
    if space == Space.EXTERNAL:
        return f"external memory at {EXTERNAL_UNIT * address:#x}"
    if space == Space.LOCAL:
        return f"predictor memory at {EXTERNAL_UNIT * address:#x}"
    return f"element {address} of {space.name}"
