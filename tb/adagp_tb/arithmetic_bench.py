"""Arithmetic units at the speed of compiled C++."""

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from adagp_hdl.array.element import ROW_LATENCY, ProcessingElement
from adagp_hdl.array.operand import decoded
from adagp_hdl.verilog import convert

from .verilator import build

_DRIVER = Path(__file__).parent / "arithmetic.cpp"


class CompiledUnit:
    """A pipelined unit with the ports ``en``, ``a``, ``b``, ``o`` and the attribute ``LATENCY``,
    compiled from its Verilog."""

    def __init__(self, unit: wiring.Component):
        self._latency = unit.LATENCY
        self._library = ctypes.CDLL(str(build(convert(unit, name="top"), _DRIVER)))

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


    def sweep(self, first: int, last: int) -> tuple[int, int]:
        """For :class:`ElementUnit`: the number of wrong operand products for all x from ``first`` up
        to ``last`` and all w, and the first wrong pair (as port ``a``)."""
        wrong = ctypes.c_uint32()
        self._library.sweep.restype = ctypes.c_uint64
        count = self._library.sweep(first, last, self._latency, ctypes.byref(wrong))
        return count, wrong.value


class ElementUnit(wiring.Component):
    """A processing element as a unit: ``o = b + x·w`` with x in the low half of ``a``, w in the high
    half. ``en`` is not looked at."""

    LATENCY = ProcessingElement.PRODUCT_LATENCY + 1 + ROW_LATENCY

    en: In(1)
    a: In(32)
    b: In(32)
    o: Out(32)

    def elaborate(self, platform):
        m = Module()
        m.submodules.element = element = ProcessingElement()
        operand = Signal(16)
        partial_sum = Signal((ProcessingElement.PRODUCT_LATENCY + 1) * 32)
        m.d.sync += [operand.eq(self.a[:16]), partial_sum.eq((partial_sum << 32) | self.b)]
        m.d.comb += [
            element.step.load.eq(1), element.step.swap.eq(1), element.step.operand.eq(decoded(operand)),
            element.weight.eq(decoded(self.a[16:])), element.partial_sum.eq(partial_sum[-32:]),
            self.o.eq(element.partial_sum_below)]
        return m


@dataclass(frozen=True, kw_only=True)
class ProductReport:
    """What :func:`check_products` found. ``first_wrong`` is a pair (x, w) or None."""

    pairs: int
    wrong: int
    first_wrong: tuple[int, int] | None
    seconds: float


def check_products(first: int = 0, last: int = 1 << 16, *, threads: int = 2) -> ProductReport:
    """Multiplies every x from ``first`` up to ``last`` by every bfloat16 in the processing element
    and compares each product with double arithmetic. All 2**32 pairs take some minutes."""
    unit = compiled(ElementUnit)
    start = time.perf_counter()
    edges = np.linspace(first, last, 16 * threads + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(unit.sweep, edges[:-1], edges[1:]))
    wrong = [(pair & 0xFFFF, pair >> 16) for count, pair in results if count]
    return ProductReport(pairs=(last - first) << 16, wrong=sum(count for count, _ in results),
                         first_wrong=wrong[0] if wrong else None, seconds=time.perf_counter() - start)


@cache
def compiled(unit: type[wiring.Component], *arguments) -> CompiledUnit:
    """The compiled ``unit(*arguments)``."""
    return CompiledUnit(unit(*arguments))
