"""The served graph of a version, loaded from its folder and called with bytes and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.decoding import formats
from keras_transfer.support import stopping

Outputs = dict[str, np.ndarray]

# TensorFlow's message quotes the file, and Python cannot always read it.
_UNDECODABLE = (tf.errors.InvalidArgumentError, UnicodeDecodeError)


class LoadedGraph:
    """The signatures of a SavedModel, as `keras_transfer.versions.graph` writes them.

    Args:
        folder: Of the version; whatever TensorFlow's loader raises is raised here.

    Attributes:
        width: Numbers in the output for an image: a probability for each class, or the number of a regression.
    """

    @stopping.deferred()
    def __init__(self, folder: Path) -> None:
        self._module = tf.saved_model.load(str(folder))
        served = self._module.signatures["serving_default"].structured_outputs
        self.width = int(served["probabilities"].shape[1]) if "probabilities" in served else 1

    @property
    def size(self) -> int:
        """Side of the pictures that the signature `images` takes, px."""
        return int(self._module.signatures["images"].structured_input_signature[1]["images"].shape[1])

    def run(self, signature: str, inputs: Sequence[Any]) -> Outputs:
        """Return the outputs of a signature, each with N entries along its first axis.

        Args:
            signature: Its name.
            inputs: N of what it takes: bytes of image files, or float pixels `[H, W, 3]` in 0..255.
        """
        call = self._module.signatures[signature]
        if signature == "images":
            return _arrays(call(images=tf.constant(np.asarray(inputs, "float32"))))
        if "error" not in call.structured_outputs:
            return _run_without_errors(call, inputs)
        try:
            outputs = call(image_bytes=tf.constant(list(inputs), tf.string))
        except _UNDECODABLE:
            if len(inputs) > 1:
                raise
            # A file alone fails as a whole; given twice, it gets the entry that says so.
            outputs = call(image_bytes=tf.constant([*inputs, *inputs], tf.string))
        return {name: values[: len(inputs)] for name, values in _arrays(outputs).items()}


def _arrays(outputs: dict[str, tf.Tensor]) -> Outputs:
    return {name: values.numpy() for name, values in outputs.items()}


def _run_without_errors(call: Any, contents: Sequence[bytes]) -> Outputs:
    """Return the outputs of a signature that has no `error`, as the first graphs of release 0.1.0: with one, and NaN
    and empty labels for files that cannot be decoded, which there fail the whole batch.

    Those graphs let TensorFlow tell the format, which from 2.21 on writes beyond its memory where that is an animated
    WebP.
    """
    if not any(formats.image_format(content) == "WebP" for content in contents):
        try:
            outputs = _arrays(call(image_bytes=tf.constant(list(contents), tf.string)))
            return outputs | {"error": np.full(len(contents), b"", object)}
        except _UNDECODABLE:
            pass
    if len(contents) > 1:
        parts = [_run_without_errors(call, [content]) for content in contents]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    empty = {
        name: np.full((1, *spec.shape[1:]), b"" if spec.dtype == tf.string else np.nan, spec.dtype.as_numpy_dtype)
        for name, spec in call.structured_outputs.items()
    }
    return empty | {"error": np.array([formats.DAMAGED.encode()], object)}
