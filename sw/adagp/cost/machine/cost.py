"""Cycles and bytes of compiled programs, as the machine's counters would say."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from adagp.compiler import Purpose, Training
from adagp.compiler.tensors import BASES
from adagp.spec.config import AcceleratorConfig
from adagp.spec.schedule import Phase

from .memory import ExternalMemory
from .program import ProgramTime
from .transfers import beats_of_instructions

@dataclass(frozen=True, kw_only=True)
class ProgramCost:
    """``cycles`` as the counter CYCLES, bytes as BYTES_READ, BYTES_FETCHED and BYTES_WRITTEN after the program.

    ``offered`` and ``done`` have a cycle for each instruction but ``End``, from the beginning of the program on: when its
    queue offers it to its engine, and when all its effects are complete. ``entered`` are (instruction, cycle) for those
    of the main array: when their first vector enters. ``read`` and ``written`` are the bytes of each instruction.
    """

    cycles: int
    bytes_read: int
    bytes_fetched: int
    bytes_written: int
    offered: tuple[int, ...] = field(repr=False)
    done: tuple[int, ...] = field(repr=False)
    entered: tuple[tuple[int, int], ...] = field(repr=False)
    read: tuple[int, ...] = field(repr=False)
    written: tuple[int, ...] = field(repr=False)


def program_cost(program: bytes, config: AcceleratorConfig, *, memory: ExternalMemory = ExternalMemory(),
                 bases: Sequence[int] = (0,) * BASES, address: int = 0) -> ProgramCost:
    """``program`` as it lies at ``address`` and runs with these base registers; addresses matter as bursts end at
    multiples of their length. ValueError for a program that waits for itself for ever."""
    time = ProgramTime(program, config, memory, tuple(bases), address)
    cycles = time.run()
    read, written = beats_of_instructions(time.instructions[:-1], config, bases)
    bus = config.bus_bytes
    return ProgramCost(
        cycles=cycles, bytes_read=bus * sum(read), bytes_fetched=len(program), bytes_written=bus * sum(written),
        offered=tuple(time.offered[:-1]), done=tuple(time.done[:-1]), entered=tuple(time.entered),
        read=tuple(bus * beats for beats in read), written=tuple(bus * beats for beats in written))


@dataclass(frozen=True, kw_only=True)
class WorkCost:
    """What an operation's work of one kind costs: ``cycles`` from its first vector in the main array until that of other
    work enters, so that all cycles of a program are counted once, and the bytes of its own transfers."""

    cycles: int = 0
    bytes_read: int = 0
    bytes_written: int = 0

    def __add__(self, other: "WorkCost") -> "WorkCost":
        return WorkCost(cycles=self.cycles + other.cycles, bytes_read=self.bytes_read + other.bytes_read,
                        bytes_written=self.bytes_written + other.bytes_written)


def training_cost(training: Training, phase: Phase, *, memory: ExternalMemory = ExternalMemory(),
                  batches: int = 1) -> ProgramCost:
    """A batch of ``phase``, the first of ``batches`` that lie in memory. ValueError if the design has no such phase."""
    if phase not in training.programs:
        raise ValueError(f"phase must be one of {', '.join(each.name for each in training.programs)} on design "
                         f"{training.config.design.name}, not {phase.name}")
    return program_cost(training.programs[phase], training.config, memory=memory, bases=training.bases(batches),
                        address=training.program_addresses[phase])


def by_work(cost: ProgramCost, purposes: Sequence[Purpose]) -> dict[Purpose, WorkCost]:
    """Who the cycles and bytes of a program are for; ``purposes`` as :class:`adagp.compiler.Training` has them. What
    comes before the first vector belongs to its work."""
    result: defaultdict[Purpose, WorkCost] = defaultdict(WorkCost)
    for purpose, read, written in zip(purposes, cost.read, cost.written):
        if read or written:
            result[purpose] += WorkCost(bytes_read=read, bytes_written=written)
    begins = [(0 if number == 0 else cycle, index) for number, (index, cycle) in enumerate(cost.entered)]
    for (begin, index), (end, _) in zip(begins, [*begins[1:], (cost.cycles, -1)]):
        result[purposes[index]] += WorkCost(cycles=end - begin)
    return dict(result)
