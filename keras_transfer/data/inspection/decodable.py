"""What an earlier run saw of images that it decoded, by their bytes: a further run need not decode them again."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from keras_transfer.support.files import whole
from keras_transfer.support.paths import cache_folder
from keras_transfer.support.version import __version__

# One image: its digest and hash, height and width in px, and more of what `inspector.Inspection` has.
ROW = np.dtype(
    [
        ("digest", "u1", 16),
        ("hash", "u1", 32),
        ("height", "<i4"),
        ("width", "<i4"),
        ("peak", "<u2"),
        ("contrast", "<f4"),
    ]
)
_MAX_IMAGES = 500_000  # Images kept: 31 MB.


def folder() -> Path:
    """Return where the table is kept."""
    return cache_folder() / "decodable"


def load(max_pixels: int) -> np.ndarray:
    """Return the images, `ROW` `[N]`, that decoded before under a limit of pixels."""
    try:
        table = np.load(_file(max_pixels))
    except (OSError, ValueError, EOFError):
        return np.zeros(0, ROW)
    return table if table.dtype == ROW and table.ndim == 1 else np.zeros(0, ROW)


def add(max_pixels: int, rows: np.ndarray) -> None:
    """Keep further images, `ROW` `[N]`; of runs that do this at the same time, one may be forgotten."""
    if not len(rows):
        return
    file = _file(max_pixels)
    kept = np.concatenate([load(max_pixels), rows])
    _, places = np.unique(kept["digest"], axis=0, return_index=True)
    try:
        with whole(file) as staging:
            np.save(staging, kept[np.sort(places)][-_MAX_IMAGES:])
    except OSError:
        return  # It would only have saved time.


def _file(max_pixels: int) -> Path:
    import tensorflow as tf

    from keras_transfer.data.decoding.decode import REVISION

    # What decodes in one release may not in another.
    key = f"{__version__} {REVISION} {tf.__version__} {max_pixels} {ROW}"
    return folder() / f"{hashlib.blake2b(key.encode(), digest_size=8).hexdigest()}.npy"
