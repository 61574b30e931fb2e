"""The array: rows × columns processing elements, and the delays that skew what enters and leaves."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .delay import delayed
from .element import ROW_LATENCY, ProcessingElement
from .operand import RowStep, decoded


class SystolicArray(wiring.Component):
    """Multiplies a stream of vectors by a stationary matrix of weights.

    Every cycle a vector ``operands`` (one bfloat16 per row) enters; ``latency(rows, columns)`` cycles
    later ``sums`` (one float32 per column) holds ((+0 + x[0]·W[0, c]) + x[1]·W[1, c]) + …, each sum
    rounded. With ``swap`` the vector is the first that sees the weights that were loaded.

    Weights of row r are loaded by a cycle with the word ``weights`` and bit r of ``load``, no earlier
    than the ``swap`` of the tile before theirs and before the ``swap`` of their own tile. Rows in any
    order, one per cycle; the array computes at the same time. Nothing ever stalls, and nothing is reset:
    what is under way at a reset leaves before what enters after it.
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
    def latency(rows: int, columns: int) -> int:
        """Cycles from ``operands`` to ``sums``: edge, element, rows, columns."""
        return 1 + ProcessingElement.PRODUCT_LATENCY + rows * ROW_LATENCY + columns - 1

    def elaborate(self, platform):
        m = Module()
        rows, columns = self._rows, self._columns
        elements = [[ProcessingElement() for _ in range(columns)] for _ in range(rows)]
        for c, first in enumerate(elements[0]):
            self._enter(m, first.weight, decoded(delayed(m, self.weights[c], c, f"weight_column{c}")), f"weight{c}")
            self._enter(m, first.partial_sum, 0, f"zero{c}")
        for r, row in enumerate(elements):
            m.submodules[f"feed{r}"] = feed = RowFeed(r * ROW_LATENCY)
            m.d.comb += [
                feed.load.eq(self.load[r]), feed.swap.eq(self.swap), feed.operand.eq(self.operands[r]),
                row[0].step.eq(feed.step)]
            for c, element in enumerate(row):
                m.submodules[f"element{r}_{c}"] = element
                self._pass(m, elements[r + 1][c] if r + 1 < rows else None, f"{r}_{c}",
                           weight=element.weight_below, partial_sum=element.partial_sum_below)
                self._pass(m, row[c + 1] if c + 1 < columns else None, f"{r}_{c}", step=element.step_right)
        for c, last in enumerate(elements[-1]):
            m.d.comb += self.sums[c].eq(delayed(m, last.partial_sum_below, columns - 1 - c, f"sum_column{c}"))
        return m

    @staticmethod
    def _pass(m, neighbour, place, **ports):
        """Connects outputs of an element to its neighbour; at the edge to nothing, but with the same
        ports as everywhere else, so that all elements are one module."""
        for name, value in ports.items():
            unused = Signal(value.shape(), name=f"{name}_after_{place}")
            m.d.comb += (getattr(neighbour, name) if neighbour else unused).eq(value)

    @staticmethod
    def _enter(m, port, value, name):
        register = Signal(port.shape(), name=f"{name}_edge", reset_less=True)
        m.d.sync += register.eq(value)
        m.d.comb += port.eq(register)


class RowFeed(wiring.Component):
    """What enters a row at the left, ``delay`` cycles late, decoded and registered."""

    load: In(1)
    swap: In(1)
    operand: In(16)
    step: Out(RowStep)

    def __init__(self, delay: int):
        self._delay = delay
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        entering = delayed(m, Cat(self.operand, self.load, self.swap), self._delay, "entering")
        entered = Signal(RowStep, reset_less=True)
        m.d.sync += entered.eq(Cat(decoded(entering[:16]), entering[16:]))
        m.d.comb += self.step.eq(entered)
        return m
