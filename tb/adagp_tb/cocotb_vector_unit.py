"""Bench of the vector unit on its memory: every write and report, in order, against the ISA on exact
rationals.

The other ports of the memory refuse and delay the unit's reads and writes. They write only the
last ``ALIEN_WORDS`` of each bank, which the programs leave alone, and read everywhere.
"""

import random
from collections import deque
from itertools import product

import cocotb
import literal  # tests/golden/literal.py: the ISA word by word
from cocotb.triggers import FallingEdge, RisingEdge

from adagp.compiler.chaining import VECTOR_LATENCY
from adagp.spec.isa import WORDS_IN_FLIGHT, Addend, Function, Multiplier, Vector, encode
from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock

ALIEN_WORDS = 2
ALIENS = ("array_read", "array_write", "load_write", "store_read")

SPECIALS = [sign << 31 | magnitude for sign in (0, 1) for magnitude in (
    0x00000000, 0x00000001, 0x007FFFFF, 0x00800000, 0x3F7FFFFF, 0x3F800000, 0x42FE0000, 0x42FFFFFF, 0x7E800001,
    0x7F7FFFFF, 0x7F800000, 0x7F800001)] + [0x7FC00000]
"""Zero, subnormals, the least normal, around 1, 127 and 128 for EXP2, a reciprocal below the
normal range, the largest, infinity, NaNs. An odd number, so that pairs meet in all lanes."""


def random_value(random) -> int:
    kind = random.random()
    if kind < 0.2:
        return random.choice(SPECIALS)
    if kind < 0.4:
        return random.getrandbits(32)
    return random.getrandbits(1) << 31 | random.randrange(122, 136) << 23 | random.getrandbits(23)


def walk(instruction: Vector, operand: str, words: int) -> list[int]:
    """The words that ``operand`` visits, in order."""
    counts = [range(getattr(instruction, f"count{i}")) for i in (2, 1, 0)]
    strides = [getattr(instruction, f"{operand}_stride{i}") for i in (2, 1, 0)]
    start = getattr(instruction, operand)
    return [(start + sum(i * stride for i, stride in zip(index, strides))) % 65536 % words for index in product(*counts)]


def reads_b(instruction: Vector) -> bool:
    if instruction.function == Function.ARITHMETIC:
        return Multiplier.B == instruction.multiplier or Addend.B == instruction.addend
    return instruction.function <= Function.EQUAL and instruction.addend == Addend.B


