"""Batch normalisation folded into the convolution before it: the same function in inference, of fewer operations.

Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, section 3.2
(https://arxiv.org/abs/1712.05877). TensorFlow folds constants only, and in a SavedModel weights are variables.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import keras
import numpy as np

from keras_transfer.network.cut import one_or_list
from keras_transfer.network.graph import call_each, calls, makers
from keras_transfer.network.network import Network
from keras_transfer.network.precision import copied

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def folded(network: Network) -> Network:
    """Return a network that answers as another does in inference, up to rounding, with its base folded.

    Convolutions whose output is normalised and goes nowhere else are copied; all other layers are shared.
    """
    base = network.base
    pairs = _pairs(base)
    if not pairs:
        return network
    twins = {
        id(convolution): copied(convolution, convolution.dtype_policy.name, use_bias=True) for convolution, _ in pairs
    }
    left_out = {id(normalisation) for _, normalisation in pairs}

    def call(step: keras.Operation, *args: keras.KerasTensor, **kwargs: object) -> keras.KerasTensor:
        return args[0] if id(step) in left_out else twins.get(id(step), step)(*args, **kwargs)

    inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in base.inputs]
    outputs = call_each(base, inputs, call)
    for convolution, normalisation in pairs:
        twins[id(convolution)].set_weights(_weights(convolution, normalisation))
    return replace(network, base=keras.Model(one_or_list(inputs), outputs, name=base.name))


def _pairs(base: keras.Model) -> list[tuple[keras.Layer, keras.layers.BatchNormalization]]:
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


def _weights(convolution: keras.Layer, normalisation: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Return the weights of the folded convolution: kernels, the last of them scaled, and bias."""
    mean, variance, gamma, beta, bias = (
        default if variable is None else keras.ops.convert_to_numpy(variable).astype("float64")
        for variable, default in (
            (normalisation.moving_mean, 0.0),
            (normalisation.moving_variance, 1.0),
            (normalisation.gamma, 1.0),
            (normalisation.beta, 0.0),
            (convolution.bias, 0.0),
        )
    )
    scale = gamma / np.sqrt(variance + normalisation.epsilon)
    *kernels, last = convolution.get_weights()[: -1 if convolution.use_bias else None]
    # Of a depthwise kernel, [h, w, C, multiplier], the last two axes are channels of the output.
    channels = last.shape[2:] if isinstance(convolution, keras.layers.DepthwiseConv2D) else scale.shape
    return [*kernels, last * scale.reshape(channels), beta + (bias - mean) * scale]
