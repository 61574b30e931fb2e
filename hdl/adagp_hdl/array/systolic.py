"""The array: rows × columns processing elements, and the delays that skew what enters and leaves."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .delay import delayed
from .element import ROW_LATENCY, ProcessingElement
from .operand import DecodedOperand, decoded


class SystolicArray(wiring.Component):
    """Multiplies a stream of vectors by a stationary matrix of weights.

    Every cycle a vector ``operands`` (one bfloat16 per row) enters; ``LATENCY(rows, columns)`` cycles
    later ``sums`` (one float32 per column) holds ((+0 + x[0]·W[0, c]) + x[1]·W[1, c]) + …, each sum
    rounded. With ``swap`` the vector is the first that sees the weights that were loaded.

    Weights of row r are loaded by a cycle with the word ``weights`` and bit r of ``load``, no earlier
    than the ``swap`` of the tile before theirs and before the ``swap`` of their own tile. Rows in any
    order, one per cycle; the array computes at the same time. Nothing ever stalls.
    """

    def __init__(self, *, rows: int, columns: int):
        for name, value in (("rows", rows), ("columns", columns)):
            if value < 2:
                raise ValueError(f"SystolicArray.{name} must be at least 2, not {value!r}")
        self._rows = rows
        self._columns = columns
        super().__init__({
            "weights": In(data.ArrayLayout(16, columns)), "load": In(rows),
            "operands": In(data.ArrayLayout(16, rows)), "swap": In(1),
            "sums": Out(data.ArrayLayout(32, columns))})

    @staticmethod
    def LATENCY(rows: int, columns: int) -> int:
        """Cycles from ``operands`` to ``sums``: edge, element, rows, columns."""
        return 1 + ProcessingElement.PRODUCT_LATENCY + rows * ROW_LATENCY + columns - 1

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._rows, self._columns
        elements = [[ProcessingElement() for _ in range(columns)] for _ in range(rows)]
        for r, row in enumerate(elements):
            for c, element in enumerate(row):
                m.submodules[f"element{r}_{c}"] = element
                if r:
                    above = elements[r - 1][c]
                    m.d.comb += [element.weight.eq(above.weight_below),
                                 element.partial_sum.eq(above.partial_sum_below)]
                if c:
                    left = row[c - 1]
                    m.d.comb += [element.load.eq(left.load_right), element.swap.eq(left.swap_right),
                                 element.operand.eq(left.operand_right)]
        for r, row in enumerate(elements):
            entering = delayed(m, Cat(self.operands[r], self.load[r], self.swap), r * ROW_LATENCY, f"row{r}")
            self._edge(m, row[0].operand, entering[:16], f"operand{r}")
            control = Signal(2, name=f"control{r}_edge")
            m.d.sync += control.eq(entering[16:])
            m.d.comb += Cat(row[0].load, row[0].swap).eq(control)
        for c in range(columns):
            self._edge(m, elements[0][c].weight, delayed(m, self.weights[c], c, f"weight_column{c}"), f"weight{c}")
            m.d.comb += self.sums[c].eq(
                delayed(m, elements[-1][c].partial_sum_below, columns - 1 - c, f"sum_column{c}"))
        return m

    @staticmethod
    def _edge(m, port, encoded, name):
        register = Signal(DecodedOperand, name=f"{name}_edge", reset_less=True)
        m.d.sync += register.eq(decoded(encoded))
        m.d.comb += port.eq(register)
