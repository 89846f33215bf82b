"""Convolutions as Keras computes them, whose kernels have their gradients in less time on a processor.

TensorFlow (seen: 2.21) gives these gradients to oneDNN, which is slow at two kinds (docs/speed.md): depthwise kernels
of a side of 5 and more in float32, at half the speed of TensorFlow's own operation, and, in bfloat16, kernels on small
feature maps, at half the speed of matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import keras

_SMALL_MAP = 8 * 8  # Positions of a feature map up to which products take less time; with 14 x 14 they gain nothing.
_LARGE = 5  # Side of a depthwise kernel from which oneDNN's gradient takes longer than TensorFlow's own.


def convolution(x: Any, kernel: Any, layer: keras.layers.Conv2D) -> Any:
    """Return a convolution as a layer has its strides, padding, dilation and groups.

    Args:
        x: Feature maps `[N, h, w, C]`.
        kernel: `[k, k, C / groups, K]`, in the dtype of `x`.
        layer: Whose channels are last.
    """
    if not (is_small(x) and layer.groups == 1 and layer.strides == (1, 1) and _is_slow(x, layer, "bfloat16")):
        return layer.convolution_op(x, kernel)
    return _with_gradient(_by_products, "Conv2D", x, kernel, layer)


def depthwise_convolution(x: Any, kernel: Any, layer: keras.layers.DepthwiseConv2D) -> Any:
    """Return a depthwise convolution as a layer has its strides, padding and dilation.

    Args:
        x: Feature maps `[N, h, w, C]`.
        kernel: `[k, k, C, multiplier]`, in the dtype of `x`.
        layer: `DepthwiseConv2D` or `SeparableConv2D`, whose channels are last.
    """
    if max(kernel.shape[:2]) < _LARGE or None in x.shape[1:3] or not _is_slow(x, layer, "float32"):
        return keras.ops.depthwise_conv(x, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)
    return _with_gradient(_by_tensorflow, "DepthwiseConv2dNative", x, kernel, layer)


def is_small(x: Any) -> bool:
    """Return whether feature maps `[N, h, w, C]` are so small that matrix products take less time than convolutions."""
    return None not in x.shape[1:3] and x.shape[1] * x.shape[2] <= _SMALL_MAP


def _is_slow(x: Any, layer: keras.layers.Layer, dtype: str) -> bool:
    """Return whether TensorFlow computes on a processor, in the dtype in which oneDNN's gradient is slow."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    plain = set(layer.dilation_rate) == {1} and layer.padding in ("same", "valid")
    return plain and x.dtype == dtype and not tf.config.get_visible_devices("GPU")


def _with_gradient(of_kernel: Callable[..., Any], operation: str, x: Any, kernel: Any, layer: Any) -> Any:
    """Return what an operation of TensorFlow's computes, the gradient of its kernel by a function."""
    import tensorflow as tf

    options = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            backwards = getattr(tf.raw_ops, f"{operation}BackpropInput")
            of_x = backwards(input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, **options)
            return of_x, of_kernel(x, kernel.shape, upstream, layer.strides, _padding(x, kernel, layer))

        return getattr(tf.raw_ops, operation)(input=x, filter=kernel, **options), gradients

    return convolve(x, kernel)


def _padding(x: Any, kernel: Any, layer: Any) -> list[list[int]]:
    """Return the padding before and after each axis: https://www.tensorflow.org/api_docs/python/tf/nn."""
    numbers = [[0, 0], [0, 0], [0, 0], [0, 0]]
    if layer.padding == "same":
        for axis, stride in enumerate(layer.strides):
            side, length = x.shape[axis + 1], kernel.shape[axis]
            missing = max((-(-side // stride) - 1) * stride + length - side, 0)
            numbers[axis + 1] = [missing // 2, missing - missing // 2]
    return numbers


def _by_tensorflow(x: Any, shape: Any, upstream: Any, strides: tuple[int, int], padding: list[list[int]]) -> Any:
    """Return the gradient of a depthwise kernel. Where padding is given in numbers, TensorFlow leaves it to its own
    operation: oneDNN's has none (`CheckForNodeRewrite` in tensorflow/core/common_runtime/mkl_layout_pass.cc).
    """
    import tensorflow as tf

    return tf.nn.depthwise_conv2d_backprop_filter(x, shape, upstream, [1, *strides, 1], padding)


def _by_products(x: Any, shape: Any, upstream: Any, strides: tuple[int, int], padding: list[list[int]]) -> Any:
    """Return the gradient of a kernel, at each of its places a product of what lies below with the upstream one."""
    import tensorflow as tf

    padded, rows = tf.pad(x, padding), tf.reshape(upstream, (-1, shape[3]))
    # Not by the upstream gradient, whose shape may be unknown while it is traced.
    height, width = (padded.shape[axis + 1] - shape[axis] + 1 for axis in (0, 1))
    below = [padded[:, i : i + height, j : j + width] for i, j in product(range(shape[0]), range(shape[1]))]
    places = [tf.matmul(tf.reshape(part, (-1, shape[2])), rows, transpose_a=True) for part in below]
    return tf.reshape(tf.stack(places), shape)
