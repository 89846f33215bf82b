import re

import numpy as np
import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.decoding.input_rule import InputRule


def bilinear(picture, height, width):
    """As OpenCV's `INTER_LINEAR`."""

    def along(values, count):
        places = np.clip((np.arange(count) + 0.5) * len(values) / count - 0.5, 0, len(values) - 1)
        before = places.astype(int)
        share = (places - before)[:, None, None]
        return values[before] * (1 - share) + values[np.minimum(before + 1, len(values) - 1)] * share

    return along(along(picture.astype(float), height).swapaxes(0, 1), width).swapaxes(0, 1)


def prepared(picture, fields):
    """A photo as the fields say it becomes a square, where it shrinks, to more than half."""
    size, (height, width) = fields["size"], picture.shape[:2]
    assert max(height, width) < fields["antialias_from"] * size
    if fields["resize"] == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        picture = picture[top : top + side, left : left + side]
    if fields["resize"] != "pad":
        return np.round(bilinear(picture, size, size))
    shrunk = np.round(bilinear(picture, *(round(side * size / max(height, width)) for side in (height, width))))
    square = np.zeros((size, size, 3))
    top, left = ((size - side) // 2 for side in shrunk.shape[:2])
    square[top : top + shrunk.shape[0], left : left + shrunk.shape[1]] = shrunk
    return square


@pytest.mark.parametrize("resize", ["crop", "squash", "pad"])
def test_who_follows_the_fields_gets_the_pixels_of_the_decoder(resize):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), "uint8")
    recipe = kt.Recipe(resize=resize)
    pixels = Decoder.of(recipe, 32).pixels(tf.io.encode_png(picture).numpy())
    assert np.abs(prepared(picture, InputRule.of(recipe, 32).fields()) - pixels).max() <= 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "its largest centred square is resized to 96 x 96 by bilinear interpolation, antialiased only where"),
        ({"resize": "pad"}, "resized to fit into 96 x 96 by bilinear .* rounded to uint8; the rest is black"),
        ({"enlarge": "bicubic"}, "96 x 96 by bicubic interpolation where no side shrinks, otherwise by bilinear"),
    ],
)
def test_the_rule_in_words(options, words):
    assert re.search(words, str(InputRule.of(kt.Recipe(**options), 96)))
