"""From the bytes of an image file to pixels, by one rule that training and the served graph share.

Only operations of plain TensorFlow are used, so that the same function runs inside tf.data and inside an
exported SavedModel:

1. The first frame is decoded to RGB, as a person sees it: palettes and CMYK converted, 16 bits scaled to 8, what is
   transparent composed on white. A JPEG more than twice the wanted size is decoded at 1/2, 1/4 or 1/8 by libjpeg's
   scaled DCT, the smallest that is still at least as large as wanted. A file of more than `max_pixels` is refused
   from its header, before memory is taken.
2. `crop` takes the largest centred square, `squash` the whole picture, `pad` the whole picture on black.
3. It is resized to `size` x `size` by bilinear interpolation, antialiased where it shrinks to half or less, and
   rounded to uint8.
4. The EXIF orientation of a JPEG is applied, so that the picture stands as a person sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import tensorflow as tf

from keras_transfer.data.decoding import bmp, gif
from keras_transfer.data.decoding.formats import FORMATS

_GLANCE_SIZE = 64  # Side of the picture by which files are compared, px.
_EXIF_BYTES = 65_536  # An EXIF block is one JPEG segment, whose length field has 16 bits.
_EXIF_MARK = b"Exif\x00\x00"
_ORIENTATION_TAG = 0x0112  # EXIF 2.3, section 4.6.4.
_MOST_TAGS = 512


@dataclass(frozen=True)
class Decoder:
    """The rule by which files become pixels.

    Attributes:
        size: Side of the result, px.
        resize: `crop`, `squash` or `pad`.
        max_pixels: Largest picture that is decoded, width times height.
    """

    size: int
    resize: str
    max_pixels: int

    def __call__(self, content: tf.Tensor) -> tf.Tensor:
        """Return uint8 `[size, size, 3]` from the bytes (a scalar string) of a JPEG, PNG, GIF or BMP file.

        Raises:
            tensorflow.errors.InvalidArgumentError: when it runs on a file that cannot be decoded.
        """
        return _traced(_decode, self)(content)


@dataclass(frozen=True)
class Glance:
    """The rule by which files are looked at to see whether they decode and which are alike: as `Decoder`, but shrunk
    by the mean of areas, which takes half the time.

    Attributes:
        max_pixels: Largest picture that is decoded, width times height.
    """

    max_pixels: int

    def __call__(self, content: tf.Tensor) -> tf.Tensor:
        """Return the whole picture, uint8 `[64, 64, 3]`; raise as `Decoder` does."""
        return _traced(_glance, self)(content)


@cache
def _traced(decode: Callable[..., tf.Tensor], rule: Decoder | Glance) -> tf.types.experimental.PolymorphicFunction:
    """Tracing takes a second, and one run decodes in several places."""
    return tf.function(partial(decode, rule), [tf.TensorSpec((), tf.string)], autograph=False)


def _decode(decoder: Decoder, content: tf.Tensor) -> tf.Tensor:
    image = _frame(content, decoder.size, decoder.max_pixels)
    shape = tf.shape(image)
    if decoder.resize == "crop":
        side = tf.minimum(shape[0], shape[1])
        top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
    elif decoder.resize == "pad":
        side = tf.maximum(shape[0], shape[1])
        top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
        image = tf.image.pad_to_bounding_box(image, top, left, side, side)
    pixels = tf.cast(tf.round(tf.clip_by_value(_resize(image, decoder.size), 0, 255)), tf.uint8)
    return _stand_upright(tf.ensure_shape(pixels, (decoder.size, decoder.size, 3)), orientation(content))


def _glance(glance: Glance, content: tf.Tensor) -> tf.Tensor:
    image = tf.image.resize(_frame(content, _GLANCE_SIZE, glance.max_pixels), (_GLANCE_SIZE, _GLANCE_SIZE), "area")
    return _stand_upright(tf.cast(tf.round(image), tf.uint8), orientation(content))


def _frame(content: tf.Tensor, size: int, max_pixels: int) -> tf.Tensor:
    """Return the first frame, uint8 `[H, W, 3]`; a large JPEG's sides are still at least `size`."""
    limit = tf.constant(max_pixels, tf.float64)
    image = tf.cond(
        tf.io.is_jpeg(content), lambda: _jpeg(content, size, limit), lambda: _other_than_jpeg(content, limit)
    )
    image.set_shape((None, None, 3))
    return image


