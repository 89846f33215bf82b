"""What every task can do, whatever a network learns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from keras_transfer.data.examples import Examples
from keras_transfer.tasks import linear
from keras_transfer.tasks.linear import Scaled, Solution

if TYPE_CHECKING:
    import keras

# Of a temperature's logarithm, before any image is looked at, by Cauchy's distribution: half are within so much of 0.
# Of 45 fine-tuned networks half were within 0.2, those of ten digits at -0.8.
_PRIOR_SCALE = 0.25
_MAX_TEMPERATURE = 10.0


class Task(ABC):
    """What a network learns: targets, output, loss, scores, how a linear head for it is solved, and the report of what
    is served.

    Attributes:
        name: As in `Examples.task` and `metrics.json`.
        loss_name: Name of the metric that validation compares networks by: the loss, without label smoothing.
        score: Name of the metric that people look at.
        served: Name of the served output that is compared with labels.
        has_classes: Whether labels are classes, which a prediction names rightly or not; otherwise they are numbers.
        single_label: Whether an image has exactly one class. The rule of fine-tuning, balanced weights and the search
            for wrong labels know such images only.
        needs_float32: Whether training in half precision was measured to cost accuracy.
    """

    name: ClassVar[str]
    loss_name: ClassVar[str]
    score: ClassVar[str]
    served: ClassVar[str] = "probabilities"
    has_classes: ClassVar[bool] = True
    single_label: ClassVar[bool] = False
    needs_float32: ClassVar[bool] = False

    @classmethod
    def of(cls, examples: Examples) -> Task:
        """Return the task for a data set whose splits are drawn."""
        return cls()

    @classmethod
    def solver(cls, method: str) -> str:
        """Return what `solve` solves a head by, where the recipe has this method; what is no solver stays."""
        return method

    def targets(self, examples: Examples) -> np.ndarray:
        """Return what a network learns of labelled images, float32 `[N, K]`."""
        return examples.targets()

    def as_targets(self, outputs: np.ndarray) -> np.ndarray:
        """Return what is served, float `[N, K]`, as a network learns it, float32."""
        return outputs

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
    def losses(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the loss of each image, float64 `[N]`, by its logits `[N, K]`."""

    @abstractmethod
    def mean_score(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return the metric `score` of logits `[N, K]`."""

    def evaluate(self, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Return score, by its name, and mean `loss` of logits `[N, K]`."""
        return {self.score: self.mean_score(logits, targets), "loss": float(self.losses(logits, targets).mean())}

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

    @abstractmethod
    def report(self, outputs: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """Return the metrics of the `test` block of `metrics.json`.

        Args:
            outputs: What is served under the name `served`, float32 `[N, K]`, N > 0.
            labels: As in `Examples`.
        """

    def per_class(self, outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return `per_class` of the `test` block: the scores of each class, by its name; numbers have none.

        Args:
            outputs: As of `report`.
            labels: As of `report`.
            classes: K names.
        """
        return {}

    def class_weights(self, targets: np.ndarray) -> np.ndarray:
        """Return a weight for each image, float32 `[N]`, by which every class weighs the same, 1 on average.

        Args:
            targets: One-hot, float32 `[N, K]`, of the training images of a task of a `single_label`.
        """
        from sklearn.utils.class_weight import compute_sample_weight

        return compute_sample_weight("balanced", targets.argmax(1)).astype("float32")

    @property
    def validation_loss(self) -> str:
        """The loss on validation images, as Keras's logs name it."""
        return f"val_{self.loss_name}"

    def calibrated(self, logits: np.ndarray, targets: np.ndarray) -> tuple[float, dict[str, float]]:
        """Return the best temperature of held-out logits `[N, K]`, and score and loss of the logits divided by it."""
        temperature = self.temperature(logits, targets)
        return temperature, self.evaluate(logits / temperature, targets)

    def temperature(self, logits: np.ndarray, targets: np.ndarray) -> float:
        """Return what logits `[N, K]` are to be divided by for the least loss (Guo et al. 2017,
        https://arxiv.org/abs/1706.04599), with a prior at 1 that a few images hardly move; its tails are heavy, so that
        forty that agree do. Where classes are weighed, images count the same here: a confidence is to be right of
        images as they come.
        """
        from scipy.optimize import minimize_scalar

        def loss(log: float) -> float:
            images = float(self.losses(logits / np.exp(log), targets).sum())
            return images + np.log1p((log / _PRIOR_SCALE) ** 2)

        bound = np.log(_MAX_TEMPERATURE)
        minimum = minimize_scalar(loss, bounds=(-bound, bound), method="bounded")
        return float(np.exp(minimum.x))
