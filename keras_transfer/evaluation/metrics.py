"""Metrics of a classifier, from its probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

_CALIBRATION_BINS = 15  # As Guo et al. 2017, https://arxiv.org/abs/1706.04599


def classification(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the `test` block of `metrics.json`.

    Args:
        probabilities: float `[N, K]`, N > 0, rows adding up to 1.
        labels: int `[N]`.
    """
    from scipy.stats import binomtest
    from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

    classes = probabilities.shape[1]
    answers = probabilities.argmax(1)
    correct = int((answers == labels).sum())
    interval = binomtest(correct, len(labels)).proportion_ci(method="wilson")
    top5 = 1.0
    if classes > 5:
        top5 = float(top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(classes)))
    clipped = np.clip(probabilities.astype("float64"), 1e-15, 1)
    return {
        "accuracy": correct / len(labels),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "top5_accuracy": top5,
        "macro_f1": float(f1_score(labels, answers, average="macro", zero_division=0)),
        "loss": float(log_loss(labels, clipped / clipped.sum(1, keepdims=True), labels=np.arange(classes))),
        "expected_calibration_error": calibration_error(probabilities.max(1), answers == labels),
        "images": len(labels),
    }


def calibration_error(confidences: np.ndarray, correct: np.ndarray) -> float:
    """Return the expected calibration error: |accuracy - confidence| over 15 equal bins, weighted by their images.

    Args:
        confidences: float `[N]`, of the answers given.
        correct: bool `[N]`, whether they were right.
    """
    bins = np.minimum((confidences * _CALIBRATION_BINS).astype(int), _CALIBRATION_BINS - 1)
    gaps = [abs(float(correct[bins == k].sum() - confidences[bins == k].sum())) for k in np.unique(bins)]
    return sum(gaps) / len(confidences)
