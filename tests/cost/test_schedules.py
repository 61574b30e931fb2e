import json
import random
from collections import Counter
from fractions import Fraction

import pytest

from adagp import cli
from adagp.cost.schedules import Shares, recorded_phases
from adagp.spec.schedule import Adaptive, Phase, PhaseCounter, Row, Schedule


def counted(schedule: Schedule, batches: int) -> Shares:
    """As the phase controller's model counts."""
    registers = {f"SCHEDULE[{row}].{name}": 0 for row in range(8) for name in ("BATCHES", "RATIO")} | schedule.registers()
    counter, phases = PhaseCounter(registers.__getitem__), Counter()
    for batch in range(batches):
        phase = counter.choose(batch)
        phases[phase] += 1
        counter.complete(phase)
    return Shares.of_batches(warmup=phases[Phase.WARMUP], bp=phases[Phase.BP], gp=phases[Phase.GP])


def test_paper_s_schedule_is_that_of_its_epochs():
    """10 epochs of warm-up, 4 each with 4, 3 and 2 batches of Phase GP in 5, 4 and 3, 68 with 1 in 2."""
    gp = 4 * Fraction(4, 5) + 4 * Fraction(3, 4) + 4 * Fraction(2, 3) + 68 * Fraction(1, 2)
    assert Shares.paper() == Shares(warmup=Fraction(1, 9), bp=(80 - gp) / 90, gp=gp / 90)
    assert round(float(Shares.paper().gp), 3) == 0.476


def test_speedup_of_the_paper_s_schedule():
    speedup = Shares.paper().speedup(b=2)
    assert speedup == 270 / (270 - 2 * 90 * Shares.paper().gp)
    assert round(float(270 / speedup), 2) == 184.27 and round(float(speedup), 3) == 1.465


def test_speedup_of_an_endless_run():
    assert abs(Shares.paper(epochs=10 ** 7).speedup(b=2) - Fraction(3, 2)) < 1e-5


def test_speedup_of_mobilenet_s_measured_ratio():
    assert round(float(Shares.paper().speedup(b=3.63)), 2) == 1.60


@pytest.mark.parametrize("g, speedup", ((Fraction(3, 4), 1.80), (Fraction(9, 10), 2.14)))
def test_speedup_by_the_share_of_predicted_batches_after_warm_up(g, speedup):
    warmup = Fraction(1, 9)
    shares = Shares(warmup=warmup, bp=(1 - warmup) * (1 - g), gp=(1 - warmup) * g)
    assert shares.speedup(b=2) == 3 / (3 - 2 * (1 - warmup) * g)
    assert round(float(shares.speedup(b=2)), 2) == speedup


def test_cap_of_all_schedules():
    assert Shares(warmup=0, bp=0, gp=1).speedup(b=2, alpha=Fraction(1, 10)) == 3 / Fraction(11, 10)


@pytest.mark.parametrize("epochs, bp", ((5, 0), (10, 0), (12, Fraction(2, 60)), (22, (Fraction(4, 5) + 1 + Fraction(4, 3)) / 22)))
def test_short_runs_end_earlier_in_the_schedule(epochs, bp):
    shares = Shares.paper(epochs)
    assert shares.warmup == Fraction(min(epochs, 10), epochs) and shares.bp == bp


def test_schedules_divide_as_the_phase_controller_does():
    generator = random.Random(0)
    for _ in range(300):
        rows = tuple(Row(batches=generator.randint(1, 12), gp=generator.randint(0, 4), bp=generator.randint(1, 3))
                     for _ in range(generator.randint(1, 8)))
        schedule = Schedule(warmup=generator.randint(0, 9), rows=rows)
        batches = generator.randint(1, 80)
        assert Shares.of(schedule, batches) == counted(schedule, batches), (schedule, batches)


def test_schedule_of_nothing_but_predictions_divides():
    assert Shares.of(Schedule(warmup=1, gp=1, bp=0), 4) == Shares.of_batches(warmup=1, bp=0, gp=3)


def test_paper_s_table_comes_near_the_paper_s_epochs():
    batches = 90 * 391
    assert Shares.of(Schedule.paper(batches=batches), batches).gp == pytest.approx(float(Shares.paper().gp), abs=1e-4)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training run whose schedule is its own choice."""
    folder = tmp_path_factory.mktemp("run")
    assert cli.main(["train", "--schedule", "adaptive", "--predictor", "feedback", "--epochs", "2", "--warmup", "1", "--batch", "128",
                     "--k-most", "3", "--patience", "1", "-o", str(folder)]) in (0, None)
    return folder


def test_recorded_run_divides_as_its_log_says(run):
    phases = recorded_phases(run)
    counts = Counter(phases)
    assert set(counts) == {Phase.WARMUP, Phase.BP, Phase.GP} and phases[0] is Phase.WARMUP
    shares = Shares.of_batches(warmup=counts[Phase.WARMUP], bp=counts[Phase.BP], gp=counts[Phase.GP])
    assert Shares.recorded(run) == Shares.recorded(run / "report.json") == shares


@pytest.mark.parametrize("content", (None, "{}", json.dumps({"epochs": [1]}), "no JSON", json.dumps({"epochs": []})))
def test_what_is_no_report_is_refused(tmp_path, content):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match="path must be|batches must be at least 1"):
        Shares.recorded(path)


def test_adaptive_schedule_has_no_shares_before_it_has_run():
    schedule = Schedule(warmup=1, adaptive=Adaptive(least=1, most=4, raise_at=0.1, lower_at=0.0))
    with pytest.raises(ValueError, match="schedule must be one of fixed rows"):
        Shares.of(schedule, 10)


@pytest.mark.parametrize("make, message", (
    (lambda: Shares(warmup=0, bp=Fraction(1, 2), gp=Fraction(1, 3)), "Shares must add up to 1"),
    (lambda: Shares(warmup=-1, bp=1, gp=1), "Shares.warmup must be a number from 0 to 1, not -1"),
    (lambda: Shares.paper(0), "epochs must be an integer of at least 1, not 0"),
    (lambda: Shares.of(Schedule(warmup=0), 0), "batches must be an integer of at least 1, not 0"),
    (lambda: Shares.of_batches(warmup=0, bp=0, gp=0), "batches must be at least 1 in all")))
def test_impossible_shares_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_phases_that_do_not_occur_are_not_asked_for():
    asked = []
    shares = Shares(warmup=0, bp=0, gp=1)
    assert shares.mean(lambda phase: asked.append(phase) or 7) == 7 and asked == [Phase.GP]
