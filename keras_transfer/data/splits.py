"""Stratified, seeded splits that keep groups of images together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, REGRESSION, SPLITS, UNASSIGNED, Examples
from keras_transfer.support.errors import UserError

_TRIES = 50  # Orders in which groups of several classes are dealt out, until each split has each class.
_BINS = 5  # Regression: quantiles of the target that every split has its share of.


def assign(examples: Examples, shares: tuple[float, float, float], seed: int) -> Examples:
    """Return the examples with every one on a side.

    A source that is already split keeps its splits; a validation or test split missing beside a given `train/` is
    carved from it, in the shares that the three splits would have had. Each class (or quantile of a numeric target)
    is dealt out by itself, so that every split has its share of it, and at least one image; so is each label of several
    an image, as far as its images do not have a rarer one. Images of one group stay together.

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
    """Return for each image of the pool the number of the share that it goes to; of a numeric target, in as many
    quantiles as all shares can have some of, of several labels an image, by those that all can have.
    """
    if examples.task == MULTI_LABEL:
        with suppress(UserError):
            return _deal_strata(examples, _common(strata(examples), pool, len(shares)), pool, shares, generator)
    for bins in range(_bins(examples), 1, -1):
        with suppress(UserError):
            return _deal_strata(examples, strata(examples, bins), pool, shares, generator)
    return _deal_strata(examples, strata(examples, 1), pool, shares, generator)


def _deal_strata(
    examples: Examples, stratum: np.ndarray, pool: np.ndarray, shares: Sequence[float], generator: np.random.Generator
) -> np.ndarray:
    names, stratum_of = np.unique(stratum[pool], return_inverse=True)
    together = np.arange(len(examples)) if examples.groups is None else examples.groups
    groups = np.unique(together[pool], return_inverse=True)[1]
    holders, held = np.unique(np.stack([groups, stratum_of]), axis=1)
    counts = np.bincount(held)
    smallest = int(counts.argmin())
    if counts[smallest] < len(shares):
        images = int((stratum_of == smallest).sum())
        raise UserError(_too_few(examples, names[smallest], images, int(counts[smallest]), len(shares)))
    mixed = np.bincount(holders) > 1
    for _ in range(_TRIES if mixed.any() else 1):
        parts = _deal_once(groups, stratum_of, mixed, shares, generator)[groups]
        if len(np.unique(np.stack([parts, stratum_of]), axis=1)[0]) == len(shares) * len(names):
            return parts
    raise UserError(
        f"{examples.source}: its groups cannot be dealt out so that each of {len(shares)} splits has an image of each "
        "class. Add images, or group them by less."
    )


