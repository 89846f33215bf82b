"""Images that are there more than once: exactly, by their bytes, or nearly, by perceptual hashes.

The hash is the DCT hash of https://github.com/JohannesBuchner/imagehash (256 bits), which resizing, recompression and
small changes of colour hardly move. Photos of different things differ in about half of the bits. Mirroring flips the
bits of the odd columns, so that mirrored copies are found as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_array

HASH_SIDE = 16  # A hash has 16 x 16 bits.
MAX_BITS = 60  # Nearly equal up to so many bits that differ; docs/measurements.md has the distances measured.
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


def near(hashes: np.ndarray) -> np.ndarray:
    """Return what links pictures that hardly differ, as they are or with one mirrored, directly or through others.

    Of a thousand pictures that are all alike there are half a million pairs: only a minimum spanning forest is kept.

    Args:
        hashes: Bool `[N, 256]`.

    Returns:
        int64 `[L, 3]`, L < N: positions i < j and the bits in which their hashes differ.
    """
    signs, mirrored = (np.where(bits, 1, -1).astype("float32") for bits in (hashes, hashes ^ _MIRRORED))
    links = np.zeros((0, 3), "int64")
    for start in range(0, len(signs), _BLOCK):
        block = signs[start : start + _BLOCK]
        # The product of two hashes of +1 and -1 is the bits that agree less those that differ.
        agreement = np.maximum(block @ signs[start:].T, block @ mirrored[start:].T)
        bits = (hashes.shape[1] - agreement) / 2
        left, right = np.nonzero(bits <= MAX_BITS)
        left, right = left[left < right], right[left < right]
        if len(left):
            pairs = np.stack([left + start, right + start, bits[left, right].astype("int64")], axis=1)
            links = _spanning(len(hashes), np.concatenate([links, pairs]))
    return links


def _spanning(count: int, links: np.ndarray) -> np.ndarray:
    from scipy.sparse.csgraph import minimum_spanning_tree

    # A weight of zero would be no link.
    tree = minimum_spanning_tree(_graph(count, links, links[:, 2] + 1)).tocoo()
    return np.stack([tree.row, tree.col, tree.data - 1], axis=1).astype("int64")


def _graph(count: int, links: np.ndarray, weights: np.ndarray) -> csr_array:
    from scipy.sparse import csr_array

    # SciPy 1.16.3 keeps the type of the indices, and its graph routines take 32 bits alone.
    ends = links[:, :2].astype("int32")
    return csr_array((weights, (ends[:, 0], ends[:, 1])), shape=(count, count))


def components(count: int, links: np.ndarray) -> np.ndarray:
    """Return int64 `[count]`, equal for positions that links, int `[L, 2]` or more columns, connect."""
    from scipy.sparse.csgraph import connected_components

    graph = _graph(count, links, np.ones(len(links)))
    return connected_components(graph, directed=False)[1].astype("int64")


def joined(*groupings: np.ndarray | None) -> np.ndarray | None:
    """Return the finest grouping in which images that any of the groupings keeps together are together.

    Returns:
        None, if no two images belong together.
    """
    present = [groups for groups in groupings if groups is not None]
    if not present:
        return None
    groups = components(len(present[0]), np.concatenate([_chain(groups) for groups in present]))
    return groups if len(np.unique(groups)) < len(groups) else None


def _chain(groups: np.ndarray) -> np.ndarray:
    """Link each image to the next one of its group."""
    order = np.argsort(groups, kind="stable")
    same = groups[order[1:]] == groups[order[:-1]]
    return np.stack([order[:-1][same], order[1:][same]], axis=1)
