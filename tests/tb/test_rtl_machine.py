"""The RTL against the golden machine: random programs, every bit of external memory."""

import pytest

from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp_tb.comparison import assert_same_programs
from adagp_tb.random_programs import MEMORY_BYTES
from adagp_tb.rtl_machine import RtlMachine

CONFIGS = {
    "2x2 efficient": AcceleratorConfig(
        rows=2, columns=2, design=Design.EFFICIENT, bus_bits=64, stream_elements=256, stationary_elements=128,
        vector_words=64, vector_banks=2, queue_depth=2, burst_beats=1, read_buffer_beats=2, predictor_elements=256),
    "3x5 max, arrays alike": AcceleratorConfig(
        rows=3, columns=5, design=Design.MAX, bus_bits=64, stream_elements=512, stationary_elements=256,
        vector_words=128, vector_banks=2, queue_depth=4, burst_beats=4, read_buffer_beats=16, predictor_elements=512,
        predictor_rows=3, predictor_columns=5, predictor_stream_elements=256, predictor_stationary_elements=256),
    "tiny": preset("tiny"),
    "tiny max": preset("tiny").with_design(Design.MAX),
    "7x3 max": AcceleratorConfig(
        rows=7, columns=3, design=Design.MAX, bus_bits=256, stream_elements=1024, stationary_elements=2048,
        vector_words=64, vector_banks=8, predictor_elements=1024),
    "small": preset("small"),
}
MEMORIES = {
    "fast": {"latency": 1},
    "slow": {"latency": 60, "interval": 3, "outstanding": 2},
    "stalling": {"latency": 10, "stall_probability": 0.4, "interleave": True},
}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CONFIGS])
def test_random_programs_leave_the_golden_bits(name, memory, seed):
    config = CONFIGS[name]
    assert_same_programs(RtlMachine(config, MEMORY_BYTES, seed=seed, max_cycles=1_000_000, **MEMORIES[memory]), seed)
