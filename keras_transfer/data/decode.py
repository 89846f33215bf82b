"""From the bytes of an image file to pixels, by one rule that training and the served graph share.

Only operations of plain TensorFlow are used, so that the same function runs inside tf.data and inside an
exported SavedModel:

1. The first frame is decoded to RGB. A JPEG more than twice the wanted size is decoded at 1/2, 1/4 or 1/8
   by libjpeg's scaled DCT, the smallest that is still at least as large as wanted.
2. `crop` takes the largest centred square, `squash` the whole picture, `pad` the whole picture on black.
3. It is resized to `size` x `size` by bilinear interpolation, antialiased where it shrinks to half or less, and
   rounded to uint8.
4. The EXIF orientation of a JPEG is applied, so that the picture stands as a person sees it.
"""

from __future__ import annotations

import tensorflow as tf

_EXIF_BYTES = 65_536  # An EXIF block is one JPEG segment, whose length field has 16 bits.
_EXIF_MARK = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112  # EXIF 2.3, section 4.6.4.
_MOST_TAGS = 512


def decode(content: tf.Tensor, size: int, resize: str) -> tf.Tensor:
    """Return uint8 `[size, size, 3]` from the bytes (a scalar string) of a JPEG, PNG, BMP or GIF file."""
    image = _decode_frame(content, size)
    shape = tf.shape(image)
    if resize == "crop":
        side = tf.minimum(shape[0], shape[1])
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    elif resize == "pad":
        side = tf.maximum(shape[0], shape[1])
        top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
        image = tf.image.pad_to_bounding_box(image, top, left, side, side)
    pixels = tf.cast(tf.round(tf.clip_by_value(_resize(image, size), 0, 255)), tf.uint8)
    return _stand_upright(tf.ensure_shape(pixels, (size, size, 3)), orientation(content))


def orientation(content: tf.Tensor) -> tf.Tensor:
    """Return the EXIF orientation, int32 1..8, of the file in a scalar string; 1 where there is none."""
    head = tf.strings.substr(content, 0, _EXIF_BYTES)
    parts = tf.strings.split(head, _EXIF_MARK, maxsplit=1)
    # The mark opens an APP1 segment: ff e1, two bytes of length, then the mark.
    opening = tf.strings.substr(parts[0], tf.maximum(tf.strings.length(parts[0]) - 4, 0), 2)
    found = tf.io.is_jpeg(content) & (tf.size(parts) == 2) & (opening == b"\xff\xe1")
    return tf.cond(found, lambda: _tiff_orientation(tf.io.decode_raw(parts[1], tf.uint8)), lambda: tf.constant(1))


def _tiff_orientation(data: tf.Tensor) -> tf.Tensor:
    data = tf.concat([data, tf.zeros([2], tf.uint8)], 0)

    def short(at: tf.Tensor | int) -> tf.Tensor:
        first, second = (
            tf.cast(tf.gather(data, tf.clip_by_value(at + k, 0, tf.size(data) - 1)), tf.int32) for k in (0, 1)
        )
        return tf.where(big_endian, first * 256 + second, second * 256 + first)

    big_endian = tf.equal(data[0], ord("M"))
    # The directory lies within the segment, so the lower half of its 32-bit offset is enough.
    directory = tf.where(big_endian, short(6), short(4))
    entries = directory + 2 + 12 * tf.range(tf.minimum(short(directory), _MOST_TAGS))
    values = tf.where(tf.equal(short(entries), _ORIENTATION_TAG), short(entries + 8), 0)
    value = tf.reduce_max(tf.concat([values, [0]], 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _decode_frame(content: tf.Tensor, size: int) -> tf.Tensor:
    def whole() -> tf.Tensor:
        return tf.io.decode_image(content, channels=3, expand_animations=False)

    def scaled(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(content, channels=3, ratio=ratio)

    def branch() -> tf.Tensor:
        shape = tf.image.extract_jpeg_shape(content)
        times = tf.minimum(shape[0], shape[1]) // size
        return 1 + tf.reduce_sum(tf.cast(times >= tf.constant([2, 4, 8]), tf.int32))

    chosen = tf.cond(tf.io.is_jpeg(content), branch, lambda: tf.constant(0))
    branches = [whole, *(lambda ratio=ratio: scaled(ratio) for ratio in (1, 2, 4, 8))]
    image = tf.switch_case(chosen, branches)
    image.set_shape((None, None, 3))
    return image


def _resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Antialias where two or more pixels fall into one; below that it costs 4 ms a photo and changes little."""
    shape = tf.shape(image)
    plain = tf.maximum(shape[0], shape[1]) < 2 * size
    return tf.cond(
        plain,
        lambda: tf.image.resize(image, (size, size)),
        lambda: tf.image.resize(image, (size, size), antialias=True),
    )


def _stand_upright(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Undo an EXIF orientation on a square image: orientations 5..8 are transposed, the rest is mirroring."""

    def turn() -> tf.Tensor:
        turned = tf.where(value >= 5, tf.transpose(image, (1, 0, 2)), image)
        turned = tf.where(tf.reduce_any(tf.equal(value, (2, 3, 6, 7))), turned[:, ::-1], turned)
        return tf.where(tf.reduce_any(tf.equal(value, (3, 4, 7, 8))), turned[::-1], turned)

    return tf.cond(value > 1, turn, lambda: image)
