"""What every machine that executes programs offers: the golden one and the simulated hardware."""

from typing import Protocol

import numpy as np

from .config import AcceleratorConfig
from .isa import FaultCause


class MachineFault(Exception):
    """The machine stopped with a fault interrupt. ``cause`` and ``address`` are its registers."""

    def __init__(self, cause: FaultCause, address: int):
        super().__init__(f"{cause.name} at {address:#010x}")
        self.cause = cause
        self.address = address


class Machine(Protocol):
    """A host's view of an accelerator and the external memory behind it.

    ``memory`` is the external memory from byte address 0, writable in place. Register names are
    the paths of the register map, such as ``BATCHES`` or ``PROGRAM[1].ADDRESS``.
    """

    config: AcceleratorConfig
    memory: np.ndarray  # uint8

    def write(self, register: str, value: int) -> None:
        """Writes a 32-bit register."""

    def read(self, register: str) -> int:
        """Reads a 32-bit register."""

    def counter(self, name: str) -> int:
        """Reads a 64-bit counter, for instance ``PASS_MACS[2]``. The golden machine does not know
        time: its CYCLES, PHASE_CYCLES, PASS_CYCLES, LAYER_CYCLES and BUSY stay 0."""

    def run(self) -> None:
        """Rings the doorbell and returns when BATCHES batches are done; raises MachineFault."""
