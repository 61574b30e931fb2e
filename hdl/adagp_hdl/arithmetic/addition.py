"""The adder behind every sum of the machine: two unpacked terms in, one encoded sum out."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from adagp.spec.formats import FloatFormat

GUARD_BITS = 2
BLOCK = 8
"""Bits that the first normalisation step shifts at once; the second shifts 2, 4 or 6."""


def term_layout(fmt: FloatFormat) -> data.StructLayout:
    """An unpacked finite number: ``significand`` has its integer bit on top; where ``zero`` is set,
    exponent and significand have no meaning."""
    return data.StructLayout({"sign": 1, "zero": 1, "exponent": fmt.exponent_bits,
                              "significand": fmt.fraction_bits + 1})


class SumPipeline(wiring.Component):
    """``o = a + b``, rounded to nearest even, subnormal results flushed to zero of their sign.

    One sum per cycle, ``LATENCY`` cycles, all frozen while ``en`` is low. ``special`` makes the
    result an infinity with the sign of the term of the larger exponent, or with ``nan`` also set
    the canonical NaN. ``zero`` wins over an exponent, that of ``b`` over that of ``a``. With ``slack`` 1
    the significand of ``b`` may lack its integer bit (be in [0.5, 2)), and its exponent may be the
    all-ones one.
    """

    LATENCY = 5

    def __init__(self, fmt: FloatFormat, *, slack: int = 0):
        if fmt.fraction_bits + GUARD_BITS + slack + 3 > 4 * BLOCK or fmt.fraction_bits < 5:
            raise ValueError(f"SumPipeline.fmt must have from 5 to {4 * BLOCK - GUARD_BITS - slack - 3} "
                             f"fraction bits, not {fmt.fraction_bits}")
        self._fmt = fmt
        self._guard = GUARD_BITS + slack
        super().__init__({
            "en": In(1), "a": In(term_layout(fmt)), "b": In(term_layout(fmt)),
            "special": In(1), "nan": In(1), "o": Out(fmt.bits)})

    def elaborate(self, platform):
        m = Module()
        ordered = self._order(m)
        aligned = self._align(m, ordered)
        total = self._add(m, aligned)
        normal = self._normalise(m, total)
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
        amount = Signal(bits)
        m.d.comb += [
            difference.eq(a.exponent - b.exponent),
            first.eq(b.zero | ~difference[bits] & ~a.zero),
            amount.eq(difference[:bits] ^ (~first).replicate(bits)),
        ]
        placed = Mux(first, Cat(0, b.significand), Cat(a.significand, 0))
        near = Mux(amount[0], Cat(placed, 0), Cat(0, placed))
        gone = Mux(first, b.zero, a.zero)
        return self._stage(
            m, "ordered", sign=Mux(first, a.sign & (b.sign | ~a.zero), b.sign), opposite=a.sign ^ b.sign,
            exponent=Mux(first, a.exponent, b.exponent), special=self.special, nan=self.nan,
            large=Mux(first, a.significand, b.significand),
            small=near, small_present=~gone, amount=amount[1:])

    def _align(self, m, s):
        """Stage 2: the smaller significand at its place, with a sticky bit for what falls off."""
        width = len(s["large"]) + self._guard
        levels = (width - 1).bit_length() - 1
        small = Cat(Const(0, width - len(s["small"])), s["small"])
        far = s["amount"][levels:].any() | ~s["small_present"]
        kept, lost = small, 0
        for level in range(0, levels, 2):  # two bits of the amount at once fill a LUT6
            units = s["amount"][level:min(level + 2, levels)]
            unit = 2 << level
            for i in range((1 << len(units)) - 1):
                lost = lost | (units > i) & kept[unit * i:unit * (i + 1)].any()
            kept = (kept >> (units << level + 1))[:width]
        return self._stage(
            m, "aligned", **{k: s[k] for k in ("sign", "opposite", "exponent", "special", "nan", "large")},
            small=Cat(Mux(far, s["small_present"], lost), Mux(far, 0, kept)))

    def _add(self, m, s):
        """Stage 3: the sum or difference; the latter is negative only if it is exact."""
        width = len(s["small"]) + 1
        large = Cat(Const(0, width - 1 - len(s["large"])), s["large"], 0)
        small = Cat(s["small"], 0)
        total = Signal(width + 1)
        opposite = s["opposite"]
        m.d.comb += total.eq(Cat(opposite, large) + Cat(opposite, small ^ opposite.replicate(width)))
        negative = opposite & total[width]
        blocks = _blocks(total[1:width + 1])
        return self._stage(
            m, "total", **{k: s[k] for k in ("opposite", "exponent", "special", "nan")},
            sign=s["sign"] ^ (negative & ~s["special"]), negative=negative, value=total[1:],
            high=s["exponent"][1:].all(), clear=Cat(*(~(block ^ negative.replicate(len(block))).any() for block in blocks[:-1])))

    def _normalise(self, m, s):
        """Stage 4: left by an even number of places, so that one of the two top bits is set.

        A negative difference is inverted only: with ones shifted in, rounding adds the missing 1.
        """
        value, negative, width = s["value"], s["negative"], len(s["value"])
        coarse, fine = Signal(2), Signal(2)
        first = Signal(width)
        m.d.comb += [
            coarse.eq(_leading(s["clear"])),
            first.eq((value << Cat(Const(0, 3), coarse))[:width] ^ negative.replicate(width)),
            fine.eq(_leading([~first[i:i + 2].any() for i in (width - 2, width - 4, width - 6)])),
        ]
        second = (Cat(negative.replicate(6), first) << Cat(0, fine))[6:6 + width]
        exponent = Signal(self._fmt.exponent_bits + 2)
        m.d.comb += exponent.eq(s["exponent"] - Cat(0, fine, coarse))
        nothing = s["clear"].all() & (fine == 3)
        return self._stage(
            m, "normal", **{k: s[k] for k in ("sign", "opposite", "special", "nan")},
            nothing=nothing, exponent=exponent, value=second,
            high=s["high"] & ~s["clear"][0] & (fine == 0))

    def _round(self, m, s):
        """Stage 5: the last place, rounding, overflow and underflow.

        ``exponent`` is one too small where the top bit is set; adding that bit to it does both.
        """
        fmt, value, exponent = self._fmt, s["value"], s["exponent"]
        fraction_bits, exponent_bits = fmt.fraction_bits, fmt.exponent_bits
        top = value[-1]
        drop = len(value) - 1 - fraction_bits
        fraction = Signal(fraction_bits)
        up, over, none, flushed = Signal(), Signal(), Signal(), Signal()
        negative = exponent[-1]
        low = exponent[:exponent_bits]
        m.d.comb += [
            fraction.eq(Mux(top, value[drop:-1], value[drop - 1:-2])),
            up.eq(Mux(top, value[drop - 1] & (value[:drop - 1].any() | value[drop]),
                      value[drop - 2] & (value[:drop - 2].any() | value[drop - 1]))),
            over.eq(s["special"] | s["high"] & (low[0] | top)),
            none.eq(~s["special"] & (s["nothing"] | negative & ~(exponent.all() & top))),
            flushed.eq(s["special"] | s["high"] & (low[0] | top) | s["nothing"] | negative | ~top & ~low.any()),
        ]
        rounded = Signal(fraction_bits + exponent_bits)
        m.d.comb += rounded.eq(
            Cat(up & ~over, Const(0, fraction_bits - 1), low | over.replicate(exponent_bits))
            + Cat(fraction, top & ~over))
        quiet = 1 << (fraction_bits - 1)
        with m.If(self.en):
            m.d.sync += self.o.eq(Cat(
                Mux(flushed, Mux(s["nan"], quiet, 0), rounded[:fraction_bits]),
                Mux(none, 0, rounded[fraction_bits:]), s["sign"] & ~(s["nothing"] & s["opposite"]) & ~s["nan"]))
        return m


def _blocks(value):
    """Runs of ``BLOCK`` bits from the top down; the last may be shorter."""
    ends = range(len(value), 0, -BLOCK)
    return [value[max(0, end - BLOCK):end] for end in ends]


def _leading(flags):
    """How many of ``flags`` (at most 3) are set before the first that is not."""
    count = 0
    for flag in reversed(flags):
        count = Mux(flag, count + 1, 0)
    return count
