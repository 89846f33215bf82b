"""What a run trains, on what images, and how it computes, which is the same for all of its phases."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_transfer.compute.device import ComputePlan
from keras_transfer.data.examples import Examples
from keras_transfer.network.network import Network
from keras_transfer.network.weights import PretrainedBase
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from keras_transfer.tasks.task import Task
from keras_transfer.training.teacher import Teacher


@dataclass(frozen=True)
class Setup:
    """A network and a run's images.

    Attributes:
        recipe: Complete but for what a method chooses while it trains.
        pretrained: Base and weights.
        network: Trained in place.
        examples: With splits and digests.
        task: What to learn.
        plan: Precision, XLA, engine.
        progress: Is told of everything.
        teacher: A network that this one also learns from.
    """

    recipe: Recipe
    pretrained: PretrainedBase
    network: Network
    examples: Examples
    task: Task
    plan: ComputePlan
    progress: Progress
    teacher: Teacher | None = None

    @cached_property
    def train(self) -> np.ndarray:
        """Indices of the training images, int64."""
        return self.examples.indices("train")

    @cached_property
    def validation(self) -> np.ndarray:
        """Indices of the validation images, int64."""
        return self.examples.indices("validation")

    @cached_property
    def seen(self) -> np.ndarray:
        """Indices of all images that are not for the test, training images first, int64."""
        return np.concatenate([self.train, self.validation])

    @property
    def flips(self) -> bool:
        """Whether views are mirrored: not where classes are digits or letters, whose mirror image means another."""
        symbols = all(len(name) == 1 or name.isdigit() for name in self.examples.classes)
        return self.recipe.augment == "default" and not symbols

    def digests_of(self, indices: np.ndarray) -> list[bytes]:
        """Return the digests of some images."""
        return [self.examples.digests[index] for index in indices]

    @cached_property
    def _targets(self) -> np.ndarray:
        return self.task.targets(self.examples)

    def targets_of(self, indices: np.ndarray) -> np.ndarray:
        """Return the targets of some images, float32 `[N, K]`."""
        return self._targets[indices]

    def weights_of(self, targets: np.ndarray) -> np.ndarray | None:
        """Return how much images of such targets count, float32 `[N]`; None where all count the same."""
        return self.task.class_weights(targets) if self.recipe.class_weights == "balanced" else None
