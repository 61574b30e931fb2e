"""A machine on a board behind the interface that the golden machine has."""

import time
from collections.abc import Callable

import numpy as np

from adagp.spec.bridge import WORD_BYTES
from adagp.spec.config import AcceleratorConfig
from adagp.spec.isa import FaultCause
from adagp.spec.machine import MachineFault
from adagp.spec.registers import field, offset

from .link import Link

_BLOCK = 256
"""Bytes that go to the board together where one of them has changed."""


class HostedMachine:
    """A :class:`adagp.spec.machine.Machine` on a board.

    ``memory`` is a copy of the board's: what was written there goes to the board before a run, and what
    lies in the window comes back after it, also where the run ends in a fault. ValueError if the board
    holds another machine than ``config``. ``run`` raises TimeoutError after ``timeout`` seconds.
    """

    def __init__(self, link: Link, config: AcceleratorConfig, *, timeout: float = 600.0):
        self.config, self.timeout = config, timeout
        self._link = link
        self._check_configuration()
        self.memory = np.zeros(link.memory_bytes, np.uint8)
        self._on_board: np.ndarray | None = None  # unknown

    def write(self, register: str, value: int) -> None:
        """Writes a 32-bit register."""
        self._link.write_register(offset(register), value)

    def read(self, register: str) -> int:
        """Reads a 32-bit register."""
        return self._link.read_registers(offset(register))[0]

    def counter(self, name: str) -> int:
        """Reads a 64-bit counter."""
        low, high = self._link.read_registers(offset(f"{name}.LO"), 2)
        return low | high << 32

    def run(self, *, progress: Callable[[int], None] = lambda batch: None) -> None:
        """Runs BATCHES batches; MachineFault if the machine is or gets faulted. ``progress`` is called now
        and then with the number of the running batch."""
        self._to_board()
        fault = field("STATUS", "fault").mask
        if not self.read("STATUS") & fault:
            ended = field("INTERRUPT_PENDING", "done").mask | field("INTERRUPT_PENDING", "fault").mask
            self.write("INTERRUPT_PENDING", ended)
            self.write("CONTROL", field("CONTROL", "start").mask)
            last = time.monotonic() + self.timeout
            while not self.read("INTERRUPT_PENDING") & ended:
                if time.monotonic() > last:
                    raise TimeoutError(f"the machine has not ended within {self.timeout} s")
                progress(self.read("BATCH"))
            self._from_board()
        if self.read("STATUS") & fault:
            raise MachineFault(FaultCause(self.read("FAULT_CAUSE")), self.read("FAULT_ADDRESS"))

    def reset(self) -> None:
        """Recovers a faulted or running machine: configuration and counters stay. TimeoutError if its bus
        is never drained."""
        self.write("CONTROL", field("CONTROL", "reset").mask)
        last = time.monotonic() + self.timeout
        while self.read("STATUS") & (field("STATUS", "busy").mask | field("STATUS", "draining").mask):
            if time.monotonic() > last:
                raise TimeoutError(f"the bus is not drained within {self.timeout} s")

    def _check_configuration(self) -> None:
        config = self.config
        for register, name, want in (
                ("ARRAY", "rows", config.rows), ("ARRAY", "columns", config.columns), ("ARRAY", "design", int(config.design)),
                ("ARRAY", "bus_bytes", config.bus_bytes), ("MEMORIES", "stream_log2", _log2(config.stream_elements)),
                ("MEMORIES", "stationary_log2", _log2(config.stationary_elements)),
                ("MEMORIES", "vector_log2", _log2(config.vector_words)), ("MEMORIES", "vector_lanes", config.vector_lanes)):
            part = field(register, name)
            got = (self.read(register) & part.mask) >> part.lsb
            if got != want:
                raise ValueError(f"the machine on the board must be that of config, with {register}.{name} {want}, not {got}")

    def _to_board(self) -> None:
        """Writes the blocks that differ from what is there."""
        for first in range(0, self.memory.size, _BLOCK):
            block = self.memory[first:first + _BLOCK]
            if self._on_board is None or not np.array_equal(block, self._on_board[first:first + _BLOCK]):
                self._link.write_memory(first, block.tobytes())
        self._on_board = self.memory.copy()

    def _from_board(self) -> None:
        """Reads the window, outside of which the machine writes nothing."""
        first = self.read("WINDOW_FIRST") // WORD_BYTES * WORD_BYTES
        end = min((self.read("WINDOW_LAST") // WORD_BYTES + 1) * WORD_BYTES, self.memory.size)
        if first < end:
            self.memory[first:end] = np.frombuffer(self._link.read_memory(first, end - first), np.uint8)
            self._on_board[first:end] = self.memory[first:end]


def _log2(value: int) -> int:
    return value.bit_length() - 1