def _deal_once(
    groups: np.ndarray,
    stratum_of: np.ndarray,
    mixed: np.ndarray,
    shares: Sequence[float],
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the share that each group goes to, those of several strata first.

    Args:
        groups: Int `[N]`, of each image.
        stratum_of: Int `[N]`, of each image.
        mixed: Bool `[G]`, groups with images of several strata.
        shares: In any unit.
        generator: Of the order.
    """
    totals = np.bincount(stratum_of)
    wanted = np.stack([_counts(int(total), list(shares)) for total in totals], axis=1).astype("float64")
    filled = np.zeros_like(wanted)
    part_of = np.full(len(mixed), -1)
    if mixed.any():
        inside = np.flatnonzero(mixed[groups])
        positions = np.unique(groups[inside], return_inverse=True)[1]
        counts = np.zeros((int(mixed.sum()), len(totals)))
        np.add.at(counts, (positions, stratum_of[inside]), 1)
        part_of[mixed], filled = _deal_mixed(counts, wanted, generator)
    stratum_of_group = np.empty(len(mixed), int)
    stratum_of_group[groups] = stratum_of  # Of several strata, any; those groups are dealt out.
    sizes = np.bincount(groups)
    for stratum in range(len(totals)):
        members = np.flatnonzero((stratum_of_group == stratum) & ~mixed)
        if len(members):
            part_of[members] = _deal_groups(sizes[members], wanted[:, stratum], filled[:, stratum], generator)
    return part_of


def _deal_mixed(
    counts: np.ndarray, wanted: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Deal out groups of several strata, the largest first, each to where it brings all strata nearest to their shares.

    Args:
        counts: Images of each group and stratum, `[G, K]`.
        wanted: Images of each part and stratum, `[P, K]`.
        generator: Of the order.

    Returns:
        The part of each group, and the images that each part and stratum has then.
    """
    filled, parts = np.zeros_like(wanted), np.empty(len(counts), "int64")
    order = generator.permutation(len(counts))
    for group in order[np.argsort(-counts[order].sum(1), kind="stable")]:
        missing = wanted - filled
        # What the sum of squares gains, each stratum by its size.
        gains = ((2 * missing - counts[group]) * counts[group] / wanted.sum(0)).sum(1)
        parts[group] = int(np.argmax(gains))
        filled[parts[group]] += counts[group]
    return parts, filled


def _deal_groups(
    sizes: np.ndarray, wanted: np.ndarray, filled: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Deal groups of one stratum out so that the images in each part come as near to those wanted as can be."""
    missing = wanted - filled
    parts = np.full(len(sizes), -1)
    order = generator.permutation(len(sizes))
    large = [group for group in order if sizes[group] > 1]
    for group in sorted(large, key=lambda group: -sizes[group]):
        parts[group] = int(np.argmax(missing))
        missing[parts[group]] -= sizes[group]
    single = order[sizes[order] == 1]
    capacity = np.maximum(missing, 0)
    counts = (capacity * len(single) // max(capacity.sum(), 1)).astype(int)
    counts[0] += len(single) - counts.sum()
    parts[single] = np.repeat(np.arange(len(wanted)), counts)
    return _fill_empty(parts, sizes, filled)


def _fill_empty(parts: np.ndarray, sizes: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Give each part that went empty the smallest group of the part with the most groups."""
    for empty in sorted(set(np.flatnonzero(filled == 0).tolist()) - set(parts.tolist())):
        members = np.flatnonzero(parts == np.bincount(parts, minlength=len(filled)).argmax())
        parts[members[np.argmin(sizes[members])]] = empty
    return parts


def _common(stratum: np.ndarray, pool: np.ndarray, least: int) -> np.ndarray:
    """Return strata, int64 `[N]`, those of fewer images of the pool than `least` as one with the largest."""
    counts = np.bincount(stratum[pool], minlength=int(stratum.max()) + 1)
    return np.where(counts[stratum] < least, counts.argmax(), stratum)


def _bins(examples: Examples) -> int:
    return min(_BINS, max(1, len(examples) // 20)) if examples.task == REGRESSION else 1


def strata(examples: Examples, bins: int | None = None) -> np.ndarray:
    """Return what every part of the examples should have its share of, int64 `[N]`: the class of each, or the quantile
    of a numeric target; of several labels an image, that of its labels which the fewest images have (as Sechidis et
    al. 2011, https://doi.org/10.1007/978-3-642-23808-6_10, deal out the rarest label first), one more for none.

    Args:
        examples: Of any task.
        bins: Quantiles; None has as many as there are images for. One takes several labels for one stratum, too.
    """
    if examples.task == CLASSIFICATION:
        return examples.labels
    if examples.task == REGRESSION:
        edges = np.quantile(examples.labels[:, 0], np.linspace(0, 1, (bins or _bins(examples)) + 1)[1:-1])
        return np.searchsorted(edges, examples.labels[:, 0])
    if bins == 1:
        return np.zeros(len(examples), "int64")
    has = examples.labels > 0
    rarest = np.where(has, has.sum(0), np.inf).argmin(1)
    return np.where(has.any(1), rarest, len(examples.classes))


def _too_few(examples: Examples, stratum: int, images: int, groups: int, parts: int) -> str:
    what = f"class {examples.classes[stratum]!r}" if examples.task == CLASSIFICATION else "it"
    grouped = f" in {groups} group{'s' * (groups != 1)} of equal or related images" if groups < images else ""
    wanted, remedy = f"{parts} splits", "Add images to it, or remove it."
    if parts > len(SPLITS):
        wanted = f"--folds {parts}"
        if groups >= len(SPLITS):  # As many as the fewest folds.
            remedy = f"Give --folds {groups}{' or fewer' * (groups > len(SPLITS))}."
    return f"{examples.source}: {what} has {images} image{'s' * (images != 1)}{grouped}, too few for {wanted}. {remedy}"


def _counts(total: int, shares: list[float]) -> list[int]:
    """Deal `total` out by `shares`: rounded, at least one each, the first taking what is left."""
    rest = [max(1, round(total * share / sum(shares))) for share in shares[1:]]
    while total - sum(rest) < 1:
        rest[int(np.argmax(rest))] -= 1
    return [total - sum(rest), *rest]
