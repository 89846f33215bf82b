"""Images that are there more than once: exactly, by their bytes, or nearly, by perceptual hashes.

The hash is the DCT hash of https://github.com/JohannesBuchner/imagehash (256 bits), which resizing, recompression and
small changes of colour hardly move. Photos of different things differ in about half of the bits. Mirroring flips the
bits of the odd columns or rows, and turning by a quarter swaps rows and columns besides, so that copies in all eight
positions are found as well.
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
_CHANGED = 1_000  # Weighs more than any number of bits: what is alike as it is comes first.
ODD = np.arange(HASH_SIDE) % 2 == 1  # Rows, or columns.
# Bits of even and odd rows by even and odd columns: of each quarter, mirroring flips all bits or none.
_QUARTERS = [np.flatnonzero(np.outer(row == ODD, column == ODD)) for row in (False, True) for column in (False, True)]
_SWAPPED = np.arange(HASH_SIDE**2).reshape(HASH_SIDE, HASH_SIDE).T.ravel()


def exact(digests: Sequence[bytes]) -> np.ndarray:
    """Return int64 `[N]`, equal for images of equal bytes."""
    return np.unique(np.asarray([digest.hex() for digest in digests]), return_inverse=True)[1].astype("int64")


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """Return the hash, bool `[256]`, of a picture, uint8 `[H, W, 3]`."""
    import imagehash
    from PIL import Image

    return imagehash.phash(Image.fromarray(pixels), hash_size=HASH_SIDE).hash.reshape(-1)


def unpacked(hashes: Sequence[bytes]) -> np.ndarray:
    """Return, bool `[N, 256]`, hashes that are kept as 32 bytes each."""
    packed = np.frombuffer(b"".join(hashes), "u1").reshape(len(hashes), -1)
    return np.unpackbits(packed, axis=1).astype(bool)


def near(hashes: np.ndarray) -> np.ndarray:
    """Return what links pictures that hardly differ, as they are or with one mirrored or turned by quarters, directly
    or through others.

    Args:
        hashes: Bool `[N, 256]`.

    Returns:
        int64 `[L, 4]`, L < N: positions i < j, the bits in which their hashes differ, and whether (1) or not (0) they
        differ so little only if one is mirrored or turned.
    """
    signs = signed(hashes)
    links = np.zeros((0, 4), "int64")
    for start in range(0, len(signs), _BLOCK):
        block, others = signs[start : start + _BLOCK], signs[start:]
        quarters, swapped = (_by_quarters(block, turned) for turned in (others, others[:, _SWAPPED]))
        upright = differing(sum(quarters[1:], quarters[0]))
        bits = np.minimum(upright, differing(np.maximum(_mirrored(quarters), _mirrored(swapped))))
        left, right = np.nonzero(bits <= MAX_BITS)
        left, right = left[left < right], right[left < right]
        changed = upright[left, right] > MAX_BITS
        bits = np.where(changed, bits[left, right], upright[left, right])
        links = spanning(
            len(hashes), np.concatenate([links, np.stack([left + start, right + start, bits, changed], axis=1)])
        )
    return links


def signed(hashes: np.ndarray) -> np.ndarray:
    """Return float32 of +1 and -1: the product of two hashes is then the bits that agree less those that differ."""
    return np.where(hashes, np.float32(1), np.float32(-1))


def differing(agreement: np.ndarray) -> np.ndarray:
    """Return how many bits differ, int64, by products of hashes."""
    return ((HASH_SIDE**2 - agreement) / 2).astype("int64")


def _by_quarters(block: np.ndarray, others: np.ndarray) -> list[np.ndarray]:
    """Return how far hashes agree in each quarter of their bits, float32 `[B, N]` each."""
    return [block[:, quarter] @ others[:, quarter].T for quarter in _QUARTERS]


def _mirrored(quarters: Sequence[np.ndarray]) -> np.ndarray:
    """Return, float32 `[B, N]`, how far hashes agree with one mirrored across, down, both or not, as agrees best."""
    # Flipped rows, flipped columns, or both, change the signs of two of the last three quarters.
    even, columns, rows, both = quarters
    best: np.ndarray = even + np.maximum(np.abs(rows + both) + columns, np.abs(rows - both) - columns)
    return best


def spanning(count: int, links: np.ndarray) -> np.ndarray:
    """Return those of the links, int64 `[L, 4]` as `near` has them, that suffice to connect what they connect: of a
    thousand pictures that are all alike there are half a million.
    """
    from scipy.sparse.csgraph import minimum_spanning_tree

    # A weight of zero would be no link, and of two links of the same ends SciPy would add the weights.
    weights = links[:, 2] + 1 + _CHANGED * links[:, 3]
    order = np.argsort(weights, kind="stable")
    _, first = np.unique(links[order, 0] * count + links[order, 1], return_index=True)
    chosen = order[first]
    tree = minimum_spanning_tree(_graph(count, links[chosen], weights[chosen])).tocoo()
    changed, bits = np.divmod(tree.data.astype("int64") - 1, _CHANGED)
    return np.stack([tree.row, tree.col, bits, changed], axis=1).astype("int64")


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
