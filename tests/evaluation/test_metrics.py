import numpy as np
import pytest

from keras_transfer.evaluation import metrics


def test_known_answers():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    scores = metrics.classification(probabilities, np.array([0, 1, 1, 1]))
    assert scores["accuracy"] == 0.75
    assert scores["loss"] == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean())
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    low, high = scores["accuracy_interval"]
    assert (low, high) == (pytest.approx(0.3006, abs=1e-3), pytest.approx(0.9544, abs=1e-3)), "Wilson's interval"


def test_macro_f1_is_of_the_classes_that_there_are_images_of():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.2, 0.7], [0.3, 0.7, 0.0]])
    assert metrics.classification(probabilities, np.zeros(4, "int64"))["macro_f1"] == pytest.approx(2 / 3)
    several = np.array([[0.9, 0.1, 0.6], [0.2, 0.8, 0.1]])
    assert metrics.multi_label(several, np.array([[1, 0, 0], [0, 1, 0]], "float32"))["macro_f1"] == 1
    assert metrics.multi_label(several, np.zeros((2, 3), "float32"))["macro_f1"] == 0


def test_calibration_error_by_hand():
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    assert metrics.calibration_error(confidences, correct) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert metrics.calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_top_five_of_six():
    probabilities = np.tile([0.3, 0.2, 0.2, 0.15, 0.1, 0.05], (2, 1))
    assert metrics.classification(probabilities, np.array([4, 5]))["top5_accuracy"] == 0.5
