"""Tables of methods."""

import pytest

from adagp.training.approximation_schedule import (
    EVERY_FOURTH_BATCH, EVERY_FOURTH_LAYER, EVERY_OTHER_LAYER_AND_BATCH, ApproximationSchedule, Method, Pattern,
    named_approximation)

FULL, ZERO, RANDOM, TOP1 = Method

FIGURE_3 = [[FULL, ZERO, RANDOM, ZERO],
            [FULL, FULL, RANDOM, FULL],
            [TOP1, FULL, RANDOM, FULL],
            [TOP1, FULL, FULL, FULL],
            [TOP1, ZERO, FULL, ZERO]]


def table(schedule: ApproximationSchedule, layers: int, batches: int) -> list[str]:
    """A row for each layer, the first letter of the method of each batch."""
    return ["".join(schedule.method(layer, batch).value[0] for batch in range(batches)) for layer in range(layers)]


def test_mixed_methods_stand_where_the_table_has_them():
    schedule = ApproximationSchedule(FIGURE_3, repeat_layers=False)
    assert table(schedule, 5, 6) == ["fzrzfz", "ffrfff", "tfrftf", "tffftf", "tzfztz"]
    assert schedule.period == 4


def test_schedule_1_is_every_fourth_layer_from_the_second_on_in_every_batch():
    assert table(EVERY_FOURTH_LAYER.using(ZERO), 7, 3) == ["fff", "zzz", "fff", "fff", "fff", "zzz", "fff"]


@pytest.mark.parametrize("layers, approximated", [(19, (1, 5, 9, 13, 17)), (16, (1, 5, 9, 13))], ids=["ResNet-20", "VGG-19"])
def test_schedule_1_approximates_five_layers_of_resnet20_and_four_of_vgg19(layers, approximated):
    assert EVERY_FOURTH_LAYER.using(TOP1).approximated(layers) == approximated


def test_schedule_2_is_every_other_layer_in_every_other_batch():
    assert table(EVERY_OTHER_LAYER_AND_BATCH.using(TOP1), 4, 4) == ["ffff", "ftft", "ffff", "ftft"]


def test_schedule_2_is_that_of_the_network_of_two_convolutions():
    for method in (ZERO, RANDOM, TOP1):  # figure 4: the second layer in batches 2i+1
        assert table(EVERY_OTHER_LAYER_AND_BATCH.using(method), 2, 4) == ["ffff", "fmfm".replace("m", method.value[0])]


def test_schedule_3_is_every_layer_in_every_fourth_batch():
    assert table(EVERY_FOURTH_BATCH.using(RANDOM), 2, 9) == ["fffrfffrf"] * 2


@pytest.mark.parametrize("pattern", [EVERY_FOURTH_LAYER, EVERY_OTHER_LAYER_AND_BATCH, EVERY_FOURTH_BATCH])
def test_each_schedule_approximates_a_quarter(pattern):
    assert "".join(table(pattern.using("zero"), 16, 16)).count("z") == 64


@pytest.mark.parametrize("name, number, pattern", [
    ("every-fourth-layer", 1, EVERY_FOURTH_LAYER), ("every-other-layer-and-batch", 2, EVERY_OTHER_LAYER_AND_BATCH),
    ("every-fourth-batch", 3, EVERY_FOURTH_BATCH)])
@pytest.mark.parametrize("method", [ZERO, RANDOM, TOP1])
def test_schedules_have_names_and_the_papers_numbers(name, number, pattern, method):
    want = pattern.using(method)
    assert named_approximation(f"{method.value}:{name}") == named_approximation(f"{method.value}:{number}") == want


def test_rows_of_different_lengths_come_again_each_by_itself():
    schedule = ApproximationSchedule([["zero", "full"], ["top1", "full", "full"]])
    assert table(schedule, 3, 6) == ["zfzfzf", "tfftff", "zfzfzf"]
    assert schedule.period == 6
    assert schedule == ApproximationSchedule(((ZERO, FULL), (TOP1, FULL, FULL)))
    assert len({schedule, ApproximationSchedule(schedule.rows)}) == 1


@pytest.mark.parametrize("make, message", [
    (lambda: Method("topk"), "method must be one of full, zero, random, top1, not 'topk'"),
    (lambda: named_approximation("top1"), "approximate must be METHOD:SCHEDULE with the schedule every-fourth-layer, "
     "every-other-layer-and-batch, every-fourth-batch, 1, 2 or 3, not 'top1'"),
    (lambda: named_approximation("full:1"), "METHOD:SCHEDULE with the method zero, random or top1, not 'full:1'"),
    (lambda: ApproximationSchedule([["full", None]]), "method must be one of .*, not None"),
    (lambda: EVERY_FOURTH_LAYER.using("half"), "method must be one of .*, not 'half'"),
    (lambda: ApproximationSchedule([]), "rows must have at least one row, not none"),
    (lambda: ApproximationSchedule([[FULL], []]), "rows must have a method in every row, not none in row 1"),
    (lambda: Pattern(), "Pattern must have at least one row, not none"),
    (lambda: Pattern("-x", "-o"), "Pattern must have rows of the signs - and x, not '-o'"),
    (lambda: Pattern(""), "Pattern must have rows of the signs - and x, not ''"),
    (lambda: ApproximationSchedule([[FULL]]).method(-1, 0), "method's layer must be at least 0, not -1"),
    (lambda: ApproximationSchedule([[FULL]]).method(0, -2), "method's batch must be at least 0, not -2"),
    (lambda: ApproximationSchedule(FIGURE_3, repeat_layers=False).method(5, 0), "layer must be below the 5 rows, not 5"),
    (lambda: ApproximationSchedule(FIGURE_3, repeat_layers=False).approximated(4), "as the model's 4 layers .* not 5"),
])
def test_errors_name_the_rule_and_the_value(make, message):
    with pytest.raises(ValueError, match=message):
        make()
