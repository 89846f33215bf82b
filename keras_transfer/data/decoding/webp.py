"""WebP files: size, picture and EXIF block, in plain TensorFlow operations.

TensorFlow decodes WebP from release 2.21 on. The operation for it, `DecodeImage`, is older: a graph that holds it loads
in TensorFlow 2.18 too, which refuses the file alone. An animation never reaches that operation, for 2.21 writes four
channels of it into the memory of three where its header announces no transparency. So a file of the first frame alone
is made, decoded, and placed on a white canvas. The layout is that of
https://developers.google.com/speed/webp/docs/riff_container.
"""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.data.decoding.memory import on_white
from keras_transfer.data.decoding.raw import CONTENT, apart, integer, part

DECODABLE = hasattr(tf.io, "decode_webp")  # By the TensorFlow that runs here.
_KIND, _PAYLOAD = 12, 20  # Where the first chunk's name, and its content, begin.
_PLACES = (1, 2**8, 2**16, 2**24)  # What each byte of a number counts, the lowest first.
_CHUNK = 8  # Name and length of a chunk.
_FRAME = 16  # What an ANMF chunk says before its picture.
_MAX_CHUNKS = 65_536
_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10  # Flags of a VP8X chunk.


@apart(CONTENT)
def size(content: tf.Tensor) -> tf.Tensor:
    """Return height and width, int32 `[2]`, of the picture or, of an animation, its canvas."""
    kind, payload = part(content, _KIND, 4), _bytes(content, _PAYLOAD, 10)
    kinds = tf.equal(kind, [b"VP8X", b"VP8L", b"VP8 "])
    tf.debugging.Assert(tf.reduce_any(kinds), ["WebP: there is no picture"])
    bits = tf.reduce_sum(payload[1:5] * _PLACES)
    lossless = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, (14, 0)), 0x3FFF) + 1
    lossy = tf.reduce_sum(tf.reshape(payload[6:], (2, 2)) * _PLACES[:2], axis=1)[::-1] % 0x4000
    return tf.where(kinds[0], _canvas(payload), tf.where(kinds[1], lossless, lossy))


def _canvas(payload: tf.Tensor) -> tf.Tensor:
    """Return height and width, int32 `[2]`, that the first chunk of a file that may hold more than a picture tells."""
    return tf.reduce_sum(tf.reshape(payload[4:10], (2, 3)) * _PLACES[:3], axis=1)[::-1] + 1


@apart(CONTENT)
def decode(content: tf.Tensor) -> tf.Tensor:
    """Return uint8 `[H, W, 3]` of the bytes (a scalar string) of a WebP file: transparent parts on white, of an
    animation its first frame.
    """
    animated = _flagged(content, _ANIMATION)
    still, left, top = tf.cond(animated, lambda: _first_frame(content), lambda: (content, 0, 0))
    image = tf.raw_ops.DecodeImage(contents=still, channels=0, dtype=tf.uint8, expand_animations=False)
    image = tf.ensure_shape(image, (None, None, None))
    image = tf.cond(tf.equal(tf.shape(image)[2], 4), lambda: on_white(image), lambda: image)

    def placed() -> tf.Tensor:
        before = tf.stack([top, left])
        after = _canvas(_bytes(content, _PAYLOAD, 10)) - before - tf.shape(image)[:2]
        paddings = tf.pad(tf.stack([before, after], axis=1), ((0, 1), (0, 0)))  # Negative ones are refused.
        return tf.pad(image, paddings, constant_values=tf.constant(255, tf.uint8))

    return tf.cond(animated, placed, lambda: image)


@apart(CONTENT)
def exif(content: tf.Tensor) -> tf.Tensor:
    """Return the EXIF block, a scalar string, of a WebP file; empty where there is none."""

    def block() -> tf.Tensor:
        at = _find(content, b"EXIF")
        return tf.cond(at > 0, lambda: part(content, at + _CHUNK, integer(content, at + 4)), lambda: tf.constant(b""))

    return tf.cond(_flagged(content, _EXIF), block, lambda: tf.constant(b""))


def is_extended(content: tf.Tensor) -> tf.Tensor:
    """Say whether the bytes are a WebP file that may hold more than a picture."""
    return tf.equal(part(content, _CHUNK, 8), b"WEBPVP8X")


def _first_frame(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return a WebP file of an animation's first frame, and where on the canvas its left upper corner lies."""
    at = _find(content, b"ANMF")
    tf.debugging.Assert(at > 0, ["WebP: there is no first frame"])
    frame, length = at + _CHUNK, integer(content, at + 4)
    sides, picture = part(content, frame + 6, 6), part(content, frame + _FRAME, length - _FRAME)
    # Flagged as transparent, which a picture may be and need not; the decoder demands the sides that are told here.
    head = tf.strings.join([b"WEBPVP8X\x0a\0\0\0", bytes([_ALPHA, 0, 0, 0]), sides])
    whole = tf.strings.join([head, picture])
    file = tf.strings.join([b"RIFF", _four_bytes(tf.strings.length(whole)), whole])
    left, top = tf.unstack(tf.reduce_sum(tf.reshape(_bytes(content, frame, 6), (2, 3)) * _PLACES[:3], axis=1) * 2)
    return file, left, top


def _flagged(content: tf.Tensor, flag: int) -> tf.Tensor:
    extended = tf.equal(part(content, _KIND, 4), b"VP8X")
    return extended & (tf.bitwise.bitwise_and(_bytes(content, _PAYLOAD, 1)[0], flag) > 0)


@apart(CONTENT, CONTENT)
def _find(content: tf.Tensor, name: bytes) -> tf.Tensor:
    """Return where the first chunk of a name begins; 0 where there is none."""
    length = tf.strings.length(content)

    def named(at: tf.Tensor) -> tf.Tensor:
        return tf.equal(part(content, at, 4), name)

    def step(at: tf.Tensor) -> tuple[tf.Tensor]:
        size = integer(content, at + 4)
        fits = (size >= 0) & (size < length - at)
        return (tf.where(fits, at + _CHUNK + size + size % 2, length),)

    (at,) = tf.while_loop(
        lambda at: (at + _CHUNK <= length) & ~named(at), step, (tf.constant(_KIND),), maximum_iterations=_MAX_CHUNKS
    )
    return tf.where((at + _CHUNK <= length) & named(at), at, 0)


def _bytes(content: tf.Tensor, at: tf.Tensor | int, count: int) -> tf.Tensor:
    """Return bytes from a position on, int32 `[count]`: zeros behind the end of the file."""
    padded = tf.strings.substr(tf.strings.join([part(content, at, count), bytes(count)]), 0, count)
    return tf.cast(tf.reshape(tf.io.decode_raw(padded, tf.uint8), (count,)), tf.int32)


def _four_bytes(number: tf.Tensor) -> tf.Tensor:
    """Return an int32 as the four bytes of a string, the lowest first."""
    digits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(number, tf.range(0, 32, 8)), 0xFF)
    return tf.strings.reduce_join(tf.gather(tf.constant([bytes([value]) for value in range(256)]), digits))
