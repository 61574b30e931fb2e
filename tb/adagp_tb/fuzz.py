"""Random small networks on random configurations: RTL against golden machine, every bit after
every batch.

``python -m adagp_tb.fuzz --count 200`` draws network n from seed n; ten networks share a
configuration, since a configuration has to be compiled.
"""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from adagp.compiler import SGD, Adam, CompileError, compile_training
from adagp.golden import GoldenMachine
from adagp.spec.config import AcceleratorConfig
from adagp.spec.schedule import Phase, Schedule

from .comparison import assert_same_training
from .random_networks import random_config, random_network
from .rtl_machine import RtlMachine

NETWORKS_PER_CONFIG = 10


def compare(seed: int, config: AcceleratorConfig, *, batches: int = 3, stall_probability: float | None = None,
            synthesise: Callable[[str], str] | None = None) -> str:
    """Trains random network ``seed`` for ``batches`` batches (warm-up, then GP and BP) on both
    machines; returns a description. AssertionError with seed, configuration, batch and tensor if a
    bit differs; CompileError if the network does not fit the configuration."""
    network = random_network(seed)
    rng = np.random.default_rng(seed)
    measure = bool(rng.integers(2))
    training = compile_training(network.model, config, batch=network.batch, input_shape=network.input_shape,
                                optimizer=SGD(lr=0.1), predictor=network.predictor,
                                predictor_optimizer=Adam(lr=1e-3), measure=measure)
    data, labels = network.samples(batches, seed)
    size = training.image_bytes(batches)
    stalls = float(rng.choice((0.0, 0.2, 0.5))) if stall_probability is None else stall_probability
    rtl = RtlMachine(config, size, latency=int(rng.integers(1, 60)), interval=int(rng.integers(1, 4)),
                     stall_probability=stalls, seed=seed, max_cycles=20_000_000, synthesise=synthesise)
    schedule = Schedule(warmup=1, gp=1, bp=1) if Phase.GP in training.programs else Schedule(warmup=0)
    assert_same_training(training, network.model, data, labels, schedule, rtl, GoldenMachine(config, size),
                         context=f"seed {seed}, {config}")
    description = (f"seed {seed}: {config.design.name.lower()} {config.rows}×{config.columns} {config.bus_bits} bits, "
                   f"batch {network.batch}, {len(training.layers)} layers, {type(training.predictor).__name__}, "
                   f"{'measured, ' if measure else ''}stalls {stalls}, {rtl.cycles} cycles")
    rtl.close()
    return description


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start, refused = time.monotonic(), 0
    for seed in range(arguments.first, arguments.first + arguments.count):
        try:
            print(compare(seed, random_config(seed // NETWORKS_PER_CONFIG)), flush=True)
        except CompileError as error:
            refused += 1
            print(f"seed {seed}: refused: {error}", flush=True)
    print(f"{arguments.count - refused} networks bit-exact, {refused} refused, "
          f"{time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
