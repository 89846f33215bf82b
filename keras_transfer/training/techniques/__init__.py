"""Techniques, one module each, with a function `of` that returns the technique if a recipe asks for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import keras

from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.technique import Technique
from keras_transfer.training.techniques import distillation, ema, l2_sp

_MODULES = (ema, l2_sp, distillation)


def of(recipe: Recipe) -> tuple[Technique, ...]:
    """Return the techniques that a recipe asks for."""
    return tuple(technique for module in _MODULES if (technique := module.of(recipe)) is not None)


@contextmanager
def in_force(techniques: Sequence[Technique], model: keras.Model, network: Network) -> Iterator[None]:
    """Train a model of a network under all techniques."""
    with ExitStack() as stack:
        for technique in techniques:
            stack.enter_context(technique.in_force(model, network))
        yield
