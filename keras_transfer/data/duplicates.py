"""Images that are there more than once: exactly, by their bytes, or nearly, by perceptual hashes.

The hash is the DCT hash of https://github.com/JohannesBuchner/imagehash (256 bits), which resizing, recompression and
small changes of colour hardly move. Photos of different things differ in about half of the bits. Mirroring flips the
bits of the odd columns, so that mirrored copies are found as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

HASH_SIDE = 16  # A hash has 16 x 16 bits.
MOST_BITS = 60  # Nearly equal up to so many bits that differ; docs/measurements.md has the distances measured.
_BLOCK = 512
_MIRRORED = np.tile(np.arange(HASH_SIDE) % 2 == 1, HASH_SIDE)


def exact(digests: Sequence[bytes]) -> np.ndarray:
    """Return int64 `[N]`, equal for images of equal bytes."""
    return np.unique(np.asarray([digest.hex() for digest in digests]), return_inverse=True)[1].astype("int64")


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """Return the hash, bool `[256]`, of a picture, uint8 `[H, W, 3]`."""
    import imagehash
    from PIL import Image

    return imagehash.phash(Image.fromarray(pixels), hash_size=HASH_SIDE).hash.reshape(-1)


def near(hashes: np.ndarray, most: int = MOST_BITS) -> list[tuple[int, int, int]]:
    """Return the pairs `(i, j, bits)`, i < j, of hashes, bool `[N, 256]`, that differ in at most `most` bits, as they
    are or with one picture mirrored.
    """
    signs, mirrored = (np.where(bits, 1, -1).astype("float32") for bits in (hashes, hashes ^ _MIRRORED))
    found = []
    for start in range(0, len(signs), _BLOCK):
        block = signs[start : start + _BLOCK]
        # The product of two hashes of +1 and -1 is the bits that agree less those that differ.
        agreement = np.maximum(block @ signs[start:].T, block @ mirrored[start:].T)
        bits = (hashes.shape[1] - agreement) / 2
        one, other = np.nonzero(bits <= most)
        later = one < other
        places = (one[later] + start).tolist(), (other[later] + start).tolist()
        found += list(zip(*places, bits[one[later], other[later]].astype(int).tolist(), strict=True))
    return found


def alike(hashes: np.ndarray) -> np.ndarray:
    """Return int64 `[N]`, equal for pictures that hardly differ, directly or through others, by their hashes."""
    return components(len(hashes), [pair[:2] for pair in near(hashes)])


def components(count: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Return int64 `[count]`, equal for positions that pairs connect, directly or through others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.asarray(list(pairs), "int64").reshape(-1, 2)
    graph = coo_array((np.ones(len(rows)), (rows[:, 0], rows[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype("int64")


def joined(*groupings: np.ndarray | None) -> np.ndarray | None:
    """Return the finest grouping in which images that any of the groupings keeps together are together.

    Returns:
        None, if no two images belong together.
    """
    present = [groups for groups in groupings if groups is not None]
    if not present:
        return None
    pairs = itertools.chain.from_iterable(_chain(groups) for groups in present)
    groups = components(len(present[0]), pairs)
    return groups if len(np.unique(groups)) < len(groups) else None


def _chain(groups: np.ndarray) -> Iterable[tuple[int, int]]:
    """Link each image to the next one of its group."""
    order = np.argsort(groups, kind="stable")
    same = groups[order[1:]] == groups[order[:-1]]
    return zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True)
