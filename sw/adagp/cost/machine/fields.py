"""Fields of a whole program at once."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from adagp.spec.isa import FIELDS, HEADER, INSTRUCTION_BYTES, Engine, Opcode


@cache
def _row(opcode: Opcode) -> type[NamedTuple]:
    names = ["opcode", "wait", "signal", *FIELDS[opcode]]
    return NamedTuple(opcode.name.title(), [(name, int) for name in names])


def instructions(program: bytes) -> list[NamedTuple]:
    """A tuple of ``opcode``, ``wait``, ``signal`` (sets of engines as bits) and the opcode's fields for each
    instruction, in order. Strides are signed."""
    words = np.frombuffer(program, np.uint8).reshape(-1, INSTRUCTION_BYTES)
    codes = words[:, 0] & ((1 << HEADER["opcode"]) - 1)
    rows: list = [None] * len(words)
    for code in np.unique(codes):
        opcode = Opcode(int(code))
        places = np.flatnonzero(codes == code)
        columns = list(_columns(words[places], opcode))
        row = _row(opcode)
        for place, values in zip(places.tolist(), zip(*columns)):
            rows[place] = row(opcode, *values)
    return rows


def _columns(words: np.ndarray, opcode: Opcode) -> Iterator[list[int]]:
    position = 0
    for name, width in (HEADER | FIELDS[opcode]).items():
        if name != "opcode":
            yield _extract(words, position, width, "stride" in name)
        position += width


def _extract(words: np.ndarray, position: int, width: int, signed: bool) -> list[int]:
    value = np.zeros(len(words), np.int64)
    first = position // 8
    for byte in range(first, (position + width - 1) // 8 + 1):
        value |= words[:, byte].astype(np.int64) << (8 * (byte - first))
    value = value >> (position % 8) & ((1 << width) - 1)
    if signed:
        value -= (value >> (width - 1)) << width
    return value.tolist()


def engines(mask: int) -> list[Engine]:
    """Those of ``wait`` or ``signal``."""
    return _ENGINES[mask]


_ENGINES = [[engine for engine in Engine if mask >> engine & 1] for mask in range(1 << len(Engine))]
