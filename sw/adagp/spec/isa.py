"""The instruction set: fields, encoding, and the exact meaning of every instruction.

An instruction is 64 bytes, a little-endian integer whose fields are packed from bit 0 upwards in
the order of :data:`FIELDS`. A program is a sequence of instructions that ends with ``End``. The
meaning of a program is that of executing its instructions one after the other; tokens let the
engines overlap them without changing that meaning.

**Memories.** ``STREAM`` and ``STATIONARY`` hold operands and are addressed by operand: any run of
up to ``lanes`` consecutive operands can be read or written at any address. The predictor's array
has such memories of its own, ``PREDICTOR_STREAM`` and ``PREDICTOR_STATIONARY``. ``VECTOR`` holds words
of ``vector_lanes`` float32 values; the array and the vector unit address it by word, ``Load``,
``Fill`` and ``Store`` by element (element = word · vector_lanes + lane). All addresses wrap at the
size of their memory. Address strides are modulo 2**20 (word strides of the vector unit modulo
2**16), so a negative stride is its two's complement. External addresses are the chosen base
register plus ``offset`` plus signed 32-bit strides, in bytes, modulo 2**32.

**The predictor memory** of a design that has one takes the place of external memory in a ``Load`` or
``Store`` with ``local``: its addresses count from its first byte, no base register is added (``base``
is not looked at), and its size is the window. A design without one does not know ``local``, one
without an array for the predictor neither ``PredictorArray`` nor its memories nor the PREDICTOR
bit of ``wait`` and ``signal``: all are illegal there.

**Loops.** ``count0`` is the innermost. Every count and length is at least 1; a zero is illegal.

**Tokens.** ``wait`` and ``signal`` are sets of engines (bit = :class:`Engine`). Between each
ordered pair of engines there is a counter of tokens. An instruction starts when it has taken one
token from every engine in ``wait``, and when all its effects are complete (writes to external
memory acknowledged) it gives one token to every engine in ``signal``. ``End`` waits until all
engines are idle; then every counter must be zero.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
from functools import cache
from typing import ClassVar

from . import _fields

INSTRUCTION_BYTES = 64
TOKEN_LIMIT = 255
WORDS_IN_FLIGHT = 16
"""Most words of the vector unit between their reading and their writing."""
"""Most tokens that a counter holds. A further signal is a ``TOKEN`` fault."""


class Engine(IntEnum):
    """An in-order queue with its engine; also the bit number in ``wait`` and ``signal``."""

    LOAD = 0
    ARRAY = 1
    PREDICTOR = 2
    VECTOR = 3
    STORE = 4


class Opcode(IntEnum):
    """Zero and the unlisted codes are illegal, so cleared memory is not a program."""

    LOAD = 1
    FILL = 2
    ARRAY = 3
    VECTOR = 4
    STORE = 5
    END = 6
    PREDICTOR_ARRAY = 7


class Memory(IntEnum):
    STREAM = 0
    STATIONARY = 1
    VECTOR = 2
    PREDICTOR_STREAM = 3
    PREDICTOR_STATIONARY = 4

    @property
    def holds_operands(self) -> bool:
        return self is not Memory.VECTOR


class Format(IntEnum):
    """Element type in external memory: 2 or 4 bytes."""

    OPERAND = 0
    FLOAT32 = 1

    @property
    def bytes(self) -> int:
        return 4 if self is Format.FLOAT32 else 2


class Function(IntEnum):
    """What the vector unit computes from word ``a`` and ``y`` (word ``b`` or scalar ``t``)."""

    ARITHMETIC = 0
    MAXIMUM = 1
    MINIMUM = 2
    GATE = 3
    EQUAL = 4
    RECIPROCAL = 5
    RSQRT = 6
    EXP2 = 7
    EXPONENT = 8
    SIGNIFICAND = 9
    REPORT = 10


class Multiplier(IntEnum):
    """Second factor of the ARITHMETIC product; with NONE the product is ``a`` itself."""

    NONE = 0
    B = 1
    S = 2


class Addend(IntEnum):
    """Second term of ARITHMETIC (NONE leaves the product) and ``y`` of the other functions."""

    NONE = 0
    B = 1
    T = 2


class Pass(IntEnum):
    """What an ``Array`` instruction works for; chooses the counters it is booked on."""

    FORWARD = 0
    INPUT_GRADIENT = 1
    WEIGHT_GRADIENT = 2
    PREDICTOR = 3


class FaultCause(IntEnum):
    """Why the machine stopped; ``FAULT_ADDRESS`` holds what the comment says."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1   # address of the instruction
    READ_ERROR = 2            # address of the burst
    WRITE_ERROR = 3           # address of the burst
    WINDOW = 4                # first address of the run that leaves the window or the predictor memory
    MISALIGNED = 5            # address that is no multiple of its element
    DEADLOCK = 6              # address of the next instruction to fetch
    OVERRUN = 7               # address after the last instruction: no End before it
    TOKEN = 8                 # address of the instruction: counter overflow, or left over at End


