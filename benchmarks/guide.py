"""The loop of https://keras.io/guides/transfer_learning/, for the speed comparison and the study of the recipe."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from benchmarks.loops import fit_twice
from keras_transfer.data import verified
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.examples import Examples
from keras_transfer.network import weights
from keras_transfer.network.bases import Base
from keras_transfer.network.network import preparation
from keras_transfer.recipe.recipe import Recipe

_EPOCHS = 10  # Of each of the two phases.


def model(base: keras.Model, spec: Base, classes: int) -> keras.Model:
    """Return the guide's network of logits, its base frozen and in inference mode."""
    base.trainable = False
    pixels = keras.Input(base.input_shape[1:])
    x = base(preparation(spec.preprocessing, base.input_shape[1:])(pixels), training=False)
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, keras.layers.Dense(classes)(x))


def probabilities(recipe: Recipe, examples: Examples) -> np.ndarray:
    """Fit the head for ten epochs, everything for ten more, and return the probabilities, float32 `[N, K]`, of the test
    images. All images are decoded as this program does it, once, and resized as Keras does it.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = int(recipe.size)
    pretrained = weights.load(recipe.base, recipe.weights, size, recipe.seed)
    whole = model(pretrained.base, pretrained.spec, len(examples.classes))
    decoder = Decoder.of(recipe.replace(enlarge="bilinear"), size)
    train, validation, test = (_pixels(examples, name, decoder) for name in ("train", "validation", "test"))

    def thaw() -> None:
        pretrained.base.trainable = True

    fit_twice(whole, train.shuffle(train.cardinality()).batch(32), validation.batch(32), {"epochs": _EPOCHS}, thaw, 0.0)
    logits = whole.predict(test.batch(32), verbose=0)
    return np.asarray(keras.ops.softmax(logits))


def _pixels(examples: Examples, split: str, decoder: Decoder) -> Any:
    """Return the pixels and labels of a split, in memory."""
    import tensorflow as tf

    chosen = examples.at(examples.indices(split))
    pixels = list(verified.images(chosen.contents, chosen.paths, chosen.digests, decoder, 32))
    return tf.data.Dataset.from_tensor_slices((np.concatenate(pixels), chosen.labels))
