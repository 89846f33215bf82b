"""Depthwise convolutions whose large kernels have their gradients in half the time on a processor."""

from __future__ import annotations

from typing import Any

import keras

# Side of a kernel from which oneDNN's gradient takes longer than TensorFlow's own (docs/speed.md).
_LARGE = 5


def depthwise_convolution(x: Any, kernel: Any, layer: keras.layers.DepthwiseConv2D) -> Any:
    """Return what `keras.ops.depthwise_conv` does, as a layer has its strides, padding and dilation.

    TensorFlow 2.16 to 2.21 give the gradient of a kernel to oneDNN, which computes it in two to three times the time of
    TensorFlow's own operation where the kernel is larger than 3 x 3. Padding that is given in numbers leaves it to
    TensorFlow, for oneDNN's has none (`CheckForNodeRewrite` in tensorflow/core/common_runtime/mkl_layout_pass.cc).

    Args:
        x: Feature maps `[N, h, w, C]`.
        kernel: `[k, k, C, multiplier]`, in the dtype of `x`.
        layer: `DepthwiseConv2D` or `SeparableConv2D`, whose channels are last.
    """
    if _is_slow(x, kernel, layer):
        return _convolved(x, kernel, layer.strides, layer.padding)
    return keras.ops.depthwise_conv(x, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)


def _is_slow(x: Any, kernel: Any, layer: keras.layers.DepthwiseConv2D) -> bool:
    """Return whether a processor is to compute gradients by TensorFlow that it computes slowly by oneDNN."""
    if keras.backend.backend() != "tensorflow" or keras.backend.is_keras_tensor(x):
        return False
    import tensorflow as tf

    plain = set(layer.dilation_rate) == {1} and layer.padding in ("same", "valid") and None not in x.shape[1:3]
    large = max(kernel.shape[:2]) >= _LARGE and x.dtype == tf.float32
    return plain and large and not tf.config.get_visible_devices("GPU")


def _convolved(x: Any, kernel: Any, strides: tuple[int, int], padding: str) -> Any:
    import tensorflow as tf

    steps, name = (1, *strides, 1), padding.upper()
    numbers = [[0, 0], [0, 0], [0, 0], [0, 0]]
    if padding == "same":  # https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2
        for axis, stride in enumerate(strides):
            side, length = x.shape[axis + 1], kernel.shape[axis]
            missing = max((-(-side // stride) - 1) * stride + length - side, 0)
            numbers[axis + 1] = [missing // 2, missing - missing // 2]

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            of_x = tf.nn.depthwise_conv2d_backprop_input(tf.shape(x), kernel, upstream, steps, name)
            return of_x, tf.nn.depthwise_conv2d_backprop_filter(x, kernel.shape, upstream, steps, numbers)

        return tf.nn.depthwise_conv2d(x, kernel, steps, name), gradients

    return convolve(x, kernel)
