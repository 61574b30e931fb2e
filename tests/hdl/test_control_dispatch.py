"""Dispatch, queues and tokens with engines that take their time."""

import random
from collections import defaultdict, deque

import pytest
from amaranth.sim import Simulator

from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import (
    TOKEN_LIMIT, Array, End, Engine, FaultCause, Fill, Format, Memory, Pass, PredictorArray, Store, Vector, encode)
from adagp_hdl.control.dispatch import Dispatch

START = 0x4000
ENGINES = LOAD, ARRAY, PREDICTOR, VECTOR, STORE = tuple(Engine)
CONFIG = AcceleratorConfig(rows=2, columns=2, bus_bits=64, queue_depth=4, design=Design.MAX)


def instruction(engine, number=0, wait=(), signal=()):
    """An instruction of ``engine`` that carries a number."""
    tokens = dict(wait=frozenset(wait), signal=frozenset(signal))
    tile = dict(tag=Pass.FORWARD, columns=1, stream=number, stationary=0, accumulator=0, stream_count0=1, row_count0=1)
    return {
        Engine.LOAD: lambda: Fill(memory=Memory.STREAM, destination=number, length=1, **tokens),
        Engine.ARRAY: lambda: Array(**tile, **tokens),
        Engine.PREDICTOR: lambda: PredictorArray(**tile, **tokens),
        Engine.VECTOR: lambda: Vector(a=number, d=0, **tokens),
        Engine.STORE: lambda: Store(format=Format.FLOAT32, base=0, offset=0, source=number, length=1, **tokens),
    }[engine]()


def random_program(rng, length):
    """Instructions whose sequential execution always finds its tokens and leaves none."""
    counts, program = defaultdict(int), []

    def add(engine, wait, signal):
        for giver in wait:
            counts[giver, engine] -= 1
        for taker in signal:
            counts[engine, taker] += 1
        program.append(instruction(engine, len(program), wait, signal))

    for _ in range(length):
        engine = rng.choice(ENGINES)
        wait = [giver for giver in ENGINES if counts[giver, engine] and rng.random() < 0.6]
        add(engine, wait, [taker for taker in ENGINES if rng.random() < 0.3])
    while any(counts.values()):
        engine = rng.choice([taker for (_, taker), count in counts.items() if count])
        add(engine, [giver for giver in ENGINES if counts[giver, engine]], [])
    return [*program, End()]


class Bench:
    """Feeds a program, plays the engines, and notes when instructions start and end."""

    def __init__(self, program, *, seed=0, dead=(), gaps=0.3, config=CONFIG, overrun=False, limit=4000):
        self.rng = random.Random(seed)
        self.program, self.dead, self.gaps, self.limit = program, dead, gaps, limit
        self.words = [item if isinstance(item, bytes) else encode(item) for item in program]
        self.dut, self.overrun = Dispatch(config), overrun
        self.started, self.ended = defaultdict(list), defaultdict(list)  # engine → [(cycle, number)]
        self.dispatched, self.finished, self.fault = 0, None, None
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._run)
        simulator.run()

    async def _run(self, ctx):
        dut, rng = self.dut, self.rng
        held = {engine: deque() for engine in ENGINES}
        position, feeding = 0, False
        for cycle in range(self.limit):
            total = len(self.words) + self.overrun
            feeding = feeding or (position < total and rng.random() >= self.gaps)
            ctx.set(dut.i.valid, feeding)
            ctx.set(dut.i.payload.address, START + 64 * position)
            ctx.set(dut.i.payload.overrun, position == len(self.words))
            if position < len(self.words):
                ctx.set(dut.i.payload.word, int.from_bytes(self.words[position], "little"))
            ready = {}
            for engine in ENGINES:
                port, due = getattr(dut, engine.name.lower()), held[engine]
                ready[engine] = engine not in self.dead and len(due) < 5 and rng.random() < 0.7
                ctx.set(port.instruction.ready, ready[engine])
                done = bool(due) and due[0][0] <= cycle and rng.random() < 0.6
                ctx.set(port.done, done)
                if done:
                    self.ended[engine].append((cycle, due.popleft()[1]))
            await ctx.delay(1e-9)
            for engine in ENGINES:
                port = getattr(dut, engine.name.lower())
                if ready[engine] and ctx.get(port.instruction.valid):
                    number = self._number(engine, ctx.get(port.instruction.payload))
                    self.started[engine].append((cycle, number))
                    held[engine].append((cycle + 1 + rng.choice([0, 1, 5, 40]), number))
            self.dispatched += ctx.get(dut.dispatched)
            if feeding and ctx.get(dut.i.ready):
                position, feeding = position + 1, False
            if ctx.get(dut.fault.valid):
                self.fault = FaultCause(ctx.get(dut.fault.cause)), ctx.get(dut.fault.address)
                return
            if ctx.get(dut.done):
                assert self.finished is None
                self.finished = cycle
            elif self.finished is not None and cycle > self.finished + 20:
                return
            await ctx.tick()

    @staticmethod
    def _number(engine, payload):
        """Where :func:`instruction` has put the number, counted by hand from the documented fields."""
        position, width = {Engine.LOAD: (49, 20), Engine.ARRAY: (33, 20), Engine.PREDICTOR: (33, 20),
                           Engine.VECTOR: (102, 16), Engine.STORE: (52, 20)}[engine]
        return payload >> position & (1 << width) - 1


