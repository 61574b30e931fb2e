"""How fast the cost models answer: ratios and seconds of one core."""

from statistics import median
from time import perf_counter, process_time

import torch

from adagp.cost.dataflows import Dataflow
from adagp.cost.grid import grid
from adagp.cost.hardware import PAPER
from adagp.cost.machine import ExternalMemory, program_cost
from adagp.cost.network_work import NetworkWork
from adagp.cost.networks import NetworkCost
from adagp.cost.schedules import Shares
from adagp.cost.workloads import layers
from adagp.spec.config import Design, preset
from adagp_tb import pass_bench
from adagp_tb.rtl_machine import RtlMachine

REPEATS = 1, 2, 4, 8
"""Lengths of the network whose layers come again and again."""

_RUNS = 5


def costs() -> dict:
    """The whole grid of the paper's evaluation; growth with the number of layers; the model of the machine against the
    RTL on the passes of the reference layer."""
    torch.set_num_threads(1)
    return {"grid": _grid(), "growth": _growth(), "machine": _machine()}


def _grid() -> dict:
    began = process_time()
    result = grid()
    seconds = process_time() - began
    each = {f"{network} on {dataset}": found.seconds for dataset, networks in result.networks.items()
            for network, found in networks.items()}
    slowest = max(each, key=each.get)
    print(f"grid: {len(each)} networks × data sets × {len(Dataflow)} dataflows × 4 designs in {seconds:.1f} s; longest "
          f"{slowest}, {each[slowest]:.2f} s", flush=True)
    return {"seconds": seconds, "slowest": slowest, "slowest_seconds": each[slowest]}


def _growth() -> dict:
    """Seconds to lower and evaluate ResNet152's layers, once and several times in a row; at best of a few runs."""
    shapes, seconds = layers("imagenet", "resnet152", 128), {}
    for repeats in REPEATS:
        runs = []
        for _ in range(_RUNS):
            began = perf_counter()
            work = NetworkWork.of(shapes * repeats)
            for flow in Dataflow:
                NetworkCost(work, PAPER, flow).speedup(Design.MAX, Shares.paper())
            runs.append(perf_counter() - began)
        seconds[repeats * len(shapes)] = min(runs)
    first, *_, last = seconds
    growth = seconds[last] / seconds[first] / (last / first)
    print("growth: " + ", ".join(f"{count} layers {1000 * value:.1f} ms" for count, value in seconds.items())
          + f"; time per layer changes {growth:.2f}-fold", flush=True)
    return {"seconds": seconds, "per_layer": growth}


def _machine() -> dict:
    """Seconds of the model over those of the simulated RTL, and the deviation in cycles."""
    config, layer, report = preset("small"), pass_bench.reference_layer(), {}
    for which in pass_bench.PASSES:
        program, layout = pass_bench.pass_program(config, layer, 4, which)
        machine = RtlMachine(config, pass_bench.memory_bytes(program, layout))
        began = perf_counter()
        pass_bench.run(machine, program, layout, {name: torch.zeros(tensor.shape) for name, tensor in layout.tensors.items()})
        simulated, cycles = perf_counter() - began, machine.counter("CYCLES")
        machine.close()
        modelled = []
        for _ in range(_RUNS):
            began = perf_counter()
            cost = program_cost(program, config, memory=ExternalMemory(), address=layout.size)
            modelled.append(perf_counter() - began)
        name, seconds = which.name.lower(), median(modelled)
        report[name] = {"seconds": seconds, "faster": simulated / seconds, "off": cost.cycles / cycles - 1}
        print(f"machine, {layer.name}, {name}: {cost.cycles:,} cycles in {seconds:.2f} s, {simulated / seconds:.0f} times as "
              f"fast as the RTL, off by {report[name]['off']:.3%}", flush=True)
    return report
