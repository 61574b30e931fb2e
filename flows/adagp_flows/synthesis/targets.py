"""What a design can be synthesised for, with one way to ask each of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import cells, ecp5, ice40, vivado, xc7
from .devices import check_possible, named
from .nextpnr import SEEDS
from .results import Result
from .subject import Subject
from .tools import find


@dataclass(frozen=True, kw_only=True)
class Question:
    """``subject`` for ``device``; ``clock_mhz`` is what the tools try for, with each of ``seeds`` where they have a choice.
    What the subject's run leaves is in ``folder``; what other subjects may use, in ``cache``."""

    subject: Subject
    device: str
    clock_mhz: float
    seeds: Sequence[int]
    folder: Path
    cache: Path


@dataclass(frozen=True, kw_only=True)
class Target:
    """``devices``: their names, the usual one first. ``check(subject, device)`` raises ``DoesNotFit`` where that is known
    beforehand."""

    tools: Sequence[str]
    devices: Sequence[str]
    clock_mhz: float
    check: Callable[[Subject, str], None]
    answer: Callable[[Question], Result]


def question(name: str, subject: Subject, *, root: Path, device: str | None = None, clock_mhz: float | None = None,
             seeds: Sequence[int] = SEEDS) -> Question:
    """Of the target ``name`` of :data:`TARGETS`; refuses before any time is spent: ValueError, ``DoesNotFit``, ``MissingTool``."""
    if name not in TARGETS:
        raise ValueError(f"target must be one of {', '.join(TARGETS)}, not {name!r}")
    target = TARGETS[name]
    device = device or target.devices[0]
    clock_mhz = target.clock_mhz if clock_mhz is None else clock_mhz
    if device not in target.devices:
        raise ValueError(f"device of {name} must be one of {', '.join(target.devices)}, not {device!r}")
    if clock_mhz <= 0:
        raise ValueError(f"clock must be positive, not {clock_mhz:g} MHz")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds must be numbers that differ, not {' '.join(map(str, seeds)) or 'none'}")
    target.check(subject, device)
    for tool in ("make", *target.tools):
        find(tool)
    return Question(subject=subject, device=device, clock_mhz=clock_mhz, seeds=seeds, folder=root / subject.name / name,
                    cache=root / "cache" / name)


def _check(devices) -> Callable[[Subject, str], None]:
    def check(subject: Subject, device: str) -> None:
        if device != xc7.ANY:
            check_possible(elements=subject.elements, memory_bits=subject.memory_bits, device=named(devices, device))
    return check


def _xc7(asked: Question) -> Result:
    verilog = asked.subject.verilog
    return xc7.synthesise(verilog.text, top=verilog.top, device=asked.device, folder=asked.folder, cache=asked.cache)


def _placed(family) -> Callable[[Question], Result]:
    def answer(asked: Question) -> Result:
        verilog = asked.subject.verilog
        return family.synthesise(verilog.text, top=verilog.top, clock=verilog.clock, device=asked.device, clock_mhz=asked.clock_mhz,
                                 seeds=asked.seeds, folder=asked.folder, cache=asked.cache)
    return answer


def _cells_are_there(subject: Subject, device: str) -> None:
    cells.library()


def _osu018(asked: Question) -> Result:
    from .training_activity import of_training  # imports torch

    verilog = asked.subject.verilog
    return cells.synthesise(verilog.text, top=verilog.top, clock=verilog.clock, clock_ns=1000 / asked.clock_mhz,
                            activity=of_training(asked.subject, asked.cache), folder=asked.folder, cache=asked.cache)


def _vivado(asked: Question) -> Result:
    return vivado.implement(vivado.out_of_context(asked.subject.verilog, clock_mhz=asked.clock_mhz), asked.folder)


def _names(devices) -> list[str]:
    return [device.name for device in devices]


TARGETS: Mapping[str, Target] = {
    "xc7": Target(tools=("yosys",), devices=[xc7.ANY, *_names(xc7.DEVICES)], clock_mhz=200, check=_check(xc7.DEVICES), answer=_xc7),
    "ecp5": Target(tools=("yosys", "nextpnr-ecp5", "ecppack"), devices=_names(ecp5.DEVICES), clock_mhz=130, check=_check(ecp5.DEVICES),
                   answer=_placed(ecp5)),
    "ice40": Target(tools=("yosys", "nextpnr-ice40", "icepack"), devices=_names(ice40.DEVICES), clock_mhz=50,
                    check=_check(ice40.DEVICES), answer=_placed(ice40)),
    "osu018": Target(tools=("yosys", "sta", "g++"), devices=["osu018"], clock_mhz=200, check=_cells_are_there,
                     answer=_osu018),
    # Vivado is not looked for beforehand: without it there still is a project for it.
    "vivado": Target(tools=(), devices=[xc7.VC707], clock_mhz=200, check=_check(xc7.DEVICES), answer=_vivado),
}
