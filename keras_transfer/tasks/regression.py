"""Numbers an image shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.examples import REGRESSION, Examples
from keras_transfer.recipe.options import SOLVERS
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution
from keras_transfer.tasks.task import Task

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Regression(Task):
    """Numbers: squared error on targets standardised by the training split, the coefficient of determination.

    Attributes:
        mean: Of the training targets.
        deviation: Of the training targets; 1 where they are all equal.
    """

    name = REGRESSION
    loss_name = "squared_error"
    score = "r2"
    served = "value"
    has_classes = False
    needs_float32 = True
    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, examples: Examples) -> Regression:
        """Return the task for a data set whose splits are drawn."""
        train = examples.targets()[examples.indices("train")]
        return cls(float(train.mean()), float(train.std()) if np.ptp(train) else 1.0)

    @classmethod
    def solver(cls, method: str) -> str:
        """Return ridge regression, whatever solves logistic ones."""
        return "ridge" if method in SOLVERS else method

    def targets(self, examples: Examples) -> np.ndarray:
        """Return the numbers, standardised, float32 `[N, K]`."""
        return self.as_targets(examples.targets())

    def as_targets(self, outputs: np.ndarray) -> np.ndarray:
        """Return numbers in the user's units, float `[N, K]`, standardised, float32."""
        return ((outputs.astype("float64") - self.mean) / self.deviation).astype("float32")

    def output(self) -> keras.Layer:
        """Return the layer that takes standardised numbers back to the user's units."""
        import keras

        return keras.layers.Rescaling(self.deviation, self.mean, dtype="float32", name="values")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss."""
        import keras

        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""
        import keras

        return [keras.metrics.R2Score(name=self.score), keras.metrics.MeanSquaredError(self.loss_name)]

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return 1: numbers are what they are."""
        return 1.0

    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the loss of each image, float64 `[N]`, by its logits `[N, K]`."""
        return ((logits.astype("float64") - targets) ** 2).mean(1)

    def mean_score(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return the metric `score` of logits `[N, K]`."""
        if not np.ptp(targets):
            return float("nan")  # Undefined.
        return 1 - float(self.losses(logits, targets).mean()) / float(targets.var())

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

    def report(self, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return the metrics of predicted numbers, float `[N, 1]`, in their units. The loss, which is of standardised
        ones, is none of them.
        """
        from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

        return {
            "mean_absolute_error": float(mean_absolute_error(labels, outputs)),
            "root_mean_squared_error": float(mean_squared_error(labels, outputs)) ** 0.5,
            "r2": float(r2_score(labels, outputs)) if np.ptp(labels) else float("nan"),
            "images": len(labels),
        }
