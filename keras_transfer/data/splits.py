"""Stratified, seeded splits that keep groups of images together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, REGRESSION, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError

_BINS = 5  # Regression: quantiles of the target that every split has its share of.


def assign(examples: Examples, shares: tuple[float, float, float], seed: int) -> Examples:
    """Return the examples with every one on a side.

    A source that is already split keeps its splits; a validation or test split missing beside a given `train/` is
    carved from it, in the shares that the three splits would have had. Each class (or quantile of a numeric target)
    is dealt out by itself, so that every split has its share of it, and at least one image. Images of one group stay
    together.

    Args:
        examples: Unsplit, or split by their source.
        shares: Train, validation and test shares, in any unit.
        seed: Of the shuffle; the same seed and files give the same split.

    Raises:
        UserError: a class has fewer images, or groups, than splits to fill.
    """
    given = {SPLITS[index] for index in np.unique(examples.splits) if index != UNASSIGNED}
    wanted = [k for k, name in enumerate(SPLITS) if name not in given or name == "train"]
    if len(wanted) == 1:
        return examples
    pool = np.flatnonzero(examples.splits == (SPLITS.index("train") if given else UNASSIGNED))
    parts = _deal(examples, pool, [shares[k] for k in wanted], np.random.default_rng(seed))
    splits = examples.splits.copy()
    splits[pool] = np.asarray(wanted)[parts]
    return replace(examples, splits=splits)


def folds(examples: Examples, count: int, seed: int) -> Iterator[Examples]:
    """Yield the examples `count` times: each fold is the test split once, and the one after it validates.

    Raises:
        UserError: a class has fewer images, or groups, than folds.
    """
    parts = _deal(examples, np.arange(len(examples)), [1.0] * count, np.random.default_rng(seed))
    for fold in range(count):
        splits = np.zeros(len(examples), "int8")
        splits[parts == (fold + 1) % count] = SPLITS.index("validation")
        splits[parts == fold] = SPLITS.index("test")
        yield replace(examples, splits=splits)


def _deal(examples: Examples, pool: np.ndarray, shares: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Return for each row of the pool the number of the share that it goes to."""
    strata_of = strata(examples)[pool]
    together = np.arange(len(examples)) if examples.groups is None else examples.groups
    groups = np.unique(together[pool], return_inverse=True)[1]
    sizes = np.bincount(groups)
    # A group counts where its first image does.
    first = np.full(len(sizes), len(pool))
    np.minimum.at(first, groups, np.arange(len(pool)))
    part_of = np.empty(len(sizes), "int64")
    for stratum in np.unique(strata_of):
        members = np.flatnonzero(strata_of[first] == stratum)
        if len(members) < len(shares):
            raise UserError(_too_few(examples, stratum, int((strata_of == stratum).sum()), len(members), len(shares)))
        part_of[members] = _deal_groups(sizes[members], shares, generator)
    return part_of[groups]


def _deal_groups(sizes: np.ndarray, shares: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Deal groups out so that the images in each part come as near to their shares as can be."""
    wanted = np.asarray(_counts(int(sizes.sum()), list(shares)), "float64")
    parts = np.full(len(sizes), -1)
    order = generator.permutation(len(sizes))
    large = [row for row in order if sizes[row] > 1]
    for row in sorted(large, key=lambda row: -sizes[row]):
        parts[row] = int(np.argmax(wanted))
        wanted[parts[row]] -= sizes[row]
    single = order[sizes[order] == 1]
    room = np.maximum(wanted, 0)
    room = (room * len(single) // max(room.sum(), 1)).astype(int)
    room[0] += len(single) - room.sum()
    parts[single] = np.repeat(np.arange(len(shares)), room)
    return _fill_empty(parts, sizes, len(shares))


def _fill_empty(parts: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """Give each part that went empty the smallest group of the part with the most groups."""
    for empty in sorted(set(range(count)) - set(parts.tolist())):
        rows = np.flatnonzero(parts == np.bincount(parts, minlength=count).argmax())
        parts[rows[np.argmin(sizes[rows])]] = empty
    return parts


def strata(examples: Examples) -> np.ndarray:
    """Return what every part of the examples should have its share of, int64 `[N]`: the class of each, or the quantile
    of a numeric target; 0 for all images of several labels.
    """
    if examples.task == CLASSIFICATION:
        return examples.labels
    if examples.task == REGRESSION:
        bins = min(_BINS, max(1, len(examples) // 20))
        edges = np.quantile(examples.labels[:, 0], np.linspace(0, 1, bins + 1)[1:-1])
        return np.searchsorted(edges, examples.labels[:, 0])
    return np.zeros(len(examples), "int64")


def _too_few(examples: Examples, stratum: int, images: int, groups: int, parts: int) -> str:
    what = f"class {examples.classes[stratum]!r}" if examples.task == CLASSIFICATION else "it"
    grouped = f" in {groups} group{'s' * (groups != 1)} of equal or related images" if groups < images else ""
    return (
        f"{examples.source}: {what} has {images} image{'s' * (images != 1)}{grouped}, too few for {parts} splits. "
        "Add images to it, or remove it."
    )


def _counts(total: int, shares: list[float]) -> list[int]:
    """Deal `total` out by `shares`: rounded, at least one each, the first taking what is left."""
    rest = [max(1, round(total * share / sum(shares))) for share in shares[1:]]
    while total - sum(rest) < 1:
        rest[int(np.argmax(rest))] -= 1
    return [total - sum(rest), *rest]
