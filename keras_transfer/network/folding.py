"""Batch normalisation folded into the convolution before it: the same function in inference, of fewer operations.

Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, section 3.2
(https://arxiv.org/abs/1712.05877). TensorFlow folds constants only, and in a SavedModel, or while they are trained,
weights are variables.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import keras

from keras_transfer.network import kernel_gradients
from keras_transfer.network.graph import call_each, calls, makers, one_or_list
from keras_transfer.network.network import Network
from keras_transfer.network.precision import copied, every_layer

_Pair = tuple[keras.Layer, keras.layers.BatchNormalization]
_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def folded(network: Network) -> Network:
    """Return a network that answers as another does in inference, up to rounding, with its base folded.

    Convolutions whose output is normalised and goes nowhere else are copied; all other layers are shared.
    """
    base = network.base
    pairs = _pairs(base)
    if not pairs:
        return network
    twins = [copied(convolution, convolution.dtype_policy.name, use_bias=True) for convolution, _ in pairs]
    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in base.inputs]
    outputs = _called_folded(base, inputs, pairs, twins)
    for (convolution, normalisation), twin in zip(pairs, twins, strict=True):
        weights = _weights(convolution, *_scaling(normalisation))
        twin.set_weights([keras.ops.convert_to_numpy(weight) for weight in weights])
    return replace(network, base=keras.Model(one_or_list(inputs), outputs, name=base.name))


def call_folded(model: keras.Model, inputs: list[keras.KerasTensor]) -> Any:
    """Return the outputs of a functional model for other inputs, up to rounding, each normalisation that is frozen
    folded into the convolution before it; what is trained are the model's own weights, with the same gradients.
    """
    pairs = [pair for pair in _pairs(model) if not pair[1].trainable]
    return _called_folded(model, inputs, pairs, [FoldedConvolution(*pair) for pair in pairs])


class FoldedConvolution(keras.layers.Layer):
    """A convolution and the frozen normalisation that follows it, computed as one, by weights scaled in each call.

    What is depthwise of it is computed in the dtype of the convolution, all else in its own. What the normalisation
    scales and shifts by is taken once, when the layer is made: computed in each call it was half of the operations of
    a training step.

    Args:
        convolution: A built `Conv2D`, `DepthwiseConv2D` or `SeparableConv2D`, without activation.
        normalisation: A built one, which answers by its moving statistics.
    """

    def __init__(self, convolution: keras.Layer, normalisation: keras.layers.BatchNormalization) -> None:
        # Weights are scaled in float32, whatever the layer then computes in.
        super().__init__(name=convolution.name, autocast=False)
        self.convolution, self.normalisation = convolution, normalisation
        self._scaling = _scaling(normalisation)

    def call(self, inputs: Any) -> Any:
        """Return feature maps `[N, h, w, C]`, normalised, of feature maps."""
        layer, x = self.convolution, inputs
        *kernels, bias = _weights(layer, *self._scaling)
        if not isinstance(layer, keras.layers.Conv2D):
            x, kernel = (keras.ops.cast(tensor, layer.compute_dtype) for tensor in (x, kernels.pop(0)))
            x = kernel_gradients.depthwise_convolution(x, kernel, layer)
        x, bias, *kernels = (keras.ops.cast(tensor, self.compute_dtype) for tensor in (x, bias, *kernels))
        if kernels and _is_product(layer, x):
            return _product(x, kernels[0], bias)
        if isinstance(layer, keras.layers.Conv2D):
            x = kernel_gradients.convolution(x, kernels[0], layer)
        elif kernels:
            x = keras.ops.conv(x, *kernels, data_format=layer.data_format)
        return x + bias


def _is_product(layer: keras.layers.Conv2D | keras.layers.SeparableConv2D, x: Any) -> bool:
    """Return whether the last kernel of a convolution is 1 x 1, and a matrix product takes less time."""
    pointwise = isinstance(layer, keras.layers.SeparableConv2D)
    pointwise = pointwise or (layer.kernel_size == layer.strides == (1, 1) and layer.groups == 1)
    return pointwise and kernel_gradients.is_small(x)


def _product(x: Any, kernel: Any, bias: Any) -> Any:
    """Return feature maps `[N, h, w, C]` times a kernel `[1, 1, C, K]`, plus a bias `[K]`."""
    _, height, width, channels = x.shape
    flat = keras.ops.matmul(keras.ops.reshape(x, (-1, channels)), keras.ops.reshape(kernel, (channels, -1))) + bias
    return keras.ops.reshape(flat, (-1, height, width, bias.shape[0]))


def depthwise_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the layers of a model by whose dtype depthwise convolutions are computed."""
    layers = every_layer(model)
    folds = [layer for layer in layers if isinstance(layer, FoldedConvolution)]
    separable = [fold.convolution for fold in folds if isinstance(fold.convolution, keras.layers.SeparableConv2D)]
    return [*separable, *(layer for layer in layers if isinstance(layer, keras.layers.DepthwiseConv2D))]


def _called_folded(base: keras.Model, inputs: Any, pairs: list[_Pair], folds: list[keras.Layer]) -> Any:
    """Call a model on other inputs, with a layer in the place of each convolution and the normalisation after it."""
    instead = {id(convolution): fold for (convolution, _), fold in zip(pairs, folds, strict=True)}
    left_out = {id(normalisation) for _, normalisation in pairs}

    def call(step: keras.Operation, *args: keras.KerasTensor, **kwargs: object) -> keras.KerasTensor:
        return args[0] if id(step) in left_out else instead.get(id(step), step)(*args, **kwargs)

    return call_each(base, inputs, call)


def _pairs(base: keras.Model) -> list[_Pair]:
    """Return each convolution of a functional model that can be folded, and the normalisation that follows it."""
    steps = calls(base)
    maker = makers(steps)
    times = Counter(id(step.operation) for step in steps)
    uses = Counter(id(tensor) for step in steps for tensor in step.inputs) + Counter(map(id, base.outputs))
    pairs = []
    for step in steps:
        # A subclass may compute anything, and with `training=True` the statistics are those of the batch.
        if type(step.operation) is not keras.layers.BatchNormalization or step.keywords.get("training"):
            continue
        before = maker[id(step.inputs[0])].operation
        if (
            type(before) in _CONVOLUTIONS
            and before.activation is keras.activations.linear
            and before.data_format == "channels_last"
            and step.operation.axis in (-1, 3)
            and uses[id(step.inputs[0])] == times[id(before)] == times[id(step.operation)] == 1
        ):
            pairs.append((before, step.operation))
    return pairs


def _scaling(normalisation: keras.layers.BatchNormalization) -> tuple[Any, Any]:
    """Return what a normalisation in inference multiplies channels by and what it then adds, float32 `[C]` each."""
    scale = keras.ops.rsqrt(normalisation.moving_variance + normalisation.epsilon)
    if normalisation.gamma is not None:
        scale *= normalisation.gamma
    shift = -normalisation.moving_mean * scale
    return scale, shift if normalisation.beta is None else shift + normalisation.beta


def _weights(convolution: keras.Layer, scale: Any, shift: Any) -> list[Any]:
    """Return the weights of the folded convolution, float32: kernels, the last of them scaled, and bias."""
    bias = shift if convolution.bias is None else convolution.bias * scale + shift
    *kernels, last = [variable for variable in convolution.weights if variable is not convolution.bias]
    # Of a depthwise kernel, [h, w, C, multiplier], the last two axes are channels of the output.
    depthwise = isinstance(convolution, keras.layers.DepthwiseConv2D)
    return [*kernels, last * (keras.ops.reshape(scale, last.shape[2:]) if depthwise else scale), bias]
