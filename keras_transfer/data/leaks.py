"""Images of a given validation or test split that stand in an earlier split too, and would test nothing."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.support.errors import UserError


def leaked(examples: Examples) -> dict[int, str]:
    """Return the positions of such images, by equal digests, each with the reason."""
    first: dict[bytes, int] = {}
    leaks = {}
    for index in map(int, np.argsort(examples.splits, kind="stable")):
        original = first.setdefault(examples.digests[index], index)
        if examples.splits[original] != examples.splits[index]:
            split, name = SPLITS[examples.splits[original]], examples.paths[original]
            leaks[index] = f"is in the {split} split too, as {name}: it would not test what was learned"
    return leaks


def without(examples: Examples, leaks: Collection[int]) -> np.ndarray:
    """Return the positions, int64, of images that are no leaks; raise `UserError` if a given split has no others."""
    kept = np.asarray([index for index in range(len(examples)) if index not in leaks], "int64")
    _demand_splits(examples.at(kept), np.unique(examples.splits))
    return kept


def _demand_splits(examples: Examples, given: np.ndarray) -> None:
    for split in (SPLITS[number] for number in given if number != UNASSIGNED):
        if not len(examples.indices(split)):
            raise UserError(
                f"{examples.source}: every image of its {split} split is in another split too, so that none is left to "
                f"{split.replace('validation', 'validate')} on. Replace them; or leave that split out, so that it is "
                "cut from the training images."
            )