def kind_of(content: tf.Tensor) -> tf.Tensor:
    """Return the position in `FORMATS` of the format that the first bytes announce, one beyond it if none is.

    Args:
        content: Strings of any shape.
    """
    starts = [tf.equal(tf.strings.substr(content, 0, len(magic)), magic) for magic, _ in FORMATS]
    starts.append(tf.ones_like(starts[0]))
    return tf.argmax(tf.cast(tf.stack(starts, -1), tf.int32), axis=-1, output_type=tf.int32)


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


def _jpeg(content: tf.Tensor, size: int, limit: tf.Tensor) -> tf.Tensor:
    shape = tf.image.extract_jpeg_shape(content)[:2]

    def scaled(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(content, channels=3, ratio=ratio)

    times = tf.reduce_min(_allowed(shape, limit)) // size
    chosen = tf.reduce_sum(tf.cast(times >= tf.constant([2, 4, 8]), tf.int32))
    return tf.switch_case(chosen, [lambda ratio=ratio: scaled(ratio) for ratio in (1, 2, 4, 8)])


def _allowed(shape: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Return height and width, int32 `[2]`, once they are known not to be too large."""
    # As float64, for a bomb's header may announce more than 2^63 pixels.
    area = tf.reduce_prod(tf.cast(tf.abs(shape), tf.float64))
    with tf.control_dependencies([tf.debugging.Assert(area <= limit, ["more pixels than allowed"])]):
        return tf.identity(shape)


# One operation in the graph around it: TensorFlow visits the operations of every branch for every picture, and these
# hundreds would double the time of a JPEG.
@partial(
    tf.function,
    input_signature=[tf.TensorSpec((), tf.string), tf.TensorSpec((), tf.float64)],
    autograph=False,
    experimental_attributes={"_noinline": True},
)
def _other_than_jpeg(content: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    def first_frame() -> tf.Tensor:
        return tf.cast(tf.io.decode_raw(tf.strings.substr(content, 6, 4), tf.uint16), tf.int32)

    def png() -> tf.Tensor:
        return tf.io.decode_raw(tf.strings.substr(content, 16, 8), tf.int32, little_endian=False)

    kind = kind_of(content) - 1
    known = tf.debugging.Assert((kind >= 0) & (kind < 3), ["no image of a kind that can be read"])
    with tf.control_dependencies([known]):
        shape = tf.switch_case(kind, [png, first_frame, lambda: tf.stack(bmp.size(content))])
    with tf.control_dependencies([_allowed(shape, limit)]):
        return tf.switch_case(kind, [lambda: _png(content), lambda: gif.decode(content), lambda: bmp.decode(content)])


def _png(content: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_png(content, channels=4)
    image = tf.ensure_shape(image, (None, None, 4))
    depth = tf.cast(tf.reshape(tf.io.decode_raw(tf.strings.substr(content, 24, 1), tf.uint8), ()), tf.int32)
    # TensorFlow 2.18 to 2.21 fills the opacity of a picture that has none with the largest value of its bit depth.
    filling = tf.cast(tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1, tf.uint8)
    opaque = tf.reduce_all(tf.equal(image[..., 3], 255)) | tf.reduce_all(tf.equal(image[..., 3], filling))
    return tf.cond(opaque, lambda: image[..., :3], lambda: bmp.on_white(image[..., :3], image[..., 3:]))


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
