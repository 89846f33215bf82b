"""Pixels of images whose bytes, as they were decoded, are those that were listed: what is stored by their digests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import tensorflow as tf

from keras_transfer.data import pipeline
from keras_transfer.data.augment import View
from keras_transfer.data.contents import Contents
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.data.inspection import inspector
from keras_transfer.support.errors import UserError

_AHEAD_BYTES = 2**26  # Of files and pixels that wait for the network; while it is being converted, decoding goes on.
_SAMPLED = 8  # Images whose files tell how large files are.


def images(
    contents: Contents,
    names: Sequence[str],
    digests: Sequence[bytes],
    decoder: Decoder,
    batch_size: int,
    views: Sequence[View] = (),
) -> Iterator[np.ndarray]:
    """Yield batches of uint8 `[B, size, size, 3]`, in the order of `names`, the last one shorter.

    Args:
        contents: Where they lie.
        names: Which.
        digests: Of the bytes of each when it was listed.
        decoder: How files become pixels.
        batch_size: Most images a batch.
        views: That each picture is changed to, all of them mirroring or none; empty leaves pictures as they are.

    Raises:
        UserError: an image was changed or deleted; it is named.
    """
    read = pipeline.reader(contents)

    def picture(name: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        content = read(name)
        pixels = decoder(content)
        return views[0].picture(pixels, draws) if views else pixels, content

    draws = np.empty((len(names), 0), "float32")
    if views:
        draws = np.stack([view.draws(digest) for view, digest in zip(views, digests, strict=True)])
    dataset = tf.data.Dataset.from_tensor_slices((pipeline.encoded_names(names), draws))
    dataset = dataset.map(picture, num_parallel_calls=pipeline.PARALLEL, deterministic=True).batch(batch_size)
    # The bytes come with the pixels and are digested here: a pipeline that calls Python can keep a process that fails
    # from ending.
    ahead = _AHEAD_BYTES // (batch_size * (decoder.size**2 * 3 + _mean_bytes(contents, names)))
    batches = pipeline.steady(dataset.prefetch(max(2, ahead))).as_numpy_iterator()
    for start in range(0, len(names), batch_size):
        end = start + batch_size
        try:
            pixels, files = next(batches)
        except tf.errors.ResourceExhaustedError:
            raise
        except tf.errors.OpError as error:
            raise _error(contents, names[start:end], digests[start:end]) from error
        for name, digest, file in zip(names[start:end], digests[start:end], files, strict=True):
            if inspector.digest(file) != digest:
                raise _changed(name)
        yield pixels


def _error(contents: Contents, names: Sequence[str], digests: Sequence[bytes]) -> UserError:
    """Return what to say of a batch that could not be read and decoded, as it was when it was checked."""
    for name, digest in zip(names, digests, strict=True):
        try:
            if inspector.digest(contents.read(name)) != digest:
                return _changed(name)
        except OSError:
            return _changed(name)
    return UserError(f"An image among {names[0]} to {names[-1]} can no longer be decoded. Is the data changing?")


def _changed(name: str) -> UserError:
    return UserError(f"{name} was changed or deleted after it was listed. Run again once the data no longer changes.")


def _mean_bytes(contents: Contents, names: Sequence[str]) -> int:
    sizes = [0]
    for name in names[:: -(-len(names) // _SAMPLED)]:
        with suppress(OSError):
            sizes.append(len(contents.read(name)))
    return sum(sizes) // len(sizes)
