"""From the bytes of an image file to pixels, by one rule that training and the served graph share.

Only operations of plain TensorFlow are used, so that the same function runs inside tf.data and inside an
exported SavedModel:

1. The first frame is decoded to RGB, as a person sees it: palettes and CMYK converted, 16 bits scaled to 8, what is
   transparent composed on white. A JPEG more than twice the wanted size is decoded at 1/2, 1/4 or 1/8 by libjpeg's
   scaled DCT, the smallest that is still at least as large as wanted. A file of more than `max_pixels` is refused
   from its header, before memory is taken; very large ones are decoded one after the other.
2. `crop` takes the largest centred square, `squash` and `pad` the whole picture.
3. It is resized to `size` x `size`, or for `pad` to fit into that, by bilinear interpolation, antialiased where it
   shrinks to half or less, or, where `enlarge` says so and neither side shrinks, by cubic interpolation, and rounded
   to uint8; `pad` then fills up with black.
4. The EXIF orientation of a JPEG or a WebP is applied, so that the picture stands as a person sees it.

`InputRule` says so to those who prepare pixels for an exported file. What this rule changes, it has to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import tensorflow as tf

from keras_transfer.data.decoding import bmp, exif, gif, memory, webp
from keras_transfer.data.decoding.formats import FORMATS, HEAD, UNKNOWN, image_format
from keras_transfer.data.decoding.input_rule import ANTIALIAS_FROM, JPEG_SCALES, InputRule
from keras_transfer.data.decoding.raw import CONTENT, apart, part, split_once
from keras_transfer.recipe.options import INTERPOLATIONS
from keras_transfer.recipe.recipe import Recipe

# Raise it with every change by which a file gives other pixels, or is refused or accepted where it was not: what was
# computed or known of images before is then not used.
REVISION = 3
# What a file that cannot be decoded raises; TensorFlow's message may quote it, and it is no text.
UNDECODABLE = (tf.errors.OpError, UnicodeDecodeError)
_TRACING = threading.Lock()  # Threads that trace at the same time would each do so.
_THUMBNAIL = 64  # Side of the picture by which files are compared, px.


@dataclass(frozen=True)
class Decoder:
    """The rule by which files become pixels.

    Attributes:
        size: Side of the result, px.
        resize: `crop`, `squash` or `pad`.
        max_pixels: Largest picture that is decoded, width times height.
        format: Of all files, as `image_format` names it; None where they have several. What decodes one format is
            traced and prepared in a fraction of the time.
        enlarge: `bilinear` or `bicubic`.
    """

    size: int
    resize: str
    max_pixels: int
    format: str | None = None
    enlarge: str = INTERPOLATIONS[0]

    @classmethod
    def of(cls, recipe: Recipe, size: int, format: str | None = None) -> Decoder:
        """Return the rule of a recipe; one that leaves open how pictures are enlarged has the first way."""
        return cls(size, recipe.resize, recipe.max_pixels, format, InputRule.of(recipe, size).enlarge)

    def __call__(self, content: tf.Tensor) -> tf.Tensor:
        """Return uint8 `[size, size, 3]` from the bytes (a scalar string) of a JPEG, PNG, GIF, BMP or, in TensorFlow
        2.21 or newer, WebP file.

        Raises:
            tensorflow.errors.InvalidArgumentError: when it runs on a file that cannot be decoded or has another format.
        """
        return _traced(self)(content)

    def pixels(self, content: bytes) -> np.ndarray:
        """Return the pixels of one file outside a graph, uint8 `[size, size, 3]`."""
        return replace(self, format=image_format(content[:HEAD]))(tf.constant(content)).numpy()


@dataclass(frozen=True)
class Thumbnail:
    """The rule by which files are seen to decode, and to be alike: as `Decoder`, but shrunk by the mean of areas, which
    takes half the time. Several threads may call it at once.

    Attributes:
        max_pixels: Largest picture that is decoded, width times height.
    """

    max_pixels: int

    def __call__(self, content: bytes) -> tuple[np.ndarray, tuple[int, int], int] | None:
        """Return the whole picture, uint8 `[64, 64, 3]`, height and width of the file's, px, and its EXIF orientation;
        None if it cannot be decoded.
        """
        with _TRACING:
            traced = _traced_thumbnail(self.max_pixels, image_format(content[:HEAD]))
        try:
            pixels, size, orientation = traced(tf.constant(content))
        except UNDECODABLE:
            return None
        height, width = size.numpy().tolist()
        return pixels.numpy(), (height, width), int(orientation)


@cache
def _traced(decoder: Decoder) -> tf.types.experimental.PolymorphicFunction:
    """Tracing takes a second, and one run decodes in several places."""
    return tf.function(partial(_decode, decoder), [CONTENT], autograph=False)


@cache
def _traced_thumbnail(max_pixels: int, format: str | None) -> tf.types.experimental.ConcreteFunction:
    return tf.function(partial(_thumbnail, max_pixels, format), [CONTENT], autograph=False).get_concrete_function()


def announced_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width, px, that the header of an image file announces, or None if it announces none."""
    try:
        with _TRACING:
            traced = _traced_size()
        height, width = traced(tf.constant(content)).numpy().tolist()
    except UNDECODABLE:
        return None
    return height, width


