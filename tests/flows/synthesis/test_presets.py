"""What ``nox -s synth`` asks for."""

from adagp_flows.synthesis import presets, tools
from adagp_flows.synthesis.targets import TARGETS


def test_every_preset_can_be_asked_where_all_tools_are(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "find", lambda name: None)
    for target, *_ in presets.MINUTES + presets.HOURS:
        assert target in TARGETS
    questions, missing = presets._questions(presets.MINUTES[:3], tmp_path)
    assert missing == []
    assert [(target, asked.subject.name) for target, asked in questions] == [
        ("xc7", "baseline"), ("xc7", "low"), ("xc7", "efficient"), ("xc7", "max"), ("ecp5", "element"), ("ice40", "element")]


def test_a_target_without_its_tool_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setitem(tools.KINDS, "vivado", tools._Kind(remedy="ask AMD"))
    monkeypatch.setenv("PATH", str(tmp_path))
    tools.find.cache_clear()
    try:
        questions, missing = presets._questions((("vivado", "vc707", presets._BASELINE, "machine"),), tmp_path)
    finally:
        tools.find.cache_clear()
    assert questions == [] and missing == ["baseline for vivado: vivado is not installed: ask AMD"]
