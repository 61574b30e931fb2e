"""Liberty: the reader, areas from LEF."""

import pytest

from adagp_flows.synthesis.liberty import LibertyError, parse, with_areas_of_lef

TEXT = """/* cells */
library (small) {
  time_unit : "1ns";
  capacitive_load_unit (1, pf);
  cell (INVX1) {
    area : 17;
    pin (Y) { function : "(!A)"; values ("1, 2", \\
      "3, 4"); }
  }
}
"""


def test_attributes_and_groups_are_read():
    library = parse(TEXT)
    assert library.name == "small" and library.attributes == {"time_unit": "1ns", "capacitive_load_unit": ["1", "pf"]}
    cell, = library.of("cell")
    assert cell.number("area") == 17 and cell.number("leakage", 0.5) == 0.5
    assert cell.of("pin")[0].attributes == {"function": "(!A)", "values": ["1, 2", "3, 4"]}


@pytest.mark.parametrize("text", [TEXT[:-3], "cell (a) { }", "library (a) { b ? }"])
def test_what_is_no_library_is_refused(text):
    with pytest.raises(LibertyError):
        parse(text)


def test_areas_are_those_that_cells_are_placed_by():
    lef = "MACRO INVX1\n  CLASS CORE ;\n  SIZE 1.6 BY 10 ;\nEND INVX1\n"
    assert parse(with_areas_of_lef(TEXT, lef)).of("cell")[0].number("area") == 16
    assert parse(with_areas_of_lef(TEXT, lef.replace("INVX1", "INVX2"))).of("cell")[0].number("area") == 17
