"""The rules of the bus are proved on the delivered Verilog, and each proof can fail."""

import json
from dataclasses import replace

import pytest

from adagp.spec.config import preset
from adagp_flows.proofs import __main__ as command
from adagp_flows.proofs import aiger, answers
from adagp_flows.proofs.bursts import write_bursts
from adagp_flows.proofs.handshakes import handshakes
from adagp_flows.proofs.lite import lite
from adagp_flows.proofs.prove import Group, induction, prove
from adagp_flows.proofs.rules import groups_of
from adagp_flows.proofs.structure import ports_are_registered
from adagp_flows.proofs.subject import Hierarchy, blackboxed
from adagp_hdl import verilog

CONFIG = replace(preset("tiny"), burst_beats=4, read_buffer_beats=8)
_RESPONSE_LASTS_ONE_CYCLE = ("assign _274_ = bus__bready ? 1'h0 : bus__bvalid;", "assign _274_ = 1'h0;")
_NO_BLOCKS = ("assign _03_ = 2'h3 - i__payload[4:3];", "assign _03_ = 2'h3;")  # bursts do not end with their block


@pytest.fixture(scope="module")
def core():
    return verilog.generate(CONFIG)


def changed(text: str, module: str, old: str, new: str) -> str:
    """``text`` with ``old`` replaced by ``new`` in ``module``, where it must be there once."""
    start = text.index(f"\nmodule {module}(")
    end = text.index("\nendmodule", start)
    body = text[start:end]
    assert body.count(old) == 1, f"{module} has {body.count(old)} times {old!r}"
    return text[:start] + body.replace(old, new) + text[end:]


def failing(verdicts):
    return {verdict.rule: verdict for verdict in verdicts if not verdict.proved}


@pytest.mark.timeout(600)
def test_no_output_follows_an_input_within_a_cycle(core, tmp_path):
    verdict = ports_are_registered(core, tmp_path)
    assert verdict.proved, verdict.method


@pytest.mark.timeout(600)
def test_a_wire_from_ready_to_valid_is_found(core, tmp_path):
    wired = core.replace("    .axi__arlock(m_axi_arlock),\n", "", 1).replace(
        "  output m_axi_arlock;\n", "  output m_axi_arlock;\n  assign m_axi_arlock = m_axi_awready & m_axi_rvalid;\n", 1)
    assert wired != core
    verdict = ports_are_registered(wired, tmp_path)
    assert not verdict.proved
    assert "m_axi_awready -> m_axi_arlock" in verdict.method and "m_axi_rvalid -> m_axi_arlock" in verdict.method


@pytest.mark.timeout(600)
def test_registers_answer_each_request_once(core, tmp_path):
    verdicts = prove(CONFIG, core, Group(name="registers", parts=(lite,)), tmp_path)
    assert len(verdicts) == 8 and not failing(verdicts)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "rules"), [("channels", 26), ("data", 2)])
def test_groups_that_know_the_queues_are_proved(name, rules, core, tmp_path):
    """Queues that hold more or less than one another lose bursts; a response may be as late as it likes."""
    (group,) = (group for group in groups_of(CONFIG.design) if group.name == name)
    verdicts = prove(CONFIG, core, group, tmp_path)
    assert len(verdicts) == rules and not failing(verdicts)


@pytest.mark.timeout(600)
def test_a_lost_response_is_found_with_a_trace(core, tmp_path):
    """A response of the registers that lasts one cycle, taken or not."""
    broken = changed(core, "adagp_registers", *_RESPONSE_LASTS_ONE_CYCLE)
    failed = failing(prove(CONFIG, broken, Group(name="stability", parts=(handshakes,)), tmp_path))
    assert "violated" in failed["lite_b_stays_valid"].method
    trace = (tmp_path / "stability.vcd").read_text()
    assert "s_axil_bvalid" in trace and "violates_lite_b_stays_valid" in trace


@pytest.mark.timeout(600)
def test_a_burst_across_4_kib_is_found(core, tmp_path):
    broken = changed(core, "adagp_split", *_NO_BLOCKS)
    failed = failing(prove(CONFIG, broken, Group(name="writes", parts=(write_bursts,)), tmp_path))
    assert "violated" in failed["aw_4_kib"].method and failed["aw_4_kib"].trace


@pytest.mark.timeout(600)
def test_registers_answer_each_request_soon(core, tmp_path):
    group = Group(name="answers", parts=(answers.answers,), free=answers.FREE)
    verdicts = prove(CONFIG, core, group, tmp_path)
    assert {verdict.rule for verdict in verdicts} == {"lite_r_comes", "lite_b_comes"} and not failing(verdicts)


def test_the_disjunction_of_outputs_is_high_where_one_is():
    # two inputs, one register that follows their conjunction; outputs: register, inverted first input, conjunction
    netlist = b"aig 4 2 1 3 1\n8\n6\n3\n8\n\x04\x02" + b"i0 a\ni1 b\no0 x\no1 y\no2 z\n"
    both = aiger.parse(aiger.any_of(netlist, [0, 2]))
    assert len(both.outputs) == 1
    stimuli = [[1, 0], [1, 1], [0, 0], [0, 0]]
    assert [values[both.outputs[0]] for values in both.run(stimuli)] == [0, 1, 1, 0]
    with pytest.raises(ValueError, match="2 bits, not 1"):
        list(both.run([[1]]))


#: One register, 0 at first and 1 for ever after; the output is its inverse.
_HIGH_AT_FIRST = b"aig 1 0 1 1 0\n1\n3\n"


def test_an_induction_needs_its_base(tmp_path):
    (tmp_path / "harness.aig").write_bytes(_HIGH_AT_FIRST)
    assert induction(tmp_path, [0]) is None


def test_an_induction_tells_its_depth(tmp_path):
    """A register that never rises, and one that follows it: the second is low if the first was."""
    (tmp_path / "harness.aig").write_bytes(b"aig 2 0 2 2 0\n2\n2\n2\n4\n")
    assert induction(tmp_path, [0]) == 1
    assert induction(tmp_path, [0, 1]) == 1


def test_other_files_than_aiger_are_refused():
    with pytest.raises(ValueError, match="must begin with 'aig'"):
        aiger.parse(b"module x; endmodule\n")


def test_a_freed_module_that_is_used_elsewhere_is_refused(core):
    hierarchy = Hierarchy.of(core, "adagp")
    with pytest.raises(ValueError, match="adagp_split is also"):
        hierarchy.kinds_of(("fetch.reader.split",))


def test_a_freed_module_keeps_its_ports_only(core):
    text = blackboxed(core, ["adagp_dispatch"])
    start = text.index("module adagp_dispatch(")
    shell = text[start:text.index("endmodule", start)]
    assert "input" in shell and "output" in shell and "assign" not in shell and "always" not in shell


@pytest.mark.timeout(900)
def test_the_command_reports_a_failure(tmp_path, monkeypatch, capsys):
    broken = changed(verilog.generate(CONFIG), "adagp_registers", *_RESPONSE_LASTS_ONE_CYCLE)
    monkeypatch.setattr(command.verilog, "generate", lambda config: broken)
    monkeypatch.setattr(command, "groups_of", lambda design: (Group(name="stability", parts=(handshakes,)),))
    assert command.main(["--only", "baseline-64", "-o", str(tmp_path)]) == 1
    assert "lite_b_stays_valid" in capsys.readouterr().out
    rules = json.loads((tmp_path / "report.json").read_text())["configurations"]["baseline-64"]["rules"]
    assert {rule["rule"]: rule["proved"] for rule in rules}["no_paths"]
