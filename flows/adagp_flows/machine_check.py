"""The cost model of the machine against the simulated RTL, on layers, passes, designs and sizes drawn at random.

``python -m adagp_flows.machine_check`` prints the deviations; it fails if a byte differs or a case is off by more than
one per cent.
"""

import argparse
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from adagp.compiler import CompileError, PredictorConfig, Training, compile_training
from adagp.compiler.network import Convolution
from adagp.cost.machine import ExternalMemory, ProgramCost, program_cost, training_cost
from adagp.spec.config import AcceleratorConfig, Design
from adagp.spec.isa import Pass
from adagp.spec.registers import field
from adagp.spec.schedule import Phase, Schedule
from adagp_tb import pass_bench
from adagp_tb.rtl_machine import RtlMachine

CASES_PER_MACHINE = 4
"""A machine of a random size is compiled for so many cases."""

TOLERANCE = 0.01

_PHASES = {"evaluation": Phase.EVALUATE, "Phase BP": Phase.BP, "Phase GP": Phase.GP}
_PASSES = {which.name.lower().replace("_", " "): which for which in pass_bench.PASSES}


@dataclass(frozen=True, kw_only=True)
class Case:
    """``what`` is a pass of ``layer`` alone, or a whole phase of a network of it, a ReLU, average pooling and a classifier."""

    config: AcceleratorConfig
    memory: ExternalMemory
    layer: Convolution
    batch: int
    what: str

    @property
    def row(self) -> dict[str, str]:
        """What the report calls it."""
        config = self.config
        return {"layer": f"{self.layer.name} batch {self.batch}", "pass": self.what, "design": config.design.name.lower(),
                "size": f"{config.rows}×{config.columns}, {config.bus_bits} bits, {self.memory.latency} cycles"}


