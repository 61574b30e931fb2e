"""When each engine of the simulated RTL works on which instruction."""

from dataclasses import dataclass

import numpy as np

from adagp.spec.isa import Engine
from adagp.spec.schedule import Phase

from .rtl_machine import RtlMachine

_RUNNING, _PHASE = "adagp.phases.running", "adagp.phases.phase"


@dataclass(frozen=True, kw_only=True)
class EngineTimeline:
    """The instructions of one engine in program order, in cycles from the beginning of the program.

    Instruction i is handed to the engine in cycle ``starts[i]``, when it has taken its tokens; all
    its effects are complete before cycle ``ends[i]``. Engines overlap the end of an instruction with
    the start of the next ones, and finish them in order. ``waits`` are the intervals (first cycle,
    cycle after the last) in which the engine has nothing to do because the next instruction in its
    queue waits for tokens of other engines. ``macs`` are the multiply-accumulates that begin: rows of
    a cycle and the number in each cycle from it on, without rows for engines that do none.
    """

    starts: np.ndarray
    ends: np.ndarray
    waits: np.ndarray
    macs: np.ndarray

    @property
    def intervals(self) -> np.ndarray:
        """(instructions, 2): when each was the oldest one in the engine. Disjoint, in order; together
        they are all cycles in which the engine holds an instruction."""
        return np.stack([np.maximum(self.starts, np.concatenate([[0], self.ends[:-1]])), self.ends], 1)

    @property
    def busy(self) -> int:
        """Cycles in which the engine holds an instruction. The BUSY counter says the same, but that the
        array and the vector unit are not busy yet in the cycle in which they are handed one while empty."""
        return int(np.diff(self.intervals, axis=1).sum())


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One program as it ran: its phase, its cycles, and what the engines that the machine has did."""

    phase: Phase
    cycles: int
    engines: dict[Engine, EngineTimeline]


def record(machine: RtlMachine) -> list[Timeline]:
    """Runs ``machine`` as ``machine.run()`` does, in the same cycles and with the same faults, and
    tells what happened in each program that ran."""
    simulation = machine.simulation
    signals = {engine: {name: path for name, path in _paths(engine).items() if path in simulation.signals}
               for engine in Engine}
    simulation.watch(_RUNNING, _PHASE, *(path for paths in signals.values() for path in paths.values()))
    try:
        machine.run()
        changes = {path: simulation.changes(path).astype(np.int64) for path in simulation.watched}
    finally:
        simulation.watch()
    return [Timeline(phase=Phase(_value(changes[_PHASE], begin)), cycles=int(end - begin),
                     engines={engine: _part({name: changes[path] for name, path in paths.items()}, begin, end)
                              for engine, paths in signals.items() if paths})
            for begin, end in _high(changes[_RUNNING])]


def _paths(engine: Engine) -> dict[str, str]:
    name = engine.name.lower()
    return {"take": f"adagp.dispatch.{name}_queue.take", "stuck": f"adagp.dispatch.{name}_queue.stuck",
            "done": f"adagp.{name}_engine.done", "macs": f"adagp.{name}_engine.macs"}


def _part(changes: dict[str, np.ndarray], begin: int, end: int) -> EngineTimeline:
    """What happened from ``begin`` until before ``end``. All engines are idle at both."""
    def within(rows: np.ndarray) -> np.ndarray:
        return rows[(rows[:, 0] >= begin) & (rows[:, 0] < end)]

    taken, done = (within(_cycles(_high(changes[name])))[:, 0] - begin for name in ("take", "done"))
    macs = np.empty((0, 2), np.int64)
    if "macs" in changes:
        macs = np.concatenate([[[0, 0]], within(changes["macs"]) - (begin, 0)])
    return EngineTimeline(starts=taken + 1,  # a queue offers its head in the cycle after it has taken the tokens
                          ends=done + 1, waits=within(_high(changes["stuck"])) - begin, macs=macs)


def _value(changes: np.ndarray, cycle: int) -> int:
    """That of a signal in ``cycle``."""
    return int(changes[np.searchsorted(changes[:, 0], cycle, "right") - 1, 1])


def _high(changes: np.ndarray) -> np.ndarray:
    """(intervals, 2): from when until when a signal of one bit, which is low in the end, is high."""
    rises = np.flatnonzero(changes[:-1, 1])
    return np.stack([changes[rises, 0], changes[rises + 1, 0]], 1)


def _cycles(intervals: np.ndarray) -> np.ndarray:
    """(cycles, 1): all that are in the intervals."""
    return np.concatenate([np.empty(0, np.int64), *(np.arange(start, end) for start, end in intervals)])[:, None]
