from math import isclose, sqrt

import torch

from adagp.training.quality import Measurements, Quality


def test_figures_of_a_small_example():
    quality = Quality.of(torch.tensor([[1.0, 2.0], [0.0, 3.0]]), torch.tensor([[2.0, 2.0], [4.0, 0.0]]))
    assert isclose(quality.mse, (1 + 0 + 16 + 9) / 4)
    assert isclose(quality.mape, 100 * (1 / 2 + 0 + 1) / 3)  # the zero among the true ones is left out
    assert isclose(quality.cosine, 6 / sqrt(14 * 24), rel_tol=1e-6)


def test_prediction_of_zero_has_no_direction():
    assert Quality.of(torch.zeros(3), torch.ones(3)).cosine == 0


def test_truth_of_zero_has_neither_direction_nor_percentage():
    quality = Quality.of(torch.ones(3), torch.zeros(3))
    assert (quality.cosine, quality.mape, quality.mse) == (0, 0, 1)


def test_sums_weigh_by_batches():
    total = Quality(mse=1, mape=2, cosine=0.5, batches=3) + Quality(mse=5, mape=6, cosine=-0.5)
    assert total == Quality(mse=2, mape=3, cosine=0.25, batches=4)


def of(cosine):
    return Quality(mse=1, mape=2, cosine=cosine)


def test_measurements_of_warm_up_do_not_count_for_the_phase():
    measurements = Measurements()
    measurements.add({"a": of(0.5), "b": of(0.1)}, warmup=True)
    assert isclose(measurements.cosine, 0.3) and measurements.of_phase is None
    measurements.add({"a": of(0.6)}, warmup=False)
    measurements.add({}, warmup=False)  # not measured
    measurements.add({"a": of(0.8)}, warmup=False)
    assert isclose(measurements.of_phase, 0.7) and measurements.cosine == 0.8
    assert isclose(measurements.recent["a"], 0.9 * (0.9 * 0.5 + 0.1 * 0.6) + 0.1 * 0.8) and isclose(measurements.recent["b"], 0.1)
    measurements.begin_phase()
    assert measurements.of_phase is None


def test_a_report_is_taken_once():
    measurements = Measurements()
    measurements.add({"a": of(0.5)}, warmup=True)
    other = Measurements()
    other.load_state_dict(measurements.state_dict())
    assert measurements.take_report() == other.take_report() == {"a": of(0.5)}
    assert measurements.take_report() == {}