#: Fields of each opcode after the header, least significant first: name → width in bits.
FIELDS: dict[Opcode, dict[str, int]] = _fields.FIELDS
HEADER: dict[str, int] = _fields.HEADER


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """Common part of all instructions. ``wait`` and ``signal`` are sets of :class:`Engine`."""

    opcode: ClassVar[Opcode]
    engine: ClassVar[Engine | None]
    wait: frozenset[Engine] = frozenset()
    signal: frozenset[Engine] = frozenset()

    def __post_init__(self):
        for name, least, most in _ranges(self.opcode):
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{type(self).__name__}.{name} must be from {least} to {most}, not {value!r}")


@cache
def _ranges(opcode: Opcode) -> tuple[tuple[str, int, int], ...]:
    """(name, least, most) of each field."""
    ranges = []
    for name, width in FIELDS[opcode].items():
        signed = name in _fields.SIGNED
        least, most = (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        if name.startswith("count") or name.endswith(("count0", "count1", "count2")) or name in ("length", "columns"):
            least = 1
        ranges.append((name, least, most))
    return tuple(ranges)


@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """External memory, or with ``local`` the predictor memory → scratchpad, converting on the way.

    Natural (``transpose=0``), for all loop indices i and e < length::

        memory[destination + Σ i·destination_stride + e] = source[offset + Σ i·source_stride + e·size]

    Transposed (``transpose=1``; destination a memory of operands; count0 at most its lanes): the
    column e of a row i0 becomes lane i0 of the word that ``destination_stride0`` places::

        memory[destination + e·destination_stride0 + i1·destination_stride1
               + i2·destination_stride2 + i0] = source[offset + Σ i·source_stride + e·size]

    ``dense`` states that ``source_stride0 == length · size``, so that the count0 runs are fetched
    as one (the machine does not look at ``source_stride0`` then); it needs ``transpose=0``.

    Into VECTOR the value becomes float32 (an operand is widened exactly); into the operand
    memories a float32 is rounded as the number contract says (a NaN becomes the canonical one, a
    subnormal zero) and an operand is copied bit by bit. Addresses must be multiples of the size.
    """

    opcode: ClassVar[Opcode] = Opcode.LOAD
    engine: ClassVar[Engine] = Engine.LOAD
    memory: Memory
    transpose: int = 0
    dense: int = 0
    format: Format
    local: int = 0
    base: int = 0
    offset: int
    destination: int
    length: int
    count0: int = 1
    count1: int = 1
    count2: int = 1
    source_stride0: int = 0
    source_stride1: int = 0
    source_stride2: int = 0
    destination_stride0: int = 0
    destination_stride1: int = 0
    destination_stride2: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.dense and (self.transpose or self.source_stride0 != self.length * Format(self.format).bytes):
            raise ValueError(f"Load.dense needs transpose=0 and source_stride0 equal to length times size, "
                             f"not {self.source_stride0!r} with length {self.length}")
        if self.transpose and self.memory == Memory.VECTOR:
            raise ValueError("Load.transpose needs a memory of operands, not VECTOR")


@dataclass(frozen=True, kw_only=True)
class Fill(Instruction):
    """Writes the constant ``value`` (float32 bits; operand memories take its upper 16 bits) to
    ``memory[destination + Σ i·destination_stride + e]`` for all loop indices and e < length."""

    opcode: ClassVar[Opcode] = Opcode.FILL
    engine: ClassVar[Engine] = Engine.LOAD
    memory: Memory
    value: int = 0
    destination: int
    length: int
    count0: int = 1
    count1: int = 1
    count2: int = 1
    destination_stride0: int = 0
    destination_stride1: int = 0
    destination_stride2: int = 0


@dataclass(frozen=True, kw_only=True)
class Array(Instruction):
    """Tile passes of the weight-stationary array, loops from outer to inner::

        for i_o1 < outer_count1:
          for i_o0 < outer_count0:
            for j < ⌈row_count / rows⌉:                        # row_count = row_count0·1·2
              W[r, c] = stationary[stationary + stationary_outer_stride·i_o + walk(j·rows + r) + c]
              for p in the order of stream_count0, 1, 2:       # one vector per cycle
                x[r] = stream[stream + stream_outer_stride·i_o + j·chunk_stride
                              + stream_stride·i_s + r]
                word = accumulator + accumulator_outer_stride·i_o + p
                sum[c] = ((+0 + x[0]·W[0, c]) + x[1]·W[1, c]) + …       # all rows of the array
                vector[word][c] = sum[c] if fresh else vector[word][c] + sum[c]

    ``walk(n)`` is the address of contraction row n: Σ i_r·row_stride with i_r0 innermost. Rows at
    or beyond row_count have x = W = +0; columns at or beyond ``columns`` have W = +0; lanes at or
    beyond the array's columns are written +0. A tile is fresh when ``accumulate`` is 0, j is 0 and
    each outer index is 0 or has a non-zero ``accumulator_outer_stride``: what is visited first is
    overwritten, what is visited again is added to.

    ``columns`` is at most the array's columns. One vector enters per cycle; tile n + 1 loads
    behind tile n, so nothing is lost while stream_count is at least the array's rows. ``tag`` and
    ``layer`` choose the counters that the cycles and multiply-accumulates are booked on.
    """

    opcode: ClassVar[Opcode] = Opcode.ARRAY
    engine: ClassVar[Engine] = Engine.ARRAY
    tag: Pass
    layer: int = 0
    accumulate: int = 0
    columns: int
    stream: int
    stationary: int
    accumulator: int
    stream_count0: int
    stream_count1: int = 1
    stream_count2: int = 1
    row_count0: int
    row_count1: int = 1
    row_count2: int = 1
    outer_count0: int = 1
    outer_count1: int = 1
    stream_stride0: int = 0
    stream_stride1: int = 0
    stream_stride2: int = 0
    chunk_stride: int = 0
    stream_outer_stride0: int = 0
    stream_outer_stride1: int = 0
    row_stride0: int = 0
    row_stride1: int = 0
    row_stride2: int = 0
    stationary_outer_stride0: int = 0
    stationary_outer_stride1: int = 0
    accumulator_outer_stride0: int = 0
    accumulator_outer_stride1: int = 0


@dataclass(frozen=True, kw_only=True)
class PredictorArray(Array):
    """``Array`` on the predictor's array: its rows, columns and operand memories, and accumulators
    in the same vector memory. The counters of ``Array`` do not see it, except BUSY."""

    opcode: ClassVar[Opcode] = Opcode.PREDICTOR_ARRAY
    engine: ClassVar[Engine] = Engine.PREDICTOR


@dataclass(frozen=True, kw_only=True)
class Vector(Instruction):
    """Elementwise arithmetic on words of the vector memory::

        for all i:  vector[d + Σ i·d_stride] = f(vector[a + Σ i·a_stride], vector[b + Σ i·b_stride])

    with every lane alike; ``broadcast`` gives all lanes the lane ``lane`` of the word read at b
    (``lane`` is below the vector lanes). y is b or t.

    - ARITHMETIC: p = a, a·b or a·s (``multiplier``), negated if ``negate_product``; then p, p + b
      or p + t (``addend``), the term negated before if ``negate_addend``; then, if ``relu``, the
      MAXIMUM with +0. Each product and each sum is rounded; p = a without an addend is a bit copy.
    - MAXIMUM, MINIMUM of a and y, with −0 < +0; NaN if either is NaN.
    - GATE: y if a > 0, else +0; y is copied bit by bit.
    - EQUAL: 1.0 if a = y as numbers (−0 = +0, NaN equals nothing), else +0.
    - RECIPROCAL: estimate of 1/a. m = 0x7EF311C7 − |a| with the sign of a; ±0 → ±∞, ±∞ → ±0,
      NaN → NaN, and ±0 where m would be below 0x00800000.
    - RSQRT: estimate of 1/√a: 0x5F3759DF − (a >> 1); ±0 → +∞, +∞ → +0, negative or NaN → NaN.
    - EXP2: 2^n with n = a truncated towards zero; n < −126 → +0, n > 127 → +∞, NaN → NaN.
    - EXPONENT: the unbiased exponent of |a| as a float32; ±0 → −∞, ±∞ → +∞, NaN → NaN.
    - SIGNIFICAND: |a| scaled into [1, 2); ±0 → 1.0, ±∞ → 1.0, NaN → NaN.
    - REPORT: no word is written; lane 0 of a goes, bit by bit, to the register
      QUALITY[(d + Σ i·d_stride) mod 128], in the order of the loops.

    Subnormal a, b, s, t count as zeros of their sign in all but bit copies. NaN is canonical.

    Words are read in the order of the instructions and their loops, and written in the same order,
    up to :data:`WORDS_IN_FLIGHT` later. Before the first word of an instruction, with ``each`` before
    every one, the unit waits until all but the latest ``behind`` words before it are written. An
    instruction must not read a word before that is certain; ``WORDS_IN_FLIGHT − 1`` never waits.
    Within an instruction a word may be read and written only by the same loop index (d may equal a
    or b, not overlap them otherwise), and no word may be written twice.
    """

    opcode: ClassVar[Opcode] = Opcode.VECTOR
    engine: ClassVar[Engine] = Engine.VECTOR
    function: Function = Function.ARITHMETIC
    multiplier: Multiplier = Multiplier.NONE
    addend: Addend = Addend.NONE
    negate_product: int = 0
    negate_addend: int = 0
    relu: int = 0
    broadcast: int = 0
    lane: int = 0
    behind: int = 0
    each: int = 0
    s: int = 0
    t: int = 0
    a: int
    b: int = 0
    d: int
    count0: int = 1
    count1: int = 1
    count2: int = 1
    a_stride0: int = 0
    a_stride1: int = 0
    a_stride2: int = 0
    b_stride0: int = 0
    b_stride1: int = 0
    b_stride2: int = 0
    d_stride0: int = 0
    d_stride1: int = 0
    d_stride2: int = 0


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Vector memory → external memory, or with ``local`` the predictor memory, for all loop indices i
    and e < length::

        destination[offset + Σ i·destination_stride + e·size] = vector[source + Σ i·source_stride + e]

    FLOAT32 is copied bit by bit, OPERAND is rounded as in ``Load``. ``dense`` states that
    ``destination_stride0 == length · size``, so that the count0 runs are written as one. Runs of
    one instruction must not overlap there.
    """

    opcode: ClassVar[Opcode] = Opcode.STORE
    engine: ClassVar[Engine] = Engine.STORE
    dense: int = 0
    format: Format
    local: int = 0
    base: int = 0
    offset: int
    source: int
    length: int
    count0: int = 1
    count1: int = 1
    count2: int = 1
    source_stride0: int = 0
    source_stride1: int = 0
    source_stride2: int = 0
    destination_stride0: int = 0
    destination_stride1: int = 0
    destination_stride2: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.dense and self.destination_stride0 != self.length * Format(self.format).bytes:
            raise ValueError(f"Store.dense needs destination_stride0 equal to length times size, "
                             f"not {self.destination_stride0!r} with length {self.length}")


@dataclass(frozen=True, kw_only=True)
class End(Instruction):
    """The batch is complete once all engines are idle. Takes no tokens and gives none."""

    opcode: ClassVar[Opcode] = Opcode.END
    engine: ClassVar[None] = None


INSTRUCTIONS: dict[Opcode, type[Instruction]] = {
    kind.opcode: kind for kind in (Load, Fill, Array, PredictorArray, Vector, Store, End)}


class IllegalInstruction(ValueError):
    """The bytes are no instruction that this machine executes."""


def _mask(engines: frozenset[Engine]) -> int:
    return sum(1 << engine for engine in engines)


def encode(instruction: Instruction) -> bytes:
    """The 64 bytes of ``instruction``."""
    layout = HEADER | FIELDS[instruction.opcode]
    values = {"opcode": instruction.opcode, "wait": _mask(instruction.wait),
              "signal": _mask(instruction.signal)}
    word = position = 0
    for name, width in layout.items():
        value = values[name] if name in values else getattr(instruction, name)
        word |= (int(value) & ((1 << width) - 1)) << position
        position += width
    return word.to_bytes(INSTRUCTION_BYTES, "little")


def decode(data: bytes) -> Instruction:
    """The instruction in 64 bytes; raises :class:`IllegalInstruction`.

    Strides modulo 2**20 and 2**16 come back as signed numbers, which encode to the same bytes.
    """
    if len(data) != INSTRUCTION_BYTES:
        raise IllegalInstruction(f"an instruction has {INSTRUCTION_BYTES} bytes, not {len(data)}")
    word = int.from_bytes(data, "little")
    code = word & ((1 << HEADER["opcode"]) - 1)
    if code not in INSTRUCTIONS:
        raise IllegalInstruction(f"opcode must be one of {', '.join(f'{o.value} ({o.name})' for o in INSTRUCTIONS)}, not {code}")
    kind = INSTRUCTIONS[Opcode(code)]
    types = {field.name: field.type for field in fields(kind)}
    values, position = {}, 0
    for name, width in (HEADER | FIELDS[kind.opcode]).items():
        value = word >> position & ((1 << width) - 1)
        position += width
        if name in _fields.SIGNED and value >> (width - 1):
            value -= 1 << width
        if name in ("wait", "signal"):
            value = frozenset(engine for engine in Engine if value >> engine & 1)
        elif name != "opcode" and isinstance(types[name], type) and issubclass(types[name], IntEnum):
            try:
                value = types[name](value)
            except ValueError as error:
                raise IllegalInstruction(f"{kind.__name__}.{name}: {error}") from error
        values[name] = value
    del values["opcode"]
    if values.get("dense") and not values.get("transpose"):  # a stride that the machine does not look at
        stride = "source_stride0" if kind is Load else "destination_stride0"
        values[stride] = values["length"] * values["format"].bytes
    try:
        return kind(**values)
    except ValueError as error:
        raise IllegalInstruction(str(error)) from error


def disassemble(instruction: Instruction) -> str:
    """One line of text: the name, then every field that differs from its default."""
    parts = []
    for field in fields(instruction):
        value = getattr(instruction, field.name)
        if field.name in ("wait", "signal"):
            if value:
                parts.append(f"{field.name}={'+'.join(engine.name.lower() for engine in sorted(value))}")
        elif value != field.default:
            text = value.name.lower() if isinstance(value, IntEnum) else (
                f"{value:#x}" if field.name in ("offset", "value", "s", "t") else str(value))
            parts.append(f"{field.name}={text}")
    return " ".join([type(instruction).__name__.lower(), *parts])
