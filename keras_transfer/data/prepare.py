"""The data of a run before training: listed, read once, cleared of what cannot be decoded, grouped, split."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_transfer.data import audit, copies, duplicates, known, sources, splits
from keras_transfer.data.examples import CLASSIFICATION, SPLITS, UNASSIGNED, Examples, printable
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.progress import Progress

_MOST_REJECTED = 0.1
IMBALANCE = 5.0  # Largest class over smallest, from which on weights are advised.


@dataclass(frozen=True)
class Prepared:
    """What a run trains and tests on.

    Attributes:
        recipe: Of the run.
        listed: All that the source named, unsplit.
        all_digests: Of the bytes of each listed image.
        faults: By position in `listed`, why an image cannot be used.
        rows: Positions in `listed` of the examples.
        examples: Those that are used, with splits.
        leaked: By position in `listed`, why an image that could be used would not test anything.
    """

    recipe: Recipe
    listed: Examples
    all_digests: Sequence[bytes]
    faults: dict[int, str]
    rows: Sequence[int]
    examples: Examples
    leaked: dict[int, str]

    @property
    def digests(self) -> list[bytes]:
        """Of each example's bytes."""
        return [self.all_digests[row] for row in self.rows]

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Names and reasons of the images that were left out."""
        return [(self.listed.paths[row], why) for row, why in sorted({**self.faults, **self.leaked}.items())]

    @property
    def dealt(self) -> bool:
        """Whether the splits, or one of them, were drawn here."""
        return len(np.unique(self.listed.splits[self.listed.splits != UNASSIGNED])) < len(SPLITS)

    @property
    def warnings(self) -> list[str]:
        """What is unusual about the examples, and what to do about it."""
        if self.examples.task != CLASSIFICATION or self.recipe.class_weights != "none":
            return []
        counts = np.bincount(self.examples.labels, minlength=len(self.examples.classes))
        most, least = int(counts.argmax()), int(counts.argmin())
        if counts[most] <= IMBALANCE * counts[least]:
            return []
        classes = self.examples.classes
        return [
            f"{counts[most]} images of {classes[most]!r}, {counts[least]} of {classes[least]!r}: "
            "--class-weights balanced makes both count."
        ]

    def samples(self, most: int = 4) -> list[bytes]:
        """Return the bytes of a few training images, those that can still be read."""
        examples = self.examples
        read = (audit.examine(examples.contents, examples.paths[row]) for row in examples.rows("train")[:most])
        return [content for content, fault in read if fault is None]

    def write_rejected(self, file: Path) -> None:
        """Write `path,reason`, one row an image left out, if there are any."""
        if self.rejected:
            with file.open("w", newline="", encoding="utf-8") as stream:
                rows = [(printable(path), printable(reason)) for path, reason in self.rejected]
                csv.writer(stream).writerows([("path", "reason"), *rows])


def prepare(recipe: Recipe, progress: Progress) -> Prepared:
    """List and read the images of a recipe, and leave out those whose first bytes tell that they are none.

    Raises:
        UserError: more than a tenth is left out, or, with `strict`, anything; or too little is left to split.
    """
    listed = sources.load(recipe.data, recipe)
    if recipe.class_weights != "none" and listed.task != CLASSIFICATION:
        raise UsageError(f"--class-weights {recipe.class_weights} needs one class an image; this is {listed.task}.")
    if listed.understood:
        progress.say(listed.understood)
    digests, faults = audit.read(listed, progress)
    prepared = _keep(recipe, listed, digests, faults)
    copied = copies.by_name(listed.paths)
    if copied is not None and prepared.dealt:
        progress.say(copies.describe(copied, listed.paths))
    return prepared


def decodable(found: Prepared, progress: Progress) -> Prepared:
    """Return the prepared data without the images that cannot be decoded, split anew if there were any.

    TensorFlow decodes each of them, as training and serving do; those that it decoded in an earlier run are believed.

    Raises:
        UserError: as `prepare`.
    """
    from keras_transfer.data.decoding.decode import Glance

    glance, grouped = Glance(found.recipe.max_pixels), found.recipe.group_duplicates
    digests = found.digests
    before = set() if grouped else known.load(glance.max_pixels)
    rows = [row for row, digest in enumerate(digests) if digest not in before]
    undecodable, looks = audit.decode(found.examples.at(np.asarray(rows, "int64")), glance, progress, hashed=grouped)
    # By their bytes: an image that was left out as a copy has the fate of what it copies.
    reasons = {digests[rows[row]]: why for row, why in undecodable.items()}
    known.add(glance.max_pixels, {digests[row] for row in rows} - set(reasons))
    if not undecodable and not grouped:
        return found
    faults = {row: reasons[digest] for row, digest in enumerate(found.all_digests) if digest in reasons}
    hashes = {digests[rows[row]]: look for row, look in looks.items()}
    return _keep(found.recipe, found.listed, found.all_digests, found.faults | faults, hashes if grouped else None)


def _keep(
    recipe: Recipe,
    listed: Examples,
    digests: Sequence[bytes],
    faults: dict[int, str],
    hashes: dict[bytes, np.ndarray] | None = None,
) -> Prepared:
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
    examples = replace(examples, groups=_groups(examples, kept, hashes))
    examples = splits.assign(examples, recipe.shares, recipe.seed)
    leaks = _leaks(examples, kept)
    rest = [row for row in range(len(rows)) if row not in leaks]
    leaked = {rows[row]: why for row, why in leaks.items()}
    if leaks:
        examples = examples.at(np.asarray(rest, "int64"))
    return Prepared(recipe, listed, digests, faults, [rows[row] for row in rest], examples, leaked)


def _groups(examples: Examples, digests: Sequence[bytes], hashes: dict[bytes, np.ndarray] | None) -> np.ndarray | None:
    alike = None if hashes is None else duplicates.alike(np.array([hashes[digest] for digest in digests]))
    return duplicates.joined(duplicates.exact(digests), examples.groups, alike, copies.by_name(examples.paths))


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
