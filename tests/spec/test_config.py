"""Configurations: derived sizes, presets, refusals."""

import re
from dataclasses import replace

import pytest

from adagp.spec.config import PRESETS, AcceleratorConfig, Design, preset
from adagp.spec.formats import BFLOAT16, FLOAT32


@pytest.mark.parametrize("rows, columns, bus_bits, stream_lanes, stationary_lanes, vector_lanes", [
    (2, 2, 64, 4, 4, 4), (3, 5, 64, 4, 8, 8), (12, 15, 128, 16, 16, 16), (12, 15, 512, 32, 32, 32),
    (17, 128, 64, 32, 128, 128), (128, 2, 256, 128, 16, 16)])
def test_lanes_are_powers_of_two_that_hold_a_side_and_a_beat(
        rows, columns, bus_bits, stream_lanes, stationary_lanes, vector_lanes):
    config = AcceleratorConfig(rows=rows, columns=columns, bus_bits=bus_bits)
    assert (config.stream_lanes, config.stationary_lanes, config.vector_lanes) == (
        stream_lanes, stationary_lanes, vector_lanes)
    assert config.vector_elements == config.vector_words * vector_lanes
    assert (config.bus_bytes, config.bus_operands) == (bus_bits // 8, bus_bits // 16)


def test_presets_are_the_documented_arrays():
    assert {name: (config.rows, config.columns) for name, config in PRESETS.items()} == {
        "tiny": (4, 4), "small": (8, 8), "paper": (12, 15), "vc707": (12, 15), "large": (16, 16)}
    assert preset("paper") is PRESETS["paper"]
    with pytest.raises(ValueError, match="preset must be one of tiny, small, paper, vc707, large, not 'huge'"):
        preset("huge")


def test_vc707_is_the_paper_s_machine_with_the_block_memory_of_its_board():
    paper, board = preset("paper"), preset("vc707")
    assert replace(board, predictor_elements=paper.predictor_elements) == paper
    of_max = board.with_design(Design.MAX)
    operands = sum(shape.stream_elements + shape.stationary_elements for shape in (of_max.array, of_max.predictor_array))
    bits = 16 * operands + 32 * (of_max.vector_elements + of_max.predictor_elements)
    assert bits < 1030 * 36 * 1024 < 32 * paper.predictor_elements


@pytest.mark.parametrize("name, features", [("paper", 256), ("vc707", 36)])
def test_predictor_memory_holds_a_predictor_of_so_many_features(name, features):
    """Weights and biases of its linear layer for 3×3×512 inputs, each with two moments."""
    assert 3 * (features + 1) * 4608 <= preset(name).predictor_elements


def test_designs_differ_in_nothing_else():
    config = preset("small")
    low = config.with_design(Design.LOW)
    assert low.design is Design.LOW and low.with_design(Design.BASELINE) == config


def test_designs_tell_what_they_have_for_the_predictor():
    assert [design.has_predictor_memory for design in Design] == [False, False, True, True]
    assert [design.has_predictor_array for design in Design] == [False, False, False, True]


def test_the_predictors_array_has_lanes_of_its_own():
    config = AcceleratorConfig(rows=16, columns=12, bus_bits=64, predictor_rows=3, predictor_columns=7,
                               predictor_stream_elements=64, predictor_stationary_elements=256)
    assert (config.array.stream_lanes, config.array.stationary_lanes) == (16, 16)
    own = config.predictor_array
    assert (own.rows, own.columns, own.stream_lanes, own.stationary_lanes) == (3, 7, 4, 8)
    assert (own.stream_elements, own.stationary_elements) == (64, 256)


@pytest.mark.parametrize("name, value, rule", [
    ("rows", 1, "an integer from 2 to 128"), ("rows", 129, "an integer from 2 to 128"),
    ("rows", True, "an integer from 2 to 128"), ("columns", 0, "an integer from 2 to 128"),
    ("columns", 8.0, "an integer from 2 to 128"), ("design", 1, "a Design"),
    ("bus_bits", 32, "64, 128, 256 or 512"), ("stream_elements", 100, "a power of two from 128 to 1048576"),
    ("stream_elements", 64, "a power of two from 128 to 1048576"),
    ("stationary_elements", 1 << 21, "a power of two from 128 to 1048576"),
    ("vector_words", 32, "a power of two from 64 to 65536"), ("vector_words", 1 << 17, "a power of two from 64 to 65536"),
    ("vector_banks", 3, "a power of two from 2 to 16"), ("queue_depth", 1, "a power of two from 2 to 64"),
    ("burst_beats", 512, "a power of two from 1 to 256"), ("read_buffer_beats", 16, "a power of two from 32 to 4096"),
    ("predictor_rows", 9, "an integer from 2 to 8, as the main array"), ("predictor_columns", 1, "an integer from 2 to 8, as the main array"),
    ("predictor_elements", 32, "a power of two from 64 to 67108864"), ("predictor_elements", 100, "a power of two from 64 to 67108864"),
    ("predictor_stream_elements", 64, "a power of two from 128 to 1048576"),
    ("predictor_stationary_elements", 1 << 21, "a power of two from 128 to 1048576"),
    ("operand", FLOAT32, "BFLOAT16"), ("accumulator", BFLOAT16, "FLOAT32")])
def test_errors_name_parameter_rule_and_value(name, value, rule):
    with pytest.raises(ValueError, match=f"AcceleratorConfig.{name} must be {rule}, not {re.escape(repr(value))}"):
        AcceleratorConfig(**dict(rows=8, columns=8) | {name: value})


def test_a_burst_stays_within_a_page():
    with pytest.raises(ValueError, match="burst_beats times the bus width must be at most 4096 bytes, not 8192"):
        AcceleratorConfig(rows=8, columns=8, bus_bits=512, burst_beats=128, read_buffer_beats=256)


def test_vector_memory_is_addressable_by_element():
    AcceleratorConfig(rows=8, columns=128, vector_words=1 << 13)
    with pytest.raises(ValueError, match="vector_words must be a power of two from 64 to 8192, not 16384"):
        AcceleratorConfig(rows=8, columns=128, vector_words=1 << 14)
