"""The serial line, bit by bit, with partners at the edge of the tolerated rate."""

import random

import pytest
from amaranth.sim import Simulator

from adagp_hdl.bridge.uart import TOLERANCE, UartReceiver, UartTransmitter, divisor

DIVISORS = [4, 5, 25]


def simulate(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def waveform(data: bytes, cycles_per_bit: float, gaps=lambda: 0) -> list[int]:
    """The line, cycle by cycle; ``gaps`` gives the idle bits before a byte."""
    line, end = [], 0.0
    for byte in data:
        for bit in [1] * gaps() + [0, *(byte >> i & 1 for i in range(8)), 1]:
            end += cycles_per_bit
            line += [bit] * (round(end) - len(line))
    return line + [1] * 4 * round(cycles_per_bit)


def received(line: list[int], bit_cycles: int, *, ready=lambda cycle: True) -> tuple[list[int], int]:
    """The bytes that a receiver hands over and the errors that it reports."""
    dut, taken, errors = UartReceiver(bit_cycles), [], 0

    async def bench(ctx):
        nonlocal errors
        for cycle, level in enumerate(line):
            ctx.set(dut.rx, level)
            ctx.set(dut.o.ready, ready(cycle))
            if ctx.get(dut.o.valid) and ready(cycle):
                taken.append(ctx.get(dut.o.payload))
            await ctx.tick()
            errors += ctx.get(dut.error)

    simulate(dut, bench)
    return taken, errors


@pytest.mark.parametrize("rate", [1 - TOLERANCE, 1, 1 + TOLERANCE])
@pytest.mark.parametrize("bit_cycles", DIVISORS)
def test_bytes_are_received_at_the_edges_of_the_rate(bit_cycles, rate):
    data = bytes(random.Random(1).sample(range(256), 64))
    assert received(waveform(data, bit_cycles * rate), bit_cycles) == (list(data), 0)


def test_idle_line_between_bytes_does_not_matter():
    rng = random.Random(2)
    data = rng.randbytes(50)
    assert received(waveform(data, 5, lambda: rng.randrange(4)), 5) == (list(data), 0)


def test_missing_stop_bit_is_an_error_and_loses_the_byte():
    broken = [level for bit in [0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1] for level in [bit] * 5]
    assert received(waveform(b"\x5A", 5) + broken + waveform(b"\xA5", 5), 5) == ([0x5A, 0xA5], 1)


def test_line_that_stays_low_is_one_error():
    assert received([1] * 10 + [0] * 500 + [1] * 50 + waveform(b"\x42", 5), 5) == ([0x42], 1)


def test_glitch_is_no_start_bit():
    assert received([1] * 10 + [0] * 5 + [1] * 300 + waveform(b"\x42", 25), 25) == ([0x42], 0)


def test_byte_that_nobody_took_is_an_error():
    line = waveform(b"\x01\x02", 5)
    assert received(line + [1] * 10, 5, ready=lambda cycle: cycle >= len(line)) == ([0x02], 1)


@pytest.mark.parametrize("bit_cycles", DIVISORS)
def test_transmitter_sends_the_waveform(bit_cycles):
    dut, data, line = UartTransmitter(bit_cycles), random.Random(3).randbytes(40), []

    async def bench(ctx):
        left = list(data)
        for _ in range(10 * bit_cycles * (len(data) + 1) + len(data)):
            ctx.set(dut.i.valid, bool(left))
            ctx.set(dut.i.payload, left[0] if left else 0)
            if left and ctx.get(dut.i.ready):
                left.pop(0)
            await ctx.tick()
            line.append(ctx.get(dut.tx))

    simulate(dut, bench)
    got = []
    while 0 in line:
        line = line[line.index(0):]
        bits = [line[bit_cycles * bit:bit_cycles * (bit + 1)] for bit in range(10)]
        assert all(len(set(bit)) == 1 for bit in bits) and bits[9][0] == 1, "a bit changes in its middle"
        got.append(sum(bits[1 + i][0] << i for i in range(8)))
        line = line[10 * bit_cycles:]
    assert bytes(got) == data


def test_divisor_is_the_nearest():
    assert [divisor(25e6, 1_000_000), divisor(200e6, 921_600), divisor(25e6, 1_500_000)] == [25, 217, 17]


@pytest.mark.parametrize("rate", [3_000_000, 7_000_000, 20_000_000])
def test_rate_out_of_reach_is_refused(rate):
    with pytest.raises(ValueError, match=f"bits_per_second must be within 2% of 2.5e\\+07 Hz divided by .*, not {rate}"):
        divisor(25e6, rate)
