"""Several labels an image: any of K classes."""

from __future__ import annotations

import keras
import numpy as np

from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task


class MultiLabel(Task):
    """Any of K classes: a sigmoid for each, binary cross-entropy, accuracy over all image-class pairs."""

    loss_name = "cross_entropy"
    score = "accuracy"

    def output(self) -> keras.Layer:
        """Return the layer from logits to probabilities, each by itself."""
        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        return [
            keras.metrics.BinaryAccuracy(self.score, threshold=0.0),  # Of logits: a probability of a half.
            keras.metrics.BinaryCrossentropy(self.loss_name, from_logits=True),
        ]

    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return score, by its name, and `loss` of logits `[N, K]`."""
        logits = logits.astype("float64")
        loss = np.logaddexp(0, logits) - logits * targets
        return {self.score: float(((logits >= 0) == (targets == 1)).mean()), "loss": float(loss.mean())}

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
