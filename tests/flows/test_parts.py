import json

import pytest

from adagp_flows.parts import run_parts


def test_parts_that_are_not_run_keep_their_figures(tmp_path, capsys):
    report = tmp_path / "folder" / "report.json"
    figures = iter(range(9))
    parts = {name: lambda: {"figure": next(figures)} for name in ("one", "two")}
    assert run_parts("bench", "Measures.", parts, report, []) == 0
    run_parts("bench", "Measures.", parts, report, ["two"])
    assert json.loads(report.read_text()) == {"one": {"figure": 0}, "two": {"figure": 2}}
    assert capsys.readouterr().out.count(f"report: {report}") == 2


def test_unknown_part_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_parts("bench", "Measures.", {"one": dict}, tmp_path / "report.json", ["one", "three"])
    assert ended.value.code == 2 and "bench: part must be one of one, not three" in capsys.readouterr().err
