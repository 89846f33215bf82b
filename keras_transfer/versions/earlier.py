"""The run that a run's weights or teacher come from: what that one was trained on cannot test this one."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_transfer.data.examples import SPLITS, SPLITS_FILE, Examples, training_digests
from keras_transfer.data.prepare import Prepared
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.training.teacher import Teacher

_NETWORK = "model.keras"


@dataclass(frozen=True)
class EarlierRun:
    """What is known of a run by the records of its version.

    Attributes:
        name: Of its model, and the number of its version, as `photos/1`.
        recipe: Complete, as it ran.
        seen: Digests of the images that it was trained on, or chosen by, or that the runs were which it came from.
    """

    name: str
    recipe: Recipe
    seen: frozenset[bytes]


def runs(recipe: Recipe, teacher: Teacher | None, progress: Progress) -> list[EarlierRun]:
    """Return the runs of this program that a run goes on from, by its weights or its base, or learns from, and those
    that these in turn came from.

    Args:
        recipe: Of the run.
        teacher: Of the run.
        progress: Is warned of records that cannot be read.
    """
    earlier = [] if teacher is None else [EarlierRun(teacher.name, teacher.recipe, teacher.seen)]
    waiting = [*_networks(recipe), *(file for run in earlier for file in _networks(run.recipe))]
    visited = set() if teacher is None else {teacher.file.absolute().parent}
    while waiting:
        records = _records(waiting.pop(0))
        if records is None or records in visited:
            continue
        visited.add(records)
        name = "/".join(records.parts[-3:-1])
        try:
            seen = frozenset(training_digests(records))
            earlier.append(EarlierRun(name, Recipe.from_json(records / "recipe.json"), seen))
        except (OSError, ValueError, KeyError, TypeError, csv.Error, UserError):
            progress.warn(f"The records of {name} cannot be read: whether it was trained on test images is not known.")
        else:
            waiting += _networks(earlier[-1].recipe)
    return earlier


def versions(recipe: Recipe) -> list[Path]:
    """Return the folders of the versions that a recipe, resolved, takes its weights, base or teacher from."""
    return [records.parent for file in _networks(recipe) if (records := _records(file)) is not None]


def _records(network: str) -> Path | None:
    """Return the folder of the records of the version that a network's file lies in, exported or not, if in any."""
    file = Path(network).expanduser().absolute()
    exported = file.parent.name == "exports" and file.suffix == ".keras"
    folder = file.parent.parent if exported else file.parent
    return folder if (exported or file.name == _NETWORK) and (folder / SPLITS_FILE).is_file() else None


def _networks(recipe: Recipe) -> list[str]:
    """Return the files that a recipe takes networks from, or what it has in their place."""
    taught = [] if recipe.teacher == "none" else [str(Path(recipe.teacher) / "assets.extra" / _NETWORK)]
    return [recipe.weights, recipe.base, *taught]


def kept_out_of_the_test(prepared: Prepared, run: EarlierRun, progress: Progress) -> Prepared:
    """Return the data of a run without those test images that an earlier run was trained on, and those that are
    grouped with them: they are trained on; or, where the source says which images are for the test, left out.

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
    known &= tests
    taken = _with_groups(examples, known) & tests
    if not taken.any():
        return prepared
    given = bool((prepared.listed.splits == SPLITS.index("test")).any())
    shares = "/".join(f"{share:g}" for share in run.recipe.split)
    advice = f"--split {shares} --seed {run.recipe.seed} splits the same images as it did."
    count, grouped, left = int(known.sum()), int((taken & ~known).sum()), int((tests & ~taken).sum())
    left_over = f"{left} {'is' if left == 1 else 'are'} left to test on."
    told = (
        f"{run.name} was trained on {count} of the {int(tests.sum())} test images"
        f"{f' ({grouped} more are grouped with them)' * bool(grouped)}, which would flatter what comes of it"
    )
    if not left:
        advice = "Give other test images." if given else advice
        raise UserError(f"{told}: none would be left to test on. {advice}")
    if given:
        progress.warn(f"{told}: they are left out, and {left_over}")
        return _without(prepared, taken, f"was trained on by {run.name}, or is grouped with such an image")
    progress.warn(f"{told}: they are trained on here too, and {left_over} {advice}")
    splits = np.where(taken, SPLITS.index("train"), examples.splits).astype(examples.splits.dtype)
    return replace(prepared, examples=replace(examples, splits=splits))


def flattered(prepared: Prepared, run: EarlierRun, progress: Progress) -> None:
    """Warn where an earlier run fine-tuned the base on images that choose and judge what is trained on it now.

    Args:
        prepared: With splits and digests.
        run: Whose network this one goes on from.
        progress: Is warned.
    """
    known, count = fine_tuned_on(prepared.examples, [run])
    if known:
        progress.warn(
            f"{run.name} was trained on {known} of the {count} images to train and to validate on, so scores in "
            "validation and cross-validation are too good. Those of the test are not."
        )


def fine_tuned_on(examples: Examples, runs: Sequence[EarlierRun]) -> tuple[int, int]:
    """Return on how many of the images to train and to validate on runs fine-tuned a base, and how many there are.

    Args:
        examples: With splits and digests.
        runs: Those that the base comes from.
    """
    seen = frozenset().union(*(run.seen for run in runs if run.recipe.fine_tunes))
    others = examples.splits != SPLITS.index("test")
    known = sum(digest in seen for digest, other in zip(examples.digests, others, strict=True) if other)
    return known, int(others.sum())


def _without(prepared: Prepared, taken: np.ndarray, why: str) -> Prepared:
    """Return data without some of its examples, bool `[N]`, which are recorded as left out."""
    leaked = {int(index): f"{why}: it would not test what was learned" for index in prepared.indices[taken]}
    kept = np.flatnonzero(~taken)
    return replace(
        prepared,
        examples=prepared.examples.at(kept),
        indices=prepared.indices[kept],
        leaked={**prepared.leaked, **leaked},
    )


def _with_groups(examples: Examples, chosen: np.ndarray) -> np.ndarray:
    """Return which examples, bool `[N]`, are chosen or in a group with one that is."""
    if examples.groups is None:
        return chosen
    return np.isin(examples.groups, examples.groups[chosen])
