"""One label an image: one of K classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION
from keras_transfer.evaluation.metrics import (
    calibration_error,
    calibration_error_by_chance,
    class_scores,
    share_interval,
)
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task

if TYPE_CHECKING:
    import keras


class Classification(Task):
    """One of K classes: softmax, cross-entropy, accuracy."""

    name = CLASSIFICATION
    loss_name = "cross_entropy"
    score = "accuracy"
    single_label = True

    def output(self) -> keras.Layer:
        """Return the layer from logits `[N, K]` to what is served."""
        import keras

        return keras.layers.Activation("softmax", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        import keras

        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        import keras

        return [
            keras.metrics.CategoricalAccuracy(self.score),
            keras.metrics.CategoricalCrossentropy(self.loss_name, from_logits=True),
        ]

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the loss of each image, float64 `[N]`, by its logits `[N, K]`."""
        from scipy.special import log_softmax

        return -(log_softmax(logits.astype("float64"), axis=1) * targets).sum(1)

    def mean_score(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return the metric `score` of logits `[N, K]`."""
        return float((logits.argmax(1) == targets.argmax(1)).mean())

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

    def report(self, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return the metrics of probabilities, float `[N, K]`, an image's adding up to 1, on labels, int `[N]`."""
        from sklearn.metrics import f1_score, log_loss, top_k_accuracy_score

        classes = outputs.shape[1]
        predicted = outputs.argmax(1)
        correct = int((predicted == labels).sum())
        top5 = 1.0
        if classes > 5:
            top5 = float(top_k_accuracy_score(labels, outputs, k=5, labels=np.arange(classes)))
        clipped = np.clip(outputs.astype("float64"), 1e-15, 1)
        return {
            "accuracy": correct / len(labels),
            "accuracy_interval": share_interval(correct, len(labels)),
            "top5_accuracy": top5,
            # Over the classes that there are images of: of others nothing is measured.
            "macro_f1": float(f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)),
            "loss": float(log_loss(labels, clipped / clipped.sum(1, keepdims=True), labels=np.arange(classes))),
            "expected_calibration_error": calibration_error(outputs.max(1), predicted == labels),
            "calibration_error_by_chance": calibration_error_by_chance(outputs.max(1)),
            "images": len(labels),
            "counts": np.bincount(labels, minlength=classes).tolist(),  # Images of each class.
        }

    def per_class(self, outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return by class its scores; its row of the confusion matrix, `predicted_as`, by class, without what is 0; and
        the class that it is most often taken for, `taken_for`, in `taken_for_images` images.
        """
        from sklearn.metrics import confusion_matrix

        predicted = outputs.argmax(1)
        records = class_scores(labels, predicted, classes)
        matrix = confusion_matrix(labels, predicted, labels=np.arange(len(classes)))
        for own, (record, counts) in enumerate(zip(records.values(), matrix, strict=True)):
            record["predicted_as"] = {name: int(count) for name, count in zip(classes, counts, strict=True) if count}
            counts[own] = 0
            confused = int(counts.argmax())
            record["taken_for"] = classes[confused] if counts[confused] else None
            record["taken_for_images"] = int(counts[confused])
        return records
