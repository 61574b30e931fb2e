"""The boards, and how much memory a machine has on each."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from amaranth.build import Platform
from amaranth.lib.wiring import Component
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from adagp_hdl.bridge.memory import LEAST_BYTES
from adagp_hdl.bridge.uart import divisor

from .. import ecp5, xc7
from ..devices import Device, check_possible, named
from ..subject import Subject
from .clocks import Ecp5Clock, Series7Clock
from .vc707 import VC707Platform

_RATES = (1_000_000, 921_600, 500_000, 460_800, 250_000, 230_400, 115_200)
"""Bits per second that hosts and USB adapters know."""

_BUFFERS = 1 / 8
"""Share of the block memory that is left for the machine's queues, and for what does not fill its blocks."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with ``device``. ``clock`` makes the machine's clock of its oscillator, in Hz ``clock_hz`` unless another one
    is asked for; ``reset_button`` is a resource of the platform. ``most_bits_per_second`` is what its USB adapter can do."""

    platform: Callable[[], Platform]
    device: Device
    clock: Callable[[float], Component]
    clock_hz: float
    most_bits_per_second: int
    reset_button: str

    @property
    def block_bytes(self) -> int:
        """Of the memory on the chip, of which every ninth bit is for parity."""
        return self.device.memory_bits // 9

    def bits_per_second(self, clock_hz: float) -> int:
        """The highest rate of the serial line with this clock of the machine; ValueError without one."""
        for rate in _RATES:
            with suppress(ValueError):
                if rate <= self.most_bits_per_second and divisor(clock_hz, rate):
                    return rate
        raise ValueError(f"the clock must be one of which a serial line's rate can be made, not {clock_hz:g} Hz")

    def memory_bytes(self, subject: Subject) -> int:
        """The largest external memory for ``subject`` that fits on the chip beside it; ``DoesNotFit``, ValueError without one."""
        check_possible(elements=subject.elements, memory_bits=subject.memory_bits, device=self.device)
        own = subject.memory_bits // 8
        room = self.block_bytes * (1 - _BUFFERS) - own
        if room < LEAST_BYTES:
            raise ValueError(f"config must leave {LEAST_BYTES:,} of the board's {self.block_bytes:,} bytes of block memory, "
                             f"but its own memories have {own:,}")
        return 1 << int(room).bit_length() - 1


BOARDS = {
    "ulx3s": Board(platform=ULX3S_85F_Platform, device=named(ecp5.DEVICES, "85k"), clock=partial(Ecp5Clock, 25e6),
                   clock_hz=25e6, most_bits_per_second=1_000_000, reset_button="button_fire"),
    "vc707": Board(platform=VC707Platform, device=named(xc7.DEVICES, xc7.VC707), clock=partial(Series7Clock, 200e6),
                   clock_hz=100e6, most_bits_per_second=921_600, reset_button="rst"),
}


def board(name: str) -> Board:
    """Of :data:`BOARDS`; ValueError."""
    if name not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
