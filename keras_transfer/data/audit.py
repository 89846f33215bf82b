"""A quick look at every file before any time is spent on training."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path

from keras_transfer.data.examples import Examples
from keras_transfer.errors import UserError
from keras_transfer.progress import Progress

# First bytes of the formats that TensorFlow decodes, in training and in the served graph alike.
_FORMATS = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"))
READABLE = ", ".join(name for _, name in _FORMATS)


def image_format(head: bytes) -> str | None:
    """Return the format that the first bytes of a file announce, or None if it is not one that can be read."""
    return next((name for magic, name in _FORMATS if head.startswith(magic)), None)


def fault(path: str | PathLike[str]) -> str | None:
    """Return why a file cannot be an image that this program reads, or None."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(16)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not head:
        return "is empty"
    return None if image_format(head) else f"is no image of a kind that can be read ({READABLE})"


def digests(examples: Examples, progress: Progress) -> list[bytes]:
    """Read every file once and return its 16-byte BLAKE2b digest, in order.

    Raises:
        UserError: naming the first file that is no image.
    """

    def read(path: str) -> bytes:
        content = Path(path).read_bytes() if (reason := fault(path)) is None else b""
        if reason is not None:
            raise UserError(f"{path} {reason}. Remove or replace it.")
        return hashlib.blake2b(content, digest_size=16).digest()

    found = []
    with ThreadPoolExecutor(max_workers=8) as pool, progress.task("Reading files", len(examples), "files") as advance:
        for digest in pool.map(read, examples.paths, chunksize=64):
            found.append(digest)
            advance(1)
    return found
