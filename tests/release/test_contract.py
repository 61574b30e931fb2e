"""A port, a register or an instruction that users know changes only together with its version."""

import copy
import json
from pathlib import Path

import pytest

from adagp_flows.release import contract

FILE = Path(__file__).with_name("contract.json")


@pytest.fixture(scope="module")
def present(release):
    return contract.record((release / "rtl/adagp.v").read_text())


def test_nothing_has_changed_without_its_version(present):
    lines = contract.breaches(json.loads(FILE.read_text()), present)
    assert not lines, "\n".join(["what users build on has changed without its version:", *lines])


def test_the_record_is_of_the_present_versions(present):
    assert json.loads(FILE.read_text()) == present, (
        "versions have changed: python -m adagp_flows.release.contract tests/release/contract.json")


def changed(record, part, item, value):
    other = copy.deepcopy(record)
    if value is None:
        del other[part][item]
    else:
        other[part][item] = value
    return other


@pytest.mark.parametrize("part, item, value", [
    ("ports", "irq", "output, 2 bits"), ("ports", "m_axi_araddr", None), ("ports", "extra", "input, 1 bits"),
    ("registers", "STATUS.fault", "0x014, bits 3:3, r, reset 0x0"), ("registers", "BATCH.value", None),
    ("instructions", "Load.offset", "bits 56:25"), ("numbers", "Opcode.END", "9")])
def test_every_change_is_told_until_the_version_changes(part, item, value, present):
    other = changed(present, part, item, value)
    line, = contract.breaches(present, other)
    assert line.startswith(f"{part}: {item} was ") and "version " in line
    other["versions"][contract.VERSIONS[part]] = "next"
    assert contract.breaches(present, other) == []


def test_a_record_is_not_overwritten_by_a_breach(present, release, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("adagp_hdl.verilog.generate", lambda config: (release / "rtl/adagp.v").read_text())
    file = tmp_path / "contract.json"
    before = json.dumps(changed(present, "ports", "irq", "input, 1 bits"))
    file.write_text(before)
    assert contract.main([str(file)]) == 1
    assert "ports: irq was input, 1 bits and is output, 1 bits" in capsys.readouterr().err
    assert file.read_text() == before
    file.unlink()
    assert contract.main([str(file)]) == 0 and json.loads(file.read_text()) == present
