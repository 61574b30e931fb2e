"""The models of memories and multipliers against the Verilog that they were synthesised from."""

import ctypes
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from adagp_flows.synthesis.models import with_models
from adagp_flows.synthesis.netlist import cells
from adagp_tb.verilator import build

DRIVER = Path(__file__).with_name("memories.cpp")
BITS = 512  # of stimulus
CYCLES = 20_000


@dataclass(frozen=True)
class Memory:
    """``granule``: bits per write enable. ``read``: what is read from an address that is written in the same cycle, "old"
    or "new". ``shared``: reading and writing have one address. ``enabled``: reads only now and then."""

    width: int
    depth: int
    granule: int
    read: str
    shared: bool
    enabled: bool

    def verilog(self, n: int) -> str:
        """Statements that drive ``out{n}`` from ``random``."""
        bits = (self.depth - 1).bit_length()
        parts = self.width // self.granule
        name = f"memory{n}"
        close = "random[511] ? 3 : -1"  # half of the time few addresses, which meet
        text = [f"reg [{self.width - 1}:0] {name} [{self.depth - 1}:0];", f"reg [{self.width - 1}:0] out{n} = 0;",
                f"wire [{bits - 1}:0] write{n} = random[0 +: {bits}] & ({close});",
                f"wire [{bits - 1}:0] read{n} = " + (f"write{n};" if self.shared else f"random[16 +: {bits}] & ({close});"),
                f"wire enable{n} = " + ("random[32];" if self.enabled else "1'b1;"),
                f"initial for (i = 0; i < {self.depth}; i = i + 1) {name}[i] = 0;"]
        text += [f"always @(posedge clk) if (random[{64 + part}]) {name}[write{n}][{part * self.granule} +: {self.granule}] <= "
                 f"random[{128 + part * self.granule} +: {self.granule}];" for part in range(parts)]
        text += [f"always @(posedge clk) if (enable{n}) begin out{n} <= {name}[read{n}];"]
        if self.read == "new":
            text += [f"if (random[{64 + part}] && read{n} == write{n}) out{n}[{part * self.granule} +: {self.granule}] <= "
                     f"random[{128 + part * self.granule} +: {self.granule}];" for part in range(parts)]
        text += ["end"]
        return "\n".join(f"  {line}" for line in text)


@dataclass(frozen=True)
class Product:
    """Of two registers of these many bits."""

    left: int
    right: int
    signed: bool

    @property
    def width(self) -> int:
        return self.left + self.right

    def verilog(self, n: int) -> str:
        signed = "signed" if self.signed else ""
        return f"""  reg {signed} [{self.left - 1}:0] left{n} = 0;
  reg {signed} [{self.right - 1}:0] right{n} = 0;
  wire {signed} [{self.width - 1}:0] out{n} = left{n} * right{n};
  always @(posedge clk) begin left{n} <= random[0 +: {self.left}]; right{n} <= random[32 +: {self.right}]; end"""


def random_memory(rng: random.Random) -> Memory:
    granule = rng.choice((8, 9, 16, 18, 32))
    return Memory(width=granule * rng.randint(1, max(1, 72 // granule // 2)), depth=1 << rng.randint(8, 11), granule=granule,
                  read=rng.choice(("old", "new")), shared=rng.random() < 0.4, enabled=rng.random() < 0.5)


def module(name: str, parts: list[Memory | Product]) -> str:
    """With the outputs of all ``parts``, the first one lowest."""
    outputs = [f"out{n}" for n in range(len(parts))]
    return "\n".join([
        f"module {name}(clk, random, out);", "  input clk;", "  wire clk;", f"  input [{BITS - 1}:0] random;",
        f"  wire [{BITS - 1}:0] random;", f"  output [{sum(each.width for each in parts) - 1}:0] out;", "  integer i;",
        *(each.verilog(n) for n, each in enumerate(parts)),
        f"  assign out = {{{', '.join(reversed(outputs))}}};", "endmodule", ""])


def comparison(parts: list[Memory | Product]) -> str:
    total, low, differs = sum(each.width for each in parts), 0, []
    for each in parts:
        differs.append(f"rtl[{low} +: {each.width}] != netlist[{low} +: {each.width}]")
        low += each.width
    return f"""
module top(input clk, input [{BITS - 1}:0] random, output [63:0] differs);
  wire [{total - 1}:0] rtl, netlist;
  rtl first(.clk(clk), .random(random), .out(rtl));
  synthesised second(.clk(clk), .random(random), .out(netlist));
  assign differs = {{{', '.join(reversed(differs))}}};
endmodule
"""


def differences(parts: list[Memory | Product], netlist: str, target: str) -> list[int]:
    """Cycles in which each of ``parts`` differs between the simulated cells and its Verilog."""
    text = comparison(parts) + module("rtl", parts) + with_models(netlist, target)
    library = ctypes.CDLL(str(build(text, DRIVER)))
    library.differences.restype = ctypes.c_uint64
    counts = np.zeros(64, np.uint64)
    library.differences(ctypes.c_uint64(CYCLES), counts.ctypes.data_as(ctypes.c_void_p))
    return counts[:len(parts)].tolist()


@pytest.fixture(scope="module")
def memories(target, tmp_path_factory):
    """Random ones, and their netlist."""
    rng = random.Random(5)
    parts = [random_memory(rng) for _ in range(10)]
    return parts, cells(module("synthesised", parts), top="synthesised", target=target, cache=tmp_path_factory.mktemp(target))


pytestmark = pytest.mark.parametrize("target", ["xc7", "ecp5"], scope="module")


def test_block_ram_reads_what_its_verilog_reads(target, memories):
    parts, netlist = memories
    assert {"xc7": "RAMB36E1", "ecp5": "DP16KD"}[target] in netlist
    assert differences(parts, netlist, target) == [0] * len(parts)


def test_another_mode_of_the_block_ram_is_noticed(target, memories):
    parts, netlist = memories
    used, other = {"xc7": ("READ_FIRST", "WRITE_FIRST"), "ecp5": ("READBEFOREWRITE", "NORMAL")}[target]
    assert used in netlist
    assert any(differences(parts, netlist.replace(used, other), target))


def test_multiplier_multiplies(target, tmp_path):
    parts = [Product(left, right, signed) for left, right in ((8, 8), (12, 9), (17, 17), (18, 18)) for signed in (False, True)]
    netlist = cells(module("synthesised", parts), top="synthesised", target=target, cache=tmp_path)
    assert {"xc7": "DSP48E1", "ecp5": "MULT18X18D"}[target] in netlist
    assert differences(parts, netlist, target) == [0] * len(parts)
