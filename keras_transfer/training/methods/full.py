"""Everything is trained from the start, head and pretrained base together."""

from __future__ import annotations

from collections.abc import Iterator

from keras_transfer.training import techniques
from keras_transfer.training.methods import shared
from keras_transfer.training.phase import ALL, Phase
from keras_transfer.training.trainer import Trainer

NAME = "full"


def phases(trainer: Trainer) -> Iterator[Phase]:
    """Yield the one phase."""
    recipe = shared.completed(trainer, ALL)
    shared.say_views(trainer, recipe.views)
    yield Phase("full", ALL, shared.fine_tuning(recipe), recipe.views, techniques=techniques.of(recipe))