@cache
def _traced_size() -> tf.types.experimental.ConcreteFunction:
    def size(content: tf.Tensor) -> tf.Tensor:
        return _size(*_with_kind(content, None))

    return tf.function(size, [CONTENT], autograph=False).get_concrete_function()


def _decode(decoder: Decoder, content: tf.Tensor) -> tf.Tensor:
    size = decoder.size

    def shrink(image: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(image)[:2]
        if decoder.resize == "crop":
            side = tf.reduce_min(shape)
            top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
            image = image[top : top + side, left : left + side]
        target = tf.constant((size, size))
        if decoder.resize == "pad":
            fitting = tf.cast(shape, tf.float64) * (size / tf.cast(tf.reduce_max(shape), tf.float64))
            target = tf.maximum(tf.cast(tf.round(fitting), tf.int32), 1)
        pixels = tf.cast(tf.round(tf.clip_by_value(_resize(image, target, decoder.enlarge), 0, 255)), tf.uint8)
        if decoder.resize == "pad":
            top, left = (size - target[0]) // 2, (size - target[1]) // 2
            pixels = tf.image.pad_to_bounding_box(pixels, top, left, size, size)
        return tf.ensure_shape(pixels, (size, size, 3))

    return _picture(content, decoder.format, size, decoder.max_pixels, shrink)[0]


def _thumbnail(max_pixels: int, format: str | None, content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    def shrink(image: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.round(tf.image.resize(image, (_THUMBNAIL, _THUMBNAIL), "area")), tf.uint8)

    with tf.device("CPU"):  # As in a pipeline: what decodes there is not copied to a GPU and back.
        return _picture(content, format, _THUMBNAIL, max_pixels, shrink)


def _picture(
    content: tf.Tensor, format: str | None, size: int, max_pixels: int, shrink: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the first frame, shrunk and upright (a JPEG's sides are at least `size`, if they were, when shrunk), the
    file's height and width, int32 `[2]`, and its EXIF orientation.
    """
    turned = format is None or format in ("JPEG", "WebP")
    orientation = exif.orientation(content) if turned else tf.constant(1)
    # Before anything can fail: a function that would begin after a failure beside it reports that it was cancelled,
    # and at that even a pipeline ends that leaves out what fails (TensorFlow 2.18 to 2.21).
    with tf.control_dependencies([orientation]):
        content = tf.identity(content)
    content, kind = _with_kind(content, format)
    shape = _size(content, kind)
    # As float64, for a bomb's header may announce more than 2^63 pixels.
    area = tf.reduce_prod(tf.cast(shape, tf.float64))
    allowed = tf.debugging.Assert(area <= tf.constant(max_pixels, tf.float64), ["more pixels than allowed"])
    with tf.control_dependencies([allowed]):
        content, shape = tf.identity(content), tf.identity(shape)
    is_jpeg, times = tf.equal(kind, 0), tf.reduce_min(shape) // size

    def decoded() -> tf.Tensor:
        decoders = [lambda decode=decode: decode(content) for decode in (_png, gif.decode, bmp.decode, webp.decode)]
        image = _switch(kind, [lambda: _jpeg(content, times), *decoders])
        return shrink(tf.ensure_shape(image, (None, None, 3)))

    # A JPEG is decoded at a quarter of its pixels or less.
    large = tf.where(is_jpeg & (times >= 2), area / 4, area) > memory.LARGE
    return _stand_upright(memory.in_turn(large, decoded), orientation), shape, orientation


def _with_kind(content: tf.Tensor, format: str | None) -> tuple[tf.Tensor, tf.Tensor | int]:
    """Return the bytes of a file that can be read, and the position of its format in `FORMATS`: a number, where that is
    known before.
    """
    if format is None:
        kind = kind_of(content)
        readable = tf.debugging.Assert(kind < len(FORMATS), [UNKNOWN])
    else:
        kind = [name for _, _, name in FORMATS].index(format)
        magic, at, _ = FORMATS[kind]
        readable = tf.debugging.Assert(tf.equal(part(content, at, len(magic)), magic), ["another format than before"])
    with tf.control_dependencies([readable]):
        return tf.identity(content), kind


def _switch(kind: tf.Tensor | int, branches: Sequence[Callable[[], tf.Tensor]]) -> tf.Tensor:
    """Return what one branch computes; where it is known before which, there are no others in the graph."""
    return branches[kind]() if isinstance(kind, int) else tf.switch_case(kind, branches)


def kind_of(content: tf.Tensor) -> tf.Tensor:
    """Return the position in `FORMATS` of the format that the first bytes announce, one beyond it if none is.

    Args:
        content: Strings of any shape.
    """
    head = tf.strings.join([tf.strings.substr(content, 0, HEAD), bytes(HEAD)])  # As long, whatever the file's length.
    magics, places = [magic for magic, _, _ in FORMATS], [at for _, at, _ in FORMATS]
    starts = tf.equal(tf.strings.substr(head[..., None], places, [len(magic) for magic in magics]), magics)
    kind = tf.argmax(tf.cast(starts, tf.int32), axis=-1, output_type=tf.int32)
    return tf.where(tf.reduce_any(starts, axis=-1), kind, len(FORMATS))


def _size(content: tf.Tensor, kind: tf.Tensor | int) -> tf.Tensor:
    """Return height and width, int32 `[2]`, that the header announces."""

    def png() -> tf.Tensor:
        return tf.io.decode_raw(part(content, 16, 8), tf.int32, little_endian=False)[::-1]

    others = [lambda module=module: module.size(content) for module in (gif, bmp, webp)]
    shape = _switch(kind, [lambda: tf.image.extract_jpeg_shape(content)[:2], png, *others])
    return tf.abs(tf.ensure_shape(shape, (2,)))


def _jpeg(content: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    def scaled(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(content, channels=3, ratio=ratio)

    chosen = tf.reduce_sum(tf.cast(times >= tf.constant(JPEG_SCALES), tf.int32))
    return tf.switch_case(chosen, [lambda ratio=ratio: scaled(ratio) for ratio in (1, *JPEG_SCALES)])


@apart(CONTENT)
def _png(content: tf.Tensor) -> tf.Tensor:
    header = tf.io.decode_raw(part(content, 24, 2), tf.uint8)
    depth, colours = tf.cast(header[0], tf.int32), tf.cast(header[1], tf.int32)
    # Opacity is a channel, or in a chunk before the picture.
    before = split_once(content, b"IDAT")[0]
    transparent = (colours >= 4) | (tf.size(split_once(before, b"tRNS")) > 1)

    def composed() -> tf.Tensor:
        image = tf.ensure_shape(tf.io.decode_png(content, channels=4), (None, None, 4))
        # TensorFlow 2.18 to 2.21 fills the opacity of a picture that has none with the largest value of its depth.
        filling = tf.cast(tf.bitwise.left_shift(1, tf.minimum(depth, 8)) - 1, tf.uint8)
        opaque = tf.reduce_all(tf.equal(image[..., 3], 255)) | tf.reduce_all(tf.equal(image[..., 3], filling))
        return tf.cond(opaque, lambda: image[..., :3], lambda: memory.on_white(image))

    return tf.cond(transparent, composed, lambda: tf.io.decode_png(content, channels=3))


def _resize(image: tf.Tensor, target: tf.Tensor, enlarge: str) -> tf.Tensor:
    def at_most_shrunk() -> tf.Tensor:
        plain = tf.reduce_max(tf.shape(image)[:2]) < ANTIALIAS_FROM * tf.reduce_max(target)
        return tf.cond(
            plain,
            lambda: tf.image.resize(image, target),
            lambda: tf.image.resize(image, target, antialias=True),
        )

    if enlarge == INTERPOLATIONS[0]:
        return at_most_shrunk()
    larger = tf.reduce_all(target >= tf.shape(image)[:2])
    return tf.cond(larger, lambda: tf.image.resize(image, target, enlarge), at_most_shrunk)


def _stand_upright(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Undo an EXIF orientation on a square image: orientations 5..8 are transposed, the rest is mirroring."""

    def turn() -> tf.Tensor:
        turned = tf.where(value >= 5, tf.transpose(image, (1, 0, 2)), image)
        turned = tf.where(tf.reduce_any(tf.equal(value, (2, 3, 6, 7))), turned[:, ::-1], turned)
        return tf.where(tf.reduce_any(tf.equal(value, (3, 4, 7, 8))), turned[::-1], turned)

    return tf.cond(value > 1, turn, lambda: image)
