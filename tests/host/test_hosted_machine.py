"""A simulated board at the other end of a serial line: what a host does there ends as on the golden machine."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from adagp.compiler import SGD, Training, compile_training
from adagp.golden import GoldenMachine
from adagp.host import BridgeError, HostedMachine, Link
from adagp.spec.bridge import Command, Status, request
from adagp.spec.config import preset
from adagp.spec.isa import FaultCause
from adagp.spec.machine import MachineFault
from adagp.spec.registers import offset
from adagp.spec.schedule import Schedule
from adagp_tb.comparison import difference
from adagp_tb.serial_board import SerialBoard, hosted_verilog

CONFIG = preset("tiny")
BYTES = 1 << 14
BATCHES = 2


@pytest.fixture
def board():
    return SerialBoard(hosted_verilog(CONFIG, BYTES))


def model() -> nn.Module:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 4))


@cache
def training() -> Training:
    return compile_training(model(), CONFIG, batch=4, input_shape=(12,), optimizer=SGD(lr=0.05))


def prepare(machine) -> None:
    generator = torch.Generator().manual_seed(6)
    data = torch.randn(4 * BATCHES, 12, generator=generator)
    training().image(machine.memory, model(), data, torch.arange(4 * BATCHES) % 4)
    training().configure(machine, BATCHES, Schedule(warmup=BATCHES))


def test_training_over_the_line_leaves_the_golden_bits(board):
    machines = HostedMachine(Link(board), CONFIG), GoldenMachine(CONFIG, BYTES, check=True)
    for machine in machines:
        prepare(machine)
        before = machine.memory.copy()
        machine.run()
        assert not np.array_equal(machine.memory, before)
    hosted, golden = machines
    assert difference(training(), hosted.memory, golden.memory) == ""
    for counter in ("INSTRUCTIONS", "PHASE_BATCHES[0]", *(f"PASS_MACS[{i}]" for i in range(4))):
        assert hosted.counter(counter) == golden.counter(counter), counter
    assert hosted.counter("CYCLES") > 0
    written = hosted.memory[training().data_address:]
    assert Link(board).read_memory(training().data_address, len(written)) == written.tobytes()


def test_fault_is_raised_and_a_reset_recovers(board):
    hosted, golden = HostedMachine(Link(board), CONFIG), GoldenMachine(CONFIG, BYTES)
    prepare(hosted)
    last = hosted.read("WINDOW_LAST")
    hosted.write("WINDOW_LAST", hosted.read("PROGRAM[0].ADDRESS"))
    for _ in range(2):  # until it is reset
        with pytest.raises(MachineFault) as fault:
            hosted.run()
        assert fault.value.cause is FaultCause.WINDOW
    hosted.reset()
    prepare(golden)
    prepare(hosted)
    hosted.write("WINDOW_LAST", last)
    for machine in (hosted, golden):
        machine.run()
    assert difference(training(), hosted.memory, golden.memory) == ""


def test_other_machine_on_the_board_is_refused(board):
    with pytest.raises(ValueError, match="the machine on the board must be that of config, with ARRAY.rows 8, not 4"):
        HostedMachine(Link(board), preset("small"))


def test_memory_and_registers_are_read_as_written(board):
    link, data = Link(board), np.random.default_rng(1).bytes(1300)
    told = []
    link.write_memory(0x1234, data, progress=told.append)
    assert link.read_memory(0x1234, len(data)) == data and told == [1024, 1300]
    assert link.memory_bytes == BYTES
    link.write_register(offset("BATCHES"), 0x89ABCDEF)
    assert link.read_registers(offset("BATCHES"), 2) == [0x89ABCDEF, 0]
    assert link.read_registers(offset("ID")) == [0x0ADA6B00]


def test_failures_are_answered_and_the_next_request_is_served(board):
    link = Link(board)

    def served():
        link.write_memory(64, b"good")
        assert link.read_memory(64, 4) == b"good"

    with pytest.raises(BridgeError, match="READ_MEMORY of 0x00004000 failed: ADDRESS") as failure:
        link.read_memory(BYTES, 8)
    assert failure.value.status is Status.ADDRESS
    served()
    with pytest.raises(BridgeError, match="WRITE_REGISTERS of 0x00001000 failed: ADDRESS"):
        link.write_register(0x1000, 1)
    served()
    board.write(b"\x00garbage")
    assert board.read(1) == bytes([Status.COMMAND])
    served()
    board.write(request(Command.WRITE_MEMORY, 64, 2) + b"abc")
    assert board.read(1) == bytes([Status.INCOMPLETE])
    served()
    board.write(request(Command.WRITE_MEMORY, 64, 1))
    board.write_broken(0x55)
    board.write(b"abc")
    assert board.read(1) == bytes([Status.LINE])
    served()


def test_link_begins_where_another_host_broke_off(board):
    board.write(request(Command.WRITE_MEMORY, 64, 2) + b"abcd")
    link = Link(board)
    assert link.read_memory(64, 8)[:4] == b"abcd"


def test_what_has_not_changed_is_not_sent_again(board):
    hosted = HostedMachine(Link(board), CONFIG)
    prepare(hosted)
    hosted.run()
    hosted.memory[0x300] ^= 1
    sent = []
    write, board.write = board.write, lambda data: (sent.append(data), write(data))
    hosted.run()
    assert [data[:6] for data in sent if data[0] == Command.WRITE_MEMORY] == [request(Command.WRITE_MEMORY, 0x300, 64)]
