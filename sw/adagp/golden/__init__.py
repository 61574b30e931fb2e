"""PyTorch interpreter of programs, bit for bit what the hardware does."""

from .check import ProgramError
from .machine import GoldenMachine

__all__ = ["GoldenMachine", "ProgramError"]
