import numpy as np
import pytest

from keras_transfer.tasks.classification import Classification
from keras_transfer.tasks.multi_label import MultiLabel
from keras_transfer.tasks.regression import Regression


def test_known_answers():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
    scores = Classification().report(probabilities, np.array([0, 1, 1, 1]))
    assert scores["accuracy"] == 0.75
    assert scores["loss"] == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.7]).mean())
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0.8) / 2)
    low, high = scores["accuracy_interval"]
    assert (low, high) == (pytest.approx(0.3006, abs=1e-3), pytest.approx(0.9544, abs=1e-3)), "Wilson's interval"


def test_macro_f1_is_of_the_classes_that_there_are_images_of():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.1, 0.2, 0.7], [0.3, 0.7, 0.0]])
    assert Classification().report(probabilities, np.zeros(4, "int64"))["macro_f1"] == pytest.approx(2 / 3)
    several = np.array([[0.9, 0.1, 0.6], [0.2, 0.8, 0.1]])
    assert MultiLabel().report(several, np.array([[1, 0, 0], [0, 1, 0]], "float32"))["macro_f1"] == 1
    assert MultiLabel().report(several, np.zeros((2, 3), "float32"))["macro_f1"] == 0


def test_top_five_of_six():
    probabilities = np.tile([0.3, 0.2, 0.2, 0.15, 0.1, 0.05], (2, 1))
    assert Classification().report(probabilities, np.array([4, 5]))["top5_accuracy"] == 0.5


def test_one_label_that_images_have_or_not_is_scored_by_those_that_have_it():
    truth = np.array([1] * 8 + [0] * 4, "float32")[:, None]
    outputs = np.array([0.9] * 6 + [0.1] * 2 + [0.8] + [0.2] * 3)[:, None]
    report = MultiLabel().report(outputs, truth)
    assert (report["macro_f1"], report["micro_f1"]) == (pytest.approx(0.8), pytest.approx(0.8))
    assert report["accuracy"] == report["exact_match"] == pytest.approx(9 / 12)
    expected = {"images": 8, "precision": 6 / 7, "recall": 6 / 8, "f1": 0.8}
    assert MultiLabel().per_class(outputs, truth, ["red"])["red"] == pytest.approx(expected)


@pytest.mark.parametrize("unit", [1e-22, 1.0, 1e20])
def test_numbers_of_any_size_are_scored(unit):
    """Their squares leave float32's range."""
    outputs = np.array([[1.0], [2.0], [3.0]], "float32") * np.float32(unit)
    report = Regression().report(outputs, unit * np.array([[1.0], [2.0], [4.0]]))
    assert report["mean_absolute_error"] == pytest.approx(unit / 3, rel=1e-6)
    assert report["root_mean_squared_error"] == pytest.approx(unit / 3**0.5, rel=1e-6)
    assert report["r2"] == pytest.approx(1 - 1 / (14 / 3), rel=1e-6)
