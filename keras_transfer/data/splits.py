"""Stratified, seeded train/validation/test splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError


def assign(examples: Examples, shares: tuple[float, float, float], seed: int) -> Examples:
    """Return the examples with every one on a side.

    A source that comes split keeps its splits; a validation or test split missing beside a given `train/` is carved
    from it, in the shares that the three splits would have had. Each class is dealt out by itself, so that every
    split has its share of it, and at least one image.

    Args:
        examples: Unsplit, or split by their source.
        shares: Train, validation and test shares, in any unit.
        seed: Of the shuffle; the same seed and files give the same split.

    Raises:
        UserError: a class has fewer images than splits to fill.
    """
    given = {SPLITS[index] for index in np.unique(examples.splits) if index != UNASSIGNED}
    wanted = [k for k, name in enumerate(SPLITS) if name not in given or name == "train"]
    if len(wanted) == 1:
        return examples
    splits = examples.splits.copy()
    pool = splits == (SPLITS.index("train") if given else UNASSIGNED)
    generator = np.random.default_rng(seed)
    for label, name in enumerate(examples.classes):
        rows = np.flatnonzero(pool & (examples.labels == label))
        if len(rows) < len(wanted):
            raise UserError(
                f"{examples.source}: class {name!r} has {len(rows)} image{'s' * (len(rows) != 1)}, too few for "
                f"{len(wanted)} splits. Add images to it, or remove it."
            )
        splits[generator.permutation(rows)] = np.repeat(wanted, _counts(len(rows), [shares[k] for k in wanted]))
    return replace(examples, splits=splits)


def _counts(total: int, shares: list[float]) -> list[int]:
    """Deal `total` out by `shares`: rounded, at least one each, the first taking what is left."""
    rest = [max(1, round(total * share / sum(shares))) for share in shares[1:]]
    while total - sum(rest) < 1:
        rest[int(np.argmax(rest))] -= 1
    return [total - sum(rest), *rest]
