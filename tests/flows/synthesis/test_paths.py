"""Longest paths of netlists that are not placed: sums by hand, and all paths of random netlists one by one."""

import json
import random

import pytest

from adagp_flows.synthesis import ecp5, xc7
from adagp_flows.synthesis.paths import CellTiming, Timing, longest, report

KINDS = {
    "FF": CellTiming(launch={"Q": 0.5}, setup={"CE": 0.3}, ignored=frozenset({"CLK"})),
    "GATE": CellTiming(through={"Z": {"A": 0.25, "B": 0.5}}),
    "MUX": CellTiming(through={"Z": {"A": 0.125, "B": 0.125}}, adjacent=frozenset({"A"})),
}
TIMING = Timing(cell=lambda cell, parameters: KINDS[cell], wire=lambda loads: 1.0 + 0.25 * loads)
OUTPUTS = {"Q", "Z"}


def netlist(cells, names=()):
    """``cells``: name -> (kind, port=bit …). ``names`` of bits."""
    return json.dumps({"modules": {"top": {
        "cells": {name: {"type": kind, "port_directions": {port: "output" if port in OUTPUTS else "input" for port in ports},
                         "connections": {port: [bit] for port, bit in ports.items()}} for name, (kind, ports) in cells.items()},
        "netnames": {name: {"bits": [bit]} for name, bit in dict(names).items()}}}})


def test_a_path_is_the_sum_of_its_cells_and_wires():
    text = netlist({
        "a": ("FF", {"CLK": 1, "D": "0", "Q": 2}), "b": ("GATE", {"A": 2, "B": "x", "Z": 3}),
        "c": ("MUX", {"A": 3, "B": 2, "Z": 4}), "d": ("FF", {"CLK": 1, "D": 5, "CE": 4, "Q": 5})},
        {"start": 2, "_7_": 3, "chosen": 4, "end": 5})
    first, *_ = longest(text, TIMING, top="top")
    # 0.5, wire of 2 loads, gate, no wire, multiplexer, wire of 1 load, setup
    assert first.delay_ns == 0.5 + 1.5 + 0.25 + 0.125 + 1.25 + 0.3
    assert first.signals == ((0.5, "start"), (2.38, "chosen"), (3.92, "end (CE)"))
    assert first.cells == 2


def test_the_same_path_of_other_bits_is_told_once():
    cells = {f"a{i}": ("FF", {"CLK": 1, "D": 10 + (i + 1) % 4, "Q": 10 + i}) for i in range(4)}
    (only,) = longest(netlist(cells, {f"ring{i}": 10 + i for i in range(4)}), TIMING, top="top")
    assert only.alike == 4 and only.delay_ns == 0.5 + 1.25 and only.cells == 0


def test_a_loop_of_gates_ends():
    text = netlist({"a": ("GATE", {"A": 3, "B": 2, "Z": 3}), "b": ("FF", {"CLK": 1, "D": 3, "Q": 2})})
    assert longest(text, TIMING, top="top")[0].delay_ns == 0.5 + 1.25 + 0.5 + 1.5


@pytest.mark.parametrize("seed", range(20))
def test_no_path_of_a_random_netlist_is_longer(seed):
    rng = random.Random(seed)
    cells = {f"r{i}": ("FF", {"CLK": 1, "Q": 10 + i}) for i in range(4)}
    bits = [10, 11, 12, 13]
    for i in range(12):
        kind, (a, b) = rng.choice(["GATE", "MUX"]), rng.choices(bits, k=2)
        cells[f"g{i}"] = kind, {"A": a, "B": b, "Z": 20 + i}
        bits.append(20 + i)
    for i in range(4):
        cells[f"r{i}"][1]["D"] = rng.choice(bits)
    loads = {bit: sum(port not in OUTPUTS and other == bit for _, ports in cells.values() for port, other in ports.items()) for bit in bits}
    makers = {ports["Z"]: (kind, ports) for kind, ports in cells.values() if "Z" in ports}

    def ways(bit):
        if bit < 20:
            yield 0.5
            return
        kind, ports = makers[bit]
        for port in "AB":
            for before in ways(ports[port]):
                yield before + (0 if port in KINDS[kind].adjacent else TIMING.wire(loads[ports[port]])) + KINDS[kind].through["Z"][port]

    want = max(way + TIMING.wire(loads[ports["D"]]) for kind, ports in cells.values() if kind == "FF" for way in ways(ports["D"]))
    assert longest(netlist(cells), TIMING, top="top")[0].delay_ns == pytest.approx(want, abs=1e-3)


def test_the_report_has_the_clock_of_the_longest_path(tmp_path):
    text = netlist({"a": ("FF", {"CLK": 1, "D": 2, "Q": 2})}, {"toggle": 2})
    assert report(text, TIMING, top="top", folder=tmp_path) == round(1000 / 1.75, 1)
    assert (tmp_path / "paths.txt").read_text().startswith("  1.75 ns, 0 cells: toggle -> toggle (D), 1 alike\n")


def test_a_netlist_without_registers_has_no_clock(tmp_path):
    assert report(netlist({"a": ("GATE", {"A": 2, "B": 3, "Z": 4})}), TIMING, top="top", folder=tmp_path) is None


@pytest.mark.parametrize(("timing", "cell", "parameters", "launch"), [
    (ecp5.TIMING, "DP16KD", {"REGMODE_A": "OUTREG"}, {"DOA0": 0.8, "DOB17": 5.7}),
    (ecp5.TIMING, "MULT18X18D", {"REG_OUTPUT_CLK": "CLK0"}, {"P0": 0.74}),
    (ecp5.TIMING, "MULT18X18D", {}, {}),
    (xc7.TIMING, "DSP48E1", {"MREG": "1", "PREG": "0"}, {"P": 1.5}),
    (xc7.TIMING, "DSP48E1", {"MREG": "0", "PREG": "1"}, {"P": 0.4}),
    (xc7.TIMING, "DSP48E1", dict.fromkeys(("AREG", "BREG", "MREG", "PREG"), "0"), {}),
    (xc7.TIMING, "RAMB36E1", {"DOA_REG": "1", "DOB_REG": "0"}, {"DOADO": 0.65, "DOBDO": 2.1}),
])
def test_registers_inside_of_blocks_count(timing, cell, parameters, launch):
    found = timing.cell(cell, parameters)
    assert launch.items() <= dict(found.launch).items() and bool(launch) == (not found.through)


def test_the_bare_factor_of_a_multiplier_goes_through():
    found = xc7.TIMING.cell("DSP48E1", {"AREG": "1", "BREG": "0", "MREG": "0", "PREG": "0"})
    assert "B" in found.through["P"] and "A" not in found.through["P"] and found.launch["P"] > 0
