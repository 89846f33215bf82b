"""Several labels an image: any of K classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.examples import MULTI_LABEL
from keras_transfer.evaluation.metrics import class_scores, indicators, share_interval
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task

if TYPE_CHECKING:
    import keras


class MultiLabel(Task):
    """Any of K classes: a sigmoid for each, binary cross-entropy, accuracy over all image-class pairs."""

    name = MULTI_LABEL
    loss_name = "cross_entropy"
    score = "accuracy"

    def output(self) -> keras.Layer:
        """Return the layer from logits to probabilities, each by itself."""
        import keras

        return keras.layers.Activation("sigmoid", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        import keras

        return keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        import keras

        return [
            keras.metrics.BinaryAccuracy(self.score, threshold=0.0),  # Of logits: a probability of a half.
            keras.metrics.BinaryCrossentropy(self.loss_name, from_logits=True),
        ]

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the loss of each image, float64 `[N]`, by its logits `[N, K]`."""
        logits = logits.astype("float64")
        return (np.logaddexp(0, logits) - logits * targets).mean(1)

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return the temperature of all labels; each of an image's labels is told apart, so each speaks for itself."""
        return super().temperature(logits.reshape(-1, 1), targets.reshape(-1, 1))

    def mean_score(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return the metric `score` of logits `[N, K]`."""
        return float(((logits >= 0) == (targets == 1)).mean())

    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return mean average precision, score, by its name, and mean `loss` of logits `[N, K]`."""
        return {"mean_average_precision": _mean_precision(targets >= 0.5, logits), **super().evaluate(logits, targets)}

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

    def report(self, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return the metrics of probabilities, float `[N, K]`, each 0..1, on labels, float `[N, K]` of 0 and 1."""
        from sklearn.metrics import f1_score, log_loss

        predicted, truth = outputs >= 0.5, labels >= 0.5
        present = truth.any(0)
        # Of labels that no image has, nothing is measured.
        measured = np.flatnonzero(present) if present.any() else None
        exact = int((predicted == truth).all(1).sum())
        sides = indicators(truth), indicators(predicted)
        return {
            "accuracy": float((predicted == truth).mean()),
            "exact_match": exact / len(labels),
            "exact_match_interval": share_interval(exact, len(labels)),
            "macro_f1": float(f1_score(*sides, labels=measured, average="macro", zero_division=0)),
            "micro_f1": float(f1_score(*sides, average="micro", zero_division=0)),
            "mean_average_precision": _mean_precision(truth, outputs),
            "loss": float(log_loss(truth.reshape(-1), outputs.reshape(-1).astype("float64"), labels=[False, True])),
            "images": len(labels),
        }

    def per_class(self, outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return by class its scores."""
        return class_scores(labels >= 0.5, outputs >= 0.5, classes)


def _mean_precision(truth: np.ndarray, outputs: np.ndarray) -> float:
    """Return the mean average precision over the labels that any image has; NaN where none has one."""
    from sklearn.metrics import average_precision_score

    present = truth.any(0)
    return float(average_precision_score(truth[:, present], outputs[:, present])) if present.any() else float("nan")
