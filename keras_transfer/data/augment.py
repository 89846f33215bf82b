"""Augmentation of training images.

One affine transform of each picture, which resamples it once: Keras's layers would do so for every change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

# A part of the picture, of at least so much of its area and of width to height as much as so unlike its own, fills
# it: as Inception was trained (Szegedy et al. 2015), there from 0.08 on; fine-tuning has seen too few images for that.
_LEAST_AREA = 0.7
_SHAPE = 4 / 3
# Fractions of 255, and of the picture's own contrast.
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

    @property
    def key(self) -> dict[str, Any]:
        """What tells its pictures from others of the same images."""
        amounts = [_LEAST_AREA, _SHAPE, _BRIGHTNESS, _CONTRAST]
        return {"view": self.number, "seed": self.seed, "flip": self.flip, "amounts": amounts}

    def draws(self, digest: bytes) -> np.ndarray:
        """Return the random numbers of an image, float32 `[7]` in -1..1, given the digest of its bytes."""
        generator = np.random.default_rng((self.seed, self.number, int.from_bytes(digest, "big")))
        return generator.uniform(-1, 1, _DRAWS).astype("float32")

    def picture(self, pixels: tf.Tensor, draws: tf.Tensor) -> tf.Tensor:
        """Return a changed picture, uint8 `[H, W, 3]` as it was, given its random numbers, float32 `[7]`."""
        return _changed(pixels[None], draws[None], self.flip)[0]


def change(pixels: tf.Tensor, number: tf.Tensor | int, seed: int, flip: bool) -> tf.Tensor:
    """Return pictures of a part of each, flipped (left to right), brightened and changed in contrast, all at random.

    Args:
        pixels: uint8 `[N, H, W, 3]`.
        number: Of the batch; with the seed, it gives the random numbers.
        seed: Another one changes all batches otherwise.
        flip: Off for pictures that mean something else mirrored, such as digits.
    """
    shape = (tf.shape(pixels)[0], _DRAWS)
    return _changed(pixels, tf.random.stateless_uniform(shape, (seed, tf.cast(number, tf.int64)), -1, 1), flip)


def _changed(pixels: tf.Tensor, draws: tf.Tensor, flip: bool) -> tf.Tensor:
    right, down, smaller, wider, mirror, brighter, sharper = tf.unstack(draws, _DRAWS, axis=1)
    area, shape = 1 - (1 - _LEAST_AREA) * (1 + smaller) / 2, tf.exp(math.log(_SHAPE) * wider)
    width, height = tf.minimum(1.0, tf.sqrt(area * shape)), tf.minimum(1.0, tf.sqrt(area / shape))
    sign = tf.where((mirror < 0) & flip, -1.0, 1.0)
    part = _part(tf.cast(pixels, tf.float32), right, down, width, height, sign)
    contrast = 1 + _CONTRAST * sharper[:, None, None, None]
    mean = tf.reduce_mean(part, (1, 2), keepdims=True)
    changed = part * contrast + (mean * (1 - contrast) + 255 * _BRIGHTNESS * brighter[:, None, None, None])
    return tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)


def _part(
    images: tf.Tensor, right: tf.Tensor, down: tf.Tensor, width: tf.Tensor, height: tf.Tensor, sign: tf.Tensor
) -> tf.Tensor:
    """Return parts of images at the images' size: so wide and high, in fractions, from one edge (-1) to the other (1),
    mirrored where `sign` is -1.
    """
    shape = tf.shape(images)
    y, x = tf.unstack((tf.cast(shape[1:3], tf.float32) - 1) / 2)
    # From a place in the result to one in the picture.
    to_x = x * (1 - width * sign + (1 - width) * right)
    to_y = y * (1 - height + (1 - height) * down)
    nothing = tf.zeros_like(sign)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([width * sign, nothing, to_x, nothing, height, to_y, nothing, nothing], 1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
