"""Beats that the transfers of a program move over the bus."""

from collections.abc import Iterable, Sequence

from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import Format, Opcode

from .runs import nested, starts


def beats_of_instructions(instructions: Iterable, config: AcceleratorConfig, bases: Sequence[int]) -> tuple[list[int], list[int]]:
    """Read and written by each of ``instructions``; those of the predictor memory do not count."""
    read, written = [], []
    for i in instructions:
        read.append(load_beats(i, config, bases) if i.opcode == Opcode.LOAD and not i.local else 0)
        written.append(store_beats(i, config, bases) if i.opcode == Opcode.STORE and not i.local else 0)
    return read, written


def load_beats(i, config: AcceleratorConfig, bases: Sequence[int]) -> int:
    """Of a ``Load`` from external memory."""
    size = Format(i.format).bytes
    if not i.transpose:
        groups = i.count0 if i.dense else 1
        return _beats(starts(bases[i.base], i.offset, i, "source", dense=i.dense), groups * i.length * size, config.bus_bytes)
    block, beats = block_columns(config), 0
    for column in range(0, i.length, block):
        rows = nested(bases[i.base] + i.offset + column * size, [
            (i.count0, i.source_stride0), (i.count1, i.source_stride1), (i.count2, i.source_stride2)])
        beats += _beats(rows, min(block, i.length - column) * size, config.bus_bytes)
    return beats


def store_beats(i, config: AcceleratorConfig, bases: Sequence[int]) -> int:
    """Of a ``Store`` to external memory."""
    groups = i.count0 if i.dense else 1
    return _beats(starts(bases[i.base], i.offset, i, "destination", dense=i.dense),
                  groups * i.length * Format(i.format).bytes, config.bus_bytes)


def block_columns(config: AcceleratorConfig) -> int:
    """Elements of a row that a transposed load fetches at once."""
    return max(32, config.stream_lanes, config.stationary_lanes)


def _beats(addresses: list[int], length: int, bus: int) -> int:
    """Aligned beats that hold runs of ``length`` bytes."""
    return sum((address + length - 1) // bus - address // bus + 1 for address in addresses)
