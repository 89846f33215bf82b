"""Numbers an image shows."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.data.examples import Examples
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

    loss_name = "squared_error"
    score = "r2"
    mean: float = 0.0
    deviation: float = 1.0

    def targets(self, examples: Examples) -> np.ndarray:
        """Return the numbers, standardised, float32 `[N, K]`."""
        return (examples.targets() - self.mean) / np.float32(self.deviation)

    def output(self) -> keras.Layer:
        """Return the layer that takes standardised numbers back to the user's units."""
        return keras.layers.Rescaling(self.deviation, self.mean, dtype="float32", name="values")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss."""
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        return [keras.metrics.R2Score(name=self.score), keras.metrics.MeanSquaredError(self.loss_name)]

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return 1: numbers are what they are."""
        return 1.0

    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return score, by its name, and `loss` of logits `[N, K]`."""
        error = float(((logits - targets) ** 2).mean())
        explained = 1 - error / float(targets.var()) if np.ptp(targets) else 0.0  # As Keras has it where all are equal.
        return {self.score: explained, "loss": error}

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
