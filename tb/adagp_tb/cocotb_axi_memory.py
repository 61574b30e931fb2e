"""Bench of the memory on the chip: bursts of every kind by cocotbext-axi, and a host at the same time."""

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi.axi_channels import AxiARSource, AxiAWSource, AxiBSink, AxiReadBus, AxiRSink, AxiWriteBus, AxiWSource

from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock

OKAY, DECERR = 0, 3
FIXED, INCR, WRAP = range(3)


def beats(start: int, size: int, length: int, burst: int) -> list[tuple[int, int]]:
    """First and last byte address of each of ``length`` beats, as the AXI specification gives them."""
    aligned = start // size * size
    if burst == FIXED:
        return [(start, aligned + size - 1)] * length
    result = [(start, aligned + size - 1)] + [(aligned + n * size, aligned + n * size + size - 1) for n in range(1, length)]
    if burst == WRAP:
        boundary = start // (size * length) * (size * length)
        result = [tuple(boundary + (address - boundary) % (size * length) for address in beat) for beat in result]
    return result


class Bench:
    def __init__(self, dut, seed: int, stall: float = 0):
        parameters = bench_parameters()
        self.dut, self.random = dut, random.Random(seed)
        self.bytes, self.bus_bytes = parameters["memory_bytes"], parameters["bus_bytes"]
        self.memory: dict[int, int] = {}  # bytes that were written
        for name in ("start", "write", "address", "data"):
            getattr(dut, f"host__{name}").value = 0
        start_clock(dut)
        reads, writes = AxiReadBus.from_prefix(dut, "read_"), AxiWriteBus.from_prefix(dut, "write_")
        self.ar, self.r = AxiARSource(reads.ar, dut.clk), AxiRSink(reads.r, dut.clk)
        self.aw, self.w, self.b = (AxiAWSource(writes.aw, dut.clk), AxiWSource(writes.w, dut.clk),
                                   AxiBSink(writes.b, dut.clk))
        for channel in (self.ar, self.r, self.aw, self.w, self.b):
            if stall:
                channel.set_pause_generator(self._pauses(stall))

    def _pauses(self, stall: float):
        while True:
            yield self.random.random() < stall

    def burst(self, first: int, end: int) -> tuple[int, int, int, int]:
        """Start, bytes per beat, beats and type of a burst within ``first`` to ``end``, at times beyond the memory."""
        kind = self.random.choice([FIXED, INCR, INCR, WRAP])
        size = 1 << self.random.randrange(self.bus_bytes.bit_length())
        length = self.random.choice([2, 4, 8, 16]) if kind == WRAP else self.random.randint(1, 16 if kind == FIXED else 24)
        start = self.random.randrange(first, end - size * (length + 1))
        if kind == WRAP:
            start = max(-(-first // (size * length)) * size * length, start // size * size)
        if self.random.random() < 0.1:
            start += self.bytes << self.random.randrange(12)
        return start, size, length, kind

    async def write(self, first: int, end: int):
        start, size, length, kind = self.burst(first, end)
        tag = self.random.randrange(2)
        await self.aw.send(self.aw._transaction_obj(
            awid=tag, awaddr=start, awlen=length - 1, awsize=size.bit_length() - 1, awburst=kind))
        outside = False
        for index, (low, high) in enumerate(beats(start, size, length, kind)):
            data, strobe = self.random.getrandbits(8 * self.bus_bytes), 0
            for address in range(low, high + 1):
                if self.random.random() < 0.8:
                    lane = address % self.bus_bytes
                    strobe |= 1 << lane
                    if address < self.bytes:
                        self.memory[address] = data >> 8 * lane & 0xFF
            outside |= low >= self.bytes
            await self.w.send(self.w._transaction_obj(wdata=data, wstrb=strobe, wlast=index == length - 1))
        answer = await self.b.recv()
        assert (int(answer.bid), int(answer.bresp)) == (tag, DECERR if outside else OKAY), f"write of {start:#x}"

    async def read(self, first: int, end: int):
        start, size, length, kind = self.burst(first, end)
        tag = self.random.randrange(2)
        await self.ar.send(self.ar._transaction_obj(
            arid=tag, araddr=start, arlen=length - 1, arsize=size.bit_length() - 1, arburst=kind))
        for index, (low, high) in enumerate(beats(start, size, length, kind)):
            beat = await self.r.recv()
            where = f"beat {index} of {length} at {start:#x}, size {size}, type {kind}"
            outside = low >= self.bytes
            assert (int(beat.rid), int(beat.rlast)) == (tag, index == length - 1), where
            assert int(beat.rresp) == (DECERR if outside else OKAY), where
            for address in range(low, high + 1):
                got = int(beat.rdata) >> 8 * (address % self.bus_bytes) & 0xFF
                if outside or address in self.memory:
                    assert got == (0 if outside else self.memory[address]), f"{where}: byte {address:#x}"

    async def host(self, address: int, value: int | None = None) -> tuple[int, int]:
        """One access; the response and what was read."""
        dut = self.dut
        await RisingEdge(dut.clk)
        dut.host__start.value, dut.host__address.value = 1, address
        dut.host__write.value, dut.host__data.value = value is not None, value or 0
        await RisingEdge(dut.clk)
        assert dut.host__idle.value, "begun while not idle"
        dut.host__start.value = 0
        await ClockCycles(dut.clk, 2)
        assert dut.host__done.value, "not answered two cycles later"
        return int(dut.host__response.value), int(dut.host__read_data.value)

    async def host_at_random(self, first: int, end: int):
        address = self.random.randrange(first, end, 4)
        if self.random.random() < 0.5:
            value = self.random.getrandbits(32)
            assert (await self.host(address, value))[0] == OKAY
            self.memory |= {address + i: value >> 8 * i & 0xFF for i in range(4)}
        else:
            response, value = await self.host(address)
            assert response == OKAY
            for i in range(4):
                assert self.memory.get(address + i, value >> 8 * i & 0xFF) == value >> 8 * i & 0xFF, f"host at {address:#x}"


@cocotb.test(timeout_time=20, timeout_unit="ms")
@cocotb.parametrize(stall=[0, 0.4])
async def bursts_of_every_kind_and_a_host_at_once(dut, stall):
    """Three users in three parts of the memory, which they exchange: each finds what the others left."""
    bench = Bench(dut, 1, stall)
    part = bench.bytes // 4
    for turn in range(6):
        users = (bench.write, bench.read, bench.host_at_random)

        async def work(user, first, count):
            for _ in range(count):
                await user(first, first + part)

        tasks = [cocotb.start_soon(work(user, (turn + i) % 3 * part, 60 if user == bench.host_at_random else 20))
                 for i, user in enumerate(users)]
        for task in tasks:
            await task
    assert len(bench.memory) > 1000
    for channel in (bench.r, bench.b):
        assert channel.empty(), "an answer that nobody asked for"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def host_beyond_the_memory_is_refused(dut):
    bench = Bench(dut, 2)
    await bench.host(0, 0x1234)
    for address in (bench.bytes, 1 << 31):
        assert await bench.host(address) == (DECERR, 0)
        assert (await bench.host(address, 0xBAD))[0] == DECERR
    assert await bench.host(0) == (OKAY, 0x1234)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def bursts_move_a_beat_per_cycle(dut):
    """Two read bursts of 16 beats back to back, then a write burst."""
    bench = Bench(dut, 3)
    await ClockCycles(dut.clk, 4)
    size = bench.bus_bytes.bit_length() - 1
    for start in (0, 16 * bench.bus_bytes):
        await bench.ar.send(bench.ar._transaction_obj(arid=0, araddr=start, arlen=15, arsize=size, arburst=INCR))
    while not (dut.read__arvalid.value and dut.read__arready.value):
        await RisingEdge(dut.clk)
    cycles = []
    for cycle in range(60):
        if dut.read__rvalid.value and dut.read__rready.value:
            cycles.append(cycle)
        await RisingEdge(dut.clk)
    assert cycles == list(range(4, 36)), cycles
    await bench.aw.send(bench.aw._transaction_obj(awid=0, awaddr=0, awlen=15, awsize=size, awburst=INCR))
    for beat in range(16):
        await bench.w.send(bench.w._transaction_obj(wdata=beat, wstrb=1, wlast=beat == 15))
    cycles = []
    for cycle in range(60):
        if dut.write__wvalid.value and dut.write__wready.value:
            cycles.append(cycle)
        await RisingEdge(dut.clk)
    assert len(cycles) == 16 and cycles[-1] - cycles[0] == 15, cycles
