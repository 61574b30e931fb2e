"""Netlists through the benches of the RTL: what synthesis makes of the array and of the machine still computes every bit.

``python -m adagp_flows.synthesis.netlist --target xc7 --design max`` synthesises, simulates the cells, and compares with
the same references as the RTL. With ``--mutants`` it also inverts one bit of one LUT at a time, which has to be noticed.
"""

import argparse
import random
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import torch

from adagp.compiler import CompileError
from adagp.spec.config import PRESETS, AcceleratorConfig, Design, preset
from adagp.spec.machine import MachineFault
from adagp_tb import fuzz
from adagp_tb.array_bench import CompiledArray
from adagp_tb.array_reference import compare_random, wild_operands
from adagp_tb.comparison import assert_same_programs
from adagp_tb.random_programs import MEMORY_BYTES
from adagp_tb.rtl_machine import RtlMachine

from . import ecp5, nextpnr, xc7
from .models import with_models
from .modules import Hierarchy, synthesise_modules

CACHE = Path("build/synth/cache")
TARGETS = {"xc7": xc7.synthesis_job, "ecp5": partial(nextpnr.synthesis_job, ecp5.FAMILY, ecp5.DEVICES[0])}

_ARRAY, _MACHINE = "top", "adagp"  # the modules that the benches drive
_STALLS = (0.0, 0.9, 0.4)
_MEMORIES = ({"latency": 1}, {"latency": 60, "interval": 3, "outstanding": 2},
             {"latency": 10, "stall_probability": 0.4, "interleave": True})
