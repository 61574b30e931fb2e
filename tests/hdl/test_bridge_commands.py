"""The command port with registers that answer late, with errors, or never."""

import pytest
from amaranth.sim import Simulator

from adagp.spec.bridge import Command, Status, request
from adagp_hdl.bridge.commands import CommandPort

SILENCE, TIMEOUT = 40, 60


class Bench:
    """Words behind both accesses: address → value. ``delay`` is how long the registers take to answer,
    ``response`` what they say."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut, self.words, self.delay, self.response = ctx, dut, {}, 1, 0
        self.accesses, self.sent = [], bytearray()
        self._pending: dict[object, list] = {}  # per access: cycles left, response, value

    async def step(self, byte=None, *, line_error=False):
        """One cycle; whether ``byte`` was taken."""
        ctx, dut = self.ctx, self.dut
        ctx.set(dut.i.valid, byte is not None)
        ctx.set(dut.i.payload, byte or 0)
        ctx.set(dut.line_error, line_error)
        ctx.set(dut.o.ready, 1)
        for access in (dut.registers, dut.memory):
            pending = self._pending.get(access)
            done = pending is not None and pending[0] == 0
            ctx.set(access.idle, pending is None)
            ctx.set(access.done, done)
            if done:
                ctx.set(access.response, pending[1])
                ctx.set(access.read_data, pending[2])
        taken = byte is not None and ctx.get(dut.i.ready)
        if ctx.get(dut.o.valid):
            self.sent.append(ctx.get(dut.o.payload))
        for access, name in ((dut.registers, "registers"), (dut.memory, "memory")):
            pending = self._pending.get(access)
            if pending is not None:
                pending[0] -= 1
                if pending[0] < 0:
                    self._pending[access] = None
            if ctx.get(access.start):
                assert pending is None, "begun while not idle"
                self._begin(access, name)
        await ctx.tick()
        return taken

    def _begin(self, access, name):
        ctx, address = self.ctx, self.ctx.get(access.address)
        write = ctx.get(access.write)
        self.accesses.append((name, "write" if write else "read", address))
        if write:
            self.words[name, address] = ctx.get(access.data)
        in_registers = name == "registers"
        self._pending[access] = [self.delay if in_registers else 1, self.response if in_registers else 3 * (address >= 4096),
                                 0xBAD if write else self.words.get((name, address), 0)]

    async def send(self, data: bytes):
        for byte in data:
            while not await self.step(byte):
                pass

    async def answer(self, cycles=400) -> bytes:
        """What is sent until nothing can come any more."""
        for _ in range(cycles):
            await self.step()
        sent, self.sent = bytes(self.sent), bytearray()
        assert not self.ctx.get(self.dut.busy)
        return sent


def run(script):
    dut = CommandPort(memory_bytes=4096, silence_cycles=SILENCE, timeout_cycles=TIMEOUT)

    async def bench(ctx):
        await script(Bench(ctx, dut))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


@pytest.mark.parametrize("read, write, name", [
    (Command.READ_REGISTERS, Command.WRITE_REGISTERS, "registers"), (Command.READ_MEMORY, Command.WRITE_MEMORY, "memory")])
def test_words_go_where_the_command_says(read, write, name):
    async def script(bench):
        data = bytes(range(1, 13))
        await bench.send(request(write, 0x120, 3) + data)
        assert await bench.answer() == bytes([Status.OK])
        assert bench.words == {(name, 0x120 + 4 * i): int.from_bytes(data[4 * i:4 * i + 4], "little") for i in range(3)}
        await bench.send(request(read, 0x11C, 4))
        assert await bench.answer() == bytes(4) + data + bytes([Status.OK])
        await bench.send(request(Command.READ_BRIDGE, 0, 1))
        assert await bench.answer() == (4096).to_bytes(4, "little") + bytes([Status.OK])

    run(script)


def test_256_words_are_one_request():
    async def script(bench):
        await bench.send(request(Command.WRITE_MEMORY, 0, 256) + bytes(range(256)) * 4)
        assert await bench.answer() == bytes([Status.OK])
        assert len(bench.words) == 256 and bench.words["memory", 4 * 255] == 0xFF_FE_FD_FC

    run(script)


@pytest.mark.parametrize("command, address, reached", [
    (Command.READ_REGISTERS, 0xFF8, 2), (Command.READ_MEMORY, 0xFF8, 3), (Command.READ_REGISTERS, 0x1000, 0),
    (Command.READ_REGISTERS, 0x8000_0000, 0), (Command.READ_MEMORY, 2, 0), (Command.WRITE_REGISTERS, 1, 0)])
def test_address_outside_ends_the_accesses_and_is_answered_in_full(command, address, reached):
    async def script(bench):
        bench.words = {(name, place): 0x01010101 for name in ("registers", "memory") for place in range(0, 4096, 4)}
        write = command is Command.WRITE_REGISTERS
        await bench.send(request(command, address, 4) + bytes(16 if write else 0))
        good = b"\1" * 4 * min(reached, 2)
        assert await bench.answer() == (b"" if write else good.ljust(16, b"\0")) + bytes([Status.ADDRESS])
        assert len(bench.accesses) == reached

    run(script)


def test_bus_error_is_answered():
    async def script(bench):
        bench.response = 2
        await bench.send(request(Command.WRITE_REGISTERS, 0, 2) + bytes(8))
        assert await bench.answer() == bytes([Status.BUS])
        assert bench.accesses == [("registers", "write", 0)]
        bench.response = 0
        await bench.send(request(Command.READ_REGISTERS, 0, 1))
        assert await bench.answer() == bytes(4) + bytes([Status.OK])

    run(script)


def test_registers_that_hang_are_given_up_and_their_late_answer_ignored():
    async def script(bench):
        bench.delay = 900
        await bench.send(request(Command.READ_REGISTERS, 8, 2))
        assert await bench.answer() == bytes(8) + bytes([Status.TIMEOUT])
        await bench.send(request(Command.READ_REGISTERS, 12, 1))  # still hanging: nothing is begun
        assert await bench.answer(100) == bytes(4) + bytes([Status.TIMEOUT])
        await bench.send(request(Command.WRITE_MEMORY, 0, 1) + bytes(4))  # the memory is reached all the same
        assert await bench.answer(100) == bytes([Status.OK])
        await bench.answer(400)
        bench.delay, bench.words = 1, {("registers", 16): 77}
        await bench.send(request(Command.READ_REGISTERS, 16, 1))
        assert await bench.answer() == bytes([77, 0, 0, 0, Status.OK])
        assert bench.accesses == [("registers", "read", 8), ("memory", "write", 0), ("registers", "read", 16)]

    run(script)


def test_unknown_command_is_answered_after_silence():
    async def script(bench):
        await bench.send(b"xr" + bytes(5))  # what follows is no command
        for _ in range(SILENCE - 2):
            await bench.step()
        assert not bench.sent
        assert await bench.answer() == bytes([Status.COMMAND])
        assert not bench.accesses

    run(script)


@pytest.mark.parametrize("sent", [1, 5, 6, 8, 13])
def test_request_that_breaks_off_is_answered(sent):
    async def script(bench):
        await bench.send((request(Command.WRITE_MEMORY, 0, 2) + bytes(8))[:sent])
        assert await bench.answer() == bytes([Status.INCOMPLETE])
        assert len(bench.accesses) == (sent - 6) // 4 * (sent > 6)
        await bench.send(request(Command.READ_MEMORY, 0, 1))
        assert await bench.answer() == bytes(4) + bytes([Status.OK])

    run(script)


@pytest.mark.parametrize("good", [0, 3, 9])
def test_disturbed_byte_is_answered_and_the_rest_ignored(good):
    async def script(bench):
        text = request(Command.WRITE_MEMORY, 0, 2) + bytes(8)
        await bench.send(text[:good])
        await bench.step(line_error=True)
        await bench.send(text[good + 1:] + request(Command.READ_MEMORY, 0, 1))
        assert await bench.answer() == bytes([Status.LINE])
        assert not bench.accesses

    run(script)


@pytest.mark.parametrize("words", [0, 257])
def test_request_of_too_many_words_is_refused(words):
    with pytest.raises(ValueError, match=f"words must be from 1 to 256, not {words}"):
        request(Command.READ_MEMORY, 0, words)
