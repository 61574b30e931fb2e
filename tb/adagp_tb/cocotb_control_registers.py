"""Bench of the register file: AXI4-Lite with stalls on every channel, against the register map."""

import random
from itertools import product

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from adagp.spec.registers import REGISTERS, field, offset
from adagp_hdl.control.registers import COUNTERS, port
from adagp_hdl.control.storage import kept_in_memory, word
from adagp_tb.cocotb_runner import bench_parameters
from adagp_tb.stimulus import start_clock

STORED = [register for register in REGISTERS.values()
          if register.fields[0].software == "rw" and not register.fields[0].woclr]
QUALITIES = [register for register in REGISTERS.values() if register.path.startswith("QUALITY[")]
SWEEP = 256  # cycles after a reset until registers in memory have their reset values
PENDING = offset("INTERRUPT_PENDING")


def mask(register) -> int:
    return sum(part.mask for part in register.fields)


class Host:
    """The bus master, and a memory that says what the stored registers hold."""

    def __init__(self, dut, stall=0.0, seed=0):
        self.dut, self.random = dut, random.Random(bench_parameters()["seed"] * 100 + seed)
        self.stored = {register.path: sum(part.reset << part.lsb for part in register.fields) for register in STORED}
        self.counters = [self.random.getrandbits(64) for _ in COUNTERS]
        for name in ("counter_valid", "interrupt_pending_set", "interrupt_pending_clear", "report_valid",
                     "table__read", "table__write", "table__address"):
            getattr(dut, name).value = 0
        start_clock(dut)
        dut.rst.value = 1
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "bus_"), dut.clk, dut.rst)
        if stall:
            for channel in (self.master.write_if.aw_channel, self.master.write_if.w_channel,
                            self.master.write_if.b_channel, self.master.read_if.ar_channel,
                            self.master.read_if.r_channel):
                channel.set_pause_generator(self._pauses(stall))
        cocotb.start_soon(self._serve_counters())

    def _pauses(self, stall):
        while True:
            yield self.random.random() < stall

    async def reset(self):
        await ClockCycles(self.dut.clk, 3)
        self.dut.rst.value = 0
        await ClockCycles(self.dut.clk, SWEEP + 2)
        return self

    async def _serve_counters(self):
        """A counter answers after a few cycles; ``self.counters`` may change at any time."""
        dut = self.dut
        while True:
            await FallingEdge(dut.clk)
            dut.counter_valid.value = 0
            if dut.counter_read.value == 1 and self.random.random() < 0.4:
                dut.counter_value.value = self.counters[int(dut.counter_index.value)]
                dut.counter_valid.value = 1

    async def write(self, address, data):
        response = await self.master.write(address, data)
        assert response.resp == AxiResp.OKAY

    async def write_register(self, path, value):
        await self.write(offset(path), value.to_bytes(4, "little"))

    async def read(self, address):
        response = await self.master.read(address, 4)
        assert response.resp == AxiResp.OKAY
        return int.from_bytes(response.data, "little")

    def note(self, address, data):
        """Books bytes that software has written."""
        for register in STORED:
            for i, byte in enumerate(data):
                shift = 8 * (address + i - register.offset)
                if 0 <= shift < 32:
                    value = self.stored[register.path] & ~(0xFF << shift) | byte << shift
                    self.stored[register.path] = value & mask(register)

    def check_ports(self):
        ports = [register.path for register in STORED if hasattr(self.dut, port(register.path))]
        assert {"BATCH", "MODE", "BASE[7]", "ADAPTIVE.PATIENCE", "WINDOW_LAST"} < set(ports)
        for path in ports:
            assert int(getattr(self.dut, port(path)).value) == self.stored[path], path

    async def look_up(self, path):
        """The value of a register in memory, as the phase controller sees it."""
        self.dut.table__read.value, self.dut.table__address.value = 1, word(path)
        await RisingEdge(self.dut.clk)
        self.dut.table__read.value = 0
        await FallingEdge(self.dut.clk)
        assert self.dut.table__valid.value == 1
        return int(self.dut.table__data.value)

    async def put(self, path, value):
        """A write by the phase controller, until its port shows it."""
        self.dut.table__write.value, self.dut.table__write_address.value = 1, word(path)
        self.dut.table__write_data.value = value
        await RisingEdge(self.dut.clk)
        self.dut.table__write.value = 0
        await RisingEdge(self.dut.clk)
        self.stored[path] = value

    async def report(self, index, value):
        self.dut.report_valid.value, self.dut.report_index.value, self.dut.report_value.value = 1, index, value
        await RisingEdge(self.dut.clk)
        self.dut.report_valid.value = 0