_MOST_CYCLES = 1_000_000
_MODULE = re.compile(r"^module (\S+?)\(.*?^endmodule$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"^ +LUT\d #\(\s*\.INIT\((\d+)'h([0-9a-f]+)\)", re.MULTILINE)

Synthesise = Callable[[str], str]


def cells(verilog: str, *, top: str, target: str, cache: Path = CACHE) -> str:
    """The netlist of ``top`` for ``target``, a key of :data:`TARGETS`. ``JobError``."""
    hierarchy = Hierarchy.of(verilog, top)
    finished = synthesise_modules(hierarchy, TARGETS[target], cache / target)
    return "\n".join(finished[module].read("netlist.v") for module in hierarchy.modules)


def simulated(verilog: str, *, top: str, target: str, cache: Path = CACHE) -> str:
    """The netlist with the models of its cells."""
    return with_models(cells(verilog, top=top, target=target, cache=cache), target)


def check_array(synthesise: Synthesise, *, rows: int = 2, columns: int = 2, elements: int = 1024, words: int = 128,
                seeds: int = 12) -> int:
    """The array engine with its memories: random instructions on ordinary numbers, with and without stalls, then on numbers
    of every class. Returns the cycles; AssertionError if a bit of the vector memory or a count of multiply-accumulates is
    wrong, TimeoutError if the engine does not finish."""
    array = CompiledArray(rows, columns, elements, words, synthesise)
    runs = [compare_random(array, seed, stall=_STALLS[seed % len(_STALLS)]) for seed in range(seeds)]
    runs += [compare_random(array, seed, orders=6, source=wild_operands) for seed in range(seeds, seeds + seeds // 2)]
    return sum(run.cycles for run in runs)


def check_programs(config: AcceleratorConfig, synthesise: Synthesise, *, seeds: int = 6) -> int:
    """The machine: random programs of all instructions, on fast, slow and stalling memories. Returns the cycles;
    AssertionError if a bit of external memory, a register or a counter is wrong or a rule of the bus is broken."""
    cycles = 0
    for seed in range(seeds):
        machine = RtlMachine(config, MEMORY_BYTES, seed=seed, max_cycles=_MOST_CYCLES, synthesise=synthesise,
                             **_MEMORIES[seed % len(_MEMORIES)])
        assert_same_programs(machine, seed)
        cycles += machine.cycles
        machine.close()
    return cycles


def check_training(config: AcceleratorConfig, synthesise: Synthesise, *, networks: int = 3) -> Iterator[str]:
    """The machine: random networks trained by warm-up, GP and BP. Yields what each was; AssertionError as above."""
    seeds = count()
    while networks:
        try:
            yield fuzz.compare(next(seeds), config, synthesise=synthesise)
        except CompileError:  # does not fit the configuration
            continue
        networks -= 1


def mutated(netlist: str, module: str, seed: int) -> str:
    """``netlist`` with one bit of the truth table of one LUT inverted, in one of the modules whose names contain ``module``;
    ValueError if they have no LUT."""
    tables = [(table, each.start()) for each in _MODULE.finditer(netlist) if module in each[1] for table in _TABLE.finditer(each[0])]
    if not tables:
        raise ValueError(f"module must be part of the name of a module with LUTs, not {module!r}")
    rng = random.Random(seed)
    table, start = rng.choice(tables)
    bits = int(table[1])
    value = int(table[2], 16) ^ 1 << rng.randrange(bits)
    return f"{netlist[:start + table.start(1)]}{bits}'h{value:0{-(-bits // 4)}x}{netlist[start + table.end(2):]}"


def caught(target: str, seed: int, *, cache: Path = CACHE) -> bool:
    """Whether :func:`check_array` refuses a netlist with one bit, which ``seed`` selects, of an element's LUTs inverted."""
    def synthesise(verilog: str) -> str:
        return with_models(mutated(cells(verilog, top=_ARRAY, target=target, cache=cache), "processing_element", seed), target)

    try:
        check_array(synthesise)
    except (AssertionError, TimeoutError):
        return True
    return False


@dataclass(frozen=True, kw_only=True)
class Passed:
    """What a netlist was shown to do, in how many seconds, those of synthesis and compilation included."""

    target: str
    netlist: str
    shown: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.target:6}{self.netlist:20}{self.seconds:7.0f} s  {self.shown}"


def checks(target: str, config: AcceleratorConfig, designs: Sequence[Design], *, networks: int = 3, mutants: int = 4,
           cache: Path = CACHE) -> Iterator[Passed]:
    """Checks the array, then the machine of ``config`` in each of ``designs``. Yields what passed; AssertionError,
    TimeoutError or MachineFault at the first difference, AssertionError if no mutant is noticed."""
    clock = time.monotonic()

    def passed(netlist: str, shown: str) -> Passed:
        nonlocal clock
        start, clock = clock, time.monotonic()
        return Passed(target=target, netlist=netlist, shown=shown, seconds=clock - start)

    synthesise = partial(simulated, target=target, cache=cache)
    cycles = check_array(partial(synthesise, top=_ARRAY))
    yield passed("array 2×2", f"random instructions, numbers of every class: {cycles:,} cycles")
    if mutants:
        found = sum(caught(target, seed, cache=cache) for seed in range(mutants))
        assert found, f"none of {mutants} netlists with an inverted bit in a LUT was noticed"
        yield passed("array 2×2", f"{found} of {mutants} inverted bits of LUTs were noticed")
    for design in designs:
        machine, name = config.with_design(design), f"machine {design.name.lower()}"
        cycles = check_programs(machine, partial(synthesise, top=_MACHINE))
        yield passed(name, f"random programs, registers, bus: {cycles:,} cycles")
        for network in check_training(machine, partial(synthesise, top=_MACHINE), networks=networks):
            yield passed(name, f"trained {network}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", choices=TARGETS, nargs="+", default=list(TARGETS))
    parser.add_argument("--design", choices=[design.name.lower() for design in Design], nargs="*",
                        default=[design.name.lower() for design in Design], help="of the machine; none: the array only")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="of the machine")
    parser.add_argument("--networks", type=int, default=3, help="to train on each machine")
    parser.add_argument("--mutants", type=int, default=4, help="netlists of the array with an inverted bit")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    designs = [Design[name.upper()] for name in given.design]
    for target in given.target:
        try:
            for each in checks(target, preset(given.preset), designs, networks=given.networks, mutants=given.mutants):
                print(each, flush=True)
        except (AssertionError, TimeoutError, MachineFault) as error:
            print(f"{target}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
