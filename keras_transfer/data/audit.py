"""What training must not meet, found before any time is spent on it: files that cannot be decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.contents import Contents, each
from keras_transfer.data.decoding import formats
from keras_transfer.data.examples import Examples
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress

if TYPE_CHECKING:
    from keras_transfer.data.decoding.decode import Glance

_HEAD = 16


def examine(contents: Contents, name: str) -> tuple[bytes, str | None]:
    """Return the bytes of an image, and why it cannot be used, as far as its first bytes tell; `b""` if unreadable."""
    try:
        content = contents.read(name)
    except OSError as error:
        return b"", f"cannot be read ({error.strerror or error})"
    return content, formats.fault(content[:_HEAD])


def read(examples: Examples, progress: Progress) -> tuple[list[bytes], dict[int, str]]:
    """Read every image once.

    Returns:
        The 16-byte BLAKE2b digest of each one's bytes, in order, and by position why an image cannot be one that this
        program reads, as far as its first bytes tell.
    """

    def one(name: str) -> tuple[bytes, str | None]:
        content, fault = examine(examples.contents, name)
        return digest(content), fault

    digests, faults = [], {}
    with progress.task("Reading files", len(examples), "files") as advance:
        for row, (found, fault) in enumerate(each(one, examples.paths)):
            digests.append(found)
            if fault is not None:
                faults[row] = fault
            advance(1)
    return digests, faults


def digest(content: bytes) -> bytes:
    """Return what tells an image from all others, 16 bytes of BLAKE2b."""
    return hashlib.blake2b(content, digest_size=16).digest()


def digests(examples: Examples, progress: Progress) -> list[bytes]:
    """Return the digests of `read`.

    Raises:
        UserError: naming the first image that cannot be one that this program reads.
    """
    found, faults = read(examples, progress)
    for row, fault in faults.items():
        raise UserError(f"{examples.paths[row]} {fault}. Remove or replace it.")
    return found


def decode(
    examples: Examples, glance: Glance, progress: Progress, hashed: bool = False
) -> tuple[dict[int, str], dict[int, np.ndarray]]:
    """Decode every image, as training and serving do.

    Returns:
        By position, why some cannot be decoded; and, if `hashed`, the perceptual hashes of the others, bool `[256]`.
    """
    from keras_transfer.data import duplicates, pipeline

    good: set[int] = set()
    hashes: dict[int, np.ndarray] = {}
    if not len(examples):
        return {}, hashes
    with progress.task("Checking files", len(examples), "files") as advance:
        for row, pixels in pipeline.decodable(examples.contents, examples.paths, glance):
            good.add(row)
            if hashed:
                hashes[row] = duplicates.perceptual_hash(pixels)
            advance(1)
    bad = [row for row in range(len(examples)) if row not in good]
    return {row: reason(examples.contents, examples.paths[row], glance.max_pixels) for row in bad}, hashes


def reason(contents: Contents, name: str, max_pixels: int) -> str:
    """Return why an image that the decoder refused cannot be decoded."""
    content, fault = examine(contents, name)
    return fault or reason_of(content, max_pixels)


def reason_of(content: bytes, max_pixels: int) -> str:
    """Return why the decoder refused these bytes."""
    fault = formats.fault(content[:_HEAD])
    if fault is not None:
        return fault
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import announced_size
    from keras_transfer.data.decoding.webp import DECODABLE

    if formats.image_format(content[:_HEAD]) == "WebP" and not DECODABLE:
        return (
            f"is a WebP image, which TensorFlow {tf.__version__} cannot decode; update it to "
            f"{formats.WEBP_RELEASE} or newer, or {formats.CONVERT}"
        )
    size = announced_size(content)
    if size is not None and size[0] * size[1] > max_pixels:
        return f"has {size[0] * size[1]:,} pixels, more than --max-pixels {max_pixels:,}"
    return formats.DAMAGED


def listed(rejected: Sequence[tuple[str, str]], most: int = 3) -> str:
    """Return the first rejected files with their reasons, for a message."""
    shown = "; ".join(f"{name} {why}" for name, why in rejected[:most])
    return shown + (f"; and {len(rejected) - most} more" if len(rejected) > most else "")
