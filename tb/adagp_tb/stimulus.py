"""What cocotb benches share."""

import cocotb
from cocotb.clock import Clock

CLOCK_NS = 10


def start_clock(dut) -> None:
    """Runs ``dut.clk`` and leaves ``dut.rst`` low: registers start with their initial values."""
    dut.rst.value = 0
    cocotb.start_soon(Clock(dut.clk, CLOCK_NS, "ns").start())
