"""The C driver in front of the simulated RTL."""

import numpy as np
import pytest

from adagp.spec.isa import FaultCause
from adagp.spec.schedule import Phase
from adagp_tb.rtl_machine import RtlMachine
from binding import (DONE_EVENT, FAULT, FAULT_EVENT, IDLE_CORE, OK, RUNNING, TIMEOUT, WORD, CounterValues, Device,
                     FaultReport)
from job import ADDRESS, BATCHES, job

LONG = 50_000_000  # cycles
TIMINGS = [{"latency": 5}, {"latency": 40, "stall_probability": 0.3}]
EVENTS = DONE_EVENT | FAULT_EVENT


class Board:
    """The driver on the RTL with the job's image in its memory; its clock is the machine's."""

    def __init__(self, driver, **timing):
        self.driver = driver
        rtl = self.rtl = RtlMachine(job().training.config, job().memory_bytes, **timing)
        self.simulation = rtl.simulation
        job().place(rtl.memory)
        self.device = Device(driver, self._read, self._write, now=lambda: rtl.cycles,
                             idle=lambda: self.simulation.clock(200))

    def load(self, schedule="epochs"):
        return self.device.load(self.driver.definition("image"), self.driver.definition(schedule), ADDRESS)

    def fault(self) -> FaultReport:
        result, report = self.device.filled("fault", FaultReport)
        assert result == OK
        return report

    def check(self, schedule, *runs):
        """The memory is that of the golden machine after ``runs``, and nothing is under way."""
        assert np.array_equal(job().of(self.rtl.memory), job().reference(schedule, *runs).memory)
        assert self.simulation.outstanding == 0

    def _read(self, offset):
        response, value = self.simulation.read(offset)
        assert response == 0
        return value

    def _write(self, offset, value):
        assert self.simulation.write(offset, value) == 0


@pytest.mark.parametrize("timing", TIMINGS, ids=["fast", "stalling"])
def test_polled_runs_leave_the_golden_bits(driver, timing):
    board = Board(driver, **timing)
    assert board.device.probe(None) == OK and board.load() == OK
    assert board.device.interrupt_enable(0) == OK
    for batches in (3, BATCHES):
        assert board.device.start(batches, 0) == OK and board.device.poll() == RUNNING
        assert board.device.wait(LONG) == OK
    assert not board.simulation.clock(10), "no interrupt was asked for"
    board.check("epochs", 3, BATCHES)
    reference = job().reference("epochs", 3, BATCHES)
    result, counters = board.device.filled("counters", CounterValues)
    assert result == OK and counters.instructions == reference.counter("INSTRUCTIONS")
    assert list(counters.pass_macs) == [reference.counter(f"PASS_MACS[{i}]") for i in range(4)]
    assert list(counters.phase_batches) == [reference.counter(f"PHASE_BATCHES[{i}]") for i in range(6)]
    assert sum(counters.pass_cycles) == sum(counters.phase_cycles) == counters.cycles > 1000
    assert board.device.filled("batch", WORD)[1].value == BATCHES + 3


def test_interrupt_ends_a_run(driver):
    board = Board(driver, latency=5)
    assert board.load("adaptive") == OK and board.device.interrupt_enable(EVENTS) == OK
    for batches in (BATCHES, 2):
        assert board.device.start(batches, 0) == OK
        assert board.device.interrupt() == 0
        board.simulation.run(LONG)
        assert board.device.poll() == OK
        assert board.device.interrupt() == DONE_EVENT
        assert not board.simulation.clock(10), "irq falls with the acknowledgement"
    board.check("adaptive", BATCHES, 2)


FAULTS = {
    "read error": FaultCause.READ_ERROR, "write error": FaultCause.WRITE_ERROR,
    "illegal instruction": FaultCause.ILLEGAL_INSTRUCTION,
}


@pytest.mark.parametrize("name", FAULTS)
def test_second_run_after_a_fault_is_exact(driver, name):
    board = Board(driver, latency=20, stall_probability=0.2, seed=len(name))
    training, place = job().training, None
    if name == "read error":
        place = ADDRESS + training.data_address
        board.simulation.inject(read_error=place)
    elif name == "write error":
        place = ADDRESS + training.tensors["loss"].offset
        board.simulation.inject(write_error=place)
    else:
        place = ADDRESS + training.program_addresses[Phase.GP]
        board.rtl.memory[place:place + 64] = 0
    assert board.load() == OK and board.device.interrupt_enable(EVENTS) == OK
    assert board.device.start(BATCHES, 0) == OK
    board.simulation.run(LONG)
    assert board.device.interrupt() == FAULT_EVENT
    assert board.device.poll() == board.device.wait(0) == board.device.start(1, 0) == board.load() == FAULT
    report = board.fault()
    assert report.cause == FAULTS[name]
    burst = training.config.burst_beats * training.config.bus_bytes
    assert report.address <= place < report.address + burst
    assert (report.phase, report.batch) == ((Phase.GP, 2) if name == "illegal instruction" else (Phase.WARMUP, 0))

    board.simulation.inject()
    assert board.device.recover(LONG) == OK and board.device.poll() == IDLE_CORE
    assert board.device.interrupt() == 0 and board.fault().cause == FaultCause.NONE
    job().place(board.rtl.memory)
    assert board.load() == OK and board.device.start(BATCHES, 0) == OK and board.device.wait(LONG) == OK
    board.check("epochs", BATCHES)


@pytest.mark.parametrize("cycles", [100, 3000])
def test_run_that_is_given_up_leaves_no_trace(driver, cycles):
    board = Board(driver, latency=20)
    assert board.load() == OK and board.device.start(BATCHES, 0) == OK
    assert board.device.wait(cycles) == TIMEOUT
    assert board.device.recover(LONG) == OK
    job().place(board.rtl.memory)
    assert board.load() == OK and board.device.start(BATCHES, 0) == OK and board.device.wait(LONG) == OK
    board.check("epochs", BATCHES)


def test_memory_that_never_answers_is_a_time_out(driver):
    board = Board(driver, latency=1 << 30)
    assert board.load() == OK and board.device.start(1, 0) == OK
    assert board.device.wait(3000) == TIMEOUT == board.device.recover(3000)
    assert board.device.poll() == RUNNING and board.rtl.read("STATUS") & 0b1000
