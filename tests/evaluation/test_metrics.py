import numpy as np
import pytest

from keras_transfer.evaluation import metrics


def test_calibration_error_by_hand():
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    assert metrics.calibration_error(confidences, correct) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert metrics.calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_by_chance_a_calibrated_model_shows_the_less_the_more_images_there_are():
    generator = np.random.default_rng(1)
    few, many = generator.uniform(0.5, 1, 100), generator.uniform(0.5, 1, 50_000)
    assert metrics.calibration_error_by_chance(few) == pytest.approx(0.1, abs=0.03)
    assert metrics.calibration_error_by_chance(many) < 0.01
    measured = metrics.calibration_error(few, generator.random(100) < few)
    assert measured < 2 * metrics.calibration_error_by_chance(few)
    assert metrics.calibration_error_by_chance(np.ones(10)) == 0
