"""Images that were decoded before, told by their bytes: a further run need not decode them to see that it can."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_transfer.support.files import whole
from keras_transfer.support.paths import cache_folder
from keras_transfer.support.version import __version__

_DIGEST_BYTES = 16
_MOST = 1_000_000  # Digests kept: 16 MB on disk, 80 in memory.


def folder() -> Path:
    """Return where the digests are kept."""
    return cache_folder() / "decodable"


def load(max_pixels: int) -> set[bytes]:
    """Return the digests, 16 bytes each, of the images that are known to decode under a limit of pixels."""
    try:
        table = np.load(_file(max_pixels))
    except (OSError, ValueError):
        return set()
    return {row.tobytes() for row in table}


def add(max_pixels: int, digests: Iterable[bytes]) -> None:
    """Keep the digests of further images; of runs that do this at the same time, one may be forgotten."""
    file, new = _file(max_pixels), list(digests)
    if not new:
        return
    kept = list(dict.fromkeys([*load(max_pixels), *new]))[-_MOST:]
    try:
        with whole(file) as staging:
            np.save(staging, np.frombuffer(b"".join(kept), np.uint8).reshape(-1, _DIGEST_BYTES))
    except OSError:
        return  # It would only have saved time.


def _file(max_pixels: int) -> Path:
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import REVISION

    # What decodes in one release may not in another.
    key = f"{__version__} {REVISION} {tf.__version__} {max_pixels}"
    return folder() / f"{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npy"
