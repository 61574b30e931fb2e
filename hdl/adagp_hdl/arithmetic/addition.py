"""The adder behind every sum of the machine: two unpacked terms in, one encoded sum out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FloatFormat

GUARD_BITS = 2
BLOCK = 8
"""Bits that the first step of alignment and of normalisation shifts at once; the second shifts 2, 4 or 6."""


def term_layout(fmt: FloatFormat) -> data.StructLayout:
    """An unpacked number: ``significand`` has its integer bit on top, and no meaning where ``zero`` is set;
    there ``exponent`` is not above that of any number that is not zero. A number that is ``special`` (an
    infinity or NaN) may have any."""
    return data.StructLayout({"sign": 1, "zero": 1, "special": 1, "exponent": fmt.exponent_bits,
                              "significand": fmt.fraction_bits + 1})


class SumPipeline(wiring.Component):
    """``o = a + b``, rounded to nearest even, subnormal results flushed to zero of their sign.

    One sum per cycle, ``LATENCY`` cycles, all frozen while ``en`` is low. A special term makes the
    result an infinity of its sign, or with ``nan`` also set the canonical NaN. ``special`` wins over
    ``zero`` in ``b`` and excludes it in ``a``, where it comes with the all-ones exponent. With ``slack`` 1 the
    significand of ``b`` may lack its integer bit (be in [0.5, 2)), and its exponent may be the all-ones
    one, or 1 in a zero.
    """

    LATENCY = 6

    def __init__(self, fmt: FloatFormat, *, slack: int = 0):
        if fmt.fraction_bits + GUARD_BITS + slack + 3 > 4 * BLOCK or fmt.fraction_bits < 5:
            raise ValueError(f"SumPipeline.fmt must have from 5 to {4 * BLOCK - GUARD_BITS - slack - 3} "
                             f"fraction bits, not {fmt.fraction_bits}")
        self._fmt = fmt
        self._guard = GUARD_BITS + slack
        super().__init__({
            "en": In(1), "a": In(term_layout(fmt)), "b": In(term_layout(fmt)),
            "nan": In(1), "o": Out(fmt.bits)})

    def elaborate(self, platform):
        m = Module()
        ordered = self._order(m)
        aligned = self._align(m, ordered)
        total = self._add(m, aligned)
        coarse = self._shift(m, total)
        normal = self._normalise(m, coarse)
        self._round(m, normal)
        return m

    def _stage(self, m: Module, name: str, **values) -> dict[str, Signal]:
        """Registers ``values`` and returns the registers."""
        registers = {}
        for key, value in values.items():
            value = Value.cast(value)
            registers[key] = Signal(unsigned(len(value)), name=f"{name}_{key}", reset_less=True)
            with m.If(self.en):
                m.d.sync += registers[key].eq(value)
        return registers

    def _order(self, m):
        """Stage 1: larger exponent first; the other significand shifted by the lowest amount bit.

        If b is larger, the distance is ~(ea − eb) + 1: the inverted difference, and one place more.
        """
        a, b = self.a, self.b
        bits = self._fmt.exponent_bits
        difference = Signal(bits + 1)
        first = Signal()
        m.d.comb += [
            difference.eq(a.exponent - b.exponent),
            first.eq(~difference[bits]),
        ]
        amount = difference[1:bits] ^ (~first).replicate(bits - 1)
        # the lowest bit of the amount, known before the difference
        odd = a.exponent[0] ^ b.exponent[0]
        near = Mux(first, Mux(odd, Cat(0, b.significand, 0), Cat(0, 0, b.significand)),
                   Mux(odd, Cat(0, a.significand, 0), Cat(a.significand, 0, 0)))
        opposite = a.sign ^ b.sign
        large = Mux(first, a.significand, b.significand)
        sign = Mux(b.special, b.sign, Mux(first | b.zero, a.sign & (b.sign | ~a.zero), b.sign))
        return self._stage(
            m, "ordered", sign=sign, opposite=opposite, exponent=Mux(first, a.exponent, b.exponent),
            special=a.special | b.special, nan=self.nan, large=large ^ opposite.replicate(len(large)),
            small=near, small_present=~Mux(first, b.zero, a.zero), amount=amount)

    def _align(self, m, s):
        """Stage 2: the smaller significand at its place, with a sticky bit for what falls off."""
        width = len(s["large"]) + self._guard
        levels = (width - 1).bit_length() - 1
        fine, coarse, beyond = s["amount"][:2], s["amount"][2:levels], s["amount"][levels:]
        far = beyond.any() | ~s["small_present"]
        small = Cat(Const(0, width - len(s["small"])), s["small"])
        # whole blocks first: they are most of what may be lost, and known before anything has moved
        near = (small >> Cat(Const(0, 3), coarse))[:width]
        kept = (near >> Cat(0, fine))[:width]
        lost = _lost(small, coarse, BLOCK) | _lost(near, fine, 2)
        return self._stage(
            m, "aligned", **{k: s[k] for k in ("sign", "opposite", "exponent", "special", "nan", "large")},
            small=Cat(Mux(far, s["small_present"], lost), Mux(far, 0, kept)))

    def _add(self, m, s):
        """Stage 3: the sum, or the inverted difference: small − large − 1.

        It is negative unless the difference is exact, and is inverted then.
        """
        width = len(s["small"]) + 1
        opposite = s["opposite"]
        large = Cat(opposite.replicate(width - 1 - len(s["large"])), s["large"], opposite)
        total, negative = Signal(width), Signal()
        m.d.comb += [total.eq(large + s["small"]), negative.eq(opposite & ~total[-1])]
        leading = [~(block ^ total[-1].replicate(len(block))).any() for block in _blocks(total)[:-1]]
        return self._stage(
            m, "total", **{k: s[k] for k in ("opposite", "exponent", "special", "nan")},
            sign=s["sign"] ^ (negative & ~s["special"]), value=total,
            high=s["exponent"][1:].all(), leading=Cat(*leading))

    def _shift(self, m, s):
        """Stage 4: left by whole blocks; and how many pairs of bits to go.

        A negative difference lacks 1 in the last place: with ones shifted in, rounding adds it.
        """
        value, width, opposite = s["value"], len(s["value"]), s["opposite"]
        inverted = opposite & value[-1]
        coarse = Signal(2)
        shifted = Signal(width)
        m.d.comb += [
            coarse.eq(_leading([flag & opposite for flag in s["leading"]])),  # a sum has none
            shifted.eq((Cat(opposite.replicate(3 * BLOCK), value) << Cat(Const(0, 3), coarse))[3 * BLOCK:]),
        ]
        pairs = [shifted[i:i + 2] ^ inverted.replicate(2) for i in (width - 2, width - 4, width - 6)]
        return self._stage(
            m, "coarse", **{k: s[k] for k in ("sign", "opposite", "exponent", "special", "nan")},
            inverted=inverted, value=shifted, coarse=coarse, fine=_leading([~pair.any() for pair in pairs]),
            high=s["high"] & (coarse == 0), last=coarse == len(s["leading"]))

    def _normalise(self, m, s):
        """Stage 5: left by 0, 2, 4 or 6 places, so that one of the two top bits is set, and what to round.

        ``exponent`` is one too small where the top bit is set; adding that bit to it does both.
        """
        width, drop = len(s["value"]), len(s["value"]) - 1 - self._fmt.fraction_bits
        value, top = Signal(width), Signal()
        shifted = (Cat(s["opposite"].replicate(6), s["value"]) << Cat(0, s["fine"]))[6:6 + width]
        exponent = Signal(self._fmt.exponent_bits + 2)
        m.d.comb += [
            value.eq(shifted ^ s["inverted"].replicate(width)),
            top.eq(value[-1]),
            exponent.eq(s["exponent"] - Cat(0, s["fine"], s["coarse"])),
        ]
        up = Mux(top, value[drop - 1] & (value[:drop - 1].any() | value[drop]),
                 value[drop - 2] & (value[:drop - 2].any() | value[drop - 1]))
        return self._stage(
            m, "normal", **{k: s[k] for k in ("sign", "opposite", "special", "nan")},
            fraction=Mux(top, value[drop:-1], value[drop - 1:-2]), top=top, up=up, exponent=exponent,
            nothing=s["last"] & (s["fine"] == 3), high=s["high"] & (s["fine"] == 0))

    def _round(self, m, s):
        """Stage 6: rounding, overflow and underflow."""
        fraction_bits, exponent_bits = self._fmt.fraction_bits, self._fmt.exponent_bits
        exponent, top = s["exponent"], s["top"]
        over, none, flushed = Signal(), Signal(), Signal()
        negative, low = exponent[-1], exponent[:exponent_bits]
        m.d.comb += [
            over.eq(s["special"] | s["high"] & (low[0] | top)),
            none.eq(~s["special"] & (s["nothing"] | negative & ~(exponent.all() & top))),
            flushed.eq(s["special"] | s["high"] & (low[0] | top) | s["nothing"] | negative | ~top & ~low.any()),
        ]
        rounded = Signal(fraction_bits + exponent_bits)
        m.d.comb += rounded.eq(
            Cat(s["up"] & ~over, Const(0, fraction_bits - 1), low | over.replicate(exponent_bits))
            + Cat(s["fraction"], top & ~over))
        result = Signal(self._fmt.bits, reset_less=True)
        with m.If(self.en):
            m.d.sync += result.eq(Cat(
                rounded[:fraction_bits - 1], Mux(flushed, s["nan"], rounded[fraction_bits - 1]), rounded[fraction_bits:],
                s["sign"] & ~(s["nothing"] & s["opposite"]) & ~s["nan"]))
            with m.If(flushed):  # by the reset of the registers
                m.d.sync += result[:fraction_bits - 1].eq(0)
            with m.If(none):
                m.d.sync += result[fraction_bits:-1].eq(0)
        m.d.comb += self.o.eq(result)


def _blocks(value):
    """Runs of ``BLOCK`` bits from the top down; the last may be shorter."""
    ends = range(len(value), 0, -BLOCK)
    return [value[max(0, end - BLOCK):end] for end in ends]


def _leading(flags):
    """How many of ``flags`` (one to three) are set before the first that is not, in two bits."""
    count = 0
    for flag in reversed(flags):
        count = Mux(flag, count + 1, 0)
    return count[:2]


def _lost(value, places, unit):
    """Whether a shift of ``value`` to the right by ``places`` units of ``unit`` bits pushes out ones."""
    return Cat((places > i) & value[unit * i:unit * (i + 1)].any() for i in range((1 << len(places)) - 1)).any()
