"""tf.data pipelines of pixels: parallel decoding, batches, prefetching, the same order every time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data.decode import decode
from keras_transfer.errors import UserError

# View and rows (int64) of one batch after the other.
Order = Iterable[tuple[int, np.ndarray]]


def images(paths: Sequence[str], size: int, resize: str, batch_size: int) -> tf.data.Dataset:
    """Return batches of uint8 `[B, size, size, 3]`, in the order of `paths`, the last one shorter."""
    return (
        tf.data.Dataset.from_tensor_slices(tf.constant(list(paths), tf.string))
        .map(
            lambda path: decode(tf.io.read_file(path), size, resize),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def checked(batches: tf.data.Dataset, paths: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield the batches of `images(paths, ...)` as arrays, and name the file at which decoding fails."""
    try:
        yield from batches.as_numpy_iterator()
    except tf.errors.InvalidArgumentError as error:
        raise UserError(_name_undecodable(paths)) from error


def _name_undecodable(paths: Sequence[str]) -> str:
    for path in paths:
        try:
            decode(tf.io.read_file(path), 8, "squash")
        except tf.errors.InvalidArgumentError:
            return f"{path} cannot be decoded: it is damaged or cut off. Remove or replace it."
    return "An image could not be decoded, though each can be by itself. Is the folder changing meanwhile?"


def stored(
    read: Callable[[int, np.ndarray], list[np.ndarray]],
    signature: Sequence[tf.TensorSpec],
    labels: np.ndarray,
    order: Order,
) -> tf.data.Dataset:
    """Return batches of stored activations and labels.

    Args:
        read: Gives the stored tensors of a view and rows (int64 `[B]`).
        signature: Of each tensor, batch included.
        labels: float32 `[N, K]`.
        order: View and rows of each batch.
    """

    def generate() -> Iterator[tuple[Any, np.ndarray]]:
        for view, rows in order:
            tensors = read(view, rows)
            yield tensors[0] if len(tensors) == 1 else tuple(tensors), labels[rows]

    inputs = signature[0] if len(signature) == 1 else tuple(signature)
    targets = tf.TensorSpec((None, *labels.shape[1:]), labels.dtype)
    dataset = tf.data.Dataset.from_generator(generate, output_signature=(inputs, targets))
    return dataset.apply(tf.data.experimental.assert_cardinality(_batches(order))).prefetch(2)


def decoded(paths: Sequence[str], labels: np.ndarray, size: int, resize: str, order: Order) -> tf.data.Dataset:
    """Return batches of freshly decoded pixels, uint8 `[B, size, size, 3]`, and labels, in the given order."""

    def generate() -> Iterator[np.ndarray]:
        for _, rows in order:
            yield rows

    def read(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.map_fn(
            lambda path: decode(tf.io.read_file(path), size, resize),
            tf.gather(names, rows),
            fn_output_signature=tf.uint8,
        )
        return tf.ensure_shape(pixels, (None, size, size, 3)), tf.gather(targets, rows)

    names, targets = tf.constant(list(paths), tf.string), tf.constant(labels)
    batches = tf.data.Dataset.from_generator(generate, output_signature=tf.TensorSpec((None,), tf.int64))
    batches = batches.apply(tf.data.experimental.assert_cardinality(_batches(order)))
    return batches.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(2)


def _batches(order: Order) -> int:
    return len(order) if isinstance(order, Sized) else tf.data.INFINITE_CARDINALITY


def in_order(count: int, batch_size: int, view: int = 0) -> list[tuple[int, np.ndarray]]:
    """Return the batches of one pass over `count` rows, in order."""
    return [(view, np.arange(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]


class Shuffled:
    """The batches of epoch after epoch without end, each in an order of its own, rotating through the views.

    Args:
        count: Rows.
        batch_size: Rows a batch; an epoch's last batch is shorter.
        views: How many views each row has.
        seed: Of the orders.
    """

    def __init__(self, count: int, batch_size: int, views: int, seed: int) -> None:
        self.count, self.batch_size, self.views, self.seed = count, batch_size, views, seed

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        for epoch in itertools.count():
            order = np.random.default_rng((self.seed, epoch)).permutation(self.count)
            for start in range(0, self.count, self.batch_size):
                yield epoch % self.views, order[start : start + self.batch_size]
