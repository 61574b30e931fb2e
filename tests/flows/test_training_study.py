import pytest

from adagp_flows import study_report, training_study
from adagp_flows.training_study import METHODS, RECIPES, SCHEDULES, Outcome, Point, Run


def outcome(accuracy, gp=10, notices=()):
    return Outcome(accuracy=accuracy, bp=30, gp=gp, time=36.0, cosine=0.5, notices=list(notices))


def point(method, schedule, *accuracies, **options):
    return Point(recipe="clean", method=method, schedule=schedule, epochs=options.pop("epochs", 4),
                 outcomes=tuple(outcome(accuracy, **options) for accuracy in accuracies))


def test_every_method_meets_every_control():
    chosen = list(training_study.runs(seeds=(0,)))
    assert {run.method for run in chosen} == {None, *METHODS} and {run.recipe for run in chosen} == set(RECIPES)
    for schedule in ("1:1", "2:1", "4:1", "paper"):
        assert {run.method for run in chosen if run.schedule == schedule} == set(METHODS)
    assert len(set(chosen)) == len(chosen)


@pytest.mark.parametrize("method", [None, "paper's predictor", "learned feedback", "feedback with masks", "random"])
def test_a_run_comes_out_the_same_again(method):
    run = Run(recipe="noisy, tuned", method=method, schedule="2:1", seed=1, epochs=2)
    first = training_study.train(run)
    assert first == training_study.train(run)
    assert first.bp + first.gp == 2 * 44 and (first.gp > 0) == (method is not None)
    assert first.time < 88 if method else first.time == 88


def test_the_useless_predictor_is_stopped():
    """Learning has not begun after one epoch: no cosine reaches the bound."""
    result = training_study.train(Run(recipe="clean", method="paper's predictor", schedule="adaptive", seed=0, epochs=2))
    assert result.gp == 0 and "not predicting: the cosine" in result.notices[0]


def test_points_are_grouped_by_all_but_the_seed():
    chosen = [Run(recipe="clean", method=None, schedule="", seed=seed, epochs=1) for seed in (0, 1)]
    result, = training_study.study(chosen)
    assert result.outcomes == tuple(map(training_study.train, chosen))


def test_table_and_picture(tmp_path):
    points = [point(None, "", 60.0, 62.0, epochs=2), point(None, "", 90.0, 92.0), point("learned feedback", "2:1", 88.0, 89.0),
              point("zero", "2:1", 70.0, 71.0), point("skip", "2:1", 60.0, 62.0),
              point("paper's predictor", "adaptive", 90.0, 91.0, gp=0, notices=("epoch 1: not predicting",)),
              point("learned feedback", "adaptive", 88.0, 89.0)]
    text = study_report.table(points, METHODS, SCHEDULES)
    row, = (line for line in text.splitlines() if line.startswith("learned feedback "))
    assert row.split("  ")[-1].strip() == "88.5 ± 0.7, 1.00, 30" and "–" in row
    assert "2:1: learned feedback is +18.0 points from the best control (zero), standard error 0.7; from every control " \
           "at least +24.6 standard errors" in text
    assert "adaptive, paper's predictor: predicts in 0 of 2 runs; epoch 1: not predicting" in text
    assert "adaptive, learned feedback: predicts in 2 of 2 runs" in text
    study_report.picture(points, ["clean"], METHODS, tmp_path / "study.png")
    assert (tmp_path / "study.png").stat().st_size > 10000
