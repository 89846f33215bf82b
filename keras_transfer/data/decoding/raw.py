"""Numbers and constants out of the bytes of a file, in plain TensorFlow operations."""

from __future__ import annotations

from functools import partial

import tensorflow as tf

# Decorates a function of a scalar string that is to be one operation in the graph around it: TensorFlow visits the
# operations of every branch for every picture, and hundreds of them would double the time of a JPEG.
apart = partial(
    tf.function,
    input_signature=[tf.TensorSpec((), tf.string)],
    autograph=False,
    experimental_attributes={"_noinline": True},
)


def part(content: tf.Tensor, at: tf.Tensor | int, length: tf.Tensor | int) -> tf.Tensor:
    """Return up to `length` bytes of a scalar string from a position on: none behind its end.

    TensorFlow's own error there quotes the file, in a message that is no text then.
    """
    return tf.strings.substr(content, tf.minimum(at, tf.strings.length(content)), length)


def byte(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return the byte at a position of a scalar string, int32."""
    return tf.cast(tf.reshape(tf.io.decode_raw(part(content, at, 1), tf.uint8), ()), tf.int32)


def short(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return the little-endian 16-bit number at a position of a scalar string, int32."""
    return tf.cast(tf.reshape(tf.io.decode_raw(part(content, at, 2), tf.uint16), ()), tf.int32)


def integer(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return the little-endian signed 32-bit number at a position of a scalar string, int32."""
    return tf.reshape(tf.io.decode_raw(part(content, at, 4), tf.int32), ())


def rest(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return a scalar string from a position on."""
    return part(content, at, tf.strings.length(content))