def cases(seed: int, count: int) -> Iterator[Case]:
    """``count`` random cases; machines of all designs take turns."""
    rng = random.Random(seed)
    for number in range(count):
        if number % CASES_PER_MACHINE == 0:
            config = random_machine(rng, list(Design)[number // CASES_PER_MACHINE % len(Design)])
        phases = [name for name, phase in _PHASES.items() if phase is not Phase.GP or config.design is not Design.BASELINE]
        yield Case(config=config, memory=ExternalMemory(latency=rng.randint(5, 80)), layer=random_layer(rng),
                   batch=rng.randint(1, 8), what=rng.choice([*_PASSES, *phases]))


def random_machine(rng: random.Random, design: Design) -> AcceleratorConfig:
    rows, columns = rng.randint(2, 12), rng.randint(2, 12)
    return AcceleratorConfig(
        rows=rows, columns=columns, design=design, bus_bits=rng.choice((64, 128, 256)),
        stream_elements=rng.choice((8192, 16384)), stationary_elements=rng.choice((8192, 16384)),
        vector_words=rng.choice((2048, 4096)), vector_banks=rng.choice((4, 8)), queue_depth=rng.choice((8, 16)),
        predictor_rows=rng.randint(2, rows), predictor_columns=rng.randint(2, columns), predictor_elements=1 << 17)


def random_layer(rng: random.Random) -> Convolution:
    """A convolution of 4 to 48 channels on 4 to 16 pixels, now and then depthwise, pointwise or with a stride."""
    size, kernel, stride = rng.randint(4, 16), rng.choice((1, 3, 3, 5)), rng.choice((1, 1, 1, 2))
    inputs, outputs = rng.randint(4, 48), rng.randint(4, 48)
    groups = 1
    if rng.random() < 0.15:
        groups = outputs = inputs
    name = f"{kernel}×{kernel} {inputs}→{outputs} @{size}²" + (f" stride {stride}" if stride > 1 else "") + (
        " depthwise" if groups > 1 else "")
    return Convolution(name=name, image=(size, size, inputs), channels=outputs, kernel=(kernel, kernel),
                       stride=(stride, stride), padding=(kernel // 2, kernel // 2), groups=groups)


def measure(*, seed: int, count: int, progress: Callable[[dict], None] = lambda row: None) -> list[dict]:
    """A row for each of ``count`` cases: layer, pass, design, size, cycles and bytes (read, fetched and written) of the
    model and of the RTL. What does not fit the machine is drawn again."""
    rows: list[dict] = []
    drawn = cases(seed, 2 * count)
    while len(rows) < count:
        case = next(drawn)
        try:
            model, rtl = compare(case)
        except CompileError:
            continue
        rows.append(case.row | {"model_cycles": model.cycles, "rtl_cycles": rtl["CYCLES"],
                                "model_bytes": model.bytes_read + model.bytes_fetched + model.bytes_written,
                                "rtl_bytes": rtl["BYTES_READ"] + rtl["BYTES_FETCHED"] + rtl["BYTES_WRITTEN"]})
        progress(rows[-1])
    return rows


def compare(case: Case) -> tuple[ProgramCost, dict[str, int]]:
    """What the model says, and the counters of the RTL."""
    if case.what in _PASSES:
        return _compare_pass(case, _PASSES[case.what])
    return _compare_phase(case, _PHASES[case.what])


def _compare_pass(case: Case, which: Pass) -> tuple[ProgramCost, dict[str, int]]:
    program, layout = pass_bench.pass_program(case.config, case.layer, case.batch, which)
    machine = RtlMachine(case.config, pass_bench.memory_bytes(program, layout), latency=case.memory.latency)
    pass_bench.run(machine, program, layout, {name: torch.zeros(tensor.shape) for name, tensor in layout.tensors.items()})
    return program_cost(program, case.config, memory=case.memory, address=layout.size), _counters(machine)


def _compare_phase(case: Case, phase: Phase) -> tuple[ProgramCost, dict[str, int]]:
    model, shape = _network(case.layer), (case.layer.image[2], *case.layer.image[:2])
    training = compile_training(model, case.config, batch=case.batch, input_shape=shape,
                                predictor=PredictorConfig(size=4, channels=4))
    machine = RtlMachine(case.config, training.image_bytes(1), latency=case.memory.latency)
    training.image(machine.memory, model, torch.zeros(case.batch, *shape), torch.zeros(case.batch, dtype=torch.int64))
    run_phase(machine, training, phase)
    return training_cost(training, phase, memory=case.memory), _counters(machine)


def _network(layer: Convolution) -> nn.Module:
    height, width, channels = layer.output
    convolution = nn.Conv2d(layer.image[2], channels, layer.kernel, layer.stride, layer.padding, groups=layer.groups)
    return nn.Sequential(convolution, nn.ReLU(), nn.AvgPool2d((height, width)), nn.Flatten(), nn.Linear(channels, 10))


def run_phase(machine: RtlMachine, training: Training, phase: Phase, batches: int = 1) -> None:
    """A batch of ``phase``, the first of ``batches`` in the image; afterwards the counters are those of this batch."""
    training.configure(machine, batches, Schedule(warmup=0))
    machine.write("BATCHES", 0)
    machine.run()  # fills the predictor memory
    machine.write("BATCHES", 1)
    machine.write("SCHEDULE[0].RATIO", int(phase is Phase.GP) | int(phase is not Phase.GP) << 16)
    evaluates = field("MODE", "evaluate").mask if phase is Phase.EVALUATE else 0
    machine.write("MODE", field("MODE", "stay").mask | evaluates)
    machine.write("CONTROL", field("CONTROL", "clear_counters").mask)
    machine.run()


def _counters(machine: RtlMachine) -> dict[str, int]:
    counters = {name: machine.counter(name) for name in ("CYCLES", "BYTES_READ", "BYTES_FETCHED", "BYTES_WRITTEN")}
    machine.close()
    return counters


def deviation(row: dict) -> float:
    """Of the model's cycles, as a share of the RTL's."""
    return row["model_cycles"] / row["rtl_cycles"] - 1


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="machine_check", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--count", type=int, default=24, help="cases (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.count < 1:
        parser.exit(2, f"machine_check: --count must be at least 1, not {chosen.count}\n")
    print(f"{'layer':36}{'pass':16}{'design':10}{'size':28}{'model':>10}{'RTL':>10}{'off by':>9}  bytes")
    rows = measure(seed=chosen.seed, count=chosen.count, progress=lambda row: print(
        f"{row['layer']:36}{row['pass']:16}{row['design']:10}{row['size']:28}{row['model_cycles']:10,}{row['rtl_cycles']:10,}"
        f"{deviation(row):9.2%}  {'equal' if row['model_bytes'] == row['rtl_bytes'] else 'DIFFERENT'}", flush=True))
    worst = max(abs(deviation(row)) for row in rows)
    equal = all(row["model_bytes"] == row["rtl_bytes"] for row in rows)
    mean = sum(abs(deviation(row)) for row in rows) / len(rows)
    print(f"{len(rows)} cases: cycles off by {mean:.2%} on average, {worst:.2%} at most; bytes {'equal' if equal else 'differ'}")
    return int(worst > TOLERANCE or not equal)


if __name__ == "__main__":
    sys.exit(main())
