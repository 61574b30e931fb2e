"""Points, the front that nobody beats, and the journal of a sweep."""

import json
import random
from dataclasses import replace

import pytest

from adagp.cost.exploration import (OBJECTIVES, Journal, Outcome, Point, check_objectives, elements, explore, front,
                                    memory_bits, points)
from adagp.spec.config import Design, preset

POINT = Point(rows=4, columns=4, design="low", batch=8, bus_bits=64, vector_words=1024, vector_banks=4, operands=8192)


def outcome(batch: int = 8, **values) -> Outcome:
    return Outcome(point=replace(POINT, batch=batch), **{"cycles": 1.0, "bytes": 1.0, "elements": 1, "memory": 1} | values)


def test_points_are_all_combinations():
    found = list(points(arrays=[(4, 4), (8, 2)], design=["low", "max"], batch=[1, 2, 3], bus_bits=[64], vector_words=[1024],
                        vector_banks=[4], operands=[8192]))
    assert len(found) == len(set(found)) == 12
    assert {(point.rows, point.columns) for point in found} == {(4, 4), (8, 2)}


def test_point_is_a_configuration_whose_predictor_array_is_no_larger():
    config = replace(POINT, rows=2, columns=3, design="max").config(preset("paper"))
    assert (config.rows, config.columns, config.design, config.bus_bits) == (2, 3, Design.MAX, 64)
    assert (config.predictor_rows, config.predictor_columns) == (2, 3)
    assert config.stream_elements == config.stationary_elements == 8192


@pytest.mark.parametrize(("field", "value"), [("vector_words", 0), ("operands", 0), ("rows", 1), ("bus_bits", 96)])
def test_impossible_sizes_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=f"AcceleratorConfig.{'stream_elements' if field == 'operands' else field} must be"):
        replace(POINT, **{field: value}).config(preset("tiny"))


def test_sizes_are_those_of_the_memories_and_arrays():
    config = replace(preset("tiny"), predictor_elements=1024)
    operands, words = 2 * 8192 * 16, 1024 * 4 * 32
    assert [elements(config.with_design(design)) for design in Design] == [16, 16, 16, 16 + 8]
    assert [memory_bits(config.with_design(design)) for design in Design] == [
        operands + words, operands + words, operands + words + 1024 * 32, operands + words + 1024 * 32 + 2 * 4096 * 16]


@pytest.mark.parametrize("seed", range(6))
def test_front_is_what_nobody_beats(seed):
    rng = random.Random(seed)
    names = list(OBJECTIVES)[:rng.randint(1, 4)]
    some = [outcome(cycles=rng.randint(1, 6), bytes=rng.randint(1, 6), elements=rng.randint(1, 6), memory=rng.randint(1, 6))
            for _ in range(60)] + [Outcome(point=POINT, error="does not fit")]

    def beats(other: Outcome, one: Outcome) -> bool:
        pairs = [(getattr(other, name), getattr(one, name)) for name in names]
        return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

    assert front(some, names) == [one.error is None and not any(beats(other, one) for other in some if not other.error)
                                  for one in some]


def test_equal_outcomes_are_all_on_the_front():
    assert front([outcome(), outcome(batch=4), outcome(cycles=2.0)], ["cycles"]) == [True, True, False]


def test_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="objective must be one of cycles, bytes, elements, memory, not 'area'"):
        check_objectives(["cycles", "area"])
    with pytest.raises(ValueError, match="at least one"):
        check_objectives([])


def test_journal_gives_back_what_it_was_told(tmp_path):
    told = [outcome(1), outcome(2, cycles=2.5), Outcome(point=replace(POINT, batch=3), error="too large")]
    journal = Journal(tmp_path / "points.jsonl", {"network": "a"})
    for each in told:
        journal.add(each)
    assert list(Journal(tmp_path / "points.jsonl", {"network": "a"}).outcomes.values()) == told


@pytest.mark.parametrize("torn", range(1, 60, 7))
def test_torn_last_line_is_forgotten(tmp_path, torn):
    path = tmp_path / "points.jsonl"
    journal = Journal(path, {})
    journal.add(outcome(1))
    whole = path.read_bytes()
    journal.add(outcome(2))
    path.write_bytes(path.read_bytes()[:len(whole) + torn])
    again = Journal(path, {})
    assert list(again.outcomes) == [replace(POINT, batch=1)] and path.read_bytes() == whole
    again.add(outcome(2))
    assert len(Journal(path, {}).outcomes) == 2


def test_torn_first_line_begins_anew(tmp_path):
    path = tmp_path / "points.jsonl"
    path.write_text('{"sweep": "12')
    assert not Journal(path, {}).outcomes
    assert json.loads(path.read_text())["sweep"]


def test_journal_of_another_sweep_is_left_alone(tmp_path):
    path = tmp_path / "points.jsonl"
    Journal(path, {"network": "a"}).add(outcome())
    before = path.read_bytes()
    with pytest.raises(ValueError, match="points.jsonl holds another sweep"):
        Journal(path, {"network": "b"})
    assert path.read_bytes() == before


def test_only_what_the_journal_lacks_is_evaluated(tmp_path):
    journal, asked, left = Journal(tmp_path / "points.jsonl", {}), [], []
    journal.add(outcome(1))

    def evaluate(missing):
        asked.append(list(missing))
        yield from (outcome(point.batch, cycles=float(point.batch)) for point in reversed(missing))

    wanted = [replace(POINT, batch=batch) for batch in (3, 1, 2, 3)]
    found = explore(wanted, journal, evaluate, lambda each, remaining: left.append(remaining))
    assert [each.point for each in found] == wanted and asked == [[wanted[0], wanted[2]]] and left == [1, 0]
    explore(wanted, journal, evaluate)
    assert asked[1] == []
