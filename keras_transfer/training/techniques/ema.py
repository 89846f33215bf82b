"""Exponential moving average of the weights over training steps (Polyak and Juditsky 1992)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.technique import Technique


@dataclass(frozen=True)
class MovingAverage(Technique):
    """Keras's own average of the weights; it is what is validated, chosen by validation, and kept.

    Attributes:
        momentum: Share of the average that a step leaves, 0 to 1.
    """

    momentum: float

    def optimizer(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """Return the optimizer with an average of the weights, which Keras puts in their place after training."""
        return type(optimizer).from_config(
            optimizer.get_config() | {"use_ema": True, "ema_momentum": self.momentum, "ema_overwrite_frequency": None}
        )

    def callbacks(self) -> list[keras.callbacks.Callback]:
        """Return what puts the average in place while the network is validated and its best epoch is kept."""
        return [_AverageInPlace()]


class _AverageInPlace(keras.callbacks.Callback):
    """Keras's `SwapEMAWeights` swaps by adding and subtracting, which rounds the weights that training goes on with."""

    def __init__(self) -> None:
        super().__init__()
        self._trained: list[Any] = []

    def on_test_begin(self, logs: Any = None) -> None:
        """Put the average in the place of the weights."""
        weights = self.model.trainable_variables
        self._trained = [keras.ops.convert_to_numpy(weight) for weight in weights]
        self.model.optimizer.finalize_variable_values(weights)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Go on with the weights that are trained."""
        for weight, value in zip(self.model.trainable_variables, self._trained, strict=False):
            weight.assign(value)
        self._trained = []


def of(recipe: Recipe) -> MovingAverage | None:
    """Return the technique if the recipe gives a momentum."""
    return None if recipe.ema == "none" else MovingAverage(float(recipe.ema))
