"""The phase controller against the schedule of the specification and the golden register file."""

import random
import struct

import numpy as np
import pytest
from amaranth.sim import Simulator

from adagp.golden.registers import QUALITIES, RegisterFile
from adagp.spec.config import preset
from adagp.spec.registers import REGISTERS
from adagp.spec.schedule import Adaptive, Phase, PhaseCounter, Row, Schedule
from adagp_hdl.control.phase import PhaseController
from adagp_hdl.control.schedule import ScheduleFollower
from adagp_hdl.control.storage import kept_in_memory, word

PORTS = {"batches": "BATCHES", "warmup_batches": "WARMUP_BATCHES", "batch": "BATCH",
         "epoch_batches": "EPOCH_BATCHES", "order": "ORDER", "order_step": "ORDER_STEP",
         "raise_at": "ADAPTIVE.RAISE", "lower_at": "ADAPTIVE.LOWER", "patience": "ADAPTIVE.PATIENCE",
         "bounds": "ADAPTIVE.BOUNDS"}
WORDS = {word(path): path for path, register in REGISTERS.items() if kept_in_memory(register)}
INTERVAL = 27


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def bits(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


class Host:
    """Registers, fetch and dispatch around the controller, and the golden register file beside it."""

    def __init__(self, ctx, dut, seed):
        self.ctx, self.dut, self.rng = ctx, dut, random.Random(seed)
        self.golden = RegisterFile(preset("tiny"), np.zeros(QUALITIES, np.uint32))
        self.values = {path: self.golden.read(path) for path in WORDS.values()}
        self.values |= {path: self.golden.read(path) for path in ("MODE", "ADAPTIVE.PATIENCE")}
        self.live = lambda: None  # called while a batch runs
        self.ran = ""
        self.intervals = set()  # cycles between two batches
        self._read = None
        for phase in Phase:
            self.write(f"PROGRAM[{phase.value}].ADDRESS", self.rng.getrandbits(32))
            self.write(f"PROGRAM[{phase.value}].SIZE", 64 * phase.value if phase < Phase.ENTER else 0)
        ctx.set(dut.ready, 1)

    def write(self, path, value):
        self.values[path] = value
        self.golden.write(path, value)

    def report(self, value: int):
        self.values["QUALITY[0]"] = value
        self.golden.quality[0] = value

    def configure(self, schedule):
        for path, value in schedule.registers().items():
            self.write(path, value)

    async def write_batch(self, batch):
        self.write("BATCH", batch)
        self.ctx.set(self.dut.batch_written, 1)
        await self.tick()
        self.ctx.set(self.dut.batch_written, 0)

    def _drive(self):
        ctx, dut = self.ctx, self.dut
        for port, path in PORTS.items():
            signal = getattr(dut, port)
            ctx.set(signal.as_value() if hasattr(signal, "as_value") else signal, self.values[path])
        for bit, port in enumerate(("evaluate", "adaptive", "stay")):
            ctx.set(getattr(dut, port), self.values["MODE"] >> bit & 1)
        ctx.set(dut.quality, self.values["QUALITY[0]"])
        ctx.set(dut.table.valid, self._read is not None)
        ctx.set(dut.table.data, self.rng.getrandbits(32) if self._read is None else self._read)

    async def tick(self):
        """A cycle in which the table is read and written, now and then by somebody else too."""
        ctx, table = self.ctx, self.dut.table
        self._drive()
        await ctx.delay(1e-9)
        address, self._read = ctx.get(table.address), None
        if ctx.get(table.read) or self.rng.random() < 0.7:
            self._read = self.values.get(WORDS.get(address), 0)
        if ctx.get(table.write):
            self.values[WORDS[ctx.get(table.write_address)]] = ctx.get(table.write_data)
        await ctx.tick()
        self._drive()

    def _programs(self, asked):
        """The programs of a run by the golden registers; looks at them when asked for the next."""
        registers = self.golden

        def wanted(phase):
            return registers.read(f"PROGRAM[{phase.value}].SIZE") != 0

        if wanted(Phase.ENTER) and not registers.read("MODE") & 4:
            yield Phase.ENTER
        for _ in range(registers.read("BATCHES")):
            while asked():
                yield Phase.LEAVE
            phase = registers.phase()
            yield phase
            registers.complete_batch(phase)
        if wanted(Phase.LEAVE) and not registers.read("MODE") & 4 or asked():
            yield Phase.LEAVE

    async def run(self, batches, write_back=()):
        """Starts and serves the controller until it has finished; ``write_back``: asks for it while
        these programs of the run are running. Everything is compared with the golden registers."""
        ctx, dut, rng = self.ctx, self.dut, self.rng
        self.write("BATCHES", batches)
        for _ in range(6):
            await self.tick()
        asked = []
        programs = self._programs(lambda: asked and asked.pop())
        ctx.set(dut.start, 1)
        busy, count, since = None, 0, None
        for _ in range(1000 * batches + 1000):
            ctx.set(dut.request.ready, busy is None and rng.random() < 0.8)
            ctx.set(dut.batch_done, busy == 0)
            self._drive()
            await ctx.delay(1e-9)
            assert ctx.get(dut.quiet) or not ctx.get(dut.running)
            if since is not None:
                if ctx.get(dut.running):
                    self.intervals.add(since)
                since = None if ctx.get(dut.running) else since + 1
            if busy is not None:
                assert ctx.get(dut.running)
                since, busy = 0 if busy == 0 else None, None if busy == 0 else busy - 1
                if busy == 4:
                    self.live()
                    if count - 1 in write_back:
                        asked.append(True)
                        ctx.set(dut.write_back, 1)
            elif ctx.get(dut.request.valid) and ctx.get(dut.request.ready):
                phase = next(programs)
                assert Phase(ctx.get(dut.phase)) is phase, f"{count} after {self.ran}"
                assert ctx.get(dut.request.payload.address) == self.values[f"PROGRAM[{phase.value}].ADDRESS"]
                assert ctx.get(dut.request.payload.bytes) == self.values[f"PROGRAM[{phase.value}].SIZE"]
                assert {path: self.golden.read(path) for path in self.values} == self.values
                assert min(ctx.get(dut.k), 255) == self.golden.read("PREDICTOR") >> 24
                self.ran += "WBGEIO"[phase]
                busy, count = rng.randrange(6, 12), count + 1
            finished = ctx.get(dut.finished)
            await self.tick()
            ctx.set(dut.start, 0)
            ctx.set(dut.write_back, 0)
            if finished:
                assert next(programs, None) is None
                assert {path: self.golden.read(path) for path in self.values} == self.values
                return
        raise AssertionError("the controller never finished")


def hosted(body, seed=4):
    dut = PhaseController()

    async def bench(ctx):
        await body(Host(ctx, dut, seed))

    simulate(dut, bench)


@pytest.mark.parametrize("schedule, want", [
    (Schedule(warmup=0, gp=4, bp=1), "GGGGB" * 4 + "GGG"), (Schedule(warmup=3, gp=2, bp=1), "WWW" + "GGB" * 6 + "GG"),
    (Schedule(warmup=5, gp=0, bp=1), "WWWWW" + "B" * 18), (Schedule(warmup=0, gp=1, bp=0), "G" * 23),
    (Schedule(warmup=1, gp=3, bp=4), "W" + "GGGBBBB" * 3 + "G"), (Schedule(warmup=40, gp=1), "W" * 23),
    (Schedule(warmup=2, rows=(Row(batches=6, gp=2), Row(batches=3, gp=1), Row(gp=0))), "WWGGBGGBGBG" + "B" * 12)])
def test_schedule_goes_on_from_start_to_start(schedule, want):
    async def body(host):
        host.configure(schedule)
        for batches in (1, 7, 2, 13):
            await host.run(batches)
        assert host.ran == want
        assert host.intervals == {INTERVAL}

    hosted(body)


def random_schedule(rng):
    rows = [Row(batches=rng.randint(1, 12), gp=rng.randint(0, 4), bp=rng.randint(1, 3))
            for _ in range(rng.randint(1, 8))]
    adaptive = Adaptive(least=rng.randint(0, 1), most=rng.randint(1, 4), raise_at=0.25, lower_at=-0.25,
                        patience=rng.randint(1, 3))
    return Schedule(warmup=rng.choice([0, 0, 3]), rows=(*rows[:-1], Row(gp=rng.randint(1, 4))),
                    adaptive=rng.choice([None, adaptive]))


def random_epochs(host):
    epoch = host.rng.choice([0, 1, 5, 7, 2**32 - 1])
    host.write("EPOCH_BATCHES", epoch)
    host.write("ORDER_STEP", host.rng.randrange(epoch) if epoch else 3)
    host.write("ORDER", host.rng.randrange(epoch) if epoch else 9)
    for index in range(8):
        for name in ("BASE", "STRIDE", "REWIND"):
            host.write(f"{name}[{index}]", host.rng.getrandbits(32))


@pytest.mark.parametrize("seed", range(12))
def test_random_runs_are_those_of_the_golden_registers(seed):
    """Tables, quality, epochs, entering and leaving, registers that change while a batch runs."""
    async def body(host):
        rng = host.rng

        def live():
            host.report(rng.choice([bits(rng.uniform(-1, 1)), bits(0.5), bits(-0.5), rng.getrandbits(32)]))
            if rng.random() < 0.1:
                for path in rng.sample(["SCHEDULE[0].RATIO", "SCHEDULE[1].RATIO", "ADAPTIVE.BOUNDS"], 1):
                    host.write(path, rng.randrange(5) | rng.randrange(5) << 16)
                host.write("MODE", rng.randrange(8))

        host.live = live
        for _ in range(3):
            host.configure(random_schedule(rng))
            host.write("MODE", host.values["MODE"] | rng.choice([0, 0, 1, 4, 5]))
            random_epochs(host)
            for phase in (Phase.ENTER, Phase.LEAVE):
                host.write(f"PROGRAM[{phase.value}].SIZE", rng.choice([0, 640]))
            if rng.random() < 0.5:
                await host.write_batch(rng.randrange(3))
            leaves = host.values["PROGRAM[5].SIZE"]
            for batches in (rng.randrange(30), rng.randrange(5)):
                await host.run(batches, rng.sample(range(30), 3) if leaves and rng.random() < 0.3 else ())

    hosted(body, seed)


def test_evaluation_moves_bases_but_no_batch_number():
    async def body(host):
        host.configure(Schedule(warmup=1, gp=2, bp=1))
        random_epochs(host)
        await host.run(3)
        host.write("MODE", 1)
        await host.run(2)
        assert host.values["BATCH"] == 3
        host.write("MODE", 0)
        await host.run(4)
        assert host.ran == "WGG" + "EE" + "BGGB"

    hosted(body)


def test_order_visits_every_batch_of_an_epoch_once():
    async def body(host):
        host.configure(Schedule(warmup=0))
        host.write("EPOCH_BATCHES", 7)
        host.write("ORDER_STEP", 3)
        host.write("STRIDE[2]", 3 * 256)
        host.write("REWIND[2]", 2**32 - 4 * 256)
        places = []
        host.live = lambda: places.append((host.values["ORDER"], host.values["BASE[2]"]))
        await host.run(14)
        assert [place for place, _ in places] == [0, 3, 6, 2, 5, 1, 4] * 2
        assert [base for _, base in places] == [256 * place for place, _ in places]

    hosted(body)


def test_writing_the_batch_number_begins_the_schedule_anew():
    async def body(host):
        host.configure(Schedule(warmup=2, rows=(Row(batches=4, gp=2, bp=3), Row(gp=1, bp=1))))
        await host.run(8)
        await host.write_batch(2)
        await host.run(6)
        await host.write_batch(0)
        await host.run(1)
        assert host.ran == "WWGGBBGB" + "GGBBGB" + "W"

    hosted(body)


def test_entering_leaving_and_writing_back():
    async def body(host):
        host.configure(Schedule(warmup=99))
        for phase in (Phase.ENTER, Phase.LEAVE):
            host.write(f"PROGRAM[{phase.value}].SIZE", 64)
        await host.run(2)
        await host.run(0)
        await host.run(3, write_back=(1, 4))  # in the first batch and, after that, in the last one
        host.write("MODE", 4)
        await host.run(2)
        await host.run(2, write_back=(1,))  # in the last batch
        host.write("PROGRAM[5].SIZE", 0)
        host.write("MODE", 0)
        await host.run(1)
        assert host.ran == "IWWO" + "IO" + "IWOWWO" + "WW" + "WWO" + "IW"

    hosted(body)


def test_write_back_is_ignored_while_idle():
    async def body(host):
        host.configure(Schedule(warmup=99))
        host.write("PROGRAM[5].SIZE", 64)
        host.write("MODE", 4)
        host.ctx.set(host.dut.write_back, 1)
        await host.tick()
        host.ctx.set(host.dut.write_back, 0)
        await host.run(2)
        assert host.ran == "WW"

    hosted(body)


def test_nothing_begins_before_the_counters_are_ready():
    async def body(ctx):
        host = Host(ctx, dut, seed=1)
        host.write("BATCHES", 1)
        ctx.set(dut.ready, 0)
        await host.tick()
        ctx.set(dut.start, 1)
        await host.tick()
        ctx.set(dut.start, 0)
        for _ in range(300):
            assert not ctx.get(dut.running)
            await host.tick()
        ctx.set(dut.ready, 1)
        for _ in range(10):
            await host.tick()
        assert ctx.get(dut.request.valid)

    dut = PhaseController()
    simulate(dut, body)


@pytest.mark.parametrize("cycle", range(0, INTERVAL + 3))
def test_halt_between_batches_finishes_the_walk(cycle):
    """Whenever quiet is high the registers are those before or after a whole batch."""
    async def bench(ctx):
        host = Host(ctx, dut, seed=cycle)
        host.configure(Schedule(warmup=0))
        random_epochs(host)
        host.write("BATCHES", 5)
        for _ in range(6):
            await host.tick()
        ctx.set(dut.start, 1)
        ctx.set(dut.request.ready, 1)
        for _ in range(10):
            await host.tick()
            ctx.set(dut.start, 0)
        before = dict(host.values)
        host.golden.complete_batch(Phase.BP)
        ctx.set(dut.batch_done, 1)
        for now in range(40):
            ctx.set(dut.halt, now >= cycle)
            await host.tick()
            ctx.set(dut.batch_done, 0)
            if now > cycle and ctx.get(dut.quiet):
                assert host.values == {path: host.golden.read(path) for path in before} != before
        assert ctx.get(dut.quiet) and not ctx.get(dut.finished)
        assert ctx.get(dut.running) == (cycle > INTERVAL - 3)  # later on a program has been chosen

    dut = PhaseController()
    simulate(dut, bench)


SPECIAL = [0x00000000, 0x80000000, 0x3E800000, 0xBE800000, 0x3E7FFFFF, 0x3E800001, 0xBE800001, 0x7F800000, 0xFF800000,
           0x7F800001, 0x7FC00000, 0xFFC00000, 0xFFFFFFFF, 0x00000001, 0x80000001]


@pytest.mark.parametrize("seed", range(4))
def test_adapted_k_follows_every_bit_pattern(seed):
    """Quality, thresholds, bounds and patience are anything, also such that make no sense."""
    rng = random.Random(seed)
    dut = ScheduleFollower()

    async def bench(ctx):
        values = {"WARMUP_BATCHES": 0, "MODE": 2, "SCHEDULE[0].RATIO": 1 << 16, "SCHEDULE[0].BATCHES": 0}
        counter, seen = PhaseCounter(lambda path: values[path]), set()
        ctx.set(dut.adaptive, 1)
        ctx.set(dut.ratio.bp, 1)
        for step in range(400):
            if step % 20 == 0:
                least, most = rng.choice([(0, 3), (1, 2), (0xFFFE, 0xFFFF), (3, 1), (0, 0xFFFF)])
                values |= {"ADAPTIVE.BOUNDS": least | most << 16, "ADAPTIVE.PATIENCE": rng.choice([0, 1, 2, 3, 255])}
                values |= {f"ADAPTIVE.{name}": rng.choice(SPECIAL) for name in ("RAISE", "LOWER")}
            values["QUALITY[0]"] = rng.choice([*SPECIAL, rng.getrandbits(32)])
            ctx.set(dut.bounds.as_value(), values["ADAPTIVE.BOUNDS"])
            for port, path in (("patience", "ADAPTIVE.PATIENCE"), ("raise_at", "ADAPTIVE.RAISE"),
                               ("lower_at", "ADAPTIVE.LOWER"), ("quality", "QUALITY[0]")):
                ctx.set(getattr(dut, port), values[path])
            await ctx.tick().repeat(2)
            assert ctx.get(dut.k) == counter.gp
            if counter.gp > 4:  # a whole cycle would last too long: only its length is compared
                values["ADAPTIVE.BOUNDS"] = 0
                continue
            for _ in range(counter.gp + 1):
                phase = counter.choose(0)
                assert ctx.get(dut.predicts) == (phase == Phase.GP)
                counter.complete(phase)
                ctx.set(dut.complete, 1)
                await ctx.tick()
                ctx.set(dut.complete, 0)
                await ctx.tick().repeat(2)
            seen.add(counter.gp)
        assert len(seen) > 2

    simulate(dut, bench)