@cocotb.test()
async def reset_values_and_inputs_are_read(dut):
    host = await Host(dut).reset()
    values = {}
    for register in REGISTERS.values():
        if (register.fields[0].software == "r" and register.fields[0].hardware == "w"
                and "." not in register.path and register not in QUALITIES):
            values[register.path] = host.random.getrandbits(32) & mask(register)
            getattr(dut, port(register.path)).value = values[register.path]
    await RisingEdge(dut.clk)
    values |= host.stored | {"ID": 0x0ADA6B00, "INTERFACE": 0x0101, "INTERRUPT_PENDING": 0, "CONTROL": 0}
    values |= {register.path: 0 for register in QUALITIES}
    for path, value in values.items():
        assert await host.read(offset(path)) == value, path
    host.check_ports()
    assert set(values) == {path for path in REGISTERS if not path.endswith((".LO", ".HI"))}


@cocotb.test()
async def unmapped_addresses_read_zero_and_answer(dut):
    host = await Host(dut).reset()
    mapped = {register.offset for register in REGISTERS.values()}
    unmapped = [address for address in range(0, 4096, 4) if address not in mapped]
    for address in host.random.sample(unmapped, 60) + [0x13C, 0x17C, 0x280, 0x3FC, 0x600, 0xFFC]:
        await host.write(address, b"\xff\xff\xff\xff")
        assert await host.read(address) == 0
    host.check_ports()


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.8])
async def random_accesses_with_byte_strobes(dut, stall):
    host = await Host(dut, stall, seed=int(stall * 10)).reset()
    read_only = [register.offset for register in REGISTERS.values() if register.fields[0].software == "r"]
    for _ in range(250):
        if host.random.random() < 0.6:
            register = host.random.choice(STORED)
            first = host.random.randrange(4)
            data = host.random.randbytes(host.random.randint(1, 4 - first))
            await host.write(register.offset + first, data)
            host.note(register.offset + first, data)
            assert await host.read(register.offset) == host.stored[register.path]
        elif host.random.random() < 0.2:
            await host.write(host.random.choice(read_only), host.random.randbytes(4))
        else:
            register = host.random.choice(STORED)
            assert await host.read(register.offset) == host.stored[register.path]
    host.check_ports()


@cocotb.test()
async def reads_and_writes_go_on_together(dut):
    host = await Host(dut, 0.4, seed=40).reset()

    async def write():
        for _ in range(100):
            data = host.random.randbytes(4)
            await host.write(offset("STRIDE[3]"), data)
            host.note(offset("STRIDE[3]"), data)

    writer = cocotb.start_soon(write())
    for _ in range(100):
        assert await host.read(offset("ID")) == 0x0ADA6B00
    await writer
    host.check_ports()


@cocotb.test()
async def writes_that_wait_for_their_response_hold_the_next(dut):
    """Nobody takes responses for a while; then each write has exactly one."""
    host = await Host(dut).reset()
    for channel in (dut.bus__awvalid, dut.bus__wvalid):
        channel.value = 1
    dut.bus__bready.value, dut.bus__wstrb.value, dut.bus__awaddr.value = 0, 15, offset("BATCHES")
    writes = responses = 0
    for cycle in range(200):
        await RisingEdge(dut.clk)
        responses += int(dut.bus__bvalid.value) & int(dut.bus__bready.value)
        writes += int(dut.bus__wvalid.value) & int(dut.bus__wready.value)
        await FallingEdge(dut.clk)
        dut.bus__wdata.value = writes
        dut.bus__bready.value = host.random.random() < 0.2
        if cycle == 150:
            dut.bus__awvalid.value = dut.bus__wvalid.value = 0
            dut.bus__bready.value = 1
        if cycle > 150:
            dut.bus__bready.value = 1
    assert writes == responses > 10 and int(dut.batches.value) == writes - 1


