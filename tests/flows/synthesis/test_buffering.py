"""Nets with many loads."""

import re
from collections import Counter

import pytest

from adagp_flows.synthesis.buffering import FANOUT, PORT_FANOUT, buffered


def module(net: str, loads: int) -> str:
    cells = "".join(f"  INVX1 _{i}_ (\n    .A({net}),\n    .Y(y{i})\n  );\n" for i in range(loads))
    return f"module m(\\a[0] , clk);\n  input \\a[0] ;\n  wire \\a[0] ;\n  input clk;\n  wire inner;\n{cells}endmodule\n"


def pins(text: str) -> dict[str, dict[str, str]]:
    """Of each instance: the net at each pin."""
    return {name: dict(re.findall(r"\.(\w)\((\S+?) ?\)", body)) for name, body in re.findall(r"  \w+ (_\w+_) \(\n(.*?)\n  \);", text, re.DOTALL)}


@pytest.mark.parametrize("net, limit", [("inner", FANOUT), ("\\a[0] ", PORT_FANOUT)])
@pytest.mark.parametrize("loads", [1, 4, 5, 12, 13, 144, 145, 2000])
def test_every_load_is_driven_by_the_net_and_no_net_has_too_many(net, limit, loads):
    found = pins(buffered(module(net, loads), {"INVX1": {"A"}}))
    drivers = {nets["Y"]: nets["A"] for name, nets in found.items() if name.startswith("_buffer")}
    assert len(found) == loads + len(drivers)
    for load in range(loads):
        source = found[f"_{load}_"]["A"]
        while source in drivers:
            source = drivers[source]
        assert source == net.strip()
    fanout = Counter(nets["A"] for nets in found.values())
    assert fanout.pop(net.strip()) <= limit and all(number <= FANOUT for number in fanout.values())
    assert bool(drivers) == (loads > limit)


def test_pins_that_do_not_count_stay():
    text = module("clk", 50)
    assert buffered(text, {"INVX1": {"B"}}) == text


def test_a_name_with_brackets_stays_escaped():
    assert f".A(\\a[0] )" in buffered(module("\\a[0] ", 5), {"INVX1": {"A"}})
