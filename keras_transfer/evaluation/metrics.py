"""Measures that the reports of several tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_CALIBRATION_BINS = 15  # As Guo et al. 2017, https://arxiv.org/abs/1706.04599
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
    gaps = [abs(float(correct[bins == k].sum() - confidences[bins == k].sum())) for k in np.unique(bins)]
    return sum(gaps) / len(confidences)


def class_scores(truth: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return by class its `images`, `precision`, `recall` and `f1`.

    What is undefined is None: the recall of a class without images, the precision of one that is never predicted.

    Args:
        truth: The class of each image, int `[N]`, or its classes, bool `[N, K]`.
        predicted: The same by the model.
        classes: K names.
    """
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(truth, predicted, labels=np.arange(len(classes)), zero_division=np.nan)
    return {
        name: {"images": int(images), **{key: _defined(value) for key, value in zip(_SCORES, values, strict=True)}}
        for name, *values, images in zip(classes, *columns, strict=True)
    }


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
