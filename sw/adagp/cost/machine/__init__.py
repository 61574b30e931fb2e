"""The accelerator of this project: cycles and bytes of its compiled programs.

A program is followed instruction by instruction as the hardware executes it: fetch and dispatch, queues and tokens, the
engines with their documented latencies (``latencies``), bursts on the bus, the banks of the vector memory. Where nobody
is in anybody's way, long stretches are computed at once. Nothing is fitted to measurements.
"""

from .cost import ProgramCost, WorkCost, by_work, program_cost, training_cost
from .memory import ExternalMemory

__all__ = ["ExternalMemory", "ProgramCost", "WorkCost", "by_work", "program_cost", "training_cost"]
