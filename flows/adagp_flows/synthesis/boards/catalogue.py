"""The boards, and how much memory a machine has on each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from amaranth.build import Platform
from amaranth.lib.wiring import Component
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from adagp.spec.config import AcceleratorConfig
from adagp_hdl.bridge.memory import LEAST_BYTES

from .clocks import Ecp5Clock, Series7Clock
from .vc707 import VC707Platform

_BUFFERS = 1 / 8
"""Share of the block memory that is left for the machine's queues, and for what does not fill its blocks."""


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board. ``clock`` makes ``clock_hz`` of its oscillator; ``reset_button`` is a resource of the platform;
    ``block_bytes`` of memory are on the chip, parity left out."""

    platform: Callable[[], Platform]
    clock: Callable[[], Component]
    clock_hz: float
    bits_per_second: int
    reset_button: str
    block_bytes: int

    def memory_bytes(self, config: AcceleratorConfig) -> int:
        """The largest external memory for ``config`` that fits on the chip beside it; ValueError without one."""
        room = self.block_bytes * (1 - _BUFFERS) - scratchpad_bytes(config)
        if room < LEAST_BYTES:
            raise ValueError(f"config must leave {LEAST_BYTES:,} of the board's {self.block_bytes:,} bytes of block memory, "
                             f"but its own memories have {scratchpad_bytes(config):,}")
        return 1 << int(room).bit_length() - 1


BOARDS = {
    "ulx3s": Board(platform=ULX3S_85F_Platform, clock=partial(Ecp5Clock, 25e6, 50e6), clock_hz=50e6,
                   bits_per_second=1_000_000, reset_button="button_fire", block_bytes=208 * 2048),
    "vc707": Board(platform=VC707Platform, clock=partial(Series7Clock, 200e6, 100e6), clock_hz=100e6,
                   bits_per_second=921_600, reset_button="rst", block_bytes=1030 * 4096),
}


def board(name: str) -> Board:
    """Of :data:`BOARDS`; ValueError."""
    if name not in BOARDS:
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]


def scratchpad_bytes(config: AcceleratorConfig) -> int:
    """Bytes of the machine's memories on the chip."""
    shapes = [config.array, *([config.predictor_array] if config.design.has_predictor_array else [])]
    operands = sum(shape.stream_elements + shape.stationary_elements for shape in shapes)
    own = config.predictor_elements if config.design.has_predictor_memory else 0
    return 2 * operands + 4 * (config.vector_elements + own)
