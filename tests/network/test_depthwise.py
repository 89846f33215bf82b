import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.network.depthwise import depthwise_convolution


def gradients(convolve, x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        total = tf.reduce_sum(tf.square(convolve(x, kernel)))
    return [total, *tape.gradient(total, [x, kernel])]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "strides", "size", "multiplier"),
    [
        ((5, 5), 1, (6, 9), 1),
        ((5, 5), 2, (8, 7), 1),
        ((7, 7), 2, (9, 8), 2),
        ((3, 5), 1, (6, 6), 1),
        ((3, 3), 2, (5, 5), 1),
    ],
)
def test_answers_and_gradients_are_those_of_keras(kernel, strides, size, multiplier, padding):
    layer = keras.layers.DepthwiseConv2D(kernel, strides, padding, multiplier)
    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(size=(2, *size, 3)), "float32")
    weights = tf.constant(generator.normal(size=(*kernel, 3, multiplier)), "float32")
    by_keras = gradients(lambda x, w: keras.ops.depthwise_conv(x, w, strides, padding), x, weights)
    here = tf.function(lambda x, w: gradients(lambda x, w: depthwise_convolution(x, w, layer), x, w))(x, weights)
    for actual, expected in zip(here, by_keras, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("side", "dtype", "by_numbers"), [(5, "float32", True), (3, "float32", False), (5, "bfloat16", False)]
)
def test_onednn_gets_the_gradients_that_it_is_fast_at(side, dtype, by_numbers):
    """TensorFlow rewrites an operation for oneDNN unless its padding is given in numbers."""
    layer = keras.layers.DepthwiseConv2D(side, padding="same")
    shapes = (2, 6, 6, 3), (side, side, 3, 1)
    step = tf.function(lambda x, w: gradients(lambda x, w: depthwise_convolution(x, w, layer), x, w))
    graph = step.get_concrete_function(*(tf.TensorSpec(shape, dtype) for shape in shapes)).graph
    paddings = {one.type: one.get_attr("padding") for one in graph.get_operations() if "Depthwise" in one.type}
    assert (paddings["DepthwiseConv2dNativeBackpropFilter"] == b"EXPLICIT") == by_numbers
    assert paddings["DepthwiseConv2dNativeBackpropInput"] == b"SAME"
