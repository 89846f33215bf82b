"""Numbers and constants out of the bytes of a file, in plain TensorFlow operations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import tensorflow as tf

CONTENT = tf.TensorSpec((), tf.string)
POSITION = tf.TensorSpec((), tf.int32)


def apart(*arguments: tf.TensorSpec) -> Callable[[Callable[..., Any]], tf.types.experimental.PolymorphicFunction]:
    """Return a decorator for a function that is to be one operation in the graph around it.

    TensorFlow visits the operations of every branch for every picture, and hundreds of them would double the time of
    a JPEG. Of such a function the graph has one copy, however often it is called, and a pass prepares to run it only
    once a picture needs it.
    """
    return partial(tf.function, input_signature=arguments, autograph=False, experimental_attributes={"_noinline": True})


def part(content: tf.Tensor, at: tf.Tensor | int, length: tf.Tensor | int) -> tf.Tensor:
    """Return up to `length` bytes of a scalar string from a position on: none behind its end.

    TensorFlow's own error there quotes the file, in a message that is no text then.
    """
    return tf.strings.substr(content, tf.minimum(at, tf.strings.length(content)), length)


def split_once(content: tf.Tensor, mark: bytes) -> tf.Tensor:
    """Return a scalar string without the first `mark`: what stands before it and, where there is one, behind it."""
    # `tf.strings.split` is forty operations more.
    return tf.raw_ops.StringSplitV2(input=content[None], sep=mark, maxsplit=1).values


def byte(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return the byte at a position of a scalar string, int32."""
    return tf.cast(tf.reshape(tf.io.decode_raw(part(content, at, 1), tf.uint8), ()), tf.int32)


def integer(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return the little-endian signed 32-bit number at a position of a scalar string, int32."""
    return tf.reshape(tf.io.decode_raw(part(content, at, 4), tf.int32), ())


def rest(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    """Return a scalar string from a position on."""
    return part(content, at, tf.strings.length(content))
