"""Which program runs next, and on what: schedule, adapted k, epochs, entering and leaving."""

import math
import struct
from itertools import repeat

import numpy as np
import pytest
from golden_programs import ONE, TINY, counting_program, fault, install, load, machine_with, store

from adagp.golden import GoldenMachine
from adagp.spec.config import Design
from adagp.spec.isa import Addend, End, Engine, FaultCause, Fill, Function, Memory, Vector
from adagp.spec.schedule import Adaptive, Phase, Row, Schedule

EFFICIENT = TINY.with_design(Design.EFFICIENT)
LANES = TINY.vector_lanes
LOG, QUALITIES = 0x8000, 0xC000


def phases_of(schedule: Schedule, count: int, qualities=()) -> list[tuple[Phase, int]]:
    """Phase and k of ``count`` batches, cycle by cycle; ``qualities``: what each batch reports if it
    is one of Phase BP."""
    rule, votes = schedule.adaptive, []
    chosen = [(Phase.WARMUP, rule.least if rule else schedule.rows[0].gp)] * schedule.warmup
    k = rule.least if rule else None
    for number, row in enumerate(schedule.rows):
        end = len(chosen) + row.batches if number + 1 < len(schedule.rows) else math.inf
        while len(chosen) < min(end, count):
            gp = k if rule else row.gp
            chosen += [(Phase.GP, gp)] * gp + [(Phase.BP, gp)] * row.bp
            if len(chosen) > end:  # the next row begins within a cycle
                del chosen[end:]
            elif rule and len(chosen) <= count:
                votes, k = vote(rule, votes, k, qualities[len(chosen) - 1])
    return chosen[:count]


def vote(rule: Adaptive, votes: list[int], k: int, quality: float) -> tuple[list[int], int]:
    def at_least(threshold):
        return (quality, math.copysign(1, quality)) >= (threshold, math.copysign(1, threshold))
    side = 1 if at_least(rule.raise_at) else 0 if at_least(rule.lower_at) else -1
    votes = [*votes, side] if side in votes[-1:] else [side]
    if side and len(votes) == rule.patience:
        return [], min(max(k + side, rule.least), rule.most)
    return votes, k


def reporting_program(phase: Phase) -> list:
    """Logs the phase at BASE[1]; those of back-propagation report what lies at BASE[0]."""
    program = [Fill(memory=Memory.VECTOR, value=ONE * phase, destination=0, length=1, signal={Engine.STORE}),
               store(base=1, offset=0, length=1, wait={Engine.LOAD})]
    if phase in (Phase.WARMUP, Phase.BP):
        program += [load(base=0, offset=0, destination=LANES, length=1, signal={Engine.VECTOR}),
                    Vector(function=Function.REPORT, a=1, d=0, wait={Engine.LOAD})]
    return [*program, End()]


