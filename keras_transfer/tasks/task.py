"""What every task can do, whatever a network learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import keras
import numpy as np

from keras_transfer.data.examples import Examples
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution

_PRIOR_DEVIATION = 0.5  # Of a temperature's logarithm, before any image is looked at.
_MAX_TEMPERATURE = 10.0


class Task(ABC):
    """What a network learns: targets, output, loss, scores, and how a linear head for it is solved.

    Attributes:
        loss_name: Name of the metric that validation compares networks by: the loss, without label smoothing.
        score: Name of the metric that people look at.
    """

    loss_name: ClassVar[str]
    score: ClassVar[str]

    def targets(self, examples: Examples) -> np.ndarray:
        """Return what a network learns of labelled images, float32 `[N, K]`."""
        return examples.targets()

    @abstractmethod
    def output(self) -> keras.Layer:
        """Return the layer from logits `[N, K]` to what is served."""

    @abstractmethod
    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""

    @abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the metrics `score` and `loss_name` on logits."""

    @abstractmethod
    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return score, by its name, and `loss` of logits `[N, K]`."""

    @abstractmethod
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

    @property
    def validation_loss(self) -> str:
        """The loss on validation images, as Keras's logs name it."""
        return f"val_{self.loss_name}"

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return what logits `[N, K]` are to be divided by for the least loss (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599), with a prior at 1 that a few images hardly move.
        """
        from scipy.optimize import minimize_scalar

        def loss(log: float) -> float:
            images = len(targets) * self.evaluate(logits / np.exp(log), targets)["loss"]
            return images + 0.5 * (log / _PRIOR_DEVIATION) ** 2

        bound = np.log(_MAX_TEMPERATURE)
        minimum = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
        return float(np.exp(minimum.x))
