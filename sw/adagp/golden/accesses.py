"""What instructions read and write: exact sets of addresses, and who touched an address last."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import (
    Array, Engine, Fill, Instruction, Load, Memory, PredictorArray, Store, Vector)

from .array_unit import accumulator_walk, stationary_walk, stream_walk
from .transfer import External, scratchpad_walk
from .vector_unit import reads_b, word_walk, writes_word

EXTERNAL_UNIT = 2
"""Bytes of external memory that are told apart; no element is smaller."""


class Space(IntEnum):
    """Where an address lies. Scratchpads (numbered as :class:`Memory`) are told apart by element.
    LOCAL is the predictor memory."""

    STREAM = 0
    STATIONARY = 1
    VECTOR = 2
    PREDICTOR_STREAM = 3
    PREDICTOR_STATIONARY = 4
    EXTERNAL = 5
    LOCAL = 6


@dataclass(frozen=True, eq=False)
class Access:
    """``addresses`` (int64, flat, in the order of the loops) of one space, all read or all written."""

    space: Space
    write: bool
    addresses: np.ndarray


def accesses(instruction: Instruction, bases: list[int], config: AcceleratorConfig) -> list[Access]:
    """Everything that ``instruction`` touches. What it writes is not listed as read too."""
    match instruction:
        case Load():
            return [_external(instruction, bases, write=False), _scratchpad(instruction, config, write=True)]
        case Fill():
            return [_scratchpad(instruction, config, write=True)]
        case Store():
            return [_scratchpad(instruction, config, write=False), _external(instruction, bases, write=True)]
        case Vector():
            names = ["a", *("b" if reads_b(instruction) else ""), *("d" if writes_word(instruction) else "")]
            return [Access(Space.VECTOR, name == "d", _lanes(word_walk(instruction, name, config).addresses(), config))
                    for name in names]
        case Array():
            own = isinstance(instruction, PredictorArray)
            return [Access(Space.PREDICTOR_STREAM if own else Space.STREAM, False, _streamed(instruction, config)),
                    Access(Space.PREDICTOR_STATIONARY if own else Space.STATIONARY, False, stationary_walk(instruction, config).addresses().ravel()),
                    Access(Space.VECTOR, True, _lanes(accumulator_walk(instruction, config).addresses(), config))]
    return []


def _scratchpad(instruction: Load | Fill | Store, config: AcceleratorConfig, *, write: bool) -> Access:
    memory = getattr(instruction, "memory", Memory.VECTOR)
    return Access(Space(memory), write, scratchpad_walk(instruction, config).addresses().ravel())


def _external(instruction: Load | Store, bases: list[int], *, write: bool) -> Access:
    external = External.of(instruction)
    starts = external.at(0 if instruction.local else bases[instruction.base]).addresses().reshape(-1, 1) // EXTERNAL_UNIT
    return Access(Space.LOCAL if instruction.local else Space.EXTERNAL, write, (starts + np.arange(external.run_bytes // EXTERNAL_UNIT)).ravel())


def _lanes(words: np.ndarray, config: AcceleratorConfig) -> np.ndarray:
    return (words.reshape(-1, 1) * config.vector_lanes + np.arange(config.vector_lanes)).ravel()


def _streamed(instruction: Array, config: AcceleratorConfig) -> np.ndarray:
    """Without the rows of the last chunk that are beyond the contraction."""
    addresses = stream_walk(instruction, config).addresses()
    rows = instruction.row_count0 * instruction.row_count1 * instruction.row_count2
    used = np.arange(addresses.shape[2] * addresses.shape[3]) < rows
    return addresses[:, :, used.reshape(addresses.shape[2:4])].ravel()


class History:
    """Per address the number of the last instruction that wrote it and, by engine, that read it."""

    def __init__(self, config: AcceleratorConfig, memory_bytes: int):
        sizes = {Space.STREAM: config.stream_elements, Space.STATIONARY: config.stationary_elements,
                 Space.PREDICTOR_STREAM: config.predictor_stream_elements,
                 Space.PREDICTOR_STATIONARY: config.predictor_stationary_elements,
                 Space.LOCAL: 4 * config.predictor_elements // EXTERNAL_UNIT,
                 Space.VECTOR: config.vector_elements, Space.EXTERNAL: memory_bytes // EXTERNAL_UNIT}
        self._writers = {space: np.zeros(size, np.int32) for space, size in sizes.items()}  # number + 1
        self._readers = {}
        self._sizes = sizes

    def record(self, number: int, engine: Engine, touched: list[Access]) -> None:
        """Notes that instruction ``number`` (counted up from 0) on ``engine`` makes these accesses."""
        for access in touched:
            self._last(access.space, None if access.write else engine)[access.addresses] = number + 1

    def conflicts(self, touched: list[Access]) -> dict[int, tuple[Space, int]]:
        """Numbers of the instructions that last touched what ``touched`` touches, at least one of
        the two writing, each with a place of the conflict."""
        found = {}
        for access in touched:
            tables = [self._writers[access.space]]
            if access.write:
                tables += [table for (space, _), table in self._readers.items() if space == access.space]
            for table in tables:
                numbers, where = np.unique(table[access.addresses], return_index=True)
                found.update({int(number) - 1: (access.space, int(access.addresses[index]))
                              for number, index in zip(numbers, where) if number})
        return found

    def _last(self, space: Space, engine: Engine | None) -> np.ndarray:
        if engine is None:
            return self._writers[space]
        if (space, engine) not in self._readers:
            self._readers[space, engine] = np.zeros(self._sizes[space], np.int32)
        return self._readers[space, engine]
