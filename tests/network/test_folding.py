from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers

from keras_transfer.network.folding import folded
from tests.network.conftest import network, pixels


def with_statistics(model):
    """A copy of a model whose normalisations do something, as after training."""
    twin = keras.models.clone_model(model)
    generator = np.random.default_rng(0)
    twin.set_weights(model.get_weights())
    for layer in twin.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return twin


def normalisations(model):
    return sum(isinstance(layer, layers.BatchNormalization) for layer in model.layers)


@pytest.mark.parametrize(
    ("name", "left"),
    # Those that come before their convolution stay.
    [("mobilenetv2", 0), ("xception", 0), ("resnet50v2", 17)],
)
def test_a_folded_network_answers_the_same(name, left):
    _, whole = network(name)
    whole = replace(whole, base=with_statistics(whole.base))
    before = [np.copy(weight) for weight in whole.base.get_weights()]
    images = pixels(whole.size)
    expected = np.asarray(whole.embedder()(images, training=False))
    smaller = folded(whole)
    answers = np.asarray(smaller.embedder()(images, training=False))
    np.testing.assert_allclose(answers, expected, atol=1e-5 * np.abs(expected).max())
    assert normalisations(smaller.base) == left
    for weight, kept in zip(whole.base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D(6, 3, groups=3),
        layers.Conv2D(6, 3, use_bias=False),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.SeparableConv2D(4, 3, depth_multiplier=2),
    ],
    ids=["grouped", "without bias", "depthwise", "separable"],
)
@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}], ids=["", "plain"])
def test_every_kind_of_convolution_is_folded(convolution, options):
    assert_answers_the_same(lambda x: layers.BatchNormalization(**options)(twin(convolution)(x)), left=0)


def test_what_is_used_elsewhere_stays():
    def read_twice(x):
        x = layers.Conv2D(3, 1)(x)
        return layers.BatchNormalization()(x) + x

    def called_twice(x):
        convolution, normalise = layers.Conv2D(3, 1), layers.BatchNormalization()
        return convolution(normalise(convolution(x)))

    for graph in (read_twice, called_twice):
        assert_answers_the_same(graph, left=1)


def test_what_computes_otherwise_stays():
    class Own(layers.BatchNormalization):
        def call(self, inputs, training=None, mask=None):
            return 2 * super().call(inputs, training=training)

    graphs = (
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1, activation="tanh")(x)),
        lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1)(x), training=True),
        lambda x: layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(x)),
        lambda x: Own()(layers.Conv2D(4, 1)(x)),
        lambda x: layers.BatchNormalization()(x),
    )
    for graph in graphs:
        assert_answers_the_same(graph, left=1)


def twin(layer):
    return type(layer).from_config(layer.get_config())


def assert_answers_the_same(graph, left):
    _, whole = network("mobilenet", 32)
    inputs = keras.Input((8, 8, 3))
    base = keras.Model(inputs, graph(inputs))
    generator = np.random.default_rng(0)
    base.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in base.weights])
    smaller = folded(replace(whole, base=base)).base
    images = generator.normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(smaller(images), base(images), rtol=1e-5, atol=1e-5)
    assert normalisations(smaller) == left
