"""The network of a version, as what is converted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from keras_transfer.data.decoding.input_rule import InputRule
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.versions.saved import SavedClassifier

SAMPLES = 64  # Images of the training split that int8 is calibrated on.

Predict = Callable[[np.ndarray], np.ndarray]


def input_rule(classifier: SavedClassifier) -> InputRule:
    """Return how photos become the pixels that the network of a version takes."""
    return InputRule.of(classifier.recipe or Recipe(), classifier.size)


def input_metadata(classifier: SavedClassifier) -> dict[str, str]:
    """Return it as files hold it in their metadata: in words, `input`, and as a JSON object, `preprocessing`."""
    rule = input_rule(classifier)
    return {"input": str(rule), "preprocessing": json.dumps(rule.fields())}


def functional(classifier: SavedClassifier) -> Any:
    """Return the Keras model of a version, built, whose output is named as the SavedModel names it."""
    import keras

    model = classifier.network().classifier()
    model = keras.Model(model.input, {classifier.task.served: model.output})
    model(np.zeros((1, *model.input_shape[1:]), "float32"))  # Keras exports only what has been called.
    return model
