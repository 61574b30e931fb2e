"""External memory behind the machine's bus, as bursts see it."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ExternalMemory:
    """A burst's first beat comes ``latency`` cycles after its address was accepted, or later behind others,
    beats ``interval`` cycles apart at least; so many bursts may be ``outstanding`` in each direction. Writes take
    a beat every ``interval`` cycles and are acknowledged ``latency`` cycles after a burst's last."""

    latency: int = 30
    interval: int = 1
    outstanding: int = 16

    def __post_init__(self):
        for name in ("latency", "interval", "outstanding"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"ExternalMemory.{name} must be an integer of at least 1, not {value!r}")


class ReadChannel:
    """Read bursts of all readers, answered in the order in which they are accepted."""

    def __init__(self, memory: ExternalMemory):
        self._memory = memory
        self.accepted = -1
        """When the latest burst is accepted; only then it is decided who is next."""
        self._data = -memory.interval  # when the last beat so far comes
        self._ends = deque([-1] * memory.outstanding)

    def request(self, cycle: int, beats: int) -> tuple[int, int, int]:
        """A burst whose address is valid from ``cycle`` on: when it is accepted, and when its first and its
        last beat come."""
        memory = self._memory
        accepted = self.accepted = max(cycle, self.accepted + 1, self._ends[0] + 1)
        first = max(accepted + memory.latency, self._data + memory.interval)
        last = self._data = first + (beats - 1) * memory.interval
        self._ends.append(last)
        self._ends.popleft()
        return accepted, first, last


class WriteChannel:
    """Write bursts, sent and acknowledged in their order."""

    def __init__(self, memory: ExternalMemory):
        self._memory = memory
        self._accepted = -1
        self._data = -memory.interval
        self._responses = deque([-1] * memory.outstanding)

    @property
    def sent(self) -> int:
        """When the last beat so far is taken."""
        return self._data

    def request(self, cycle: int, beats: int) -> tuple[int, int, int]:
        """A burst whose address is valid from ``cycle`` on, and its data from then on too: when its address is
        accepted, when its last beat is taken, and when it is acknowledged."""
        memory = self._memory
        accepted = self._accepted = max(cycle, self._accepted + 1, self._responses[0] + 1)
        first = max(cycle, self._data + memory.interval)
        last = self._data = first + (beats - 1) * memory.interval
        acknowledged = max(max(last, accepted) + memory.latency, self._responses[-1] + 1)
        self._responses.append(acknowledged)
        self._responses.popleft()
        return accepted, last, acknowledged
