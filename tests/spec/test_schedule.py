"""Phases of batches against the paper's rules."""

import struct

import pytest

from adagp.spec.registers import REGISTERS
from adagp.spec.schedule import Adaptive, Phase, PhaseCounter, Row, Schedule


def phases(schedule: Schedule, count: int, qualities=()) -> str:
    """One letter a batch; ``qualities`` are what QUALITY[0] holds after each batch, 0 at first."""
    values = {path: sum(field.reset << field.lsb for field in register.fields)
              for path, register in REGISTERS.items()} | schedule.registers()
    counter, chosen = PhaseCounter(values.__getitem__), ""
    for batch in range(count):
        phase = counter.choose(batch)
        chosen += "WBGE"[phase]
        if batch < len(qualities):
            values["QUALITY[0]"], = struct.unpack("<I", struct.pack("<f", qualities[batch]))
        counter.complete(phase)
    return chosen


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
    assert [phase.name for phase in Phase] == ["WARMUP", "BP", "GP", "EVALUATE", "ENTER", "LEAVE"]


def test_the_rows_of_the_table_follow_each_other_and_the_last_one_stays():
    schedule = Schedule(warmup=2, rows=(Row(batches=6, gp=2, bp=1), Row(batches=3, gp=1, bp=1), Row(gp=0, bp=1)))
    assert phases(schedule, 15) == "WW" + "GGBGGB" + "GBG" + "BBBB"


def test_the_papers_schedule_has_four_epochs_each_of_four_three_and_two_to_one():
    chosen = phases(Schedule.paper(batches=60 * 90), 60 * 90)
    shares = [chosen[epoch * 60:(epoch + 1) * 60].count("G") / 60 for epoch in range(90)]
    assert shares == pytest.approx([0] * 10 + [4 / 5] * 4 + [3 / 4] * 4 + [2 / 3] * 4 + [1 / 2] * 68)


@pytest.mark.parametrize("batches, want", [
    (90, "W" * 10 + "GGGGB" + "GGGB" + "GGB" + "GB" * 34), (18, "WW" + "GGGGB" + "GGGB" + "GGB" + "GBGB"),
    (1, "G")])  # too short for a warm-up
def test_the_papers_schedule_scales_in_whole_cycles(batches, want):
    assert phases(Schedule.paper(batches=batches), batches) == want


def test_the_papers_shares_are_those_of_a_run_of_any_length():
    for batches in range(500, 1000, 37):
        chosen = phases(Schedule.paper(batches=batches), batches)
        assert chosen.count("W") / batches == pytest.approx(1 / 9, abs=0.001)
        assert chosen.count("G") / batches == pytest.approx(4 / 90 * (4 / 5 + 3 / 4 + 2 / 3) + 68 / 90 / 2, abs=0.01)


def test_quality_moves_k_between_its_bounds_after_patience():
    schedule = Schedule(warmup=0, adaptive=Adaptive(least=1, most=3, raise_at=0.5, lower_at=0.25, patience=2))
    assert phases(schedule, 16, [0.5] * 16) == "GBGB" + "GGBGGB" + "GGGBGG"
    assert phases(schedule, 12, [0.3] * 12) == "GB" * 6  # between the thresholds nothing counts
    assert phases(schedule, 14, [0.6, 0.6, 0.6, 0.6] + [0.1] * 10) == "GBGB" + "GGBGGB" + "GBGB"
    assert phases(schedule, 9, [0.6, 0.6, 0.6, 0.4, 0.6, 0.6, 0.6, 0.6, 0.6]) == "GBGBGBGBG"  # 0.4 breaks the row


def test_no_number_is_a_low_quality():
    schedule = Schedule(warmup=0, adaptive=Adaptive(least=0, most=2, raise_at=0.5, lower_at=0.25))
    assert phases(schedule, 6, [0.5, 0.5, float("nan"), float("nan"), 0.5, 0.5]) == "BGBBBG"


@pytest.mark.parametrize("make, rule", [
    (lambda: Schedule(warmup=-1), "Schedule.warmup must be an integer from 0 to 4294967295, not -1"),
    (lambda: Row(gp=1 << 16), "Row.gp must be an integer from 0 to 65535, not 65536"),
    (lambda: Row(bp=0.5), "Row.bp must be an integer from 0 to 65535, not 0.5"),
    (lambda: Schedule(warmup=1, gp=0, bp=0), "Row.gp and Row.bp must not both be 0"),
    (lambda: Schedule(warmup=1, gp=2, rows=(Row(),)), "Schedule must get rows, or gp and bp, not both: gp=2 and bp=1"),
    (lambda: Schedule(warmup=1, rows=(Row(), Row())), "Schedule.rows must have a number of batches in all but the last"),
    (lambda: Schedule.paper(batches=0), "Schedule.paper's batches must be an integer of at least 1, not 0"),
    (lambda: Schedule(warmup=1, rows=(Row(batches=1),) * 9), "Schedule.rows must be at most 8, not 9"),
    (lambda: Adaptive(least=3, most=2, raise_at=1, lower_at=0), "Adaptive.most must be an integer from 3 to 65535, not 2"),
    (lambda: Adaptive(least=0, most=2, raise_at=0.1, lower_at=0.2), "Adaptive.lower_at must be from -1 to raise_at"),
    (lambda: Schedule(warmup=0, gp=1, bp=0, adaptive=Adaptive(least=0, most=1, raise_at=1, lower_at=0)),
     "Schedule.adaptive needs a Phase BP in every row, not bp=0")])
def test_errors_name_parameter_rule_and_value(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()
