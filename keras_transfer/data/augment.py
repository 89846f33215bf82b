"""Augmentation of training images, as Keras layers."""

from __future__ import annotations

import keras
import tensorflow as tf

# Moderate values that leave what a photo shows recognisable; fractions of the picture, of a turn, and of 255.
_SHIFT = 0.1
_SCALE = 0.15
_TURN = 0.04
_BRIGHTNESS = 0.1
_CONTRAST = 0.15


def augmenter(seed: int, flip: bool) -> keras.Sequential:
    """Return layers that flip (left to right), shift, scale, rotate, brighten and change the contrast of
    pixels 0..255, float `[N, H, W, 3]`, at random.

    Args:
        seed: Of the random numbers.
        flip: Off for pictures that mean something else mirrored, such as digits.
    """
    layers: list[keras.Layer] = [keras.layers.RandomFlip("horizontal", seed=seed)] if flip else []
    layers += [
        keras.layers.RandomTranslation(_SHIFT, _SHIFT, fill_mode="reflect", seed=seed + 1),
        keras.layers.RandomZoom((-_SCALE, _SCALE), fill_mode="reflect", seed=seed + 2),
        keras.layers.RandomRotation(_TURN, fill_mode="reflect", seed=seed + 3),
        keras.layers.RandomBrightness(_BRIGHTNESS, value_range=(0, 255), seed=seed + 4),
        keras.layers.RandomContrast(_CONTRAST, seed=seed + 5),
    ]
    return keras.Sequential(layers)


def change(layers: keras.Sequential, pixels: tf.Tensor) -> tf.Tensor:
    """Return a batch of uint8 pixels, augmented; to be mapped one batch after the other, for its random numbers to
    repeat.
    """
    changed = layers(tf.cast(pixels, tf.float32), training=True)
    return tf.cast(tf.round(tf.clip_by_value(changed, 0, 255)), tf.uint8)
