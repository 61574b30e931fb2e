"""Phases of batches against the paper's rules."""

import pytest

from adagp.spec.schedule import Phase, Schedule


def phases(schedule: Schedule, count: int) -> str:
    return "".join("WBGE"[schedule.phase(batch)] for batch in range(count))


@pytest.mark.parametrize("warmup, gp, bp, want", [
    (3, 4, 1, "WWWGGGGBGGGGBG"), (0, 3, 1, "GGGBGGGBGGGBGG"), (2, 2, 1, "WWGGBGGBGGBGGB"),
    (1, 1, 1, "WGBGBGBGBGBGBG"), (0, 2, 3, "GGBBBGGBBBGGBB"), (4, 0, 1, "WWWWBBBBBBBBBB"), (1, 1, 0, "WGGGGGGGGGGGGG")])
def test_cycles_start_with_predicted_batches_after_warmup(warmup, gp, bp, want):
    assert phases(Schedule(warmup=warmup, gp=gp, bp=bp), 14) == want


@pytest.mark.parametrize("gp, share", [(4, 0.8), (3, 0.75), (2, 2 / 3), (1, 0.5)])
def test_share_of_predicted_batches_is_k_of_k_plus_m(gp, share):
    after = phases(Schedule(warmup=10, gp=gp, bp=1), 10 + 60)[10:]
    assert after.count("G") / 60 == pytest.approx(share) and set(after) == {"G", "B"}


def test_no_batch_is_predicted_by_default():
    assert phases(Schedule(warmup=0), 5) == "BBBBB"


def test_phases_are_numbered_as_the_programs_are():
    assert [phase.name for phase in Phase] == ["WARMUP", "BP", "GP", "EVALUATE"]


@pytest.mark.parametrize("name, value", [("warmup", -1), ("gp", 1 << 32), ("bp", 0.5)])
def test_errors_name_parameter_rule_and_value(name, value):
    with pytest.raises(ValueError, match=rf"Schedule.{name} must be an integer from 0 to 2\*\*32 - 1, not {value!r}"):
        Schedule(**{"warmup": 1, name: value})


def test_an_empty_cycle_is_refused():
    with pytest.raises(ValueError, match="Schedule.gp and Schedule.bp must not both be 0"):
        Schedule(warmup=1, gp=0, bp=0)
