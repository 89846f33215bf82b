"""BMP files in plain TensorFlow operations.

TensorFlow's own decoder shows palette images as their indices, fails on 1, 4 and 16 bits, and mixes up the channels
of 32 (its documentation asks for 8, 24 or 32 bits without a palette). The layout is that of
https://learn.microsoft.com/windows/win32/gdi/bitmap-storage; run-length compression is refused.
"""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.data.decoding.memory import on_white
from keras_transfer.data.decoding.raw import integer, part, short

_CORE = 12  # Size of the oldest header, whose fields are narrower.
_HEADERS = (_CORE, 40, 52, 56, 64, 108, 124)
_MASKS_555, _MASKS_565 = (0x7C00, 0x03E0, 0x001F), (0xF800, 0x07E0, 0x001F)
_BYTE_MASKS = (0x000000FF, 0x0000FF00, 0x00FF0000, -0x01000000)


def size(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return height (negative if the rows run downwards) and width, int32, from a scalar string."""
    core = tf.equal(integer(content, 14), _CORE)
    height = tf.cond(core, lambda: short(content, 20), lambda: integer(content, 22))
    return height, tf.cond(core, lambda: short(content, 18), lambda: integer(content, 18))


def decode(content: tf.Tensor) -> tf.Tensor:
    """Return uint8 `[H, W, 3]` from the bytes (a scalar string) of a BMP file, transparent parts on white."""
    header = integer(content, 14)
    core = tf.equal(header, _CORE)
    height, width = size(content)
    bits = tf.cond(core, lambda: short(content, 24), lambda: short(content, 28))
    packing = tf.cond(core, lambda: 0, lambda: integer(content, 30))
    rows = tf.abs(height)
    stride = (width * bits + 31) // 32 * 4
    _demand(_among(header, _HEADERS) & _among(bits, (1, 4, 8, 16, 24, 32)) & (width > 0) & (rows > 0))
    _demand(tf.equal(packing, 0) | (tf.equal(packing, 3) & _among(bits, (16, 32))))
    data = tf.io.decode_raw(part(content, integer(content, 10), stride * rows), tf.uint8)
    _demand(tf.equal(tf.size(data), stride * rows))
    data = tf.reshape(data, (rows, stride))
    image = tf.switch_case(
        tf.where(bits <= 8, 0, tf.where(bits < 24, 1, bits // 8 - 1)),
        [
            lambda: _indexed(content, data, bits, width, header),
            lambda: _packed(content, data, width, packing),
            lambda: tf.reshape(data[:, : width * 3], (rows, width, 3))[..., ::-1],
            lambda: _four_bytes(content, tf.reshape(data, (rows, width, 4)), packing, header),
        ],
    )
    return tf.cond(height > 0, lambda: image[::-1], lambda: image)


def _indexed(content: tf.Tensor, data: tf.Tensor, bits: tf.Tensor, width: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    core = tf.equal(header, _CORE)
    entry = tf.where(core, 3, 4)
    used = tf.cond(core, lambda: 0, lambda: integer(content, 46))
    _demand((used >= 0) & (used <= 256))
    stored = (integer(content, 10) - 14 - header) // entry
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


def _packed(content: tf.Tensor, data: tf.Tensor, width: tf.Tensor, packing: tf.Tensor) -> tf.Tensor:
    """16 bits a pixel: five for each channel, or six for green."""
    given = tf.cond(tf.equal(packing, 3), lambda: _masks(content), lambda: tf.constant(_MASKS_555))
    _demand(tf.reduce_all(tf.equal(given, _MASKS_555)) | tf.reduce_all(tf.equal(given, _MASKS_565)))
    pairs = tf.cast(tf.reshape(data, (tf.shape(data)[0], -1, 2))[:, :width], tf.int32)
    values = pairs[..., 0] + 256 * pairs[..., 1]
    unit = tf.constant([0x400, 0x20, 1]) * tf.where(tf.equal(given[0], _MASKS_565[0]), [2, 1, 1], [1, 1, 1])
    levels = tf.bitwise.bitwise_and(values[..., None], given) // unit
    return tf.cast(levels * 255 // (given // unit), tf.uint8)


def _four_bytes(content: tf.Tensor, data: tf.Tensor, packing: tf.Tensor, header: tf.Tensor) -> tf.Tensor:
    masked = tf.equal(packing, 3)
    given = tf.cond(masked, lambda: _masks(content), lambda: tf.constant((0x00FF0000, 0x0000FF00, 0x000000FF)))
    matches = tf.equal(given[:, None], _BYTE_MASKS)
    _demand(tf.reduce_all(tf.reduce_any(matches, 1)))
    image = tf.gather(data, tf.argmax(tf.cast(matches, tf.int32), axis=1), axis=2)
    transparent = masked & (header >= 56)
    alpha = tf.cond(transparent, lambda: tf.equal(integer(content, 66), _BYTE_MASKS), lambda: tf.zeros(4, tf.bool))
    channel = tf.reduce_sum(tf.where(alpha, data, 0), axis=-1, keepdims=True)
    return tf.cond(tf.reduce_any(alpha), lambda: on_white(tf.concat([image, channel], -1)), lambda: image)


def _masks(content: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_raw(part(content, 54, 12), tf.int32)


def _among(value: tf.Tensor, allowed: tuple[int, ...]) -> tf.Tensor:
    return tf.reduce_any(tf.equal(value, allowed))


def _demand(condition: tf.Tensor) -> None:
    tf.debugging.Assert(condition, ["BMP: damaged, or of a kind that is not supported"])
