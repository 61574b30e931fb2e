"""The rules of the bus are proved on the delivered Verilog, and each proof can fail."""

import json

import pytest

from adagp.spec.config import Design
from adagp_flows.proofs import __main__ as command
from adagp_flows.proofs import aiger
from adagp_flows.proofs.handshakes import handshakes
from adagp_flows.proofs.prove import Group, induction, prove
from adagp_flows.proofs.rules import GROUPS
from adagp_flows.proofs.stops import stops
from adagp_flows.proofs.structure import ports_are_registered
from adagp_flows.proofs.subject import Hierarchy, blackboxed
from adagp_flows.proofs.writes import responses
from adagp_hdl import verilog
from adagp_hdl.bus.burst import BurstSplitter
from adagp_hdl.bus.burst_writer import BurstWriter
from adagp_hdl.control.counters import Counters
from adagp_hdl.control.phase import PhaseController
from adagp_hdl.control.registers import RegisterFile

CONFIG = command.CONFIGURATIONS["baseline-64"]
STABILITY = Group(name="stability", parts=(handshakes,))
_STOPS = Group(name="stops", parts=(responses, stops))
_BY_NAME = {group.name: group for group in (*GROUPS, _STOPS)}


def a_response_that_lasts_one_cycle(registers, m):
    with m.If(registers.bus.bvalid):
        m.d.sync += registers.bus.bvalid.eq(0)


def bursts_that_do_not_end_with_their_block(split, m):
    m.d.comb += split.o.payload.more.eq(-1)


def data_that_wait_for_addresses(writer, m):
    with m.If(writer.axi.awvalid):
        m.d.comb += writer.axi.wvalid.eq(0)


def quiet_before_the_last_response(writer, m):
    m.d.comb += writer.quiet.eq(~writer.axi.awvalid)


def a_table_that_is_always_read(phases, m):
    m.d.comb += phases.table.read.eq(1)


def counters_that_rest_while_a_program_runs(counters, m):
    with m.If(counters.running):
        m.d.comb += counters.valid.eq(0)


def a_store_that_is_done_when_its_data_is_sent(writer, m):
    m.d.comb += writer.done.eq(writer.axi.wvalid & writer.axi.wready & writer.axi.wlast)


@pytest.fixture(scope="module")
def core():
    return verilog.generate(CONFIG)


@pytest.fixture
def mutant(monkeypatch):
    """A function that generates the core with the statements of ``change`` after those of ``component``: they win."""
    def generate(component, change):
        elaborate = component.elaborate

        def changed(self, platform):
            m = elaborate(self, platform)
            change(self, m)
            return m

        monkeypatch.setattr(component, "elaborate", changed)
        return verilog.generate(CONFIG)

    return generate


def failing(verdicts):
    return {verdict.rule: verdict for verdict in verdicts if not verdict.proved}


@pytest.mark.timeout(600)
def test_a_wire_from_ready_to_valid_is_found(core, tmp_path):
    wired = core.replace("    .axi__arlock(m_axi_arlock),\n", "", 1).replace(
        "  output m_axi_arlock;\n", "  output m_axi_arlock;\n  assign m_axi_arlock = m_axi_awready & m_axi_rvalid;\n", 1)
    assert wired != core
    verdict = ports_are_registered(wired, tmp_path)
    assert not verdict.proved
    assert "m_axi_awready -> m_axi_arlock" in verdict.method and "m_axi_rvalid -> m_axi_arlock" in verdict.method


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("name", "design", "rules"), [
    ("registers", Design.BASELINE, 8), ("answers", Design.BASELINE, 2), ("channels", Design.BASELINE, 26),
    ("data", Design.EFFICIENT, 3), ("completion", Design.BASELINE, 2)])
def test_a_group_is_proved(name, design, rules, tmp_path):
    """Queues that hold more or less than one another lose bursts; a response may be as late as it likes."""
    config = CONFIG.with_design(design)
    verdicts = prove(config, verilog.generate(config), _BY_NAME[name], tmp_path)
    assert len(verdicts) == rules and not failing(verdicts)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("component", "change", "group", "rule"), [
    (BurstSplitter, bursts_that_do_not_end_with_their_block, "writes", "aw_4_kib"),
    (BurstWriter, quiet_before_the_last_response, "stops", "writes_are_over"),
    (BurstWriter, a_store_that_is_done_when_its_data_is_sent, "completion", "programs_are_over"),
    (BurstWriter, data_that_wait_for_addresses, "progress", "w_comes"),
    (PhaseController, a_table_that_is_always_read, "answers", "lite_r_comes"),
    (Counters, counters_that_rest_while_a_program_runs, "counters", "counter_comes")])
