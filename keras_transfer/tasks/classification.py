"""One label an image: one of K classes."""

from __future__ import annotations

import keras
import numpy as np

from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task


class Classification(Task):
    """One of K classes: softmax, cross-entropy, accuracy."""

    loss_name = "cross_entropy"
    score = "accuracy"

    def output(self) -> keras.Layer:
        """Return the layer from logits `[N, K]` to what is served."""
        return keras.layers.Activation("softmax", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        return [
            keras.metrics.CategoricalAccuracy(self.score),
            keras.metrics.CategoricalCrossentropy(self.loss_name, from_logits=True),
        ]

    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return score, by its name, and `loss` of logits `[N, K]`."""
        from scipy.special import log_softmax

        loss = -(log_softmax(logits.astype("float64"), axis=1) * targets).sum(1).mean()
        return {self.score: float((logits.argmax(1) == targets.argmax(1)).mean()), "loss": float(loss)}

    def solve(
        self,
        embeddings: Scaled,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return the linear head that fits the embeddings of N images best, under a penalty of `1 / strength`."""
        return linear.softmax(embeddings, targets.argmax(1), targets.shape[1], strength, weights, start, tolerance)


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Return a weight for each image, float32 `[N]`, by which every class weighs the same, 1 on average.

    Args:
        targets: One-hot, float32 `[N, K]`, of the training images.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight("balanced", targets.argmax(1)).astype("float32")
