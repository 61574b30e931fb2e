"""Repeated modules are compiled once, and selections still select."""

import re

import pytest

from adagp_tb import sharing

SELECTION = """
  function [1:0] _7_;
    input [1:0] a;
    input [3:0] b;
    input [1:0] s;
    casez (s) // synopsys parallel_case
      2'b?1:
        _7_ = b[1:0];
      2'b1?:
        _7_ = b[3:2];
      default:
        _7_ = a;
    endcase
  endfunction
  assign { high, \\low$1  } = _7_(2'hx, { (x + y), { z, w } }, { pick_b, pick_a });
"""


def test_a_selection_becomes_an_expression():
    text = sharing.without_functions(SELECTION)
    assert "function" not in text
    assert "wire [3:0] _7_b =  { (x + y), { z, w } };" in text and "wire [1:0] _7_s =  { pick_b, pick_a };" in text
    assert "assign { high, \\low$1  } = _7_s[0] ? _7_b[0 +: 2] : _7_s[1] ? _7_b[2 +: 2] : 2'hx;" in text


def module(name, ports, *instances, lines=0):
    body = "".join(f"  {child} {child}{i} (\n  );\n" for child, count in instances for i in range(count))
    return f"module {name}({', '.join(ports)});\n" + "".join(
        f"  input [3:0] {port} ;\n" for port in ports) + body + "  // line\n" * lines + "endmodule\n"


@pytest.mark.parametrize("count, lines, shared", [(4, 200, True), (3, 200, False), (4, 20, False)])
def test_large_modules_that_are_there_several_times_are_shared(count, lines, shared):
    text = module("top", ["clk"], ("element", count)) + module("element", ["clk", "\\a$1"], ("inner", 4), lines=lines)
    text += module("inner", ["clk"], lines=300 if shared else 0)
    control = sharing.control(text)
    assert re.findall('no_inline -module "(.*)"', control) == (["element"] if shared else [])
    assert re.findall('-var "(.*)"', control) == (["a?1"] if shared else [])
