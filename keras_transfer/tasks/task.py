"""What every task can do, whatever is learnt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import keras
import numpy as np

from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution

_LOG_TEMPERATURE, _MOST_TEMPERATURE = 0.5, 10.0  # Deviation of what is believed of its logarithm, and its bound.


@dataclass(frozen=True)
class Task(ABC):
    """What a network learns: targets, output, loss, scores, and how a linear head for it is solved.

    Attributes:
        targets: float32 `[N, K]`, of all examples.
        criterion: Name of the metric that validation judges by; it is smaller for better networks.
        score: Name of the metric that people look at.
    """

    targets: np.ndarray
    criterion: str
    score: str

    @abstractmethod
    def output(self) -> keras.Layer:
        """Return the layer from logits `[N, K]` to what is served."""

    @abstractmethod
    def loss(self, label_smoothing: float) -> keras.losses.Loss:
        """Return the loss on logits."""

    @abstractmethod
    def metrics(self) -> list[keras.metrics.Metric]:
        """Return score and criterion on logits, by these names."""

    @abstractmethod
    def judge(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return the score by its name, and the criterion as `loss`."""

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
    def judged_by(self) -> str:
        """The criterion on validation images, as Keras's logs name it."""
        return f"val_{self.criterion}"

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return what logits `[N, K]` are to be divided by for the least loss (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599), with a prior at 1 that a few images hardly move.
        """
        from scipy.optimize import minimize_scalar

        def loss(log: float) -> float:
            images = len(targets) * self.judge(logits / np.exp(log), targets)["loss"]
            return images + 0.5 * (log / _LOG_TEMPERATURE) ** 2

        minimum = minimize_scalar(
            loss, bounds=(-np.log(_MOST_TEMPERATURE), np.log(_MOST_TEMPERATURE)), method="bounded"
        )
        return float(np.exp(minimum.x))
