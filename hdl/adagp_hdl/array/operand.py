"""How operands travel inside the array: decoded once at its edge, not in every element."""

from amaranth.hdl import Cat, ValueLike
from amaranth.lib import data

from adagp.spec.formats import BFLOAT16

from ..arithmetic.unpacking import Unpacked

#: A decoded bfloat16. ``exponent`` is the biased one plus 1. ``zero`` covers subnormals; ``special``
#: is an infinity or, where the lowest fraction bit is set, a NaN.
DecodedOperand = data.StructLayout({"fraction": 7, "exponent": 8, "sign": 1, "zero": 1, "special": 1})


#: What moves right along a row: an operand, and what it finds or brings about in the elements.
#: With ``swap`` it is the first to be multiplied by the weights that were loaded before; with ``load``
#: the element keeps the weight that arrives from above in the same cycle.
RowStep = data.StructLayout({"operand": DecodedOperand, "load": 1, "swap": 1})


def decoded(encoded: ValueLike) -> Cat:
    """The bits of :data:`DecodedOperand` of a bfloat16, combinational."""
    operand = Unpacked(BFLOAT16, encoded)
    fraction = Cat(operand.fraction[0] | operand.nan, operand.fraction[1:])
    return Cat(fraction, (operand.exponent + 1)[:8], operand.sign, operand.zero, operand.special)
