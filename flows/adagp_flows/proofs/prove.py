"""Decides rules with the Yosys of the Python package and the ABC that is in it."""

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig
from adagp_flows.synthesis import tools

from .aiger import Netlist, any_of, encoded, firsts_of, parse
from .harness import TOP, Harness, Rule
from .subject import FREE, Hierarchy, blackboxed
from .trace import write_vcd

_DEPTH = 4  # of an induction, at most
_EASY, _SECONDS, _UNROLLING = 5, 60, 180  # for one question
_CYCLES, _SIMULATION = 512, 5  # of random inputs, and seconds for such

# The contents of the data buffers, of the registers' storage and of the counters matter to no rule; products only size loads,
# whose limits are in what follows them.
_SCRIPT = """read_verilog core.v
read_rtlil harness.il
hierarchy -top {top}
proc
flatten
cd {top}
delete -input w:probe_*
{probes}
cd ..
cutpoint -blackbox
opt_expr
cutpoint t:$mul
opt_clean
memory -nomap
memory_nordff
cutpoint c:*buffer.storage* c:*registers.memory.memory* c:*counters.*memory*
opt_clean
memory_map
cd {top}
{memory_probes}
cd ..
opt -fast
setundef -undriven -anyseq
setundef -anyseq
techmap
opt -fast
dffunmap
setundef -anyseq
aigmap
opt_clean
write_aiger -symbols -zinit -vmap harness.map harness.aig
"""


class ProofError(RuntimeError):
    """A tool gave no answer."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rules that are proved together, with their lemmas: from ``parts``, see :class:`~adagp_flows.proofs.harness.Harness`.
    The instances in ``free`` are set free."""

    name: str
    parts: tuple[Callable, ...]
    free: tuple[str, ...] = FREE


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``proved``, how or why not in ``method``, and the file of a trace that violates the rule."""

    rule: str
    text: str
    proved: bool
    method: str
    trace: str = ""


def prove(config: AcceleratorConfig, verilog: str, group: Group, folder: Path) -> list[Verdict]:
    """The verdicts on the rules of ``group`` for the core ``verilog`` (its top is ``adagp``), made in ``folder``.

    The values of what ``group.free`` names, of products and of the data buffers are free. If there are lemmas, first
    all rules and lemmas by one induction; else reachability, random inputs and unrolling for the rules, which end with
    a proof, with a trace (``<group>.vcd``), or undecided after some minutes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    harness = Harness(config, group.parts)
    netlist = _netlist(harness, verilog, group.free, folder)
    rules = sorted(harness.rules, key=lambda rule: not rule.text)
    outputs = [netlist.output_names[f"violates_{rule.name}"] for rule in rules]
    stated = [rule for rule in rules if rule.text]
    depth = induction(folder, netlist, outputs) if len(stated) < len(rules) else None
    if depth is not None:
        return [_proved(rule, f"induction of depth {depth}") for rule in stated]
    status, stimuli = _reachability(folder, netlist, outputs[:len(stated)])
    if status == "UNSAT":
        return [_proved(rule, "property-directed reachability") for rule in stated]
    if status == "undecided":
        method = f"not decided in {_EASY + _SIMULATION + _UNROLLING + _SECONDS} s"
        return [Verdict(rule=rule.name, text=rule.text, proved=False, method=method) for rule in stated]
    return _refuted(netlist, stated, stimuli, folder, folder / f"{group.name}.vcd")


def _netlist(harness: Harness, verilog: str, free: tuple[str, ...], folder: Path) -> Netlist:
    (folder / "harness.il").write_text(harness.rtlil())
    (folder / "core.v").write_text(blackboxed(verilog, "adagp", Hierarchy.of(verilog, "adagp").kinds_of(free)))
    (folder / "harness.ys").write_text(_SCRIPT.format(top=TOP, probes=_connected(harness, in_memory=False),
                                                      memory_probes=_connected(harness, in_memory=True)))
    (folder / "harness.aig").unlink(missing_ok=True)
    result = subprocess.run([tools.find("yosys").command, "-q", "-l", "yosys.log", "harness.ys"], cwd=folder, capture_output=True,
                            text=True, check=False)
    if result.returncode:
        raise ProofError(f"yosys failed with {result.returncode}: {(result.stdout + result.stderr)[-2000:]}")
    return parse((folder / "harness.aig").read_bytes())


def _connected(harness: Harness, *, in_memory: bool) -> str:
    """Connects the probes, those in memories or the others, all at once: each command walks through the whole netlist. With
    their bits, so that one which is not as wide as thought is an error and not a shift of all the others."""
    chosen = {signal.name: f"\\core.{path}[{len(signal) - 1}:0]" for path, signal in harness.probes.items()
              if path.endswith("]") == in_memory}
    return f"connect -nomap -set {','.join(chosen)} {','.join(chosen.values())}" if chosen else ""


