"""Techniques, one module each, with a function `of` that returns the technique if a recipe asks for it."""

from __future__ import annotations

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.technique import Technique
from keras_transfer.training.techniques import distillation, ema

_MODULES = (ema, distillation)


def of(recipe: Recipe) -> tuple[Technique, ...]:
    """Return the techniques that a recipe asks for."""
    return tuple(technique for module in _MODULES if (technique := module.of(recipe)) is not None)
