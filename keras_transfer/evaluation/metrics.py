"""Measures that the reports of several tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_CALIBRATION_BINS = 15  # As Guo et al. 2017, https://arxiv.org/abs/1706.04599
_DRAWS = 200  # Of a mean that is then sure to some hundredths of itself.
_SCORES = ("precision", "recall", "f1")


def share_interval(successes: int, trials: int) -> list[float]:
    """Return the 95% Wilson interval of a share."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(method="wilson")
    return [float(interval.low), float(interval.high)]


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error: |accuracy - confidence| over 15 equal bins, weighted by their images.

    Args:
        confidences: float `[N]`, of the predicted classes.
        correct: bool `[N]`, whether they were right.
    """
    bins = np.minimum((confidences * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, correct - confidences)).sum() / len(confidences))


def calibration_error_by_chance(confidences: np.ndarray) -> float:
    """Return the mean `calibration_error` of perfectly calibrated models of these confidences, float `[N]`: on few
    images it is far from 0 (Roelofs et al. 2022, https://arxiv.org/abs/2012.08668).
    """
    generator = np.random.default_rng(0)
    drawn = (generator.random(len(confidences)) < confidences for _ in range(_DRAWS))
    return float(np.mean([calibration_error(confidences, correct) for correct in drawn]))


def class_scores(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return by class its `images`, `precision`, `recall` and `f1`.

    What is undefined is None: the recall of a class without images, the precision of one that is never predicted.

    Args:
        truth: The class of each image, int `[N]`, or its classes, bool `[N, K]`.
        predicted: The same by the model.
        classes: K names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    if truth.ndim == 2:
        truth, predicted = indicators(truth), indicators(predicted)
    columns = precision_recall_fscore_support(truth, predicted, labels=np.arange(len(classes)), zero_division=np.nan)
    return {
        name: {"images": int(images), **{key: _defined(value) for key, value in zip(_SCORES, values, strict=True)}}
        for name, *values, images in zip(classes, *columns, strict=True)
    }


def indicators(classes: np.ndarray) -> np.ndarray:
    """Return the classes of each image, bool `[N, K]`, as scikit-learn takes them: in one column it sees two classes,
    none and this one, and scores the first; so with a second column, of a class that no image has.
    """
    return np.pad(classes, ((0, 0), (0, classes.shape[1] == 1)))


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
