"""The orientation that the EXIF block of a JPEG or WebP file tells, in plain TensorFlow operations.

A JPEG's segments are those of ITU T.81, annex B; EXIF is the first APP1 segment that opens with its mark, as
https://www.cipa.jp/std/documents/e/DC-008-2012_E.pdf has it, wherever it stands before the picture.
"""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.data.decoding import webp
from keras_transfer.data.decoding.raw import CONTENT, apart, part, rest, split_once

_MARK = b"Exif\x00\x00"
_APP1, _START_OF_SCAN, _END = 0xE1, 0xDA, 0xD9
_ALONE = (0x01, *range(0xD0, 0xD9))  # Markers without a segment.
_MAX_SEGMENTS = 4096  # Steps from marker to marker.
_HEAD = 10  # Bytes of marker, length, and mark.
_TAG = 0x0112  # EXIF 2.3, section 4.6.4.
_SHORT, _LONG, _SIGNED_SHORT, _SIGNED_LONG = 3, 4, 8, 9  # TIFF 6.0, section 2.


def orientation(content: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation, int32 1..8, of the file in a scalar string; 1 where there is none."""
    # Of most JPEGs without EXIF a search says so, which is quicker than to follow their segments.
    marked = tf.size(split_once(content, _MARK)) > 1
    may_tell = (tf.io.is_jpeg(content) & marked) | webp.is_extended(content)
    return tf.cond(may_tell, lambda: _in_block(content), lambda: tf.constant(1))


@apart(CONTENT)
def _in_block(content: tf.Tensor) -> tf.Tensor:
    block = tf.cond(webp.is_extended(content), lambda: webp.exif(content), lambda: _in_segments(content))
    # Some programs write a JPEG's mark before the block of a WebP too.
    marked = tf.equal(part(block, 0, len(_MARK)), _MARK)
    block = tf.io.decode_raw(rest(block, tf.where(marked, len(_MARK), 0)), tf.uint8)
    return tf.cond(tf.size(block) > 0, lambda: _in_tiff(block), lambda: tf.constant(1))


@apart(CONTENT)
def _in_segments(content: tf.Tensor) -> tf.Tensor:
    """Return the EXIF block, with its mark, of a JPEG file, a scalar string; empty where there is none."""
    length = tf.strings.length(content)

    def more(at: tf.Tensor, block: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        return tf.equal(block, 0) & (at + _HEAD <= length) & (steps < _MAX_SEGMENTS)

    def step(at: tf.Tensor, block: tf.Tensor, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        head = tf.cast(tf.io.decode_raw(part(content, at, 4), tf.uint8), tf.int32)
        marker, opens = head[1], tf.equal(head[0], 0xFF)
        exif = opens & tf.equal(marker, _APP1) & tf.equal(part(content, at + 4, len(_MARK)), _MARK)
        # Before a marker there may be any number of fill bytes, ff.
        ahead = tf.where(opens & (marker < 0xFF), 2 + head[2] * 256 + head[3], 1)
        ahead = tf.where(opens & tf.reduce_any(tf.equal(marker, _ALONE)), 2, ahead)
        ahead = tf.where(opens & tf.reduce_any(tf.equal(marker, (_START_OF_SCAN, _END))), length, ahead)
        return at + ahead, tf.where(exif, at, 0), steps + 1

    behind, block, _ = tf.while_loop(more, step, (tf.constant(2), tf.constant(0), tf.constant(0)))
    return part(content, block + 4, tf.where(block > 0, behind - block - 4, 0))


def _in_tiff(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation that the first directory of a TIFF header, uint8 `[N]`, has."""
    size, padded = tf.size(data), tf.pad(tf.cast(data, tf.int32), ((0, 1),))
    big_endian = tf.equal(padded[0], ord("M"))
    weights = tf.where(big_endian, (256, 1), (1, 256))

    def shorts(at: tf.Tensor, count: int) -> list[tf.Tensor]:
        """Return that many 16-bit numbers, each `[N]`, from each of N positions on."""
        places = tf.clip_by_value(at[:, None] + tf.range(2 * count), 0, size)
        pairs = tf.reshape(tf.gather(padded, places), (-1, count, 2))
        return tf.unstack(tf.reduce_sum(pairs * weights, axis=-1), axis=1)

    def long(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
        """Return -1 for what is larger than any offset or orientation."""
        low, high = tf.where(big_endian, second, first), tf.where(big_endian, first, second)
        return tf.where(tf.equal(high, 0), low, -1)

    directory = long(*shorts(tf.constant([4]), 2))
    (length,) = shorts(directory, 1)
    entries = directory + 2 + 12 * tf.range(tf.minimum(length[0], size // 12))
    tags, kinds, *numbers = shorts(entries, 6)
    counts = long(*numbers[:2])
    is_short = tf.equal(kinds, _SHORT) | tf.equal(kinds, _SIGNED_SHORT)
    is_long = tf.equal(kinds, _LONG) | tf.equal(kinds, _SIGNED_LONG)
    inline = (counts >= 1) & (counts <= tf.where(is_short, 2, 1))  # Else the four bytes are an offset.
    valid = tf.equal(tags, _TAG) & (is_short | is_long) & inline & (entries + 12 <= size) & (directory > 0)
    values = tf.where(is_short, numbers[2], long(*numbers[2:]))
    # Of several entries the last counts, as for Pillow.
    last = tf.reduce_max(tf.where(valid, tf.range(tf.size(entries)), -1))
    value = tf.reduce_sum(tf.where(tf.equal(tf.range(tf.size(entries)), last), values, 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)
