"""What changes how a phase is trained, whatever the phase and its method are."""

from __future__ import annotations

import keras


class Technique:
    """A change to training by gradient; each of its parts does nothing unless a technique needs it."""

    def optimizer(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Return the optimizer to train with, which is not built yet."""
        return optimizer

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return what takes part in training; at the end of an epoch, after its best weights were kept."""
        return []