def run_schedule(machine: GoldenMachine, rng: np.random.Generator, count: int) -> list[Phase]:
    """Runs ``count`` batches with several starts; the phases that the programs logged."""
    machine.write("BASE[0]", QUALITIES)
    machine.write("BASE[1]", LOG)
    for base in (0, 1):
        machine.write(f"STRIDE[{base}]", 4)
    left = count
    while left:
        batches = int(rng.integers(1, left + 1))
        machine.write("BATCHES", batches)
        machine.run()
        left -= batches
    codes = machine.memory[LOG:LOG + 4 * count].view(np.uint32)
    return [Phase(int(code) // ONE) for code in codes]


def random_schedule(rng: np.random.Generator, *, adaptive: bool) -> Schedule:
    def number(least, most):
        return int(rng.integers(least, most + 1))
    rule, count = None, number(1, 8)
    if adaptive:
        least, (lower, higher) = number(0, 3), sorted(rng.choice([-1, -0.5, -0.0, 0.0, 0.25, 0.5, 1], 2, replace=False))
        rule = Adaptive(least=least, most=least + number(0, 4), raise_at=float(higher), lower_at=float(lower),
                        patience=number(1, 4))
    return Schedule(warmup=number(0, 5), adaptive=rule, rows=tuple(
        Row(batches=number(1, 12), gp=number(0, 4), bp=number(1, 3)) for _ in range(count)))


def configured(schedule: Schedule) -> GoldenMachine:
    machine = machine_with(*map(reporting_program, (Phase.WARMUP, Phase.BP, Phase.GP)))
    for name, value in schedule.registers().items():
        machine.write(name, value)
    return machine


@pytest.mark.parametrize("schedule", [
    Schedule(warmup=0), Schedule(warmup=3, gp=4, bp=1), Schedule(warmup=2, gp=1, bp=1), Schedule(warmup=1, gp=2, bp=0)])
def test_the_schedule_chooses_programs(schedule):
    machine = machine_with(*(counting_program(phase) for phase in range(4)))
    for name, value in schedule.registers().items():
        machine.write(name, value)
    for batches in (1, 5, 7):
        machine.write("BATCHES", batches)
        machine.run()
    chosen = [phase for phase, _ in phases_of(schedule, 13)]
    want = [chosen.count(phase) for phase in range(4)]
    assert machine.memory[0x8000:0x8010].view(np.float32).tolist() == want
    assert [machine.counter(f"PHASE_BATCHES[{phase}]") for phase in range(4)] == want
    assert machine.read("BATCH") == 13


@pytest.mark.parametrize("seed", range(30))
def test_tables_are_followed_batch_by_batch(seed):
    rng = np.random.default_rng(seed)
    schedule = random_schedule(rng, adaptive=False)
    machine, count = configured(schedule), 60
    want = phases_of(schedule, count + 1)
    assert run_schedule(machine, rng, count) == [phase for phase, _ in want[:count]]
    assert machine.read("PREDICTOR") >> 24 == want[count][1]


@pytest.mark.parametrize("seed", range(60))
def test_reported_quality_adapts_k(seed):
    rng = np.random.default_rng(seed)
    schedule = random_schedule(rng, adaptive=True)
    machine, count = configured(schedule), 80
    good = rng.choice([0.1, 0.5, 0.9])
    qualities = np.where(rng.random(count) < good, rng.choice([0.5, 1, 2, np.inf], count),
                         rng.choice([-np.inf, -1, -0.0, 0.0, 0.25, np.nan, -np.nan, 1e-40, -1e-40], count)).astype(np.float32)
    machine.memory[QUALITIES:QUALITIES + 4 * count] = qualities.view(np.uint8)
    want = phases_of(schedule, count + 1, [*map(float, qualities), 0.0])
    assert run_schedule(machine, rng, count) == [phase for phase, _ in want[:count]]
    assert machine.read("PREDICTOR") >> 24 == want[count][1]


def test_adapted_schedules_of_the_test_above_do_move():
    moved = 0
    for seed in range(20):
        schedule = random_schedule(np.random.default_rng(seed), adaptive=True)
        moved += len({k for _, k in phases_of(schedule, 60, list(repeat(1.0, 60)))}) > 1
    assert moved > 10


def test_writing_the_batch_number_restarts_the_cycle():
    machine = machine_with(*(counting_program(phase) for phase in range(4)))
    machine.write("SCHEDULE[0].RATIO", 2 | 1 << 16)
    machine.run()                # GP, one more to come
    machine.write("BATCH", 1)
    machine.write("BATCHES", 3)
    machine.run()                # GP, GP, BP
    assert [machine.counter(f"PHASE_BATCHES[{phase}]") for phase in (Phase.GP, Phase.BP)] == [3, 1]


@pytest.mark.parametrize("restart", [("BATCH", 0), ("BATCH", 7), ("CONTROL", 0b010)])
def test_a_restart_forgets_row_cycle_and_adapted_k(restart):
    rule = Adaptive(least=0, most=5, raise_at=0.5, lower_at=0.25, patience=2)
    schedule = Schedule(warmup=3, adaptive=rule, rows=(Row(batches=8, bp=1), Row(bp=2)))
    machine, rng = configured(schedule), np.random.default_rng(0)
    machine.memory[QUALITIES:QUALITIES + 400] = np.full(100, 1, np.float32).view(np.uint8)
    assert run_schedule(machine, rng, 20) == [phase for phase, _ in phases_of(schedule, 20, [1.0] * 20)]
    assert machine.read("PREDICTOR") >> 24 == 3
    machine.write(*restart)
    assert machine.read("PREDICTOR") >> 24 == 0
    done = 20 if restart[0] == "CONTROL" else restart[1]
    again = Schedule(warmup=max(3 - done, 0), adaptive=rule, rows=schedule.rows)
    assert run_schedule(machine, rng, 20) == [phase for phase, _ in phases_of(again, 20, [1.0] * 20)]


def test_only_the_quality_of_register_0_counts():
    schedule = Schedule(warmup=0, adaptive=Adaptive(least=0, most=5, raise_at=0.5, lower_at=0.25))
    machine = configured(schedule)
    program = [Fill(memory=Memory.VECTOR, value=ONE, destination=0, length=1, signal={Engine.VECTOR}),
               Vector(function=Function.REPORT, a=0, d=1, wait={Engine.LOAD}), End()]
    install(machine, Phase.BP, program)
    machine.write("BATCHES", 6)
    machine.run()
    assert machine.counter("PHASE_BATCHES[1]") == 6
    assert [machine.read(f"QUALITY[{index}]") for index in range(3)] == [0, ONE, 0]


@pytest.mark.parametrize("seed", range(40))
def test_epochs_visit_places_in_steps_and_rewind(seed):
    """ORDER after t batches is (first + t·step) mod epoch; the bases tell how often it came past the end."""
    rng = np.random.default_rng(seed)
    epoch = int(rng.integers(1, 40))
    step, first, count = int(rng.integers(0, epoch)), int(rng.integers(0, epoch)), int(rng.integers(1, 100))
    copy = [load(base=0, offset=0, length=1, signal={Engine.STORE}), store(base=1, offset=0, length=1, wait={Engine.LOAD}), End()]
    machine = machine_with(copy, copy, copy, copy)
    samples = rng.integers(0, 1 << 32, epoch, dtype=np.uint32)
    machine.memory[0x9000:0x9000 + 4 * epoch] = samples.view(np.uint8)
    values = rng.integers(0, 1 << 32, (3, 6))
    registers = {"EPOCH_BATCHES": epoch, "ORDER_STEP": step, "ORDER": first, "BATCHES": count, "WARMUP_BATCHES": 10,
                 "MODE": int(rng.choice([0, 1])),
                 "BASE[0]": 0x9000 + 4 * first, "STRIDE[0]": 4 * step, "REWIND[0]": 4 * (step - epoch) % 2**32,
                 "BASE[1]": 0xA000, "STRIDE[1]": 4, "REWIND[1]": 4,
                 **{f"{name}[{2 + index}]": int(values[row, index])
                    for row, name in enumerate(("BASE", "STRIDE", "REWIND")) for index in range(6)}}
    for name, value in registers.items():
        machine.write(name, value)
    machine.run()
    places = [(first + batch * step) % epoch for batch in range(count + 1)]
    assert machine.memory[0xA000:0xA000 + 4 * count].view(np.uint32).tolist() == samples[places[:count]].tolist()
    assert machine.read("ORDER") == places[count]
    ends = (first + count * step) // epoch
    want = values[0] + (count - ends) * values[1] + ends * values[2]
    assert [machine.read(f"BASE[{2 + index}]") for index in range(6)] == [int(base) % 2**32 for base in want]
    assert machine.read("BATCH") == (0 if registers["MODE"] else count)
    if math.gcd(step, epoch) == 1:
        assert all(sorted(places[start:start + epoch]) == list(range(epoch)) for start in range(count + 1 - epoch))


def test_without_epochs_order_stands_still_and_nothing_is_rewound():
    machine = machine_with([End()], [End()])
    for name, value in {"ORDER": 5, "ORDER_STEP": 3, "REWIND[0]": 1, "STRIDE[0]": 8, "BATCHES": 9}.items():
        machine.write(name, value)
    machine.run()
    assert machine.read("ORDER") == 5 and machine.read("BASE[0]") == 72


def resident_machine() -> GoldenMachine:
    """ENTER brings the number at 0x8000 to the predictor memory, each batch adds 1 there, LEAVE brings it back."""
    there = dict(local=1, offset=0x40, length=1)
    machine = machine_with(*[[load(**there, signal={Engine.VECTOR}),
                              Vector(addend=Addend.T, t=ONE, a=0, d=0, wait={Engine.LOAD}, signal={Engine.STORE}),
                              store(**there, wait={Engine.VECTOR}), End()]] * 4, config=EFFICIENT)
    install(machine, Phase.ENTER, [load(length=1, signal={Engine.STORE}), store(**there, wait={Engine.LOAD}), End()])
    install(machine, Phase.LEAVE, [load(**there, signal={Engine.STORE}), store(length=1, wait={Engine.LOAD}), End()])
    machine.write("STRIDE[7]", 4)
    machine.write("WARMUP_BATCHES", 1)
    return machine


def outside(machine) -> np.ndarray:
    return machine.memory[0x8000:0x8004].view(np.float32)


def extra_runs(machine) -> list[int]:
    return [machine.counter(f"PHASE_BATCHES[{phase}]") for phase in (Phase.ENTER, Phase.LEAVE)]


@pytest.mark.parametrize("mode", [0, 1])
def test_a_start_enters_before_the_first_batch_and_leaves_after_the_last(mode):
    machine = resident_machine()
    machine.write("MODE", mode)
    outside(machine)[0] = 10
    for start in (1, 2):
        machine.write("BATCHES", 3)
        machine.run()
        assert outside(machine)[0] == 10 + 3 * start and extra_runs(machine) == [start, start]
    assert machine.read("STATUS") == 0b010 | Phase.LEAVE << 4
    assert machine.read("BASE[7]") == 24 and machine.read("BATCH") == (0 if mode else 6)


def test_stay_neither_enters_nor_leaves():
    machine = resident_machine()
    machine.write("MODE", 0b100)
    machine.run()
    outside(machine)[0] = 100
    machine.run()
    assert outside(machine)[0] == 100 and machine.predictor_memory[0x40:0x44].view(np.float32) == 2
    assert extra_runs(machine) == [0, 0] and machine.read("STATUS") == 0b010 | Phase.BP << 4
    machine.write("MODE", 0)
    machine.run()
    assert outside(machine)[0] == 101 and extra_runs(machine) == [1, 1]


def test_a_start_of_no_batches_enters_and_leaves_only():
    machine = resident_machine()
    outside(machine)[0] = 7
    machine.write("BATCHES", 0)
    machine.run()
    assert machine.predictor_memory[0x40:0x44].view(np.float32) == 7 == outside(machine)[0]
    assert [machine.counter(f"PHASE_BATCHES[{phase}]") for phase in Phase] == [0, 0, 0, 0, 1, 1]
    assert machine.read("BATCH") == machine.read("BASE[7]") == 0
    assert machine.read("STATUS") == 0b010 | Phase.LEAVE << 4 and machine.read("INTERRUPT_PENDING") == 1


@pytest.mark.parametrize("phase, other", [(Phase.ENTER, Phase.LEAVE), (Phase.LEAVE, Phase.ENTER)])
def test_a_program_of_no_size_is_left_out(phase, other):
    machine = resident_machine()
    machine.write(f"PROGRAM[{int(phase)}].SIZE", 0)
    machine.run()
    assert machine.counter(f"PHASE_BATCHES[{int(phase)}]") == 0 and machine.counter(f"PHASE_BATCHES[{int(other)}]") == 1


@pytest.mark.parametrize("phase, batches", [(Phase.ENTER, 0), (Phase.LEAVE, 3)])
def test_a_fault_of_an_extra_program_names_it_and_stops(phase, batches):
    machine = resident_machine()
    install(machine, phase, [load(offset=0x8002), End()])
    machine.write("BATCHES", 3)
    assert fault(machine) == (FaultCause.MISALIGNED, 0x8002)
    assert machine.read("STATUS") == 0b100 | phase << 4 and machine.read("BATCH") == batches
    assert machine.counter(f"PHASE_BATCHES[{int(phase)}]") == 0


def test_a_write_back_of_an_idle_machine_is_ignored():
    machine = resident_machine()
    machine.write("CONTROL", 0b1000)
    machine.write("BATCHES", 0)
    machine.write("MODE", 0b100)
    machine.run()
    assert extra_runs(machine) == [0, 0]


def test_quality_bits_are_kept_as_they_are():
    encoded = struct.unpack("<I", struct.pack("<f", 1e-40))[0]
    machine = machine_with([Fill(memory=Memory.VECTOR, value=encoded, destination=LANES, length=2, signal={Engine.VECTOR}),
                            Fill(memory=Memory.VECTOR, value=0xFFABCDEF, destination=2 * LANES, length=1, signal={Engine.VECTOR}),
                            Vector(function=Function.REPORT, a=1, a_stride0=1, count0=2, d=127, d_stride0=1, wait={Engine.LOAD}),
                            Vector(function=Function.REPORT, a=2, a_stride0=-1, count0=2, d=130, d_stride0=128, wait={Engine.LOAD}),
                            End()])
    machine.write("WARMUP_BATCHES", 1)
    machine.run()
    assert [machine.read(f"QUALITY[{index}]") for index in (127, 0, 1, 2)] == [encoded, 0xFFABCDEF, 0, encoded]
