"""Measures what the project promises about its own speed: ``nox -s bench``.

Parts: ``passes`` (array utilisation of each pass), ``depthwise`` (on the array and on the vector
unit), ``vgg`` (each pass of VGG13's convolutions against its roofline; an hour), ``simulator``
(seconds to build, cycles per second), ``verilog`` (seconds and lines of the 180-element design),
``products`` (the processing element on all 2³² operand pairs; minutes) and ``designs`` (what predicted
gradients save on blocks of well-known networks; an hour), ``frontier`` (accuracy against speed of
schedules and predictors; half an hour), ``wallclock`` (seconds of a batch in PyTorch, plain and
predicted), ``costs`` (how fast the cost models answer) and ``estimates`` (whole networks estimated
against compiled programs; minutes). All by default. Figures of one run stand in
``build/bench/report.json``; a part that is not measured keeps its former figures.
"""

import sys
import time
from pathlib import Path

from adagp.spec.config import Design, preset
from adagp_tb import arithmetic_bench, bench as simulator_bench, depthwise_bench, pass_bench

from .costs_bench import costs
from .designs_bench import designs
from .estimate_bench import estimates
from .frontier_bench import frontier
from .parts import run_parts
from .wallclock_bench import wallclock

REPORT = Path("build/bench/report.json")


def passes() -> dict:
    """Utilisation of the reference layer, batch 4, 128-bit bus, 30 cycles latency; limit 1.0."""
    layer, report = pass_bench.reference_layer(), {}
    print(f"utilisation of {layer.name}, batch 4, external memory to external memory")
    for name in ("small", "large"):
        config = preset(name)
        for which in pass_bench.PASSES:
            result = pass_bench.measure(config, layer, 4, which, latency=30)
            report.setdefault(name, {})[which.name.lower()] = {
                "utilisation": result.utilisation, "cycles": result.cycles,
                "bytes_read": result.bytes_read, "bytes_written": result.bytes_written}
            print(f"  {config.rows}×{config.columns} {which.name.lower():16} {result.utilisation:.3f} "
                  f"{result.cycles:9,} cycles", flush=True)
    return report


def depthwise() -> dict:
    """The forward pass of depthwise layers in both mappings, batch 4."""
    report = {}
    print(f"{'depthwise forward pass, 8×8 array, cycles':44}" + "".join(f"{m:>10}" for m in depthwise_bench.MAPPINGS))
    for layer in depthwise_bench.layers():
        results = [depthwise_bench.measure(preset("small"), layer, 4, mapping) for mapping in depthwise_bench.MAPPINGS]
        report[layer.name] = {result.mapping: result.cycles for result in results}
        print(f"  {layer.name:42}" + "".join(f"{result.cycles:10,}" for result in results), flush=True)
    return report


def vgg() -> dict:
    """Each pass of VGG13's convolutions but the first, batch 8, on the 16×16 machine, against its
    roofline: the most that multiply-accumulates, reading or writing each tensor once alone would allow."""
    config, report = preset("large"), {}
    print(f"VGG13, 32² images, batch 8, {config.rows}×{config.columns}: cycles, utilisation of the array, of the roofline")
    for layer in reversed(pass_bench.vgg_layers()):  # those that take longest come last
        for which in pass_bench.PASSES:
            result = pass_bench.measure(config, layer, 8, which, latency=30)
            report.setdefault(layer.name, {})[which.name.lower()] = {
                "cycles": result.cycles, "utilisation": result.utilisation, "of_roofline": result.of_roofline,
                "bytes_read": result.bytes_read, "bytes_written": result.bytes_written}
            print(f"  {layer.name:14} {which.name.lower():16} {result.cycles:9,} {result.utilisation:.3f} "
                  f"{result.of_roofline:.3f}", flush=True)
    return report


def simulator() -> dict:
    """Seconds to generate and compile a machine from nothing, and simulated cycles per second."""
    report = {name: simulator_bench.measure(preset(name)) for name in ("tiny", "small")}
    for name, result in report.items():
        print(f"simulator, {name}: " + ", ".join(f"{key} {value:,.0f}" for key, value in result.items()), flush=True)
    return report


def verilog() -> dict:
    """The 12×15 machine of the paper with the LOW predictor, as one file."""
    from adagp_hdl.verilog import generate

    start = time.perf_counter()
    text = generate(preset("paper").with_design(Design.LOW))
    report = {"seconds": time.perf_counter() - start, "lines": text.count("\n")}
    print(f"verilog, 12×15 low: {report['lines']:,} lines in {report['seconds']:.1f} s", flush=True)
    return report


def products() -> dict:
    """Every product of two operands, against double arithmetic."""
    result = arithmetic_bench.check_products()
    print(f"operand products: {result.pairs:,} pairs, {result.wrong} wrong, {result.seconds:.0f} s", flush=True)
    return {"pairs": result.pairs, "wrong": result.wrong, "seconds": result.seconds}


PARTS = {part.__name__: part for part in (passes, depthwise, vgg, simulator, verilog, products, designs, frontier,
                                         wallclock, costs, estimates)}


if __name__ == "__main__":
    sys.exit(run_parts("bench", __doc__, PARTS, REPORT))