@cocotb.test()
async def address_and_data_in_any_order(dut):
    """Without a master: the channels of one write apart by 0 to 5 cycles, either first."""
    host = await Host(dut).reset()
    for gap, address_first in product(range(6), (0, 1)):
        value = host.random.randbytes(4)
        dut.bus__awaddr.value, dut.bus__wdata.value = offset("BATCHES"), int.from_bytes(value, "little")
        dut.bus__wstrb.value, dut.bus__bready.value = 15, 1
        await FallingEdge(dut.clk)
        signals = [dut.bus__awvalid, dut.bus__wvalid]
        for i, valid in enumerate(signals if address_first else reversed(signals)):
            if i:
                for _ in range(gap):
                    assert dut.bus__bvalid.value == 0
                    await FallingEdge(dut.clk)
            valid.value = 1
            if gap or i:
                await FallingEdge(dut.clk)
                for each in signals:
                    each.value = 0
        for _ in range(6):
            if dut.bus__bvalid.value == 1:
                break
            await FallingEdge(dut.clk)
        else:
            raise AssertionError("no response")
        await FallingEdge(dut.clk)
        host.note(offset("BATCHES"), value)
        host.check_ports()


@cocotb.test()
async def no_ready_waits_for_a_valid(dut):
    """An idle subordinate is ready, and stays so whatever the valid of another channel says."""
    await Host(dut).reset()
    dut.bus__bready.value = dut.bus__rready.value = 0
    for valid in (dut.bus__awvalid, dut.bus__wvalid, dut.bus__arvalid):
        await FallingEdge(dut.clk)
        before = [int(getattr(dut, f"bus__{name}ready").value) for name in ("aw", "w", "ar")]
        assert before == [1, 1, 1]
        valid.value = 1
        await cocotb.triggers.ReadOnly()
        assert [int(getattr(dut, f"bus__{name}ready").value) for name in ("aw", "w", "ar")] == before
        await RisingEdge(dut.clk)
        valid.value = 0
        dut.rst.value = 1
        await ClockCycles(dut.clk, 2)
        dut.rst.value = 0


@cocotb.test()
async def control_bits_last_one_cycle(dut):
    host = await Host(dut).reset()
    for bits in range(16):
        cycles = [0, 0, 0, 0]

        async def watch(cycles=cycles):
            while True:
                await FallingEdge(dut.clk)
                for i in range(4):
                    cycles[i] += int(dut.control.value) >> i & 1

        watcher = cocotb.start_soon(watch())
        await host.write_register("CONTROL", 0xFFFFFFF0 | bits)
        await ClockCycles(dut.clk, 6)
        watcher.cancel()
        assert cycles == [bits >> i & 1 for i in range(4)]
    assert [field("CONTROL", name).lsb for name in ("start", "reset", "clear_counters", "write_back")] == [0, 1, 2, 3]


@cocotb.test()
async def pending_bits_are_set_by_hardware_and_cleared_by_ones(dut):
    host = await Host(dut).reset()

    async def pulse(signal, value):
        await FallingEdge(dut.clk)
        signal.value = value
        await FallingEdge(dut.clk)
        signal.value = 0

    await pulse(dut.interrupt_pending_set, 3)
    assert await host.read(PENDING) == 3
    await host.write_register("INTERRUPT_PENDING", 0)
    assert await host.read(PENDING) == 3
    await host.write_register("INTERRUPT_PENDING", 2)
    assert await host.read(PENDING) == 1 == dut.interrupt_pending.value
    await pulse(dut.interrupt_pending_set, 2)
    await pulse(dut.interrupt_pending_clear, 1)
    assert await host.read(PENDING) == 0
    dut.interrupt_pending_set.value = 1
    await host.write_register("INTERRUPT_PENDING", 3)
    assert await host.read(PENDING) == 1  # a set wins
    dut.interrupt_pending_set.value = 0


