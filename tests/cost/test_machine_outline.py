"""Estimates of whole networks: against their instructions one by one, and against their compiled programs."""

import random
from collections import defaultdict
from dataclasses import replace

import pytest
from torch import nn

from adagp.compiler import CompileError, PredictorConfig, compile_training
from adagp.compiler.outline import SamplingThread, outline
from adagp.cost.machine import ExternalMemory, network_cost, program_cost, training_cost
from adagp.cost.machine.occupancy import Occupancies
from adagp.cost.machine.timeline import EngineTime
from adagp.cost.machine.transfers import load_beats, store_beats
from adagp.cost.schedules import Shares
from adagp.spec.config import AcceleratorConfig, Design, preset
from adagp.spec.isa import Array, End, Fill, Format, Load, Memory, Pass, Store, encode
from adagp.spec.schedule import Phase
from adagp_flows.networks import SHRUNK

CONFIG = AcceleratorConfig(rows=4, columns=4, bus_bits=64, vector_words=1024, vector_banks=8, stream_elements=2048,
                           stationary_elements=2048, predictor_elements=1 << 18)
PREDICTOR = PredictorConfig(size=4, channels=2)


def convolutional() -> nn.Module:
    """Of many channels, so that loops over columns, tiles, groups and panels have many steps."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.ReLU(), nn.Conv2d(32, 40, 1, stride=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(40, 10))


def transformer() -> nn.Module:
    return SHRUNK["Transformer"].make(16)


class _Bases:
    """All zero."""

    def __getitem__(self, index):
        return 0


@pytest.mark.parametrize("make, shape, batch", [(convolutional, (3, 8, 8), 40), (transformer, (6, 16), 40)])
@pytest.mark.parametrize("design", Design)
def test_steps_left_out_count_as_if_they_were_taken(make, shape, batch, design, monkeypatch):
    config, taken = CONFIG.with_design(design), 0
    emit = SamplingThread.emit

    def counted(thread, instruction):
        nonlocal taken
        taken += 1
        emit(thread, instruction)
    monkeypatch.setattr(SamplingThread, "emit", counted)
    options = {"batch": batch, "input_shape": shape, "predictor": PREDICTOR}
    phases = network_cost(make(), config, **options).phases
    entries = outline(make(), config, **options)
    assert phases.keys() == entries.keys()
    everything = sum(map(len, {id(some): some for some in entries.values()}.values()))
    assert taken < 0.9 * everything
    for phase, some in entries.items():
        want = defaultdict(lambda: [0, 0, 0])
        for entry in some:
            i = entry.instruction
            counts = want[entry.purpose]
            counts[0] += 1
            if isinstance(i, Load) and not i.local:
                counts[1] += config.bus_bytes * load_beats(i, config, _Bases())
            if isinstance(i, Store) and not i.local:
                counts[2] += config.bus_bytes * store_beats(i, config, _Bases())
        got = {purpose: [work.instructions, work.bytes_read, work.bytes_written]
               for purpose, work in phases[phase].works.items()}
        assert got == dict(want), phase


def load(**fields) -> Load:
    return Load(**{"memory": Memory.STREAM, "format": Format.OPERAND, "offset": 0, "destination": 0, "length": 64} | fields)


def array(**fields) -> Array:
    return Array(**{"tag": Pass.FORWARD, "columns": 8, "stream": 0, "stationary": 0, "accumulator": 0, "stream_count0": 40,
                    "row_count0": 8} | fields)


@pytest.mark.parametrize("instruction", [
    load(length=4096), load(length=8, count0=60, source_stride0=32, destination_stride0=8),
    load(length=24, count0=60, source_stride0=50, destination_stride0=24),
    load(length=3, count0=300, dense=1, source_stride0=6, destination_stride0=8),
    load(memory=Memory.VECTOR, length=500), load(memory=Memory.VECTOR, format=Format.FLOAT32, length=500),
    load(transpose=1, length=200, count0=8, source_stride0=400, destination_stride0=8),
    load(transpose=1, length=10, count0=8, count1=20, source_stride0=36, source_stride1=288, destination_stride0=8,
         destination_stride1=80),
    load(transpose=1, format=Format.FLOAT32, length=64, count0=3, source_stride0=256, destination_stride0=8),
    Fill(memory=Memory.STREAM, destination=0, length=4000),
    Fill(memory=Memory.VECTOR, destination=0, length=5, count0=100, destination_stride0=8),
    array(), array(stream_count0=3), array(stream_count0=1, outer_count0=20, accumulator_outer_stride0=1),
    array(stream_count0=4, row_count0=72), array(stream_count0=5, row_count0=24, outer_count0=4, accumulator_outer_stride0=5),
    array(stream_count0=30, row_count0=8, outer_count0=9),
    Store(format=Format.OPERAND, offset=0, source=0, length=4000), Store(format=Format.FLOAT32, offset=0, source=0, length=2000),
    Store(format=Format.OPERAND, offset=0, source=0, length=8, count0=100, source_stride0=8, destination_stride0=64),
    Store(format=Format.FLOAT32, offset=4, source=0, length=8, count0=100, source_stride0=8, destination_stride0=64)],
    ids=lambda instruction: type(instruction).__name__)
@pytest.mark.parametrize("memory", [ExternalMemory(), ExternalMemory(latency=90, interval=2, outstanding=4)], ids=["fast", "slow"])
def test_instructions_that_follow_each_other_take_what_the_closed_form_says(instruction, memory):
    config = replace(preset("small"), vector_words=8192)

    def cycles(times: int) -> int:
        program = encode(instruction) * times + encode(End())
        return program_cost(program, config, memory=memory).cycles
    took = (cycles(24) - cycles(8)) / 16
    assert Occupancies(config, memory).of(instruction).cycles == pytest.approx(took, rel=0.08, abs=8)


@pytest.mark.parametrize("name, design, most", [
    ("VGG13", Design.BASELINE, 0.06), ("VGG13", Design.MAX, 0.12), ("ResNet50", Design.LOW, 0.12),
    ("DenseNet121", Design.EFFICIENT, 0.12),
    ("Transformer", Design.BASELINE, 0.06), ("Transformer", Design.MAX, 0.12)])
def test_estimates_are_near_the_compiled_programs(name, design, most):
    block, config = SHRUNK[name], replace(CONFIG, vector_words=2048, stream_elements=8192, stationary_elements=8192, design=design)
    options = {"batch": block.batch, "input_shape": block.input_shape, "predictor": PREDICTOR}
    estimate = network_cost(block.model(), config, **options)
    training = compile_training(block.model(), config, **options)
    for phase in (Phase.EVALUATE, Phase.BP, *([Phase.GP] if design is not Design.BASELINE else [])):
        ours, exact = estimate.phases[phase], training_cost(training, phase)
        assert (ours.bytes_read, ours.bytes_fetched, ours.bytes_written) == (
            exact.bytes_read, exact.bytes_fetched, exact.bytes_written)
        assert ours.cycles == pytest.approx(exact.cycles, rel=most), phase


def test_cycles_of_works_add_up():
    cost = network_cost(convolutional(), CONFIG.with_design(Design.MAX), batch=8, input_shape=(3, 8, 8), predictor=PREDICTOR)
    for phase in cost.phases.values():
        assert 0 <= phase.exposed < 0.5 * phase.cycles
        assert phase.exposed + sum(work.cycles for work in phase.works.values() if not work.beside) == pytest.approx(phase.cycles)
        assert sum(len(works) for works in phase.layers.values()) == len(phase.works)
    assert {work.beside for work in cost.phases[Phase.GP].works.values()} == {False, True}
    assert not any(work.beside for work in cost.phases[Phase.EVALUATE].works.values())


def test_twice_the_images_take_nearly_twice_the_time():
    costs = [network_cost(convolutional(), CONFIG, batch=batch, input_shape=(3, 8, 8)) for batch in (64, 128)]
    small, large = (cost.phases[Phase.BP] for cost in costs)
    assert large.cycles == pytest.approx(2 * small.cycles, rel=0.05) and large.cycles < 2 * small.cycles
    assert large.bytes_read == pytest.approx(2 * small.bytes_read, rel=0.1)


def test_slower_memory_and_a_narrower_bus_cost_more():
    def cycles(config=CONFIG, memory=ExternalMemory()) -> float:
        return network_cost(convolutional(), config, batch=4, input_shape=(3, 8, 8), memory=memory).phases[Phase.BP].cycles
    assert cycles(memory=ExternalMemory(latency=200)) > cycles() > cycles(replace(CONFIG, bus_bits=128))


def test_speedup_is_over_a_baseline_of_the_same_batch():
    shares = Shares.paper()

    def cost(design: Design, batch: int = 8):
        return network_cost(convolutional(), CONFIG.with_design(design), batch=batch, input_shape=(3, 8, 8), predictor=PREDICTOR)
    baseline, low = map(cost, (Design.BASELINE, Design.LOW))
    assert baseline.speedup(baseline, shares) == 1
    mean = (shares.warmup + shares.bp) * low.phases[Phase.BP].cycles + shares.gp * low.phases[Phase.GP].cycles
    assert low.speedup(baseline, shares) == pytest.approx(baseline.phases[Phase.BP].cycles / mean)
    for other in (low, cost(Design.BASELINE, 4)):
        with pytest.raises(ValueError, match="baseline must be of design BASELINE with a batch of 8"):
            low.speedup(other, shares)


def test_what_cannot_be_mapped_is_named():
    with pytest.raises(CompileError, match="^0: "):
        network_cost(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 398 * 398, 10)), CONFIG, batch=1,
                     input_shape=(3, 400, 400))


class Slots:
    """An engine's time, cycle by cycle."""

    def __init__(self):
        self.taken = set()

    def take(self, lower: int, cycles: int) -> tuple[int, int]:
        start = next(start for start in range(lower, 10_000)
                     if not any(cycle in self.taken for cycle in range(start, start + cycles)))
        self.taken |= set(range(start, start + cycles))
        return start, start + cycles

    def take_parts(self, lower: int, cycles: int) -> tuple[int, int]:
        free = [cycle for cycle in range(lower, 10_000) if cycle not in self.taken][:cycles]
        self.taken |= set(free)
        return free[0], free[-1] + 1


@pytest.mark.parametrize("seed", range(20))
def test_engine_time_is_given_away_once(seed):
    rng, engine, slots = random.Random(seed), EngineTime(), Slots()
    for _ in range(30):
        lower, cycles = rng.randrange(300), rng.choice((2, 3, 5, 9))
        assert engine.take(lower, cycles) == slots.take(lower, cycles)


@pytest.mark.parametrize("seed", range(20))
def test_parts_of_engine_time_are_given_away_once(seed):
    rng, engine, slots = random.Random(seed), EngineTime(), Slots()
    for _ in range(20):
        engine.take(lower := rng.randrange(300), 6)
        slots.take(lower, 6)
    for _ in range(8):
        lower = rng.randrange(300)
        assert engine.take_parts(lower, 12) == slots.take_parts(lower, 12)


def test_time_that_is_skipped_leaves_its_idle_share():
    engine = EngineTime()
    engine.take(0, 10)
    engine.skip(100, 0.25)
    assert engine.free == 110
    assert engine.take(0, 10) == (10, 50) and engine.take_parts(0, 20) == (50, 115)
