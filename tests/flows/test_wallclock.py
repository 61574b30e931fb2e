from math import isclose

from torch import nn

from adagp.spec.schedule import Phase, PhaseCounter, Schedule
from adagp.training import PaperPredictor
from adagp_flows.wallclock_bench import EPOCHS, WallClock, measure, predicted_share


def test_the_share_is_that_of_the_phase_counter():
    schedule = Schedule.paper(batches=EPOCHS * 50)
    counter, predicted = PhaseCounter(schedule.registers().__getitem__), 0
    for batch in range(EPOCHS * 50):
        phase = counter.choose(batch)
        predicted += phase is Phase.GP
        counter.complete(phase)
    assert isclose(predicted_share(50), predicted / (EPOCHS * 50), abs_tol=2 / (EPOCHS * 50))


def test_speed_ups_follow_from_the_seconds():
    result = WallClock(plain=3.0, bp=3.0, gp=1.0)
    assert result.gp_speedup == 3 and result.bp_slowdown == 1
    assert isclose(result.schedule_speedup, 3 / (3 - 2 * predicted_share()))
    assert 1.45 < result.schedule_speedup < 1.48  # the paper's limit


def test_all_kinds_of_batches_are_timed():
    result = measure(lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 36, 3)), PaperPredictor,
                     batch=4, rounds=1, shape=(1, 8, 8), classes=3)
    assert min(result.plain, result.bp, result.gp) > 0