class Bench:
    """Runs programs and compares each write and each ``done``."""

    def __init__(self, dut, *, words: int, lanes: int, banks: int, seed: int):
        self.dut = dut
        self.words, self.lanes, self.banks = words, lanes, banks
        self.random = random.Random(seed)
        self.memory = [[0] * lanes for _ in range(words)]
        self.expected = deque()  # (word or index, value, last of its instruction, is it a report)
        self.done_due = self.cycles = self.done = 0

    async def start(self):
        start_clock(self.dut)
        self.dut.instruction__valid.value = 0
        for name in ALIENS:
            getattr(self.dut, f"{name}__valid").value = 0
        await RisingEdge(self.dut.clk)

    async def cycle(self):
        await FallingEdge(self.dut.clk)
        assert self.dut.done.value == self.done_due, "done comes in the cycle after the last write, and only then"
        self.done_due = 0
        report = self.dut.report.value.to_unsigned()
        if self.dut.write_granted.value or report & 1:
            word, value, last, reports = self.expected.popleft()
            got = self.dut.write_address.value.to_unsigned() % self.words, self.dut.write_data.value.to_unsigned()
            if reports:
                got = report >> 1 & 0x7F, report >> 8
                assert report & 1 and not self.dut.write_granted.value, "a report is no write"
            assert got == (word, value), f"wrote {got[1]:#x} to word {got[0]}, not {value:#x} to {word}"
            self.done_due = int(last)
            self.done += last
        self.cycles += 1

    async def fill(self, contents: dict[int, list[int]]):
        """Writes words through the array's port, which is always ready."""
        for word, values in contents.items():
            self.memory[word] = list(values)
            self.present("array_write", word, values)
            await RisingEdge(self.dut.clk)
        self.dut.array_write__valid.value = 0

    def present(self, name: str, word: int, values: list[int]):
        getattr(self.dut, f"{name}__valid").value = 1
        getattr(self.dut, f"{name}__address").value = word
        if name.endswith("write"):
            getattr(self.dut, f"{name}__data").value = sum(value << 32 * i for i, value in enumerate(values))
            getattr(self.dut, f"{name}__mask").value = (1 << self.lanes) - 1

    def expect(self, instruction: Vector):
        """Executes ``instruction`` on the model and notes its writes or reports."""
        targets = walk(instruction, "d", self.words)
        b_words = walk(instruction, "b", self.words) if reads_b(instruction) else targets
        for k, (a, b, d) in enumerate(zip(walk(instruction, "a", self.words), b_words, targets)):
            if instruction.function == Function.REPORT:
                self.expected.append((d % 128, self.memory[a][0], k == len(targets) - 1, True))
                continue
            b_values = [self.memory[b][instruction.lane]] * self.lanes if instruction.broadcast else self.memory[b]
            result = [literal.vector_lane(instruction, *pair) for pair in zip(self.memory[a], b_values)]
            self.memory[d] = result
            self.expected.append((d, sum(value << 32 * i for i, value in enumerate(result)), k == len(targets) - 1,
                                  False))

    async def run(self, program: list[Vector], *, gaps: float = 0, traffic: float = 0) -> int:
        """Issues ``program``, with pauses and foreign memory traffic at these rates; returns the
        cycles from the first instruction to the last ``done``."""
        for instruction in program:
            self.expect(instruction)
        waiting = deque(program)
        offered = False
        self.cycles = self.done = 0
        limit = 200 + 40 * sum(i.count0 * i.count1 * i.count2 for i in program)
        while self.done < len(program) or self.done_due:
            if waiting and not offered and self.random.random() >= gaps:
                offered = True
                self.dut.instruction__payload.value = int.from_bytes(encode(waiting[0]), "little") & (
                    (1 << len(self.dut.instruction__payload)) - 1)
            self.dut.instruction__valid.value = offered
            if traffic:
                self.drive_aliens(traffic)
            await self.cycle()
            assert self.dut.busy.value or self.done_due == 0 and (waiting or self.done == len(program))
            if offered and self.dut.instruction__ready.value:
                waiting.popleft()
                offered = False
            await RisingEdge(self.dut.clk)
            assert self.cycles < limit, "the unit does not finish"
        for name in ALIENS:
            getattr(self.dut, f"{name}__valid").value = 0
        self.dut.instruction__valid.value = 0
        assert not self.expected
        return self.cycles - 1

    def drive_aliens(self, rate: float):
        """New requests each cycle, whether or not the last were granted."""
        bank_words = self.words // self.banks
        for name in ALIENS:
            if self.random.random() >= (rate / 2 if name.startswith("array") else rate):
                getattr(self.dut, f"{name}__valid").value = 0
                continue
            inside = bank_words - 1 - self.random.randrange(ALIEN_WORDS)
            self.present(name, self.random.randrange(self.banks) * bank_words + inside, [self.random.getrandbits(32)] * self.lanes)


class ProgramWriter:
    """Random instructions that keep the rules of the ISA about overlap."""

    def __init__(self, random, *, words: int, lanes: int, banks: int):
        self.random, self.words, self.lanes, self.bank_words = random, words, lanes, words // banks
        self.issued = []  # what each word writes

    def next(self) -> Vector:
        while True:
            instruction = self.attempt()
            a, b, d = (walk(instruction, operand, self.words) for operand in "abd")
            if not reads_b(instruction):
                b = a
            if len(set(d)) < len(d) or self.overlaps_itself(a, b, d) or self.touches_aliens(a + b + d):
                continue
            if any(self.in_flight(instruction, k) & {a[k], b[k]} for k in range(len(d))):
                continue
            self.issued += [None] * len(d) if instruction.function == Function.REPORT else d
            return instruction

    def in_flight(self, instruction: Vector, k: int) -> set[int]:
        """What may not be written yet when word ``k`` of ``instruction`` is read."""
        behind = instruction.behind if instruction.each else min(WORDS_IN_FLIGHT - 1, instruction.behind + k)
        return set(self.issued[max(0, len(self.issued) + k - behind):])

    def overlaps_itself(self, a, b, d) -> bool:
        place = {word: k for k, word in enumerate(d)}
        return any(place.get(word, k) != k for source in (a, b) for k, word in enumerate(source))

    def touches_aliens(self, visited) -> bool:
        return any(word % self.bank_words >= self.bank_words - ALIEN_WORDS for word in visited)

    def attempt(self) -> Vector:
        random = self.random
        counts = [random.choice((1, 1, 2, 3, 5)) for _ in range(3)]
        dense = (1, counts[0], counts[0] * counts[1])
        few = lambda: random.choice((-3, -1, 0, 0, 1, 1, 2, self.bank_words, 1 << 14))
        fields = {f"count{i}": count for i, count in enumerate(counts)}
        for operand in "abd":
            direction = random.choice((1, -1, 2, self.words + 1))
            for i in range(3):
                stride = direction * dense[i] if operand == "d" or random.random() < 0.5 else few()
                fields[f"{operand}_stride{i}"] = stride
            fields[operand] = random.randrange(1 << 16)
        if random.random() < 0.3:  # in place
            source = random.choice("ab")
            fields |= {"d" + name: fields[source + name] for name in ("", "_stride0", "_stride1", "_stride2")}
        flags = {name: random.getrandbits(1) for name in ("negate_product", "negate_addend", "relu", "broadcast")}
        return Vector(
            function=random.choice([Function.ARITHMETIC] * 5 + list(Function)), multiplier=random.choice(list(Multiplier)),
            addend=random.choice(list(Addend)), behind=random.choice((0, 15, random.randrange(16))), each=random.getrandbits(1),
            s=random_value(random),
            t=random_value(random), lane=random.randrange(self.lanes), **flags, **fields)


