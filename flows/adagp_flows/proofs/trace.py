"""Traces that any waveform viewer shows."""

from pathlib import Path

from vcd import VCDWriter

from .aiger import Netlist, words


def write_vcd(path: Path, netlist: Netlist, symbols: str, cycles: list[list[int]]) -> None:
    """The public signals of ``symbols`` (Yosys' map of names) in ``cycles``, from :meth:`Netlist.run`; 10 ns each."""
    literal = {"wire": lambda i: i, "input": lambda i: 2 + 2 * i, "latch": lambda i: 2 + 2 * (netlist.inputs + i),
               "output": lambda i: netlist.outputs[i]}
    with path.open("w") as file, VCDWriter(file, timescale="1 ns") as writer:
        signals = []
        for name, bits in sorted(words(symbols).items()):
            if "$" not in name and "_" != name.rpartition(".")[2][:1] and "[" not in name:
                scope, _, own = name.rpartition(".")
                variable = writer.register_var(scope or "top", own, "wire", size=max(bits) + 1)
                signals.append((variable, {i: literal[kind](index) for i, (kind, index) in bits.items()}))
        for cycle, values in enumerate(cycles):
            for variable, bits in signals:
                writer.change(variable, 10 * cycle, sum(values[each] << i for i, each in bits.items()))
        writer.close(10 * len(cycles))
