import numpy as np
import pytest

from keras_transfer.evaluation import metrics


def test_calibration_error_by_hand():
    confidences = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    correct = np.array([True, True, True, False, True, False])
    assert metrics.calibration_error(confidences, correct) == pytest.approx((4 * 0.2 + 2 * 0.05) / 6)
    assert metrics.calibration_error(np.ones(3), np.ones(3, bool)) == 0
