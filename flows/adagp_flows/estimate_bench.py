"""How far the estimate of whole networks is from following their compiled programs instruction by instruction."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from time import process_time

from adagp.compiler import PredictorConfig, compile_training
from adagp.cost.machine import ExternalMemory, network_cost, training_cost
from adagp.files import replace_file
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.schedule import Phase

from .networks import BLOCKS, SHRUNK, Block
from .workload import DigitsNetwork

REPORT = Path("build/bench/estimate.json")
PREDICTOR = PredictorConfig(size=4, channels=4)

_SMALL = replace(preset("small"), predictor_elements=1 << 20)
CONFIGS = {
    "small": _SMALL,
    "small, twice the accumulators": replace(_SMALL, vector_words=2 * _SMALL.vector_words, vector_banks=2 * _SMALL.vector_banks),
    "4×4, bus of 64 bits": AcceleratorConfig(
        rows=4, columns=4, bus_bits=64, vector_words=2048, vector_banks=8, stream_elements=8192, stationary_elements=8192,
        predictor_elements=1 << 18),
    "large, bus of 256 bits": replace(preset("large"), bus_bits=256, predictor_elements=1 << 20),
    "paper": preset("paper"),
}
SLOW = ExternalMemory(latency=100, interval=2, outstanding=4)
DIGITS = Block(make=lambda channels: DigitsNetwork(), channels=1, extent=(8, 8), batch=32)


@dataclass(frozen=True, kw_only=True)
class Case:
    network: str
    block: Block
    config: str
    design: Design
    memory: ExternalMemory = ExternalMemory()

    @property
    def name(self) -> str:
        slow = ", slow memory" if self.memory is SLOW else ""
        return f"{self.network}, {self.config}, {self.design.name.lower()}{slow}"


CASES = (
    *(Case(network=name, block=block, config="small", design=Design.BASELINE) for name, block in BLOCKS.items()),
    *(Case(network=name, block=block, config="small, twice the accumulators", design=Design.MAX) for name, block in BLOCKS.items()),
    *(Case(network=f"{name}, shrunk", block=block, config="4×4, bus of 64 bits", design=Design.LOW) for name, block in SHRUNK.items()),
    *(Case(network=f"{name}, shrunk", block=block, config="large, bus of 256 bits", design=Design.EFFICIENT)
      for name, block in SHRUNK.items()),
    *(Case(network=name, block=BLOCKS[name], config=config, design=design, memory=memory)
      for name in ("VGG13", "ResNet50", "MobileNetV2") for config, design, memory in (
          ("paper", Design.EFFICIENT, ExternalMemory()), ("small", Design.BASELINE, SLOW),
          ("large, bus of 256 bits", Design.BASELINE, ExternalMemory()))),
    *(Case(network="digits", block=DIGITS, config=config, design=design)
      for config, design in (("small", Design.LOW), ("small, twice the accumulators", Design.MAX))),
)


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """Of a phase: cycles as estimated and as the program takes, and whether all bytes and instructions are the same."""

    case: str
    phase: str
    estimate: float
    cycles: int
    bytes_agree: bool

    @property
    def relative(self) -> float:
        return self.estimate / self.cycles - 1


def deviations(case: Case) -> tuple[list[Deviation], float, float]:
    """Of all phases, with the seconds of processor time of the estimate and of compiling and following the programs."""
    block, config = case.block, CONFIGS[case.config].with_design(case.design)
    options = {"batch": block.batch, "input_shape": block.input_shape, "predictor": PREDICTOR}
    began = process_time()
    estimate = network_cost(block.model(), config, memory=case.memory, **options)
    between = process_time()
    training, found = compile_training(block.model(), config, **options), []
    for phase in (Phase.EVALUATE, Phase.BP, Phase.GP):
        if phase in training.programs:
            ours, exact = estimate.phases[phase], training_cost(training, phase, memory=case.memory)
            found.append(Deviation(
                case=case.name, phase=phase.name, estimate=ours.cycles, cycles=exact.cycles, bytes_agree=all(
                    getattr(ours, name) == getattr(exact, name) for name in ("bytes_read", "bytes_fetched", "bytes_written"))))
    return found, between - began, process_time() - between


def estimates(cases: Iterable[Case] = CASES) -> Mapping:
    """Measures ``cases``; all figures also go to ``build/bench/estimate.json``."""
    found, seconds = [], {}
    for case in cases:
        some, ours, exact = deviations(case)
        found += some
        seconds[case.name] = {"estimate": ours, "compiled and followed": exact}
        for each in some:
            print(f"{each.case}, {each.phase}: {each.relative:+.1%} of {each.cycles:,} cycles"
                  f"{'' if each.bytes_agree else ', other bytes'}", flush=True)
    worst = max(found, key=lambda each: abs(each.relative))
    report = {"mean": mean(abs(each.relative) for each in found), "worst": asdict(worst) | {"relative": worst.relative},
              "bytes_agree": sum(each.bytes_agree for each in found), "phases": len(found), "cases": len(seconds),
              "seconds": seconds, "deviations": [asdict(each) | {"relative": each.relative} for each in found]}
    replace_file(REPORT, lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))
    print(f"mean {report['mean']:.1%}, worst {worst.relative:+.1%} ({worst.case}, {worst.phase}), bytes the same in "
          f"{report['bytes_agree']} of {len(found)}")
    return report
