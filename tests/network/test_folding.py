from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_transfer.network.folding import FoldedConvolution, call_folded, depthwise_layers, folded
from keras_transfer.network.network import freeze_statistics
from keras_transfer.network.precision import computing_in
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


each_kind = pytest.mark.parametrize(
    "convolution",
    [
        layers.Conv2D(6, 3, groups=3, strides=2),
        layers.Conv2D(6, 3, use_bias=False),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        layers.SeparableConv2D(4, 3, depth_multiplier=2),
        layers.DepthwiseConv2D(5, strides=2, padding="same"),
        layers.SeparableConv2D(4, 5, padding="same"),
        layers.Conv2D(6, 1),
        layers.Conv2D(6, 1, strides=2),
        layers.Conv2D(6, 1, groups=3),
    ],
    ids=[
        "grouped",
        "without bias",
        "depthwise",
        "separable",
        "depthwise, large",
        "separable, large",
        "1 x 1",
        "1 x 1, strided",
        "1 x 1, grouped",
    ],
)
each_normalisation = pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}], ids=["", "plain"])


@each_kind
@each_normalisation
def test_every_kind_of_convolution_is_folded(convolution, options):
    assert_answers_the_same(lambda x: layers.BatchNormalization(**options)(twin(convolution)(x)), left=0)


@each_kind
@each_normalisation
def test_what_is_trained_folded_has_the_gradients_of_what_is_not(convolution, options):
    base = random_base(lambda x: layers.ReLU()(layers.BatchNormalization(**options)(twin(convolution)(x))))
    freeze_statistics(base)
    smaller = refolded(base)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in smaller.layers)
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    (outputs, gradients), (expected_outputs, expected) = (
        trained(model, images, base.trainable_variables) for model in (smaller, base)
    )
    np.testing.assert_allclose(outputs, expected_outputs, rtol=1e-4, atol=1e-4)
    assert {id(variable) for variable in smaller.trainable_variables} == set(map(id, base.trainable_variables))
    for actual, right in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(actual, right, rtol=1e-4, atol=1e-4 * np.abs(right).max())


def test_small_feature_maps_are_multiplied_as_matrices():
    """By 1 x 1 kernels; large maps are convolved, which takes less time."""
    base = random_base(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1)(x)))
    freeze_statistics(base)
    (fold,) = (layer for layer in refolded(base).layers if isinstance(layer, FoldedConvolution))
    for side, operation in ((8, "MatMul"), (9, "Conv2D")):
        function = tf.function(fold).get_concrete_function(tf.TensorSpec((None, side, side, 3)))
        assert {step.type for step in function.graph.get_operations()} & {"MatMul", "Conv2D"} == {operation}


def test_a_normalisation_that_is_trained_is_not_folded_into_what_is():
    """It answers by the statistics of a batch."""
    base = random_base(lambda x: layers.BatchNormalization()(layers.Conv2D(4, 1)(x)))
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(refolded(base)(images, training=True), base(images, training=True))


def test_a_fold_convolves_channel_by_channel_in_float32_where_it_is_to():
    base = random_base(lambda x: layers.BatchNormalization()(layers.SeparableConv2D(4, 3)(x)))
    freeze_statistics(base)
    smaller, images = refolded(base), np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    errors = []
    for kept in ([], depthwise_layers(smaller)):
        with computing_in("mixed_bfloat16", smaller, keep_float32=kept):
            outputs = smaller(images)
        assert outputs.dtype == "bfloat16"
        errors.append(np.abs(np.asarray(keras.ops.cast(outputs, "float32")) - base(images)).mean())
    assert 0 < errors[1] < 0.9 * errors[0]


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


def random_base(graph):
    """A model of 8x8 pixels, its normalisations as after training."""
    inputs = keras.Input((8, 8, 3))
    base = keras.Model(inputs, graph(inputs))
    generator = np.random.default_rng(0)
    base.set_weights([generator.uniform(0.5, 1.5, weight.shape) for weight in base.weights])
    return base


def refolded(base):
    """The model as it is trained."""
    inputs = keras.Input(base.input_shape[1:])
    return keras.Model(inputs, call_folded(base, [inputs]))


def trained(model, images, variables):
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        loss = tf.reduce_mean(tf.square(outputs - 20))
    return outputs, tape.gradient(loss, [variable.value for variable in variables])


def assert_answers_the_same(graph, left):
    _, whole = network("mobilenet", 32)
    base = random_base(graph)
    smaller = folded(replace(whole, base=base)).base
    images = np.random.default_rng(1).normal(size=(2, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(smaller(images), base(images), rtol=1e-5, atol=1e-5)
    assert normalisations(smaller) == left
