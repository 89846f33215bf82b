"""Augmentation of training images.

One affine transform of each picture: Keras's layers would resample it once to shift, once to scale and once to turn
it, which takes three times as long as this and blurs it three times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

# Moderate values that leave what a photo shows recognisable; fractions of the picture, of a turn, and of 255.
_SHIFT = 0.1
_SCALE = 0.15
_TURN = 0.04
_BRIGHTNESS = 0.1
_CONTRAST = 0.15


_DRAWS = 7  # Random numbers a picture.


@dataclass(frozen=True)
class View:
    """A view of images: each is changed at random, by numbers of its own, whatever other images there are.

    Attributes:
        number: Tells it from the other views.
        seed: Another one changes all views otherwise.
        flip: Off for pictures that mean something else mirrored, such as digits.
    """

    number: int
    seed: int
    flip: bool

    def draws(self, digests: Sequence[bytes]) -> np.ndarray:
        """Return the random numbers of images, float32 `[N, 7]` in -1..1, given the digests of their bytes."""
        table = np.empty((len(digests), _DRAWS), "float32")
        for draws, digest in zip(table, digests, strict=True):
            generator = np.random.default_rng((self.seed, self.number, int.from_bytes(digest, "big")))
            draws[:] = generator.uniform(-1, 1, _DRAWS)
        return table

    def picture(self, pixels: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Return a changed picture, uint8 `[H, W, 3]` as it was, given its random numbers, float32 `[7]`."""
        return _changed(pixels[None], draws[None], self.flip)[0]


def change(pixels: tf.Tensor, number: tf.Tensor | int, seed: int, flip: bool) -> tf.Tensor:
    """Return pictures that are flipped (left to right), shifted, scaled, turned, brightened and changed in contrast at
    random.

    Args:
        pixels: uint8 `[N, H, W, 3]`.
        number: Of the batch; with the seed, it gives the random numbers.
        seed: Another one changes all batches otherwise.
        flip: Off for pictures that mean something else mirrored, such as digits.
    """
    shape = (tf.shape(pixels)[0], _DRAWS)
    return _changed(pixels, tf.random.stateless_uniform(shape, (seed, tf.cast(number, tf.int64)), -1, 1), flip)


def _changed(pixels: tf.Tensor, draws: tf.Tensor, flip: bool) -> tf.Tensor:
    right, down, larger, turn, mirror, brighter, sharper = tf.unstack(draws, _DRAWS, axis=1)
    sign = tf.where((mirror < 0) & flip, -1.0, 1.0)
    moved = _affine(tf.cast(pixels, tf.float32), right, down, 1 + _SCALE * larger, turn, sign)
    contrast = 1 + _CONTRAST * sharper[:, None, None, None]
    mean = tf.reduce_mean(moved, (1, 2), keepdims=True)
    changed = moved * contrast + (mean * (1 - contrast) + 255 * _BRIGHTNESS * brighter[:, None, None, None])
    return tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)


def _affine(
    images: tf.Tensor, right: tf.Tensor, down: tf.Tensor, scale: tf.Tensor, turn: tf.Tensor, sign: tf.Tensor
) -> tf.Tensor:
    """Return images turned and scaled about their centres, mirrored where `sign` is -1, and shifted; what comes in
    from beyond an edge is its reflection.
    """
    shape = tf.shape(images)
    height, width = tf.unstack(tf.cast(shape[1:3], tf.float32))
    angle = 2 * math.pi * _TURN * turn
    # From a place in the result to one in the picture.
    xx, xy = scale * tf.cos(angle) * sign, -scale * tf.sin(angle)
    yx, yy = scale * tf.sin(angle) * sign, scale * tf.cos(angle)
    x, y = (width - 1) / 2, (height - 1) / 2
    to_x = x - xx * x - xy * y + _SHIFT * width * right
    to_y = y - yx * x - yy * y + _SHIFT * height * down
    nothing = tf.zeros_like(turn)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, to_x, yx, yy, to_y, nothing, nothing], 1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
