"""Recorded batches as traces for Perfetto (https://ui.perfetto.dev), and what their engines worked for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np

from adagp.compiler import Purpose
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import INSTRUCTION_BYTES, Engine, Instruction, decode, disassemble
from adagp.spec.schedule import Phase
from adagp_tb.timeline import EngineTimeline, Timeline


MOST_SLICES = 50_000
"""Instructions (about 25 MB of JSON) up to which each is a slice of its own."""

_WINDOWS = 2048  # of a batch, for each of which the counter has a value


@dataclass(frozen=True, kw_only=True)
class RecordedBatch:
    """Batch ``number`` of a run, its program and the purpose of each instruction but the ``End``."""

    number: int
    timeline: Timeline
    program: bytes
    purposes: tuple[Purpose, ...]

    @property
    def phase(self) -> Phase:
        return self.timeline.phase

    @cached_property
    def work(self) -> dict[Engine, list[tuple[Instruction, Purpose]]]:
        """The instructions of each engine, in the order of its :class:`EngineTimeline`."""
        instructions = [decode(self.program[place:place + INSTRUCTION_BYTES])
                        for place in range(0, len(self.program) - INSTRUCTION_BYTES, INSTRUCTION_BYTES)]
        pairs = list(zip(instructions, self.purposes, strict=True))
        return {engine: [pair for pair in pairs if pair[0].engine is engine] for engine in self.timeline.engines}

    def covered(self, engine: Engine, edges: np.ndarray) -> dict[Purpose, np.ndarray]:
        """Share of each window between two ``edges`` in which the engine worked for each purpose."""
        intervals = self.timeline.engines[engine].intervals
        indices: dict[Purpose, list[int]] = {}
        for index, (_, purpose) in enumerate(self.work[engine]):
            indices.setdefault(purpose, []).append(index)
        return {purpose: share(intervals[some], edges) for purpose, some in indices.items()}


def share(intervals: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of each window between two ``edges`` that the disjoint, ascending ``intervals`` cover."""
    lengths = np.diff(intervals, axis=1).ravel()
    covered = np.stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)], 1).ravel()  # before each boundary
    return np.diff(np.interp(edges, intervals.ravel(), covered)) / np.diff(edges) if len(intervals) else 0 * edges[1:]


def macs_per_cycle(activity: EngineTimeline, edges: np.ndarray) -> np.ndarray:
    """Mean multiply-accumulates of a cycle, in each window between two ``edges``."""
    cycles, macs = activity.macs.T
    begun = np.concatenate([[0], np.cumsum(np.diff(cycles) * macs[:-1])])
    return np.diff(np.interp(edges, cycles, begun)) / np.diff(edges)


def trace(design: str, config: AcceleratorConfig, batches: list[RecordedBatch]) -> dict:
    """Batches of one phase in Chrome's trace event format, one after the other, a cycle as 1 µs.

    A process with a thread per engine. An instruction is a slice from when it is the oldest in the
    engine until its effects are complete; idle engines that wait for others have slices that name
    these. A counter gives the multiply-accumulates per cycle. With more than :data:`MOST_SLICES`
    instructions, successive ones of one purpose become one slice, and waits are left out.
    """
    merge = sum(len(batch.purposes) for batch in batches) > MOST_SLICES
    phase = batches[0].phase.name
    events = [_meta("process_name", 0, {"name": f"{design}, Phase {phase}, {config.rows}×{config.columns}"}),
              _meta("thread_name", 0, {"name": "batch"}), _meta("thread_sort_index", 0, {"sort_index": 0})]
    for engine in batches[0].timeline.engines:
        events += [_meta("thread_name", 1 + engine, {"name": engine.name.lower()}),
                   _meta("thread_sort_index", 1 + engine, {"sort_index": 1 + engine})]
    begin = 0
    for batch in batches:
        events.append(_slice(0, begin, batch.timeline.cycles, f"batch {batch.number}", "batch",
                             {"phase": phase, "cycles": batch.timeline.cycles}))
        for engine, activity in batch.timeline.engines.items():
            slices = _merged(batch, engine) if merge else _slices(batch, engine)
            events += [slice | {"ts": begin + slice["ts"]} for slice in slices]
            if len(activity.macs):
                events += _counter(f"{engine.name.lower()} MACs per cycle", activity, batch.timeline.cycles, begin)
        begin += batch.timeline.cycles
    return {"traceEvents": events, "displayTimeUnit": "ns",
            "otherData": {"time": "1 clock cycle is shown as 1 µs", "design": design, "phase": phase,
                          "array": f"{config.rows}×{config.columns}",
                          "slices": "runs of instructions of one layer and work" if merge else "instructions"}}


def _meta(name: str, thread: int, arguments: dict) -> dict:
    return {"ph": "M", "pid": 1, "tid": thread, "name": name, "args": arguments}


def _slice(thread: int, start: int, cycles: int, name: str, category: str, arguments: dict) -> dict:
    return {"ph": "X", "pid": 1, "tid": thread, "ts": int(start), "dur": int(cycles), "name": name, "cat": category,
            "args": arguments}


def _slices(batch: RecordedBatch, engine: Engine) -> Iterator[dict]:
    activity, work = batch.timeline.engines[engine], batch.work[engine]
    for (instruction, purpose), (start, end), taken in zip(work, activity.intervals, activity.starts, strict=True):
        yield _slice(1 + engine, start, end - start, f"{purpose.layer} {purpose.work}", purpose.work, {
            "layer": purpose.layer, "work": purpose.work, "instruction": disassemble(instruction),
            "cycles since it left its queue": int(end - taken)})
    for start, end in activity.waits:
        instruction, purpose = work[int(np.searchsorted(activity.starts, start))]
        waits_for = ", ".join(other.name.lower() for other in sorted(instruction.wait))
        yield _slice(1 + engine, start, end - start, f"waits for {waits_for}", "wait",
                     {"layer": purpose.layer, "work": purpose.work})


def _merged(batch: RecordedBatch, engine: Engine) -> Iterator[dict]:
    work = zip((purpose for _, purpose in batch.work[engine]), batch.timeline.engines[engine].intervals, strict=True)
    for purpose, run in groupby(work, key=lambda pair: pair[0]):
        intervals = np.array([interval for _, interval in run])
        start, end = intervals[0, 0], intervals[-1, 1]
        yield _slice(1 + engine, start, end - start, f"{purpose.layer} {purpose.work}", purpose.work, {
            "layer": purpose.layer, "work": purpose.work, "instructions": len(intervals),
            "busy cycles": int(np.diff(intervals, axis=1).sum())})


def _counter(name: str, activity: EngineTimeline, cycles: int, begin: int) -> Iterator[dict]:
    edges = np.linspace(0, cycles, min(_WINDOWS, cycles) + 1).round()
    for start, value in zip(edges, macs_per_cycle(activity, edges)):
        yield {"ph": "C", "pid": 1, "name": name, "ts": begin + int(start), "args": {"MACs": round(float(value), 2)}}


def write(design: str, config: AcceleratorConfig, batches: list[RecordedBatch], folder: Path) -> list[Path]:
    """Leaves ``timeline-<design>-<phase>.json`` in ``folder`` for each phase; returns these paths."""
    paths = []
    for phase in dict.fromkeys(batch.phase for batch in batches):
        text = json.dumps(trace(design, config, [batch for batch in batches if batch.phase is phase]),
                          separators=(",", ":"), ensure_ascii=False)
        paths.append(folder / f"timeline-{design}-{phase.name.lower()}.json")
        replace_file(paths[-1], lambda path: path.write_text(text + "\n", encoding="utf-8"))
    return paths
