"""The first frame of GIF files on its canvas, in plain TensorFlow operations.

TensorFlow decodes every frame of an animation, and leaves of the canvas only what the largest frame covers; what is
transparent is black. So a file of the first frame alone is made, decoded, and placed on a white canvas, for a person
sees the page behind it. The layout is that of https://www.w3.org/Graphics/GIF/spec-gif89a.txt.
"""

from __future__ import annotations

import tensorflow as tf

from keras_transfer.data.decoding.raw import CONTENT, POSITION, apart, byte, part, rest

_HEADER = 13  # Signature and logical screen descriptor.
_MAX_EXTENSIONS = 4096  # Before the first frame.
_WINDOW = 2**16  # Bytes whose blocks are followed at a time.
_WHITE = b"\xff\xff\xff"


@apart(CONTENT)
def size(content: tf.Tensor) -> tf.Tensor:
    """Return height and width of the canvas, int32 `[2]`; it is made larger where the first frame reaches beyond it."""
    origin, sides = _place(content, _first_frame(content)[1])
    return _canvas(content, origin + sides)


def _place(content: tf.Tensor, frame: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return top and left, and height and width, int32 `[2]` each, that the descriptor of a frame tells."""
    fields = tf.cast(tf.io.decode_raw(part(content, frame + 1, 8), tf.uint16), tf.int32)
    origin, sides = tf.unstack(tf.reshape(fields, (2, 2))[:, ::-1])
    return origin, sides


def _canvas(content: tf.Tensor, covered: tf.Tensor) -> tf.Tensor:
    sides = tf.cast(tf.io.decode_raw(part(content, 6, 4), tf.uint16), tf.int32)
    return tf.maximum(tf.reshape(sides, (2,))[::-1], covered)


@apart(CONTENT)
def decode(content: tf.Tensor) -> tf.Tensor:
    """Return the canvas with the first frame, uint8 `[H, W, 3]`, of the bytes (a scalar string) of a GIF file."""
    control, frame = _first_frame(content)
    image = tf.io.decode_gif(_frame_alone(content, control, frame))[0]
    image = tf.ensure_shape(image, (None, None, 3))
    before, sides = _place(content, frame)
    canvas, covered = _canvas(content, before + sides), tf.shape(image)[:2]

    def placed() -> tf.Tensor:
        paddings = tf.pad(tf.stack([before, canvas - covered - before], axis=1), ((0, 1), (0, 0)))
        return tf.pad(image, paddings, constant_values=tf.constant(255, tf.uint8))

    return tf.cond(tf.reduce_all(tf.equal(canvas, covered)), lambda: image, placed)


@apart(CONTENT)
def _first_frame(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where the first frame's graphic control extension (0: there is none) and its descriptor begin."""
    start = _HEADER + _table_bytes(byte(content, 10))

    def more(at: tf.Tensor, control: tf.Tensor, passed: tf.Tensor) -> tf.Tensor:
        return tf.equal(byte(content, at), 0x21) & (passed < _MAX_EXTENSIONS)

    def skip(at: tf.Tensor, control: tf.Tensor, passed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        control = tf.where(tf.equal(byte(content, at + 1), 0xF9), at, control)
        return _behind_blocks(content, at + 2), control, passed + 1

    frame, control, _ = tf.while_loop(more, skip, (start, tf.constant(0), tf.constant(0)))
    tf.debugging.Assert(tf.equal(byte(content, frame), 0x2C), ["GIF: there is no first frame"])
    return control, frame


def _frame_alone(content: tf.Tensor, control: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """Return an opaque GIF file of the first frame, at the origin of a canvas of its size."""
    size_of_frame, flags = part(content, frame + 5, 4), byte(content, frame + 9)
    shared = part(content, _HEADER, _table_bytes(byte(content, 10)))
    own = part(content, frame + 10, _table_bytes(flags))
    data = frame + 10 + _table_bytes(flags)
    pixels = part(content, data, _behind_blocks(content, data + 1) - data)
    transparent = tf.cond(
        control > 0,
        lambda: tf.where(byte(content, control + 3) % 2 > 0, byte(content, control + 6), 256),
        lambda: tf.constant(256),
    )
    head = [part(content, 0, 6), size_of_frame, part(content, 10, 3)]
    shared, own = _whitened(shared, tf.where(flags < 0x80, transparent, 256)), _whitened(own, transparent)
    descriptor = [b",\x00\x00\x00\x00", size_of_frame, part(content, frame + 9, 1)]
    return tf.strings.join([*head, shared, *descriptor, own, pixels, b";"])


def _whitened(table: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return a table of colours with that of an index made white; an index beyond the table is never painted."""
    at = 3 * index
    return tf.cond(
        at < tf.strings.length(table),
        lambda: tf.strings.join([part(table, 0, at), _WHITE, rest(table, at + 3)]),
        lambda: table,
    )


@apart(CONTENT, POSITION)
def _behind_blocks(content: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Return the position behind a chain of blocks, each led by its length, up to one of length 0.

    All blocks of a window are followed at once: a step from one to the next would cost a tenth of a millisecond.
    """
    length = tf.strings.length(content)

    def follow(at: tf.Tensor, ended: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        window = tf.cast(tf.io.decode_raw(part(content, at, _WINDOW), tf.uint8), tf.int32)
        # What ends a chain, and what lies behind the window, leads to itself.
        steps = tf.pad(window, ((0, 256),))
        ahead = tf.range(tf.size(steps)) + tf.where(steps > 0, steps + 1, 0)
        for _ in range(_WINDOW.bit_length()):
            ahead = tf.gather(ahead, ahead)
        return at + ahead[0], ahead[0] < tf.size(window)

    at, _ = tf.while_loop(lambda at, ended: ~ended & (at < length), follow, (at, tf.constant(False)))
    with tf.control_dependencies([tf.debugging.Assert(at < length, ["GIF: cut off"])]):
        return at + 1


def _table_bytes(flags: tf.Tensor) -> tf.Tensor:
    return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)
