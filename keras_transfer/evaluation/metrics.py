"""Metrics of a model, from its outputs on labelled images."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, REGRESSION

_CALIBRATION_BINS = 15  # As Guo et al. 2017, https://arxiv.org/abs/1706.04599


def report(task: str, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the `test` block of `metrics.json`.

    Args:
        task: One of `keras_transfer.data.examples.TASKS`.
        outputs: What the model serves, float32 `[N, K]`.
        labels: As in `Examples`.
    """
    reports = {CLASSIFICATION: classification, MULTI_LABEL: multi_label, REGRESSION: regression}
    return reports[task](outputs, labels)


def classification(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the metrics of a classifier.

    Args:
        probabilities: float `[N, K]`, N > 0, those of an image adding up to 1.
        labels: int `[N]`.
    """
    from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

    classes = probabilities.shape[1]
    predicted = probabilities.argmax(1)
    correct = int((predicted == labels).sum())
    top5 = 1.0
    if classes > 5:
        top5 = float(top_k_accuracy_score(labels, probabilities, k=5, labels=np.arange(classes)))
    clipped = np.clip(probabilities.astype("float64"), 1e-15, 1)
    return {
        "accuracy": correct / len(labels),
        "accuracy_interval": share_interval(correct, len(labels)),
        "top5_accuracy": top5,
        # Over the classes that there are images of: of others nothing is measured.
        "macro_f1": float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)),
        "loss": float(log_loss(labels, clipped / clipped.sum(1, keepdims=True), labels=np.arange(classes))),
        "expected_calibration_error": calibration_error(probabilities.max(1), predicted == labels),
        "images": len(labels),
        "counts": np.bincount(labels, minlength=classes).tolist(),  # Images of each class.
    }


def multi_label(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the metrics of a classifier of several labels an image.

    Args:
        probabilities: float `[N, K]`, each 0..1.
        labels: float `[N, K]` of 0 and 1.
    """
    from sklearn.metrics import average_precision_score, f1_score, log_loss

    predicted, truth = probabilities >= 0.5, labels >= 0.5
    present = truth.any(0)
    measured = np.flatnonzero(present) if present.any() else None  # Of labels that no image has, nothing is measured.
    exact = int((predicted == truth).all(1).sum())
    interval = share_interval(exact, len(labels))
    precision = average_precision_score(truth[:, present], probabilities[:, present]) if present.any() else float("nan")
    return {
        "accuracy": float((predicted == truth).mean()),
        "exact_match": exact / len(labels),
        "exact_match_interval": interval,
        "macro_f1": float(f1_score(truth, predicted, labels=measured, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(truth, predicted, average="micro", zero_division=0)),
        "mean_average_precision": float(precision),
        "loss": float(log_loss(truth.reshape(-1), probabilities.reshape(-1).astype("float64"), labels=[False, True])),
        "images": len(labels),
    }


def regression(values: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the metrics of predicted numbers, in their units; `loss` is the mean squared error.

    Args:
        values: float `[N, 1]`.
        labels: float `[N, 1]`.
    """
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    error = float(mean_squared_error(labels, values))
    return {
        "mean_absolute_error": float(mean_absolute_error(labels, values)),
        "root_mean_squared_error": error**0.5,
        "r2": float(r2_score(labels, values)) if len(labels) > 1 else float("nan"),
        "loss": error,
        "images": len(labels),
    }


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
