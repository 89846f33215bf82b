"""tf.data pipelines of pixels: parallel decoding, batches, prefetching, the same order every time."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from keras_transfer.data.contents import Contents, Files
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.examples import Examples


class Order(Protocol):
    """Which indices make up which batch; batches are numbered."""

    @property
    def start(self) -> int:
        """Number of the first batch."""

    @property
    def stop(self) -> int | None:
        """Number of the batch after the last; None if there is no last."""

    def batch(self, number: int) -> tuple[int, np.ndarray]:
        """Return view and indices, int64, of a batch."""


PARALLEL = os.cpu_count() or 1  # Pictures that are decoded at the same time.


def steady(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Return a dataset that does not tune itself: every number of threads and buffers here is given.

    The thread that tunes may sleep when an iterator ends, and lets it wait for up to five seconds (TensorFlow 2.18 to
    2.21; `tensorflow::data::RootDataset::Iterator` joins its model thread).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def encoded_names(names: Sequence[str]) -> tf.Tensor:
    """Return names as a string tensor `[N]`: as the bytes that they have on disk, which need not be UTF-8."""
    return tf.constant([os.fsencode(name) for name in names], tf.string)


def reader(contents: Contents) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return what turns the name of an image into its bytes, both scalar strings: without Python for files."""
    if isinstance(contents, Files):
        return tf.io.read_file

    def content(name: bytes) -> bytes:
        return contents.read(os.fsdecode(name))

    def read(name: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(_called(content, name, tf.string), ())

    return read


def stored(
    read: Callable[[int, np.ndarray], list[np.ndarray]],
    signature: Sequence[tf.TensorSpec],
    targets: Sequence[Sequence[np.ndarray]],
    order: Order,
) -> tf.data.Dataset:
    """Return batches of stored activations and targets.

    Args:
        read: Gives the stored tensors of a view and indices (int64 `[B]`).
        signature: Of each tensor, batch included.
        targets: What comes with each batch, for each view, one row an image: float32 `[N, K]`, and weights `[N]` if
            there are any.
        order: View and indices of each batch.
    """
    specs = [*signature, *(tf.TensorSpec((None, *values.shape[1:]), values.dtype) for values in targets[0])]

    def numbered(number: np.ndarray) -> list[np.ndarray]:
        view, indices = order.batch(int(number))
        return [*read(view, indices), *(values[indices] for values in targets[view])]

    def batch(number: tf.Tensor) -> tuple[Any, ...]:
        tensors = _called(numbered, number, [spec.dtype for spec in specs])
        tensors = [tf.ensure_shape(tensor, spec.shape) for tensor, spec in zip(tensors, specs, strict=True)]
        inputs = tensors[: len(signature)]
        return inputs[0] if len(inputs) == 1 else tuple(inputs), *tensors[len(signature) :]

    return steady(_numbers(order).map(batch).prefetch(2))


def decoded(examples: Examples, targets: Sequence[np.ndarray], decoder: Decoder, order: Order) -> tf.data.Dataset:
    """Return batches of freshly decoded pixels, uint8 `[B, size, size, 3]`, and targets, in the given order.

    Args:
        examples: Which images.
        targets: What comes with each batch, one row an image.
        decoder: How files become pixels.
        order: Positions within `examples` of each batch.
    """

    def picture(name: tf.Tensor) -> tf.Tensor:
        return decoder(read(name))

    def numbered(number: np.ndarray) -> np.ndarray:
        return order.batch(int(number))[1]

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        indices = tf.ensure_shape(_called(numbered, number, tf.int64), (None,))
        pixels = tf.map_fn(picture, tf.gather(names, indices), fn_output_signature=tf.uint8)
        pixels = tf.ensure_shape(pixels, (None, decoder.size, decoder.size, 3))
        return pixels, *(tf.gather(table, indices) for table in tables)

    read, names = reader(examples.contents), encoded_names(examples.paths)
    tables = [tf.constant(values) for values in targets]
    return steady(_numbers(order).map(batch, num_parallel_calls=PARALLEL, deterministic=True).prefetch(2))


def _called(function: Callable[[Any], Any], value: tf.Tensor, dtype: Any) -> Any:
    """Return what a Python function makes of a tensor, within what a dataset maps, which must refer to the function.

    What `tf.numpy_function` is given, and all that it refers to, stays until the process ends: TensorFlow (2.18 to
    2.21) binds it to the graph around all others, which is nobody's. So that is a weak reference.
    """
    reference = weakref.ref(function)

    def call(value: Any) -> Any:
        of_dataset = reference()
        assert of_dataset is not None  # As long as the dataset that calls it.
        return of_dataset(value)

    return tf.numpy_function(call, [value], dtype)


def _numbers(order: Order) -> tf.data.Dataset:
    """Return the numbers of an order's batches, int64.

    `Dataset.from_generator`, even while it waits, slows training steps beside it by a tenth (TensorFlow 2.21, two
    cores): docs/speed.md.
    """
    numbers = tf.data.Dataset.counter(order.start)
    return numbers if order.stop is None else numbers.take(order.stop - order.start)


@dataclass(frozen=True)
class Sequential:
    """The batches of one pass over indices, in order.

    Attributes:
        count: Examples.
        batch_size: Examples a batch; the last one is shorter.
    """

    count: int
    batch_size: int

    @property
    def start(self) -> int:
        """Number of the first batch, 0."""
        return 0

    @property
    def stop(self) -> int:
        """Number of the batch after the last."""
        return -(-self.count // self.batch_size)

    def batch(self, number: int) -> tuple[int, np.ndarray]:
        """Return view 0 and indices, int64, of a batch."""
        return 0, np.arange(number * self.batch_size, min((number + 1) * self.batch_size, self.count))


@dataclass(frozen=True)
class Shuffled:
    """The batches of epoch after epoch without end, each in an order of its own, rotating through the views.

    Attributes:
        count: Examples.
        batch_size: Examples a batch; an epoch's last batch is shorter.
        views: How many views each example has.
        seed: Of the orders.
        start: Number of the first batch.
    """

    count: int
    batch_size: int
    views: int
    seed: int
    start: int = 0

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def stop(self) -> None:
        """There is no last batch."""
        return None

    def batch(self, number: int) -> tuple[int, np.ndarray]:
        """Return view and indices, int64, of a batch."""
        epoch, place = divmod(number, self.steps)
        indices = _permutation(self.count, self.seed, epoch)
        return epoch % self.views, indices[place * self.batch_size : (place + 1) * self.batch_size]


@lru_cache(maxsize=4)  # Batches are asked for one by one.
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(count)
