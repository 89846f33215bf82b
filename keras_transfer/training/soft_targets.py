"""Targets that are no labels: a batch carries both in one table, `[B, 2K]`, the soft targets first.

The loss is that of the soft targets, scores are those of the labels. Where a table holds labels alone, as that of
validation does, `[B, K]`, both are by them.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def with_labels(soft: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return soft targets and labels, each float32 `[N, K]`, in one table, float32 `[N, 2K]`."""
    return np.concatenate([soft, labels], axis=1).astype("float32", copy=False)


class SoftLoss(keras.losses.Loss):
    """A loss of what comes first in a table of targets.

    Args:
        loss: Of targets and logits, both `[B, K]`.
    """

    def __init__(self, loss: keras.losses.Loss) -> None:
        super().__init__(loss.name, loss.reduction)
        self._loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each image, `[B]`."""
        return self._loss.call(y_true[:, : y_pred.shape[-1]], y_pred)


class LabelMetric(keras.metrics.Metric):
    """A metric of what comes last in a table of targets, under its own name.

    Args:
        metric: Of labels and logits, both `[B, K]`.
    """

    def __init__(self, metric: keras.metrics.Metric) -> None:
        super().__init__(name=metric.name)
        self._metric = metric

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        self._metric.update_state(y_true[:, -y_pred.shape[-1] :], y_pred, sample_weight)

    def result(self) -> Any:
        """Return the value over all batches since the last reset."""
        return self._metric.result()

    def reset_state(self) -> None:
        """Forget all batches."""
        self._metric.reset_state()
