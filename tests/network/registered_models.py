"""Models that the tests of registered bases build, with layers of the user's own."""

from contextlib import contextmanager

import keras
from keras import layers

from keras_transfer.network import weights
from keras_transfer.network.bases import REGISTERED

SIZE = 24


@contextmanager
def forgetting():
    """Forget what is registered meanwhile, here and with Keras, as another process does not know of it."""
    registries = REGISTERED, keras.saving.get_custom_objects()
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


def scale_class(factor=0.5, serializable=True):
    """A layer class of the user's own, as a cell of a notebook defines it, anew each time that it is run."""

    class Scaled(layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.normalise = layers.BatchNormalization()

        def build(self, shape):
            self.normalise.build(shape)

    if factor == 0.5:
        Scaled.call = lambda self, x: 0.5 * self.normalise(x)
    else:
        Scaled.call = lambda self, x: 0.25 * self.normalise(x)
    return keras.saving.register_keras_serializable("mine")(Scaled) if serializable else Scaled


def convolutional(size=SIZE, kind=None):
    """A wrapped backbone of three convolutions, without names of their own, and a layer of the user's own."""
    inner_inputs = x = keras.Input((size, size, 3))
    for width in (4, 6, 8):
        x = layers.Conv2D(width, 3, 2, "same", activation="relu", kernel_initializer="he_normal")(x)
    backbone = keras.Model(inner_inputs, x, name="backbone")
    inputs = keras.Input((size, size, 3))
    x = backbone(layers.Rescaling(1 / 127.5, -1)(inputs))
    return keras.Model(inputs, (kind or scale_class())(name="scaled")(x))


def vision_transformer(size):
    inputs = keras.Input((size, size, 3))
    x = layers.Conv2D(16, 8, strides=8, name="patches")(layers.Rescaling(1 / 127.5, -1)(inputs))
    height, width = x.shape[1:3]
    x = layers.Reshape((height * width, 16))(x)
    for number in (1, 2):
        y = layers.LayerNormalization()(x)
        x = layers.Add(name=f"attended{number}")([x, layers.MultiHeadAttention(2, 8)(y, y)])
    return keras.Model(inputs, layers.Reshape((height, width, 16), name="map")(x))


def activated(function):
    """A base whose activation is a function of the user's own."""
    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, layers.Conv2D(4, 3, activation=function, name="conv")(inputs))


def load(name="mine", given="imagenet", size=SIZE, seed=0):
    return weights.load(name, str(given), size, seed)
