"""Numbers."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task


@dataclass(frozen=True)
class Regression(Task):
    """Numbers: squared error on targets standardised by the training split, the coefficient of determination.

    Attributes:
        mean: Of the training targets.
        deviation: Of the training targets.
    """

    criterion: str = "squared_error"
    score: str = "r2"
    mean: float = 0.0
    deviation: float = 1.0

    def output(self) -> keras.Layer:
        """Return the layer that takes standardised numbers back to the user's units."""
        return keras.layers.Rescaling(self.deviation, self.mean, dtype="float32", name="values")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss."""
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return score and criterion."""
        return [keras.metrics.R2Score(name=self.score), keras.metrics.MeanSquaredError(self.criterion)]

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return 1: numbers are what they are."""
        return 1.0

    def judge(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return the score by its name, and the criterion as `loss`."""
        error = float(((logits - targets) ** 2).mean())
        return {self.score: 1 - error / max(float(targets.var()), 1e-12), "loss": error}

    def solve(
        self,
        embeddings: Scaled,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return a ridge regression, which has a closed form."""
        return linear.ridge(embeddings, targets, strength)
