"""The data of a run before training: listed, read once, cleared of what cannot be decoded, grouped, split."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data import audit, duplicates, sources, splits
from keras_transfer.data.examples import CLASSIFICATION, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UsageError, UserError
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe

if TYPE_CHECKING:
    from keras_transfer.data.decode import Decoder

_MOST_REJECTED = 0.1


@dataclass(frozen=True)
class Survey:
    """What a run trains and tests on.

    Attributes:
        recipe: Of the run.
        examples: With splits.
        digests: Of each example's bytes.
        rejected: Names and reasons of images that were left out.
        listed: All that the source named, unsplit.
    """

    recipe: Recipe
    examples: Examples
    digests: Sequence[bytes]
    rejected: Sequence[tuple[str, str]]
    listed: Examples

    def samples(self, most: int = 4) -> list[bytes]:
        """Return the bytes of a few training images."""
        examples = self.examples
        return [examples.contents.read(examples.paths[row]) for row in examples.rows("train")[:most]]

    def write_rejected(self, file: Path) -> None:
        """Write `path,reason`, one row an image left out, if there are any."""
        if self.rejected:
            with file.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([("path", "reason"), *self.rejected])


def survey(recipe: Recipe, progress: Progress) -> Survey:
    """List and read the images of a recipe, and leave out those whose first bytes tell that they are none.

    Raises:
        UserError: more than a tenth is left out, or, with `strict`, anything; or too little is left to split.
    """
    listed = sources.load(recipe.data, recipe)
    if recipe.class_weights != "none" and listed.task != CLASSIFICATION:
        raise UsageError(f"--class-weights {recipe.class_weights} needs one class an image; this is {listed.task}.")
    digests, faults = audit.read(listed, progress)
    return _keep(recipe, listed, digests, faults)


def decodable(found: Survey, decoder: Decoder, progress: Progress) -> Survey:
    """Return the survey without the images that cannot be decoded, split anew if there were any.

    TensorFlow decodes each of them, as training and serving do.

    Raises:
        UserError: as `survey`.
    """
    undecodable = audit.undecodable(found.examples, decoder, progress)
    if not undecodable and not found.recipe.group_duplicates:
        return found
    position = {name: row for row, name in enumerate(found.listed.paths)}
    faults = {position[name]: why for name, why in found.rejected}
    faults |= {position[found.examples.paths[row]]: why for row, why in undecodable.items()}
    digests = [b""] * len(found.listed)
    for name, digest in zip(found.examples.paths, found.digests, strict=True):
        digests[position[name]] = digest
    hashed = partial(audit.hashes, decoder=decoder, progress=progress) if found.recipe.group_duplicates else None
    return _keep(found.recipe, found.listed, digests, faults, hashed)


def _keep(
    recipe: Recipe,
    listed: Examples,
    digests: Sequence[bytes],
    faults: dict[int, str],
    hashed: Callable[[Examples], np.ndarray] | None = None,
) -> Survey:
    rejected = [(listed.paths[row], faults[row]) for row in sorted(faults)]
    if rejected and recipe.strict:
        raise UserError(f"{rejected[0][0]} {rejected[0][1]}. Remove or replace it, or run without --strict.")
    if len(rejected) > _MOST_REJECTED * len(listed):
        raise UserError(
            f"{listed.source}: {len(rejected)} of {len(listed)} images cannot be used, more than a tenth: "
            f"{audit.listed(rejected)}. Remove or replace them."
        )
    rows = [row for row in range(len(listed)) if row not in faults]
    examples, kept = listed.at(np.asarray(rows, "int64")), [digests[row] for row in rows]
    _demand_classes(examples)
    examples = replace(examples, groups=_groups(examples, kept, hashed))
    examples = splits.assign(examples, recipe.shares, recipe.seed)
    leaked = _leaks(examples, kept)
    if leaked:
        rest = [row for row in range(len(examples)) if row not in leaked]
        rejected += [(examples.paths[row], why) for row, why in leaked.items()]
        examples, kept = examples.at(np.asarray(rest, "int64")), [kept[row] for row in rest]
    return Survey(recipe, examples, kept, rejected, listed)


def _groups(
    examples: Examples, digests: Sequence[bytes], hashed: Callable[[Examples], np.ndarray] | None
) -> np.ndarray | None:
    alike = None
    if hashed is not None:
        pairs = duplicates.near(hashed(examples))
        alike = duplicates.components(len(examples), [pair[:2] for pair in pairs])
    return duplicates.joined(duplicates.exact(digests), examples.groups, alike)


def _leaks(examples: Examples, digests: Sequence[bytes]) -> dict[int, str]:
    """Return the images of a given validation or test split that stand in an earlier split too, with the reason."""
    first: dict[bytes, int] = {}
    found = {}
    for row in np.argsort(examples.splits, kind="stable"):
        other = first.setdefault(digests[row], int(row))
        if examples.splits[other] != examples.splits[row]:
            split, name = SPLITS[examples.splits[other]], examples.paths[other]
            found[int(row)] = f"is in the {split} split too, as {name}: it would not test what was learned"
    return found


def _demand_classes(examples: Examples) -> None:
    if examples.task != CLASSIFICATION:
        return
    counts = Counter(examples.labels[examples.splits <= SPLITS.index("train")].tolist())
    for number, name in enumerate(examples.classes):
        if not counts[number]:
            where = "" if (examples.splits == UNASSIGNED).all() else " to train on"
            raise UserError(f"{examples.source}: class {name!r} has no image{where} that can be decoded.")
