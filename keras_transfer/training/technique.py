"""What changes how a phase is trained, whatever the phase and its method are."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_transfer.data.augment import View

if TYPE_CHECKING:
    from keras_transfer.network.network import Network
    from keras_transfer.training.setup import Setup


class Technique:
    """A change to training by gradient; each of its parts does nothing unless a technique needs it."""

    def targets(
        self, targets: Sequence[np.ndarray], setup: Setup, indices: np.ndarray, views: Sequence[View | None]
    ) -> Sequence[np.ndarray]:
        """Return what images are trained towards: soft targets in the place of labels, one table a view.

        Validation, and the score on training images, are by the labels all the same.

        Args:
            targets: What they would be trained towards otherwise, float32 `[N, K]`, for each view.
            setup: The run's images, network and task.
            indices: Of the N images.
            views: Those that are trained on; None is the image itself, also where views are drawn anew each epoch.
        """
        return targets

    def optimizer(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Return the optimizer to train with, which is not built yet."""
        return optimizer

    def in_force(self, model: keras.Model, network: Network) -> AbstractContextManager[None]:
        """Return what lasts while a model is trained, from before its first step.

        Args:
            model: What is trained, with the weights that the phase begins with.
            network: Whose base, or head, it is a part of.
        """
        return nullcontext()

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return what takes part in training; at the end of an epoch, after its best weights were kept."""
        return []