def test_a_defect_is_found_with_a_trace(component, change, group, rule, mutant, tmp_path):
    failed = failing(prove(CONFIG, mutant(component, change), _BY_NAME[group], tmp_path))
    assert "violated" in failed[rule].method
    assert f"violates_{rule}" in (tmp_path / f"{group}.vcd").read_text()


#: Two inputs, one register that follows their conjunction; outputs: register, inverted first input, conjunction.
_CONJUNCTION = aiger.parse(b"aig 4 2 1 3 1\n8\n6\n3\n8\n\x04\x02" + b"i0 a\ni1 b\no0 x\no1 y\no2 z\n")


def test_the_disjunction_of_outputs_is_high_where_one_is():
    (content,) = aiger.encoded(aiger.any_of(_CONJUNCTION, [0, 2]))
    both = aiger.parse(content)
    stimuli = [[1, 0], [1, 1], [0, 0], [0, 0]]
    assert [values[both.outputs[0]] for values in both.run(stimuli)] == [0, 1, 1, 0]
    with pytest.raises(ValueError, match="2 bits, not 1"):
        list(both.run([[1]]))


def test_the_first_outputs_are_high_once():
    register, conjunction = map(aiger.parse, aiger.encoded(aiger.firsts_of(_CONJUNCTION, [0, 2])))
    stimuli = [[1, 0], [1, 1], [0, 0], [1, 1]]
    assert [values[register.outputs[0]] for values in register.run(stimuli)] == [0, 0, 0, 0]
    assert [values[conjunction.outputs[0]] for values in conjunction.run(stimuli)] == [0, 1, 0, 0]


def test_an_induction_needs_its_base(tmp_path):
    """One register, 0 at first and 1 for ever after; the output is its inverse."""
    assert induction(tmp_path, aiger.parse(b"aig 1 0 1 1 0\n1\n3\n"), [0]) is None


def test_an_induction_tells_its_depth(tmp_path):
    """A register that never rises, and one that follows it: the second is low if the first was."""
    netlist = aiger.parse(b"aig 2 0 2 2 0\n2\n2\n2\n4\n")
    assert induction(tmp_path, netlist, [0]) == 1
    assert induction(tmp_path, netlist, [0, 1]) == 1
    assert induction(tmp_path, netlist, [1]) == 2


def test_other_files_than_aiger_are_refused():
    with pytest.raises(ValueError, match="must begin with 'aig'"):
        aiger.parse(b"module x; endmodule\n")


def test_a_freed_module_that_is_used_elsewhere_is_refused(core):
    hierarchy = Hierarchy.of(core, "adagp")
    with pytest.raises(ValueError, match="adagp_split is also"):
        hierarchy.kinds_of(("fetch.reader.split",))


def test_a_freed_module_keeps_its_ports_only(core):
    text = blackboxed(core, "adagp", ["adagp_dispatch"])
    start = text.index("module adagp_dispatch(")
    shell = text[start:text.index("endmodule", start)]
    assert "input" in shell and "output" in shell and "assign" not in shell and "always" not in shell
    assert "module adagp_dispatch_load_queue_waiting(" in core and "module adagp_dispatch_load_queue_waiting(" not in text


@pytest.mark.timeout(900)
def test_the_command_reports_a_proof_and_a_failure(mutant, tmp_path, monkeypatch, capsys):
    broken = mutant(RegisterFile, a_response_that_lasts_one_cycle)
    monkeypatch.setattr(command.verilog, "generate", lambda config: broken)
    monkeypatch.setattr(command, "GROUPS", (STABILITY,))
    assert command.main(["--only", "baseline-64", "-o", str(tmp_path)]) == 1
    assert "lite_b_stays_valid" in capsys.readouterr().out
    assert "violates_lite_b_stays_valid" in (tmp_path / "baseline-64" / "stability" / "stability.vcd").read_text()
    rules = json.loads((tmp_path / "report.json").read_text())["configurations"]["baseline-64"]["rules"]
    assert {rule["rule"]: rule["proved"] for rule in rules}["no_paths"]
