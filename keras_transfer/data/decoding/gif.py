"""Transparent GIF files in plain TensorFlow operations.

TensorFlow paints what is transparent, and what the first frame does not cover, in black. A person sees the page
behind it, for which white stands. The layout is that of https://www.w3.org/Graphics/GIF/spec-gif89a.txt.
"""

from __future__ import annotations

import tensorflow as tf

_HEADER = 13  # Signature and logical screen descriptor.
_MOST_BLOCKS = 4096


def decode(content: tf.Tensor) -> tf.Tensor:
    """Return the first frame, uint8 `[H, W, 3]`, of the bytes (a scalar string) of a GIF file, on white."""
    control, frame = _first_frame(content)
    opaque = tf.cond(control > 0, lambda: _make_opaque(content, control, frame), lambda: content)
    image = tf.io.decode_image(opaque, channels=3, expand_animations=False)
    image.set_shape((None, None, 3))
    left, top, width, height = (_short(content, frame + at) for at in (1, 3, 5, 7))
    shape = tf.shape(image)
    rows, columns = tf.range(shape[0])[:, None], tf.range(shape[1])[None]
    covered = (rows >= top) & (rows < top + height) & (columns >= left) & (columns < left + width)
    return tf.where(covered[..., None], image, 255)


def _first_frame(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return where the first frame's graphic control extension (0: there is none) and its descriptor begin."""
    start = _HEADER + _table_bytes(_byte(content, 10))

    def more(at: tf.Tensor, control: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        return tf.equal(_byte(content, at), 0x21) & (block < _MOST_BLOCKS)

    def skip(at: tf.Tensor, control: tf.Tensor, block: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        control = tf.where(tf.equal(_byte(content, at + 1), 0xF9), at, control)
        end, block = tf.while_loop(
            lambda at, block: (_byte(content, at) > 0) & (block < _MOST_BLOCKS),
            lambda at, block: (at + 1 + _byte(content, at), block + 1),
            (at + 2, block),
        )
        return end + 1, control, block + 1

    frame, control, _ = tf.while_loop(more, skip, (start, tf.constant(0), tf.constant(0)))
    tf.debugging.Assert(tf.equal(_byte(content, frame), 0x2C), ["GIF: there is no first frame"])
    return control, frame


def _make_opaque(content: tf.Tensor, control: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
    """Clear the flag of transparency and paint its colour white in the palette that the frame uses."""
    flags = _byte(content, control + 3)

    def paint() -> tf.Tensor:
        own = _byte(content, frame + 9) >= 0x80
        palette = tf.where(own, frame + 10, _HEADER)
        bytes_in = tf.where(own, _table_bytes(_byte(content, frame + 9)), _table_bytes(_byte(content, 10)))
        # An index beyond the palette is never painted.
        at = tf.minimum(_byte(content, control + 6) * 3, tf.maximum(bytes_in - 3, 0))
        beyond = _byte(content, control + 6) * 3 > at
        painted = tf.cond(beyond, lambda: content, lambda: _splice(content, palette + at, b"\xff\xff\xff"))
        # Which of the other bits is set tells how the frame is disposed of, which no later frame here needs.
        return _splice(painted, control + 3, b"\x00")

    return tf.cond(flags % 2 > 0, paint, lambda: content)


def _table_bytes(flags: tf.Tensor) -> tf.Tensor:
    return tf.where(flags >= 0x80, 3 * tf.bitwise.left_shift(2, flags % 8), 0)


def _splice(content: tf.Tensor, at: tf.Tensor, replacement: bytes) -> tf.Tensor:
    rest = at + len(replacement)
    return tf.strings.join(
        [tf.strings.substr(content, 0, at), replacement, tf.strings.substr(content, rest, tf.strings.length(content))]
    )


def _byte(content: tf.Tensor, at: tf.Tensor | int) -> tf.Tensor:
    return tf.cast(tf.reshape(tf.io.decode_raw(tf.strings.substr(content, at, 1), tf.uint8), ()), tf.int32)


def _short(content: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    return _byte(content, at) + 256 * _byte(content, at + 1)