@cocotb.test()
async def hardware_and_software_share_batch_and_bases(dut):
    host = await Host(dut).reset()
    for path in ("BATCH", "ORDER", "BASE[0]", "BASE[7]"):
        await host.put(path, host.random.getrandbits(32))
        await FallingEdge(dut.clk)
        host.check_ports()
        assert await host.read(offset(path)) == host.stored[path] == await host.look_up(path)
        shown = []  # by BATCH, and whether software has just written it

        async def watch(shown=shown):
            while True:
                await FallingEdge(dut.clk)
                shown.append((int(dut.batch.value), int(dut.batch_written.value)))

        watcher = cocotb.start_soon(watch())
        await host.write_register(path, 77)
        await ClockCycles(dut.clk, 3)
        watcher.cancel()
        first = [cycle for cycle, (batch, _) in enumerate(shown) if batch == 77][:path == "BATCH"]
        assert [cycle for cycle, (_, strobe) in enumerate(shown) if strobe] == first
        host.stored[path] = 77
        host.check_ports()


@cocotb.test()
async def table_reads_every_register_in_memory_while_the_host_reads(dut):
    host = await Host(dut).reset()
    paths = [register.path for register in STORED if kept_in_memory(register)]
    for path in paths:
        value = host.random.randbytes(4)
        await host.write(offset(path), value)
        host.note(offset(path), value)

    async def look_up():
        for _ in range(300):
            path = host.random.choice(paths)
            assert await host.look_up(path) == host.stored[path], path
            for _ in range(host.random.randrange(4)):
                await RisingEdge(dut.clk)

    looking = cocotb.start_soon(look_up())
    while not looking.done():
        path = host.random.choice(paths)
        assert await host.read(offset(path)) == host.stored[path]
    assert {"SCHEDULE[7].RATIO", "PROGRAM[5].SIZE", "REWIND[7]", "ADAPTIVE.LOWER"} < set(paths)


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def reports_are_taken_at_any_time(dut, stall):
    """One in most cycles, beside a host that writes and reads: nobody loses anything."""
    host = await Host(dut, stall, seed=200 + int(10 * stall)).reset()
    reported = [0] * len(QUALITIES)

    async def report():
        for _ in range(2000):
            if host.random.random() < 0.8:
                index, value = host.random.randrange(len(QUALITIES)), host.random.getrandbits(32)
                await host.report(index, value)
                reported[index] = value
                if index == 0:
                    await RisingEdge(dut.clk)
                    await FallingEdge(dut.clk)
                    assert int(dut.quality_0.value) == value
            else:
                await RisingEdge(dut.clk)

    reporting = cocotb.start_soon(report())
    while not reporting.done():
        register, data = host.random.choice(STORED), host.random.randbytes(4)
        await host.write(register.offset, data)
        host.note(register.offset, data)
        assert await host.read(register.offset) == host.stored[register.path]
    host.check_ports()
    for register, value in zip(QUALITIES, reported, strict=True):
        await host.write(register.offset, bytes(4))  # a program writes it, the host does not
        assert await host.read(register.offset) == value


@cocotb.test()
async def a_reset_gives_every_register_its_reset_value_again(dut):
    host = await Host(dut).reset()
    for register in STORED:
        await host.write(register.offset, bytes([255] * 4))
    await host.report(0, 5)
    dut.rst.value = 1
    host = await Host(dut).reset()
    for register in STORED:
        assert await host.read(register.offset) == host.stored[register.path], register.path
    assert await host.read(offset("QUALITY[0]")) == 0 == dut.quality_0.value
    host.check_ports()


@cocotb.test()
async def accesses_right_after_a_reset_wait(dut):
    host = Host(dut)
    await ClockCycles(dut.clk, 3)
    dut.rst.value = 0
    await host.write_register("BATCHES", 99)
    assert await host.read(offset("BATCHES")) == 99 == dut.batches.value
    assert await host.read(offset("ORDER_STEP")) == 1


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def low_half_freezes_the_high_half(dut, stall):
    host = await Host(dut, stall, seed=70).reset()
    for index, path in enumerate(COUNTERS):
        value = host.counters[index]
        assert await host.read(offset(f"{path}.LO")) == value & 0xFFFFFFFF
        host.counters = [host.random.getrandbits(64) for _ in COUNTERS]
        other = (index + 1) % len(COUNTERS)  # reading another counter's high half freezes nothing
        assert await host.read(offset(f"{COUNTERS[other]}.HI")) == host.counters[other] >> 32
        assert await host.read(offset(f"{path}.HI")) == value >> 32
        assert await host.read(offset(f"{path}.HI")) == value >> 32
        assert await host.read(offset(f"{path}.LO")) == host.counters[index] & 0xFFFFFFFF