async def prepared(dut) -> Bench:
    bench = Bench(dut, **bench_parameters(), seed=cocotb.RANDOM_SEED)
    await bench.start()
    await bench.fill({word: [random_value(bench.random) for _ in range(bench.lanes)] for word in range(bench.words)})
    return bench


@cocotb.test()
async def random_programs_with_pauses_and_refusals(dut):
    bench = await prepared(dut)
    for gaps, traffic in product((0, 0.5, 0.9), (0, 0.5, 1)):
        writer = ProgramWriter(bench.random, words=bench.words, lanes=bench.lanes, banks=bench.banks)
        await bench.run([writer.next() for _ in range(40)], gaps=gaps, traffic=traffic)


@cocotb.test()
async def special_values_in_all_lanes_and_all_forms(dut):
    bench = await prepared(dut)
    pairs = list(product(SPECIALS, SPECIALS))
    pairs += pairs[:-len(pairs) % bench.lanes]
    count = len(pairs) // bench.lanes
    for operand, start in ((0, 0), (1, count)):
        values = [pair[operand] for pair in pairs]
        await bench.fill({start + k: values[k * bench.lanes:][:bench.lanes] for k in range(count)})
    forms = [dict(function=Function.ARITHMETIC, multiplier=m, addend=t, negate_product=n, negate_addend=u, relu=r)
             for m, t, n, u, r in product(Multiplier, Addend, (0, 1), (0, 1), (0, 1))]
    forms += [dict(function=f, addend=t, multiplier=Multiplier.B, negate_product=1, negate_addend=1, relu=1)
              for f, t in product(list(Function)[1:], (Addend.B, Addend.T))]
    places = dict(a=0, b=count, d=2 * count, count0=count, a_stride0=1, b_stride0=1, d_stride0=1)
    await bench.run([Vector(**form, **places, s=bench.random.choice(SPECIALS), t=bench.random.choice(SPECIALS),
                            broadcast=int(bench.random.random() < 0.2), lane=bench.random.randrange(bench.lanes)) for form in forms])


def chain(words: int, **changes) -> Vector:
    return Vector(**dict(addend=Addend.T, t=0x3F800000, a=3, d=3, count0=words, a_stride0=1, d_stride0=1) | changes)


@cocotb.test()
async def a_dependent_instruction_takes_as_long_as_the_compiler_thinks(dut):
    bench = await prepared(dut)
    few = await bench.run([chain(1)] * 10)
    many = await bench.run([chain(1)] * 30)
    assert many - few == 20 * VECTOR_LATENCY, (many - few) / 20


@cocotb.test()
async def operands_in_different_banks_give_one_word_per_cycle(dut):
    bench = await prepared(dut)
    bank = bench.words // bench.banks
    for b, per_word in ((bank, 1), (bank // 2, 2)):
        form = dict(a=0, b=b, b_stride0=1, d=2 * bank, addend=Addend.B, behind=15)
        instruction = chain(bank // 2, **form)
        once = await bench.run([instruction])
        assert once == bank // 2 * per_word + VECTOR_LATENCY, once
        # the words of one instruction follow those of the one before
        short = [chain(1, **form | {"d": 2 * bank + i}) for i in range(16)]
        assert await bench.run(short) == 16 * per_word + VECTOR_LATENCY


@cocotb.test()
async def long_instructions_that_read_word_by_word_follow_without_a_pause(dut):
    bench = await prepared(dut)
    for words, behind in ((16, 15), (30, 15), (VECTOR_LATENCY, VECTOR_LATENCY - 1), (8, 7)):
        few = await bench.run([chain(words, behind=behind, each=1)] * 5)
        many = await bench.run([chain(words, behind=behind, each=1)] * 25)
        assert many - few == 20 * max(words, VECTOR_LATENCY), (words, (many - few) / 20)
