"""What FPGAs have, and whether a design fits: before anything is run, and once its cells are counted."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Device:
    """``capacity``: how much of each resource it has, by the field names of the target's record. ``memory_bits``: of all its
    block memories."""

    name: str
    capacity: Mapping[str, int]
    memory_bits: int


_MULTIPLIERS_USED = 16
"""Of devices with fewer the targets use none: they multiply in logic."""


class DoesNotFit(ValueError):
    """The device has less than the design needs."""


def named(devices: Iterable[Device], name: str) -> Device:
    """The one called ``name``; ValueError."""
    known = {device.name: device for device in devices}
    if name not in known:
        raise ValueError(f"device must be one of {', '.join(known)}, not {name!r}")
    return known[name]


def check_possible(*, elements: int, memory_bits: int, device: Device) -> None:
    """Refuses, before hours are spent, what certainly needs more than ``device`` has: a multiplier for each element of the
    arrays, unless the target multiplies in logic, and the bits of the large memories. :class:`DoesNotFit`."""
    multipliers = device.capacity["dsp"]
    if _MULTIPLIERS_USED <= multipliers < elements:
        raise DoesNotFit(f"{device.name} has {multipliers:,} multipliers, and the {elements:,} elements of the arrays need one each")
    if memory_bits > device.memory_bits:
        raise DoesNotFit(f"{device.name} has {device.memory_bits:,} bits of block memory, and the memories need {memory_bits:,}")


def check_counted(counted: Mapping[str, int], device: Device) -> None:
    """For the resources that a synthesised design takes; :class:`DoesNotFit`, with all of them that are short."""
    if short := excess(counted, device):
        raise DoesNotFit(f"{device.name} is too small: the design needs {', '.join(short)}")


def excess(counted: Mapping[str, int], device: Device) -> list[str]:
    """What ``device`` has less of than ``counted``, in words; empty if the design fits."""
    return [f"{resource} {counted[resource]:,} of {capacity:,}" for resource, capacity in device.capacity.items()
            if counted[resource] > capacity]
