"""The comparison of the cost model with the RTL."""

from itertools import islice

import pytest

from adagp.spec.config import Design
from adagp_flows import machine_check
from adagp_flows.machine_check import cases, measure


def test_cases_are_drawn_over_designs_and_repeat_with_their_seed():
    drawn = list(cases(3, 32))
    assert drawn == list(cases(3, 32)) != list(cases(4, 32))
    assert {case.config.design for case in drawn} == set(Design)
    assert len({case.config for case in drawn}) == 8 and len({case.what for case in drawn}) == 6
    assert not any(case.what == "Phase GP" and case.config.design is Design.BASELINE for case in drawn)


def test_rows_have_the_model_beside_the_rtl(monkeypatch):
    small = [case for case in cases(7, 400) if case.layer.image[0] <= 6 and case.batch <= 2][:3]
    first = small[0]
    monkeypatch.setattr(machine_check, "cases", lambda seed, count: (
        machine_check.Case(config=first.config, memory=case.memory, layer=case.layer, batch=case.batch, what=what)
        for case, what in zip(small, ("forward", "weight gradient", "Phase BP"))))
    seen = []
    rows = measure(seed=0, count=3, progress=seen.append)
    assert rows == seen and [row["pass"] for row in rows] == ["forward", "weight gradient", "Phase BP"]
    for row in rows:
        assert abs(machine_check.deviation(row)) < 0.01, row
        assert row["model_bytes"] == row["rtl_bytes"] > 0


def test_layer_that_does_not_fit_is_drawn_again(monkeypatch):
    one = next(islice(cases(0, 1), 1))

    def compare(case):
        asked.append(case)
        raise machine_check.CompileError("too large") if len(asked) == 1 else StopIteration

    asked: list = []
    monkeypatch.setattr(machine_check, "compare", compare)
    with pytest.raises(StopIteration):
        measure(seed=0, count=1)
    assert asked[0] == one and len(asked) == 2


@pytest.mark.parametrize(("cycles", "bytes_", "status"), [(1009, 5, 0), (1011, 5, 1), (1000, 6, 1)])
def test_command_fails_for_a_deviation(monkeypatch, capsys, cycles, bytes_, status):
    row = {"layer": "l", "pass": "forward", "design": "low", "size": "s", "model_cycles": cycles, "rtl_cycles": 1000,
           "model_bytes": bytes_, "rtl_bytes": 5}

    def fake(*, seed, count, progress):
        progress(row)
        return [row]

    monkeypatch.setattr(machine_check, "measure", fake)
    assert machine_check.main(["--count", "1"]) == status
    assert "1 cases: cycles off by" in capsys.readouterr().out


def test_no_cases_are_refused(capsys):
    with pytest.raises(SystemExit):
        machine_check.main(["--count", "0"])
    assert capsys.readouterr().err == "machine_check: --count must be at least 1, not 0\n"