def _abc(folder: Path, commands: list[str], *results: str) -> None:
    """Runs ABC, which Yosys gives a network of its own that does not matter; ``results`` are the files to be written."""
    for name in results:
        (folder / name).unlink(missing_ok=True)
    (folder / "decide.abc").write_text("\n".join(commands) + "\n")
    (folder / "any.v").write_text("module any(input a, input b, output c); assign c = a & b; endmodule\n")
    subprocess.run([tools.find("yosys").command, "-q", "-p", "read_verilog any.v; simplemap; abc -g AND -script decide.abc"],
                   cwd=folder, capture_output=True, check=False)  # its status says what became of that network
    for name in results:
        if not (folder / name).exists():
            raise ProofError(f"ABC gave no {name} in {folder}")


def induction(folder: Path, netlist: Netlist, outputs: list[int]) -> int | None:
    """The depth of an induction by which none of ``outputs`` ever rises: if that holds in so many cycles, it does in the next
    one, and it holds in the first ones. None if there is none of a depth up to 4. Each output is a question of its own, with
    all of them assumed before."""
    (folder / "any.aig").write_bytes(encoded(any_of(netlist, outputs))[0])
    _abc(folder, ["read_aiger any.aig", f"bmc3 -F {_DEPTH + 2}", "write_status base.txt"], "base.txt")
    if _status(folder / "base.txt") == "SAT":
        return None
    undecided = []
    for i, content in enumerate(encoded(firsts_of(netlist, outputs))):
        undecided.append(f"first_{i}")
        (folder / f"first_{i}.aig").write_bytes(content)
    for depth in range(1, _DEPTH + 1):
        _abc(folder, [line for name in undecided for line in (
            f"read_aiger {name}.aig", f"ind -F {depth + 1} -T {_SECONDS}", f"write_status {name}.txt")],
            *(f"{name}.txt" for name in undecided))
        undecided = [name for name in undecided if _status(folder / f"{name}.txt") != "UNSAT"]
        if not undecided:
            return depth
    return None


def _status(file: Path) -> str:
    """What ABC found out: UNSAT, SAT, or something else if nothing."""
    return file.read_text().split()[0].rpartition("_")[2]


def _reachability(folder: Path, netlist: Netlist, outputs: list[int]) -> tuple[str, list[list[int]]]:
    """UNSAT, SAT or undecided, and with SAT the inputs of each cycle."""
    (folder / "any.aig").write_bytes(encoded(any_of(netlist, outputs))[0])
    # what is easy is decided in a second or two; an unrolled netlist shows what takes dozens of cycles, and random inputs what
    # takes hundreds but is likely
    for method in (f"pdr -T {_EASY}", f"sim3 -F {_CYCLES} -T {_SIMULATION}", f"bmc3 -T {_UNROLLING}", f"pdr -T {_SECONDS}"):
        _abc(folder, ["read_aiger any.aig", method, "write_status reachability.txt", "write_cex -a trace.txt"], "reachability.txt")
        if _status(folder / "reachability.txt") in ("SAT", "UNSAT"):
            break
    status = _status(folder / "reachability.txt")
    if status != "SAT":
        return (status if status == "UNSAT" else "undecided"), []
    lines = re.findall(r"^[01]+", (folder / "trace.txt").read_text(), re.MULTILINE)
    return status, [[int(bit) for bit in line] for line in lines[1:]]  # the first is the state of the registers


def _refuted(netlist: Netlist, rules: list[Rule], stimuli, folder: Path, path: Path) -> list[Verdict]:
    """What the last cycle of the trace violates, as the netlist itself says, and the trace as a file."""
    cycles = list(netlist.run(stimuli))
    symbols = (folder / "harness.map").read_text()
    replace_file(path, lambda partial: write_vcd(partial, netlist, symbols, cycles))
    last = cycles[-1]
    violated = {rule for rule in rules if last[netlist.outputs[netlist.output_names[f"violates_{rule.name}"]]]}
    if not violated:
        raise ProofError(f"the trace in {folder} violates no rule")
    return [Verdict(rule=rule.name, text=rule.text, proved=False, method=f"violated in cycle {len(cycles) - 1}", trace=str(path))
            if rule in violated else Verdict(rule=rule.name, text=rule.text, proved=False, method="not decided: others fail")
            for rule in rules]


def _proved(rule: Rule, method: str) -> Verdict:
    return Verdict(rule=rule.name, text=rule.text, proved=True, method=method)
