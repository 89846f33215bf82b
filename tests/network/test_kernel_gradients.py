import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_transfer.network import kernel_gradients


@pytest.fixture(autouse=True)
def on_a_processor(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind=None: [])


def gradients(convolve, x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        answer = convolve(x, kernel)
        total = tf.reduce_mean(tf.square(tf.cast(answer, "float32")))
    return [answer, *tape.gradient(total, [x, kernel])]


def traced(layer, shapes, dtype, after=lambda answer: answer):
    """Return a function of any number of feature maps and a kernel to answers and gradients, by this module."""
    plain = type(layer) is keras.layers.Conv2D
    convolve = kernel_gradients.convolution if plain else kernel_gradients.depthwise_convolution
    step = tf.function(lambda x, kernel: gradients(lambda x, kernel: after(convolve(x, kernel, layer)), x, kernel))
    maps, kernel = shapes
    return step.get_concrete_function(tf.TensorSpec((None, *maps[1:]), dtype), tf.TensorSpec(kernel, dtype))


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
def test_a_depthwise_convolution_is_that_of_keras(kernel, strides, size, multiplier, padding):
    layer = keras.layers.DepthwiseConv2D(kernel, strides, padding, multiplier)
    shapes = (2, *size, 3), (*kernel, 3, multiplier)
    x, weights = (tf.random.stateless_normal(shape, (0, 0)) for shape in shapes)
    by_keras = gradients(lambda x, kernel: keras.ops.depthwise_conv(x, kernel, strides, padding), x, weights)
    for actual, expected in zip(traced(layer, shapes, "float32")(x, weights), by_keras, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(
    ("kernel", "strides", "size"), [((3, 3), 1, (5, 7)), ((1, 7), 1, (8, 8)), ((3, 3), 2, (8, 8)), ((3, 3), 1, (9, 9))]
)
def test_a_convolution_is_that_of_keras_in_half_precision(kernel, strides, size, padding):
    layer = keras.layers.Conv2D(5, kernel, strides, padding)
    shapes = (2, *size, 4), (*kernel, 4, 5)
    x, weights = (tf.random.stateless_normal(shape, (0, 0)) for shape in shapes)
    exact = gradients(lambda x, kernel: keras.ops.conv(x, kernel, strides, padding), x, weights)
    half = traced(layer, shapes, "bfloat16")(tf.cast(x, "bfloat16"), tf.cast(weights, "bfloat16"))
    for actual, expected in zip(half, exact, strict=True):
        np.testing.assert_allclose(tf.cast(actual, "float32"), expected, atol=0.02 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("kind", "arguments", "kernel", "dtype"),
    [
        (keras.layers.Conv2D, (4, 5), (5, 5, 4, 4), "bfloat16"),
        (keras.layers.DepthwiseConv2D, (5,), (5, 5, 4, 1), "float32"),
    ],
)
def test_what_follows_may_have_any_shape(kind, arguments, kernel, dtype):
    """So that the upstream gradient has none that is known while it is traced."""
    layer, shapes = kind(*arguments, padding="same"), ((2, 8, 8, 4), kernel)
    x, weights = (tf.cast(tf.random.stateless_normal(shape, (0, 0)), dtype) for shape in shapes)
    known = traced(layer, shapes, dtype)(x, weights)
    unknown = traced(layer, shapes, dtype, lambda answer: tf.slice(answer, [0] * 4, tf.shape(answer)))(x, weights)
    for actual, expected in zip(unknown, known, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize(
    ("side", "dtype", "padding"),
    [(5, "float32", b"EXPLICIT"), (3, "float32", b"SAME"), (5, "bfloat16", b"SAME")],
)
def test_large_depthwise_gradients_are_not_left_to_onednn(side, dtype, padding):
    """TensorFlow rewrites an operation for oneDNN unless its padding is given in numbers."""
    layer = keras.layers.DepthwiseConv2D(side, padding="same")
    graph = traced(layer, [(2, 6, 6, 3), (side, side, 3, 1)], dtype).graph
    paddings = {one.type: one.get_attr("padding") for one in graph.get_operations() if "Depthwise" in one.type}
    assert paddings["DepthwiseConv2dNativeBackpropFilter"] == padding
    assert paddings["DepthwiseConv2dNativeBackpropInput"] == b"SAME"


@pytest.mark.parametrize(("size", "dtype", "products"), [(8, "bfloat16", 9), (9, "bfloat16", 0), (8, "float32", 0)])
def test_products_are_of_small_maps_in_half_precision(size, dtype, products):
    layer = keras.layers.Conv2D(5, 3, padding="same")
    graph = traced(layer, [(2, size, size, 4), (3, 3, 4, 5)], dtype).graph
    types = [one.type for one in graph.get_operations()]
    assert types.count("MatMul") == products
    assert types.count("Conv2DBackpropFilter") == (not products)
