"""What does not fit is refused, and in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from adagp.spec.config import Design, preset
from adagp_flows.synthesis import ecp5, xc7
from adagp_flows.synthesis.devices import DoesNotFit, check_counted, named
from adagp_flows.synthesis.subject import Subject
from adagp_flows.synthesis.targets import question


def check(target, config, device, part="machine"):
    question(target, Subject(name="x", config=config, part=part), root=Path("nowhere"), device=device)


def test_more_elements_than_multipliers_are_refused():
    with pytest.raises(DoesNotFit, match="85k has 156 multipliers, and the 180 elements of the arrays need one each"):
        check("ecp5", preset("paper"), "85k")
    check("xc7", preset("paper"), xc7.VC707)
    check("ecp5", preset("paper"), "85k", part="element")


def test_the_predictors_array_counts_where_there_is_one():
    config = replace(preset("small"), rows=12, columns=12, predictor_rows=4, predictor_columns=4)  # 144 and 16
    check("ecp5", config, "85k")
    with pytest.raises(DoesNotFit, match="the 160 elements"):
        check("ecp5", config.with_design(Design.MAX), "85k")
    check("ecp5", config.with_design(Design.MAX), "85k", part="array")


def test_a_predictor_memory_larger_than_the_device_is_refused():
    check("xc7", preset("paper"), xc7.VC707)  # the baseline has none
    with pytest.raises(DoesNotFit, match="xc7vx485t has 37,969,920 bits of block memory, and the memories need 137,363,456"):
        check("xc7", preset("paper").with_design(Design.EFFICIENT), xc7.VC707)
    check("xc7", preset("paper").with_design(Design.EFFICIENT), xc7.ANY)


def test_a_small_ice40_has_not_the_memory_of_the_smallest_preset():
    with pytest.raises(DoesNotFit, match="hx8k has 131,072 bits of block memory, and the memories need 393,216"):
        check("ice40", preset("tiny"), "hx8k")


def test_all_that_is_short_is_named():
    with pytest.raises(DoesNotFit, match="25k is too small: the design needs lut 30,000 of 24,288, dsp 29 of 28$"):
        check_counted({"lut": 30_000, "ff": 5, "bram": 56, "dsp": 29}, named(ecp5.DEVICES, "25k"))


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="device must be one of 85k, 45k, 25k, not '12k'"):
        named(ecp5.DEVICES, "12k")
