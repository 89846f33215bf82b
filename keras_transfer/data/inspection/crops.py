"""Copies that show a part of a picture, or the picture turned by a few degrees, mirrored or not.

The hash of a whole picture moves with its frame. So hashes of windows are compared: windows of four fifths and more of
each side, or of one, with the whole of every other picture, and turned ones with its centre, for what fills the corners
of a turned picture lies outside. Pictures of little detail are left out. `docs/measurements.md` says how many such
copies are found, and what else.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data.inspection import duplicates
from keras_transfer.data.inspection.duplicates import HASH_SIDE
from keras_transfer.support.progress import Progress

if TYPE_CHECKING:
    from PIL import Image

MAX_IMAGES = 10_000  # Of more, comparing all windows with all pictures would take minutes.
MAX_BITS = 54  # Of a window; less than of whole pictures, for there are so many of them.
_DETAIL = 18  # Waves, at least, that a picture is made of: of horizons or X-rays, windows are like those of any other.
_SIDE = 64  # Of the pictures that windows are cut from, px.
_PLACES = {0.95: 2, 0.9: 4, 0.85: 5, 0.8: 6}  # By the share of a side that a window has: its places along that side.
_STRIPS = {0.92: 2, 0.86: 3, 0.8: 4}  # The same where the other side is whole: a caption was cut away.
_CENTRE = 0.8  # Share of each side, in which no corner shows of what is turned up to 15 degrees.
# Degrees and zoom of turned centres.
_TURNS = [(degrees, zoom) for degrees in (-15, -10, -5, 5, 10, 15) for zoom in (1.0, 0.9, 0.8)]
_COLUMNS_ODD = np.tile(duplicates.ODD, HASH_SIDE)
_ROWS, _COLUMNS = 256, 1024  # Of a block of pairs.


def _waves(start: float, side: float) -> np.ndarray:
    """Return float32 `[16, 64]`: the lowest waves of the DCT (type 2) over a window, by pixels, in part where the
    window's edge cuts one.
    """
    pixels = np.arange(_SIDE)
    covered = np.clip(np.minimum(pixels + 1, start + side) - np.maximum(pixels, start), 0, 1)
    return (covered * np.cos(np.pi * np.outer(np.arange(HASH_SIDE), (pixels + 0.5 - start) / side))).astype("float32")


def _along(share: float, places: int) -> np.ndarray:
    """Return the waves over windows of a share of a side, at places along it."""
    return np.stack([_waves(start * _SIDE, share * _SIDE) for start in np.linspace(0, 1 - share, places)])


_WHOLE = _waves(0, _SIDE)
# Waves down and across: of each of the one with each of the other, a window.
_WINDOWS = [
    *((along, along) for along in (_along(*places) for places in _PLACES.items())),
    *((_along(*places), _WHOLE[None]) for places in _STRIPS.items()),
    *((_WHOLE[None], _along(*places)) for places in _STRIPS.items()),
]


def detailed(pixels: np.ndarray) -> bool:
    """Say whether a picture, uint8 `[64, 64, 3]`, is made of so many waves that its windows are like no other's.

    Counted is the participation ratio: of n waves that are equally strong, n.
    """
    from PIL import Image

    flat = np.asarray(Image.fromarray(pixels).convert("L"), "float32")
    strength = np.abs(_WHOLE @ flat @ _WHOLE.T).ravel()[1:]  # Without the mean.
    return bool(strength.sum() ** 2 >= _DETAIL * (strength**2).sum())


def windows(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """Return the hashes, packed, uint8 `[W + 1, 32]`, of all windows of a picture, and last of its centre.

    Args:
        pixels: uint8 `[64, 64, 3]`, the whole picture.
        aspect: Its width over its height, before it was brought to a square.
    """
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L")
    flat = np.asarray(grey, "float32")
    turned = np.stack([np.asarray(_turned(grey, aspect, *turn), "float32") for turn in (*_TURNS, (0, 1.0))])
    # Many small products: larger ones BLAS shares among threads, which wait for each other where processors are busy.
    frequencies = [(down @ flat)[:, None] @ across.transpose(0, 2, 1) for down, across in _WINDOWS]
    flattened = [waves.reshape(-1, HASH_SIDE**2) for waves in (*frequencies, _WHOLE @ turned @ _WHOLE.T)]
    signs = np.concatenate(flattened)
    return np.packbits(signs > np.median(signs, axis=1, keepdims=True), axis=1)


def _turned(grey: Image.Image, aspect: float, degrees: float, zoom: float) -> Image.Image:
    """Return the centre of a picture, turned, and less of it where zoomed in."""
    from PIL import Image

    share, angle = _CENTRE * zoom, math.radians(degrees)
    cosine, sine = share * math.cos(angle), share * math.sin(angle)
    across, down = -sine / aspect, sine * aspect
    middle = _SIDE / 2
    matrix = (cosine, across, middle * (1 - cosine - across), down, cosine, middle * (1 - down - cosine))
    return grey.transform((_SIDE, _SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)


def resembling(
    hashes: dict[bytes, bytes], windowed: dict[bytes, np.ndarray], progress: Progress
) -> dict[bytes, list[tuple[bytes, int]]]:
    """Return by digests which pictures show a part of others, or are turned: of each pair on one side, and not of all
    pairs, but so many as connect all.

    Args:
        hashes: Of whole pictures, packed, by their digests.
        windowed: Of `windows`, by the digests of at least these.
        progress: Is told of each picture that was compared with all.
    """
    if not hashes:
        return {}
    digests = list(hashes)
    whole = duplicates.unpacked(list(hashes.values()))
    copies: dict[bytes, list[tuple[bytes, int]]] = {}
    for first, second, bits, _ in links(whole, np.stack([windowed[digest] for digest in digests]), progress).tolist():
        copies.setdefault(digests[first], []).append((digests[second], bits))
    return copies


def links(hashes: np.ndarray, windowed: np.ndarray, progress: Progress) -> np.ndarray:
    """Return what links pictures of which one shows a part of the other, or is turned, as `duplicates.near`.

    Args:
        hashes: Of whole pictures, bool `[N, 256]`.
        windowed: Of `windows`, uint8 `[N, W + 1, 32]`.
        progress: Is told of each picture that was compared with all.
    """
    from threadpoolctl import threadpool_limits

    kept, count = np.zeros((0, 4), "int64"), len(hashes)
    wholes, centres = _halves(hashes), _halves(np.unpackbits(windowed[:, -1], axis=1).astype(bool))

    def compared(top: int) -> np.ndarray:
        return _links_of_rows(top, windowed[top : top + _ROWS, :-1], wholes, centres)

    # Each thread multiplies by itself: those of BLAS wait for each other in a loop where processors are busy.
    with (
        progress.task("Comparing parts", count) as advance,
        threadpool_limits(1, "blas"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        tops = range(0, count, _ROWS)
        for top, pairs in zip(tops, pool.map(compared, tops), strict=True):
            kept = duplicates.spanning(count, np.concatenate([kept, pairs]))
            advance(min(_ROWS, count - top))
    return kept


def _links_of_rows(top: int, windowed: np.ndarray, wholes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return what links pictures from position `top` on, by their windows, uint8 `[R, W, 32]`, with any others."""
    alike, count = np.zeros((0, 4), "int64"), wholes.shape[1]
    rows = np.unpackbits(windowed, axis=2).astype(bool)
    for left in range(0, count, _COLUMNS):
        columns = slice(left, left + _COLUMNS)
        bits = duplicates.differing(_best(rows, wholes[:, columns], centres[:, columns]))
        row, column = np.nonzero(bits <= MAX_BITS)
        ends = np.sort(np.stack([row + top, column + left], axis=1), axis=1)
        pairs = np.column_stack([ends, bits[row, column], np.ones(len(row), "int64")])
        alike = np.concatenate([alike, pairs[ends[:, 0] < ends[:, 1]]])
    return duplicates.spanning(count, alike)


def _best(rows: np.ndarray, wholes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return, float32 `[R, C]`, how far the window that fits best agrees, mirrored or not."""
    best = np.full((len(rows), wholes.shape[1]), -np.inf, "float32")
    cut = rows.shape[1] - len(_TURNS)
    for window in range(rows.shape[1]):
        even, odd = _halves(rows[:, window]) @ (wholes if window < cut else centres).transpose(0, 2, 1)
        # Mirroring flips the bits of the odd columns.
        even += np.abs(odd, out=odd)
        np.maximum(best, even, out=best)
    return best


def _halves(hashes: np.ndarray) -> np.ndarray:
    """Return, float32 `[2, N, 128]`, the signs of the bits in even columns, and of those in odd ones."""
    signs = duplicates.signed(hashes)
    return np.stack([signs[:, ~_COLUMNS_ODD], signs[:, _COLUMNS_ODD]])
