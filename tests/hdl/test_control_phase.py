"""The phase controller against the schedule of the specification."""

import random

import pytest
from amaranth.sim import Simulator

from adagp.spec.schedule import Phase, Schedule
from adagp_hdl.control.phase import BASES, PhaseController


class Host:
    """Registers, fetch and dispatch around the controller; keeps what ran."""

    def __init__(self, ctx, dut, seed):
        self.ctx, self.dut, self.rng = ctx, dut, random.Random(seed)
        self.batch, self.bases, self.strides = 0, [0] * BASES, [0] * BASES
        self.ran = []  # (phase, batch, bases)
        self.running_cycles = 0

    def configure(self, schedule, *, evaluate=False):
        ctx, dut = self.ctx, self.dut
        for name in ("warmup", "gp", "bp"):
            ctx.set(getattr(dut, f"{name}_batches"), getattr(schedule, name))
        ctx.set(dut.evaluate, evaluate)
        for i in range(4):
            ctx.set(dut.program[i].address, 0x1000 * (i + 1))
            ctx.set(dut.program[i].bytes, 64 * (i + 1))
        self.bases = [self.rng.getrandbits(32) for _ in range(BASES)]
        self.strides = [self.rng.getrandbits(32) for _ in range(BASES)]
        self._registers()

    def _registers(self):
        self.ctx.set(self.dut.batch, self.batch)
        for i in range(BASES):
            self.ctx.set(self.dut.base[i], self.bases[i])
            self.ctx.set(self.dut.stride[i], self.strides[i])

    async def write_batch(self, batch):
        self.batch = batch
        self._registers()
        self.ctx.set(self.dut.batch_written, 1)
        await self.ctx.tick()
        self.ctx.set(self.dut.batch_written, 0)

    async def run(self, batches):
        """Starts and serves the controller until it has finished."""
        ctx, dut, rng = self.ctx, self.dut, self.rng
        ctx.set(dut.batches, batches)
        ctx.set(dut.start, 1)
        busy = None
        for _ in range(100 * batches + 100):
            ctx.set(dut.request.ready, busy is None and rng.random() < 0.5)
            ctx.set(dut.batch_done, busy == 0)
            await ctx.delay(1e-9)
            self.running_cycles += ctx.get(dut.running)
            if busy is not None:
                assert ctx.get(dut.running)
                busy = None if busy == 0 else busy - 1
            elif ctx.get(dut.request.valid) and ctx.get(dut.request.ready):
                phase = Phase(ctx.get(dut.phase))
                assert ctx.get(dut.request.payload.address) == 0x1000 * (phase + 1)
                assert ctx.get(dut.request.payload.bytes) == 64 * (phase + 1)
                self.ran.append((phase, self.batch, list(self.bases)))
                busy = rng.randrange(6)
            update_batch, update_bases = ctx.get(dut.batch_update), ctx.get(dut.base_update)
            batch, bases = ctx.get(dut.batch_next), [ctx.get(value) for value in dut.base_next]
            finished = ctx.get(dut.finished)
            await ctx.tick()
            ctx.set(dut.start, 0)
            self.batch = batch if update_batch else self.batch
            self.bases = bases if update_bases else self.bases
            self._registers()
            if finished:
                return
        raise AssertionError("the controller never finished")


def simulate(body):
    dut = PhaseController()

    async def bench(ctx):
        await body(Host(ctx, dut, seed=4))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("warmup, gp, bp", [
    (0, 4, 1), (3, 2, 1), (2, 1, 1), (5, 0, 1), (0, 1, 0), (1, 3, 4), (40, 1, 1)])
def test_phases_and_bases_follow_the_schedule(warmup, gp, bp):
    schedule = Schedule(warmup=warmup, gp=gp, bp=bp)

    async def body(host):
        host.configure(schedule)
        first = list(host.bases)
        for batches in (1, 7, 2, 13):  # the cycle goes on from start to start
            await host.run(batches)
        assert host.ran == [
            (schedule.phase(n), n, [(base + n * step) % 2**32 for base, step in zip(first, host.strides, strict=True)])
            for n in range(23)]
        assert host.batch == 23

    simulate(body)


def test_evaluation_moves_bases_but_no_batch_number():
    async def body(host):
        host.configure(Schedule(warmup=1, gp=2, bp=1))
        await host.run(3)
        host.configure(Schedule(warmup=1, gp=2, bp=1), evaluate=True)
        first = list(host.bases)
        await host.run(2)
        assert [phase for phase, _, _ in host.ran[3:]] == [Phase.EVALUATE] * 2 and host.batch == 3
        assert host.bases == [(base + 2 * stride) % 2**32 for base, stride in zip(first, host.strides, strict=True)]
        host.configure(Schedule(warmup=1, gp=2, bp=1))
        await host.run(4)
        assert [phase for phase, _, _ in host.ran[5:]] == [Phase.BP, Phase.GP, Phase.GP, Phase.BP]

    simulate(body)


def test_writing_the_batch_number_restarts_the_cycle():
    async def body(host):
        host.configure(Schedule(warmup=2, gp=2, bp=3))
        await host.run(5)
        await host.write_batch(2)
        await host.run(6)
        assert [phase.name for phase, _, _ in host.ran] == "WARMUP WARMUP GP GP BP GP GP BP BP BP GP".split()
        await host.write_batch(0)
        await host.run(1)
        assert host.ran[-1][0] is Phase.WARMUP

    simulate(body)


def test_no_batches_finish_at_once():
    async def body(host):
        host.configure(Schedule(warmup=1))
        await host.run(0)
        assert host.ran == [] and host.running_cycles == 0

    simulate(body)
