"""Any of K classes."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task

_SURE = 0.5  # A class is in the answer from this probability on.


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any of K classes: a sigmoid for each, binary cross-entropy, accuracy over all image-class pairs."""

    criterion: str = "cross_entropy"
    score: str = "accuracy"

    def output(self) -> keras.Layer:
        """Return the layer from logits to probabilities, each by itself."""
        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return score and criterion on logits."""
        return [
            keras.metrics.BinaryAccuracy(self.score, threshold=0.0),  # Of logits: a probability of a half.
            keras.metrics.BinaryCrossentropy(self.criterion, from_logits=True),
        ]

    def judge(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return the score by its name, and the criterion as `loss`."""
        exact = logits.astype("float64")
        loss = np.logaddexp(0, exact) - exact * targets
        return {self.score: float(((logits >= 0) == (targets >= _SURE)).mean()), "loss": float(loss.mean())}

    def solve(
        self,
        embeddings: Scaled,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return a head of one logistic regression a class."""
        return linear.sigmoids(embeddings, targets, strength, start, tolerance)
