"""The run that a run's weights or teacher come from: what that one was trained on cannot test this one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_transfer.data.examples import SPLITS, Examples, training_digests
from keras_transfer.data.prepare import Prepared
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training.teacher import Teacher


@dataclass(frozen=True)
class EarlierRun:
    """What is known of a run by the records of its version.

    Attributes:
        name: Of its model, and the number of its version, as `photos/1`.
        recipe: Complete, as it ran.
        seen: Digests of the images that it was trained on, or chosen by.
    """

    name: str
    recipe: Recipe
    seen: frozenset[bytes]


def runs(recipe: Recipe, teacher: Teacher | None, progress: Progress) -> list[EarlierRun]:
    """Return the runs of this program that a run goes on from, by its weights or its base, or learns from.

    Args:
        recipe: Of the run.
        teacher: Of the run.
        progress: Is warned of records that cannot be read.
    """
    earlier = [] if teacher is None else [EarlierRun(teacher.name, teacher.recipe, teacher.seen)]
    for file in (recipe.weights, recipe.base):
        extra = Path(file).expanduser().absolute().parent
        if Path(file).name != "model.keras" or not (extra / "splits.csv").is_file():
            continue
        name = "/".join(extra.parts[-3:-1])
        try:
            seen = frozenset(training_digests(extra / "splits.csv"))
            earlier.append(EarlierRun(name, Recipe.from_json(extra / "recipe.json"), seen))
        except (OSError, ValueError, KeyError, UserError):
            progress.warn(f"The records of {name} cannot be read: whether it was trained on test images is not known.")
    return earlier


def kept_out_of_the_test(prepared: Prepared, run: EarlierRun, progress: Progress) -> Prepared:
    """Return the data of a run, trained on those test images too that an earlier run was trained on, and on those that
    are grouped with them.

    Validation images the earlier run may have seen, as it has where both split the same images alike.

    Args:
        prepared: With splits and digests.
        run: What this one goes on from, or learns from.
        progress: Is warned.

    Raises:
        UserError: no test image would be left, or folds would test on such images.
    """
    examples, recipe = prepared.examples, prepared.recipe
    known = np.asarray([digest in run.seen for digest in examples.digests], bool)
    if recipe.folds != "none" and known.any():
        raise UserError(f"{run.name} was trained on images that --folds tests on. Leave one of them out.")
    tests = examples.splits == SPLITS.index("test")
    moved = _with_groups(examples, known & tests) & tests
    if not moved.any():
        return prepared
    left = int(tests.sum() - moved.sum())
    shares = "/".join(f"{share:g}" for share in run.recipe.split)
    told = (
        f"{run.name} was trained on {int((known & tests).sum())} of the {int(tests.sum())} test images, which would "
        f"flatter what comes of it"
    )
    advice = f"--split {shares} --seed {run.recipe.seed} splits the same images as it did."
    if not left:
        raise UserError(f"{told}: none would be left to test on. {advice}")
    progress.warn(f"{told}: they are trained on here too, and {left} are left to test on. {advice}")
    splits = np.where(moved, SPLITS.index("train"), examples.splits).astype(examples.splits.dtype)
    return replace(prepared, examples=replace(examples, splits=splits))


def _with_groups(examples: Examples, chosen: np.ndarray) -> np.ndarray:
    """Return which examples, bool `[N]`, are chosen or in a group with one that is."""
    if examples.groups is None:
        return chosen
    return np.isin(examples.groups, examples.groups[chosen])
