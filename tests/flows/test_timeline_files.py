"""Traces for Perfetto and the picture, of batches of which everything is known."""

import json

import numpy as np
import pytest

from adagp.compiler import Purpose
from adagp.spec.config import preset
from adagp.spec.isa import Array, End, Engine, Fill, Memory, Pass, Vector, encode
from adagp.spec.schedule import Phase
from adagp_flows import timeline
from adagp_flows.timeline import RecordedBatch, macs_per_cycle, share
from adagp_flows.timeline_picture import picture
from adagp_tb.timeline import EngineTimeline, Timeline

CONFIG = preset("tiny")
FORWARD, PREDICT = Purpose("conv1", "forward"), Purpose("conv1", "predict")
FILL = Fill(memory=Memory.STREAM, destination=0, length=4)
ARRAY = Array(tag=Pass.FORWARD, columns=4, stream=0, stationary=0, accumulator=0, stream_count0=8, row_count0=4,
              wait=frozenset({Engine.LOAD, Engine.VECTOR}))
VECTOR = Vector(a=0, d=0)


def engine(starts, ends, waits=(), macs=()):
    return EngineTimeline(starts=np.array(starts), ends=np.array(ends), waits=np.array(waits, int).reshape(-1, 2),
                          macs=np.array(macs, int).reshape(-1, 2))


def batch(number=7, phase=Phase.GP):
    work = [(FILL, FORWARD), (FILL, FORWARD), (ARRAY, FORWARD), (VECTOR, PREDICT), (VECTOR, FORWARD), (VECTOR, FORWARD)]
    return RecordedBatch(
        number=number, program=b"".join(encode(each) for each in (*(each for each, _ in work), End())),
        purposes=tuple(purpose for _, purpose in work),
        timeline=Timeline(phase=phase, cycles=100, engines={
            Engine.LOAD: engine([5, 8], [20, 30]),
            Engine.ARRAY: engine([31], [60], [(10, 30)], [(0, 0), (40, 16), (48, 0)]),
            Engine.VECTOR: engine([50, 52, 90], [60, 70, 95])}))


def events(trace, kind):
    return [event for event in trace["traceEvents"] if event["ph"] == kind]


def slices(trace, thread):
    return [(event["name"], event["ts"], event["dur"]) for event in events(trace, "X") if event["tid"] == thread]


def test_share_is_exact_in_windows_of_any_size():
    rng = np.random.default_rng(0)
    cycles = np.sort(rng.choice(1000, 100, replace=False)).reshape(-1, 2)
    edges = np.concatenate([[0], np.sort(rng.choice(np.arange(1, 1000), 30, replace=False)), [1000]])
    high = np.zeros(1000)
    for start, end in cycles:
        high[start:end] = 1
    assert np.allclose(share(cycles, edges), [high[a:b].mean() for a, b in zip(edges, edges[1:])])
    assert share(cycles[:0], edges).tolist() == [0.0] * 31


def test_macs_per_cycle_is_the_mean_of_each_window():
    activity = batch().timeline.engines[Engine.ARRAY]
    assert macs_per_cycle(activity, np.array([0, 40, 44, 50, 100])).tolist() == [0, 16, 64 / 6, 0]


def test_slices_are_when_an_instruction_is_the_oldest_in_its_engine():
    trace = timeline.trace("low", CONFIG, [batch()])
    assert slices(trace, 0) == [("batch 7", 0, 100)]
    assert slices(trace, 1 + Engine.LOAD) == [("conv1 forward", 5, 15), ("conv1 forward", 20, 10)]
    assert slices(trace, 1 + Engine.ARRAY) == [("conv1 forward", 31, 29), ("waits for load, vector", 10, 20)]
    assert slices(trace, 1 + Engine.VECTOR) == [
        ("conv1 predict", 50, 10), ("conv1 forward", 60, 10), ("conv1 forward", 90, 5)]
    arguments = next(event["args"] for event in events(trace, "X") if event["tid"] == 1 + Engine.ARRAY)
    assert arguments["layer"] == "conv1" and arguments["work"] == "forward"
    assert arguments["instruction"].startswith("array wait=load+vector tag=forward columns=4 ")


def test_batches_of_a_phase_follow_each_other():
    trace = timeline.trace("low", CONFIG, [batch(7), batch(9)])
    assert slices(trace, 0) == [("batch 7", 0, 100), ("batch 9", 100, 100)]
    assert slices(trace, 1 + Engine.LOAD)[2:] == [("conv1 forward", 105, 15), ("conv1 forward", 120, 10)]
    assert [event["ts"] for event in events(trace, "C")] == list(range(200))


def test_threads_and_process_have_names():
    trace = timeline.trace("low", CONFIG, [batch()])
    names = {(event["name"], event["tid"]): event["args"].get("name") for event in events(trace, "M")}
    assert names["process_name", 0] == "low, Phase GP, 4×4"
    assert {names["thread_name", 1 + each] for each in batch().timeline.engines} == {"load", "array", "vector"}
    assert {event["pid"] for event in trace["traceEvents"]} == {1}


def test_long_traces_merge_what_has_one_purpose(monkeypatch):
    monkeypatch.setattr(timeline, "MOST_SLICES", 5)
    trace = timeline.trace("low", CONFIG, [batch()])
    assert trace["otherData"]["slices"] == "runs of instructions of one layer and work"
    assert slices(trace, 1 + Engine.ARRAY) == [("conv1 forward", 31, 29)]
    assert slices(trace, 1 + Engine.VECTOR) == [("conv1 predict", 50, 10), ("conv1 forward", 60, 35)]
    arguments = [event["args"] for event in events(trace, "X") if event["tid"] == 1 + Engine.VECTOR][1]
    assert (arguments["instructions"], arguments["busy cycles"]) == (2, 15)


def test_a_file_for_each_phase(tmp_path):
    paths = timeline.write("low", CONFIG, [batch(3, Phase.GP), batch(4, Phase.BP), batch(5, Phase.GP)], tmp_path)
    assert [path.name for path in paths] == ["timeline-low-gp.json", "timeline-low-bp.json"]
    first, second = (json.loads(path.read_text()) for path in paths)
    assert [name for name, _, _ in slices(first, 0)] == ["batch 3", "batch 5"]
    assert [name for name, _, _ in slices(second, 0)] == ["batch 4"]


def test_share_of_each_purpose_adds_up_to_the_engine():
    edges = np.arange(0, 101, 10)
    covered = batch().covered(Engine.VECTOR, edges)
    assert set(covered) == {FORWARD, PREDICT}
    assert np.allclose(sum(covered.values()), share(batch().timeline.engines[Engine.VECTOR].intervals, edges))
    assert covered[PREDICT].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("designs", [["baseline"], ["baseline", "low"]])
def test_picture_has_a_panel_for_each_phase_of_each_design(tmp_path, designs):
    from matplotlib import image

    recorded = {name: (CONFIG, [batch(0, Phase.GP), batch(1, Phase.BP), batch(2, Phase.GP)]) for name in designs}
    picture(recorded, tmp_path / "timeline.png")
    pixels = (255 * image.imread(tmp_path / "timeline.png")[..., :3]).round().astype(int)
    left = pixels[:, pixels.shape[1] // 2, :]   # rows of the picture half-way through the batches: the array at work
    blue = (left == (0x44, 0x77, 0xaa)).all(1)
    assert np.count_nonzero(np.diff(blue.astype(int)) == 1) >= 2 * len(designs)
