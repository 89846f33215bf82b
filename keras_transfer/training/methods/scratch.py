"""No transfer: the base's architecture is trained from random weights, to compare with."""

from __future__ import annotations

from collections.abc import Iterator

import keras

from keras_transfer.network.precision import every_layer
from keras_transfer.recipe.options import AUTO
from keras_transfer.training import techniques
from keras_transfer.training.methods import shared
from keras_transfer.training.phase import ALL, Phase
from keras_transfer.training.trainer import Trainer

NAME = "scratch"
_EPOCHS = 30
# Of the moving averages of statistics, at most: that of torch.nn.BatchNorm2d, 1 - 0.1. Those of some bases (MobileNetV2
# 0.999) are for hundreds of thousands of steps: after a few hundred, the averages are still those of no data.
_MOMENTUM = 0.9
_RATE = 3  # Times the learning rate that fine-tunes the base: nothing is to be kept.


def phases(trainer: Trainer) -> Iterator[Phase]:
    """Yield the one phase; BatchNormalization learns its statistics in it, for there are none of the source."""
    given = trainer.recipe
    recipe = shared.completed(trainer, ALL)
    if given.fine_tune_epochs == AUTO:
        recipe = trainer.choose(recipe.replace(fine_tune_epochs=_EPOCHS))
    if given.fine_tune_lr == AUTO:
        recipe = trainer.choose(recipe.replace(fine_tune_lr=_RATE * float(recipe.fine_tune_lr)))
    shared.say_views(trainer, recipe.views)
    for layer in every_layer(trainer.setup.network.base):
        layer.trainable = True
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = min(layer.momentum, _MOMENTUM)
    yield Phase(NAME, ALL, shared.fine_tuning(recipe), recipe.views, techniques=techniques.of(recipe))
