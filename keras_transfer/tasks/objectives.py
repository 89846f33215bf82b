"""What a network learns by task: targets, output, loss, scores, and how a linear head for it is solved."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, Examples
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Solution, Standardised

_LOG_TEMPERATURE, _MOST_TEMPERATURE = 0.5, 10.0  # Deviation of what is believed of its logarithm, and its bound.
_SURE = 0.5  # A class of several is in the answer from this probability on.


@dataclass(frozen=True)
class Classification:
    """One of K classes: softmax, cross-entropy, accuracy.

    Attributes:
        targets: float32 `[N, K]`, of all examples.
        criterion: Name of the metric that validation judges by; it is smaller for better networks.
        score: Name of the metric that people look at.
    """

    targets: np.ndarray
    criterion: str = "cross_entropy"
    score: str = "accuracy"

    @property
    def judged_by(self) -> str:
        """The criterion on validation images, as Keras's logs name it."""
        return f"val_{self.criterion}"

    def output(self) -> keras.Layer:
        """Return the layer from logits `[N, K]` to what is served."""
        return keras.layers.Activation("softmax", dtype="float32", name="probabilities")

    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""
        return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return score and criterion on logits, by these names."""
        return [
            keras.metrics.CategoricalAccuracy(self.score),
            keras.metrics.CategoricalCrossentropy(self.criterion, from_logits=True),
        ]

    def judge(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return the score by its name, and the criterion as `loss`."""
        from scipy.special import log_softmax

        loss = -(log_softmax(logits.astype("float64"), axis=1) * targets).sum(1).mean()
        return {self.score: float((logits.argmax(1) == targets.argmax(1)).mean()), "loss": float(loss)}

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return what logits `[N, K]` are to be divided by for the least loss (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599), with a prior at 1 that a few images hardly move.
        """
        from scipy.optimize import minimize_scalar

        def loss(log: float) -> float:
            images = len(targets) * self.judge(logits / np.exp(log), targets)["loss"]
            return images + 0.5 * (log / _LOG_TEMPERATURE) ** 2

        found = minimize_scalar(loss, bounds=(-np.log(_MOST_TEMPERATURE), np.log(_MOST_TEMPERATURE)), method="bounded")
        return float(np.exp(found.x))

    def solve(
        self,
        embeddings: Standardised,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return the linear head that fits the embeddings of N images best, under a penalty of `1 / strength`."""
        return linear.softmax(embeddings, targets.argmax(1), targets.shape[1], strength, weights, start, tolerance)


@dataclass(frozen=True)
class MultiLabel(Classification):
    """Any of K classes: a sigmoid for each, binary cross-entropy, accuracy over all image-class pairs."""

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
        embeddings: Standardised,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return a head of one logistic regression a class."""
        return linear.sigmoids(embeddings, targets, strength, start, tolerance)


@dataclass(frozen=True)
class Regression(Classification):
    """Numbers: squared error on targets standardised by the training split, the coefficient of determination.

    Attributes:
        targets: Standardised.
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
        embeddings: Standardised,
        targets: np.ndarray,
        strength: float,
        weights: np.ndarray | None = None,
        start: Solution | None = None,
        tolerance: float = linear.EXACT,
    ) -> Solution:
        """Return a ridge regression, which has a closed form."""
        return linear.ridge(embeddings, targets, strength)


Objective = Classification


def of(examples: Examples) -> Objective:
    """Return the objective of a data set whose splits are drawn."""
    targets = examples.targets()
    if examples.task == CLASSIFICATION:
        return Classification(targets)
    if examples.task == MULTI_LABEL:
        return MultiLabel(targets)
    train = targets[examples.rows("train")]
    mean, deviation = float(train.mean()), max(float(train.std()), 1e-12)
    return Regression((targets - mean) / np.float32(deviation), mean=mean, deviation=deviation)


def class_weights(targets: np.ndarray) -> np.ndarray:
    """Return a weight for each image, float32 `[N]`, by which every class weighs the same, 1 on average.

    Args:
        targets: One-hot, float32 `[N, K]`, of the training images.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    return compute_sample_weight("balanced", targets.argmax(1)).astype("float32")
