"""BMP files in plain TensorFlow operations.

TensorFlow's own decoder shows palette images as their indices, fails on 1, 4 and 16 bits, and mixes up the channels
of 32 (its documentation asks for 8, 24 or 32 bits without a palette). The layout is that of
https://learn.microsoft.com/windows/win32/gdi/bitmap-storage; run-length compression is refused.
"""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.data.decoding.memory import on_white
from keras_transfer.data.decoding.raw import CONTENT, apart, part

_WORDS = 17  # Of 32 bits, from byte 2 on: all fields that are read.
_CORE = 12  # Size of the oldest header, whose fields are narrower.
_HEADERS = (_CORE, 40, 52, 56, 64, 108, 124)
_MASKS_555, _MASKS_565 = (0x7C00, 0x03E0, 0x001F), (0xF800, 0x07E0, 0x001F)
_MASKS_888 = (0x00FF0000, 0x0000FF00, 0x000000FF)
_BYTE_MASKS = (0x000000FF, 0x0000FF00, 0x00FF0000, -0x01000000)


@apart(CONTENT)
def size(content: tf.Tensor) -> tf.Tensor:
    """Return height (negative if the rows run downwards) and width, int32 `[2]`, from a scalar string."""
    return tf.stack(_sides(_words(content)))


@apart(CONTENT)
def decode(content: tf.Tensor) -> tf.Tensor:
    """Return uint8 `[H, W, 3]` from the bytes (a scalar string) of a BMP file, transparent parts on white."""
    words = _words(content)
    offset, header = words[2], words[3]
    core = tf.equal(header, _CORE)
    height, width = _sides(words)
    bits = _upper(tf.where(core, words[5], words[6]))
    packing = tf.where(core, 0, words[7])
    rows = tf.abs(height)
    stride = (width * bits + 31) // 32 * 4
    masked = tf.equal(packing, 3)
    needed = tf.where(masked, tf.where((header >= 56) & tf.equal(bits, 32), 70, 66), tf.where(bits <= 8, 50, 34))
    supported = _demand(
        _among(header, _HEADERS) & _among(bits, (1, 4, 8, 16, 24, 32)) & (width > 0) & (rows > 0),
        tf.equal(packing, 0) | (masked & _among(bits, (16, 32))),
        tf.strings.length(content) >= tf.where(core, 26, needed),
    )
    with tf.control_dependencies([supported]):
        data = tf.io.decode_raw(part(content, offset, stride * rows), tf.uint8)
    with tf.control_dependencies([_demand(tf.equal(tf.size(data), stride * rows))]):
        data = tf.reshape(data, (rows, stride))
    masks = tf.stack(words[13:16])
    image = tf.switch_case(
        tf.maximum(bits // 8 - 1, 0),
        [
            lambda: _indexed(content, data, bits, width, words),
            lambda: _packed(data, width, tf.where(masked, masks, _MASKS_555)),
            lambda: tf.reshape(data[:, : width * 3], (rows, width, 3))[..., ::-1],
            lambda: _four_bytes(tf.reshape(data, (rows, width, 4)), masked, masks, words),
        ],
    )
    return image[:: tf.where(height > 0, -1, 1)]


def _words(content: tf.Tensor) -> list[tf.Tensor]:
    """Return the header from byte 2 on, where its fields are aligned, as scalar little-endian 32-bit numbers: zeros
    behind the end of the file.
    """
    end = 2 + 4 * _WORDS
    head = tf.strings.substr(tf.strings.join([tf.strings.substr(content, 0, end), bytes(end)]), 2, end - 2)
    return tf.unstack(tf.reshape(tf.io.decode_raw(head, tf.int32), (_WORDS,)))


def _sides(words: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    core, both = tf.equal(words[3], _CORE), words[4]
    return tf.where(core, _upper(both), words[5]), tf.where(core, tf.bitwise.bitwise_and(both, 0xFFFF), both)


def _upper(word: tf.Tensor) -> tf.Tensor:
    """Return the upper 16 bits."""
    return tf.bitwise.bitwise_and(tf.bitwise.right_shift(word, 16), 0xFFFF)


def _indexed(
    content: tf.Tensor, data: tf.Tensor, bits: tf.Tensor, width: tf.Tensor, words: list[tf.Tensor]
) -> tf.Tensor:
    offset, header = words[2], words[3]
    core = tf.equal(header, _CORE)
    entry = tf.where(core, 3, 4)
    used = tf.where(core, 0, words[11])
    _demand((used >= 0) & (used <= 256))
    stored = (offset - 14 - header) // entry
    count = tf.clip_by_value(stored, 0, tf.bitwise.left_shift(1, bits))
    colours = tf.io.decode_raw(part(content, 14 + header, count * entry), tf.uint8)
    palette = tf.reshape(colours, (count, entry))[:, 2::-1]
    palette = tf.pad(palette, ((0, 256 - count), (0, 0)))
    places = 8 // bits
    shifts = tf.cast(tf.range(places - 1, -1, -1) * bits, tf.uint8)
    mask = tf.cast(tf.bitwise.left_shift(1, bits) - 1, tf.uint8)
    indices = tf.bitwise.bitwise_and(tf.bitwise.right_shift(data[..., None], shifts), mask)
    indices = tf.reshape(indices, (tf.shape(data)[0], -1))[:, :width]
    return tf.gather(palette, tf.cast(indices, tf.int32))


def _packed(data: tf.Tensor, width: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """16 bits a pixel: five for each channel, or six for green."""
    _demand(tf.reduce_all(tf.equal(masks, _MASKS_555)) | tf.reduce_all(tf.equal(masks, _MASKS_565)))
    pairs = tf.cast(tf.reshape(data, (tf.shape(data)[0], -1, 2))[:, :width], tf.int32)
    values = pairs[..., 0] + 256 * pairs[..., 1]
    unit = tf.constant([0x400, 0x20, 1]) * tf.where(tf.equal(masks[0], _MASKS_565[0]), [2, 1, 1], [1, 1, 1])
    levels = tf.bitwise.bitwise_and(values[..., None], masks) // unit
    return tf.cast(levels * 255 // (masks // unit), tf.uint8)


def _four_bytes(data: tf.Tensor, masked: tf.Tensor, masks: tf.Tensor, words: list[tf.Tensor]) -> tf.Tensor:
    matches = tf.equal(tf.where(masked, masks, _MASKS_888)[:, None], _BYTE_MASKS)
    with tf.control_dependencies([_demand(tf.reduce_all(tf.reduce_any(matches, 1)))]):
        image = tf.gather(data, tf.argmax(tf.cast(matches, tf.int32), axis=1), axis=2)
    alpha = masked & (words[3] >= 56) & tf.equal(words[16], _BYTE_MASKS)
    channel = tf.reduce_sum(tf.where(alpha, data, 0), axis=-1, keepdims=True)
    return tf.cond(tf.reduce_any(alpha), lambda: on_white(tf.concat([image, channel], -1)), lambda: image)


def _among(value: tf.Tensor, allowed: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, allowed))


def _demand(*conditions: tf.Tensor) -> tf.Operation:
    message = "BMP: damaged, or of a kind that is not supported"
    return tf.debugging.Assert(tf.reduce_all(tf.stack(conditions)), [message])
