"""L2-SP: a penalty on the distance from the weights of the source (Li et al. 2018, https://arxiv.org/abs/1802.01483)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras

from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.training.technique import Technique


@dataclass(frozen=True)
class TowardsSource(Technique):
    """Half the squared distance of the base's trained weights from where they began is added to the loss.

    The head has no source: `--l2` is what Li et al. have for it.

    Attributes:
        strength: That the half is multiplied by, positive; alpha in the paper.
    """

    strength: float

    @contextmanager
    def in_force(self, model: keras.Model, network: Network) -> Iterator[None]:
        """Add the penalty of each variable to the losses of a model, which has the source's weights yet."""
        of_base = {id(variable) for variable in network.base.variables}
        variables = [variable for variable in model.trainable_variables if id(variable) in of_base]
        before = [variable.regularizer for variable in variables]
        for variable in variables:
            variable.regularizer = _Distance(self.strength, variable)
        try:
            yield
        finally:
            for variable, regularizer in zip(variables, before, strict=True):
                variable.regularizer = regularizer


class _Distance(keras.Regularizer):
    """Half the squared distance from the values that a variable has now, times a strength."""

    def __init__(self, strength: float, variable: keras.Variable) -> None:
        self._strength, self._source = strength, keras.ops.copy(variable)

    def __call__(self, x: Any) -> Any:
        """Return the penalty, a scalar, of values of the variable's shape."""
        return self._strength / 2 * keras.ops.sum(keras.ops.square(x - self._source))


def of(recipe: Recipe) -> TowardsSource | None:
    """Return the technique if the recipe gives a strength."""
    return TowardsSource(recipe.l2_sp) if recipe.l2_sp else None
