"""What does not fit is refused, and in words."""

from dataclasses import replace

import pytest

from adagp.spec.config import Design, preset
from adagp_flows.synthesis import ecp5, xc7
from adagp_flows.synthesis.devices import DoesNotFit, check_counted, check_possible, named

VC707 = named(xc7.DEVICES, xc7.VC707)


def test_more_elements_than_multipliers_are_refused():
    with pytest.raises(DoesNotFit, match="85k has 156 multipliers, and the 180 elements of the arrays need one each"):
        check_possible(preset("paper"), named(ecp5.DEVICES, "85k"))
    check_possible(preset("paper"), VC707)


def test_the_predictors_array_counts_where_there_is_one():
    config = replace(preset("small"), rows=12, columns=12, predictor_rows=4, predictor_columns=4)  # 144 and 16
    check_possible(config, named(ecp5.DEVICES, "85k"))
    with pytest.raises(DoesNotFit, match="the 160 elements"):
        check_possible(config.with_design(Design.MAX), named(ecp5.DEVICES, "85k"))


def test_a_predictor_memory_larger_than_the_device_is_refused():
    config = replace(preset("paper"), predictor_elements=1 << 24)
    check_possible(config, VC707)  # the baseline has none
    with pytest.raises(DoesNotFit, match="xc7vx485t has 37,969,920 bits of block memory, and the memories need 540,"):
        check_possible(config.with_design(Design.EFFICIENT), VC707)


def test_all_that_is_short_is_named():
    with pytest.raises(DoesNotFit, match="25k is too small: the design needs lut 30,000 of 24,288, dsp 29 of 28$"):
        check_counted({"lut": 30_000, "ff": 5, "bram": 56, "dsp": 29}, named(ecp5.DEVICES, "25k"))


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match="device must be one of 25k, 45k, 85k, not '12k'"):
        named(ecp5.DEVICES, "12k")
