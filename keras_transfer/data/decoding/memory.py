"""What large pictures take while they become small: one at a time, and in bands."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from keras_transfer.data.decoding.raw import POSITION, apart

LARGE = 2**24  # Pixels; of larger pictures no two are decoded at the same time by one process.
_BAND = 2**20  # Pixels that are computed with as floats at a time.
_LOCK = "keras_transfer/large_pictures"


def in_turn(large: tf.Tensor, work: Callable[[], tf.Tensor]) -> tf.Tensor:
    """Return what `work` computes, which, if `large`, waits until no other large picture is being decoded."""
    # One operation in its branch, for TensorFlow visits those of the branch that is not taken too.
    work_apart = apart()(work)

    def locked() -> tf.Tensor:
        # Where the work fails, the lock goes with the tensor that holds it.
        lock = tf.raw_ops.MutexLock(mutex=tf.raw_ops.MutexV2(shared_name=_LOCK))
        with tf.control_dependencies([lock]):
            result = work_apart()
        with tf.control_dependencies([result]):
            released = tf.raw_ops.ConsumeMutexLock(mutex_lock=lock)
        with tf.control_dependencies([released]):
            return tf.identity(result)

    return tf.cond(large, locked, work)


def on_white(image: tf.Tensor) -> tf.Tensor:
    """Return a picture composed on white, uint8 `[H, W, 3]`.

    Args:
        image: uint8 `[H, W, 4]`, opacity last.
    """
    return _on_white(image, _BAND)


@apart(tf.TensorSpec((None, None, 4), tf.uint8), POSITION)
def _on_white(image: tf.Tensor, band: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(image)
    rows = tf.maximum(band // tf.maximum(shape[1], 1), 1)
    bands = (shape[0] + rows - 1) // rows

    def compose(part: tf.Tensor) -> tf.Tensor:
        share = tf.cast(part[..., 3:], tf.float32) / 255
        return tf.cast(tf.round(tf.cast(part[..., :3], tf.float32) * share + 255 * (1 - share)), tf.uint8)

    def in_bands() -> tf.Tensor:
        composed = tf.TensorArray(tf.uint8, bands, infer_shape=False, element_shape=(None, None, 3))
        _, composed = tf.while_loop(
            lambda band, _: band < bands,
            lambda band, composed: (band + 1, composed.write(band, compose(image[band * rows : (band + 1) * rows]))),
            (tf.constant(0), composed),
            parallel_iterations=1,
        )
        return composed.concat()

    return tf.cond(bands > 1, in_bands, lambda: compose(image))
