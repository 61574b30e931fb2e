"""What the engines of the model have in common."""

from collections import deque

NEVER = 1 << 62
"""After everything."""


class Engine:
    """Takes instructions one after the other.

    ``begin(instruction, cycle)`` hands it one that its queue offers from ``cycle`` on, allowed while ``accepts``. As
    long as it ``holds`` that the queue cannot move on; then ``free`` is the cycle in which it could. ``step()`` goes on
    from ``time``, which is :data:`NEVER` if nothing is under way; what it decides lies at ``time`` or later. ``completed``
    gets the cycle in which each instruction is complete, in order.
    """

    watches = False
    """Whether ``time`` depends on what others do at the banks."""
    holds = False
    accepts = True
    time = NEVER

    def __init__(self):
        self.free = 0
        self.completed: deque[int] = deque()

    def begin(self, i, offered: int) -> None:
        raise NotImplementedError

    def step(self) -> None:
        raise NotImplementedError
