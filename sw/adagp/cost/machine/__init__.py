"""The accelerator of this project: cycles and bytes of its compiled programs.

A program is followed instruction by instruction as the hardware executes it: fetch and dispatch, queues and tokens, the
engines with their documented latencies (``latencies``), bursts on the bus, the banks of the vector memory. Where nobody
is in anybody's way, long stretches are computed at once. Nothing is fitted to measurements.
``network_cost`` estimates whole networks in seconds, without compiling them.
"""

from .cost import ProgramCost, WorkCost, by_work, program_cost, training_cost
from .memory import ExternalMemory
from .outline import MachineNetworkCost, PhaseEstimate, WorkEstimate, network_cost

__all__ = ["ExternalMemory", "MachineNetworkCost", "PhaseEstimate", "ProgramCost", "WorkCost", "WorkEstimate", "by_work",
           "network_cost", "program_cost", "training_cost"]