def check_order(program, bench):
    """Per engine program order; the n-th taking of a token comes after the n-th giving."""
    gives, takes = defaultdict(list), defaultdict(list)
    for engine in ENGINES:
        mine = [i for i, item in enumerate(program) if item.engine is engine]
        assert [number for _, number in bench.started[engine]] == mine
        assert [number for _, number in bench.ended[engine]] == mine
        for cycle, number in bench.started[engine]:
            for giver in program[number].wait:
                takes[giver, engine].append(cycle)
        for cycle, number in bench.ended[engine]:
            for taker in program[number].signal:
                gives[engine, taker].append(cycle)
    for pair, cycles in takes.items():
        assert all(given < taken for given, taken in zip(gives[pair], cycles, strict=True)), pair
    assert bench.finished > max(cycle for ends in bench.ended.values() for cycle, _ in ends)


@pytest.mark.parametrize("seed", range(8))
def test_tokens_order_random_programs(seed):
    program = random_program(random.Random(seed), 60)
    bench = Bench(program, seed=seed, gaps=(0, 0.3, 0.9)[seed % 3])
    assert bench.fault is None and bench.finished is not None
    check_order(program, bench)
    assert bench.dispatched == len(program)


def test_independent_engines_overlap():
    program = [instruction(engine, len(ENGINES) * i + j) for i in range(3) for j, engine in enumerate(ENGINES)] + [End()]
    bench = Bench(program, seed=3, gaps=0)
    check_order(program, bench)
    spans = [(min(c for c, _ in bench.started[e]), max(c for c, _ in bench.ended[e])) for e in ENGINES]
    assert max(start for start, _ in spans) < min(end for _, end in spans)


def test_only_design_max_has_a_queue_for_the_predictor():
    assert [hasattr(Dispatch(CONFIG.with_design(design)), "predictor") for design in Design] == [False] * 3 + [True]


@pytest.mark.parametrize("program, address", [
    ([instruction(LOAD), instruction(STORE, wait=[ARRAY]), End()], START + 128),
    ([instruction(LOAD, wait=[LOAD]), End()], START + 64),
    ([instruction(LOAD, wait=[STORE], signal=[STORE]), instruction(STORE, wait=[LOAD], signal=[LOAD]), End()],
     START + 128),
    ([instruction(VECTOR, wait=[ARRAY]), *[instruction(VECTOR)] * 5, instruction(ARRAY, signal=[VECTOR]), End()],
     START + 4 * 64),  # the queue of four is full before the token's giver
    ([instruction(VECTOR, wait=[ARRAY]), bytes(64)], START + 64),
], ids=["no giver", "itself", "circle", "full queue", "before an illegal one"])
def test_deadlock_is_found(program, address):
    bench = Bench(program, seed=1)
    assert bench.fault == (FaultCause.DEADLOCK, address)


def test_a_slow_engine_is_no_deadlock():
    program = [instruction(LOAD, 0, signal=[STORE]), instruction(STORE, 1, wait=[LOAD]), End()]
    assert Bench(program, dead=[LOAD], limit=600).fault is None


def test_later_instruction_may_give_the_token():
    program = [instruction(STORE, 0, wait=[LOAD]), instruction(LOAD, 1, signal=[STORE]), End()]
    bench = Bench(program, seed=2)
    assert bench.fault is None and bench.finished is not None
    check_order(program, bench)


@pytest.mark.parametrize("position", [0, 3])
def test_what_ends_a_program_waits_for_all_before_it(position):
    before = [instruction(engine, i) for i, engine in enumerate(ENGINES[:position])]
    for bad, overrun, cause in ((bytes(64), False, FaultCause.ILLEGAL_INSTRUCTION), (None, True, FaultCause.OVERRUN)):
        bench = Bench(before + ([bad] if bad else []), overrun=overrun, seed=position)
        assert bench.fault == (cause, START + 64 * position)
        assert sum(map(len, bench.ended.values())) == position == bench.dispatched


def test_tokens_left_over_at_the_end():
    bench = Bench([instruction(LOAD, 0, signal=[ARRAY]), End()])
    assert bench.fault == (FaultCause.TOKEN, START + 64) and bench.finished is None


def test_one_token_too_many():
    program = [instruction(LOAD, i, signal=[ARRAY]) for i in range(TOKEN_LIMIT + 1)]
    bench = Bench([*program, End()], gaps=0, limit=20000)
    assert bench.fault == (FaultCause.TOKEN, START + 64 * TOKEN_LIMIT)
    assert len(bench.ended[LOAD]) == TOKEN_LIMIT + 1
    enough = [*program[:-1], *[instruction(ARRAY, wait=[LOAD])] * TOKEN_LIMIT, End()]
    assert Bench(enough, gaps=0, limit=20000).fault is None


def test_halt_hands_nothing_out():
    dut = Dispatch(CONFIG)

    async def bench(ctx):
        ctx.set(dut.halt, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload.word, int.from_bytes(encode(instruction(LOAD)), "little"))
        ctx.set(dut.load.instruction.ready, 1)
        for _ in range(20):
            await ctx.tick()
            assert not ctx.get(dut.i.ready) and not ctx.get(dut.load.instruction.valid)
        ctx.set(dut.halt, 0)
        await ctx.tick().repeat(4)
        assert ctx.get(dut.load.instruction.valid)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
