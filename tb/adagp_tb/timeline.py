"""When each engine of the simulated RTL works on which instruction."""

from dataclasses import dataclass

import numpy as np

from adagp.spec.isa import Engine

from .rtl_machine import RtlMachine

_RUNNING = "adagp.phases.running"


@dataclass(frozen=True, kw_only=True)
class EngineTimeline:
    """The instructions of one engine in program order, in cycles from the beginning of the batch.

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
    """One batch: its cycles (as counted by CYCLES) and what the engines that the machine has did."""

    cycles: int
    engines: dict[Engine, EngineTimeline]


def record(machine: RtlMachine) -> Timeline:
    """Runs ``machine`` as ``machine.run()`` does, in the same cycles and with the same faults, and
    tells what happened in the batch; ValueError if there was more than one."""
    simulation = machine.simulation
    engines = [engine for engine in Engine if _signal(engine, "done") in simulation.signals]
    simulation.watch(_RUNNING, *(_signal(engine, name) for engine in engines for name in _names(engine)))
    try:
        machine.run()
        changes = {signal: simulation.changes(signal).astype(np.int64) for signal in simulation.watched}
    finally:
        simulation.watch()
    batches = _high(changes[_RUNNING])
    if len(batches) != 1:
        raise ValueError(f"BATCHES must be 1 to record a batch, not {len(batches)}")
    begin, end = batches[0]
    for change in changes.values():
        change[:, 0] -= begin
    return Timeline(cycles=int(end - begin), engines={
        engine: _engine_timeline({name: changes[_signal(engine, name)] for name in _names(engine)})
        for engine in engines})


def _names(engine: Engine) -> tuple[str, ...]:
    return ("take", "stuck", "done", "macs") if engine in (Engine.ARRAY, Engine.PREDICTOR) else ("take", "stuck", "done")


def _signal(engine: Engine, name: str) -> str:
    instance = "dispatch.{}_queue" if name in ("take", "stuck") else "{}_engine"
    return f"adagp.{instance.format(engine.name.lower())}.{name}"


def _engine_timeline(changes: dict[str, np.ndarray]) -> EngineTimeline:
    return EngineTimeline(
        starts=_cycles(_high(changes["take"])) + 1,  # the queue offers it in the cycle after it has taken the tokens
        ends=_cycles(_high(changes["done"])) + 1,
        waits=_high(changes["stuck"]),
        macs=changes.get("macs", np.empty((0, 2), np.int64)))


def _high(changes: np.ndarray) -> np.ndarray:
    """(intervals, 2): from when until when a signal of one bit, which is low in the end, is high."""
    rises = np.flatnonzero(changes[:-1, 1])
    return np.stack([changes[rises, 0], changes[rises + 1, 0]], 1)


def _cycles(intervals: np.ndarray) -> np.ndarray:
    """All cycles in the intervals."""
    return np.concatenate([np.arange(start, end) for start, end in intervals] or [np.empty(0, np.int64)])
