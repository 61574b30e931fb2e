"""Fields and classes of an encoded number, as expressions."""

from amaranth.hdl import Value, ValueLike

from adagp.spec.formats import FloatFormat


class Unpacked:
    """Views of ``encoded``: ``sign``, ``exponent``, ``fraction`` and the classes ``zero`` (subnormals
    included), ``special`` (infinity or NaN) and ``nan``."""

    def __init__(self, fmt: FloatFormat, encoded: ValueLike):
        encoded = Value.cast(encoded)
        if len(encoded) != fmt.bits:
            raise ValueError(f"Unpacked.encoded must have {fmt.bits} bits, not {len(encoded)}")
        self.sign = encoded[-1]
        self.exponent = encoded[fmt.fraction_bits:-1]
        self.fraction = encoded[:fmt.fraction_bits]
        self.zero = ~self.exponent.any()
        self.special = self.exponent.all()
        self.nan = self.special & self.fraction.any()
