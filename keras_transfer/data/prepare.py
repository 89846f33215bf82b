"""The data of a run before training: listed, inspected, cleared of what cannot be used, grouped, split."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_transfer.data import sources, splits
from keras_transfer.data.examples import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    SPLITS,
    UNASSIGNED,
    Examples,
    printable,
)
from keras_transfer.data.inspection import copies, duplicates, findings, inspector
from keras_transfer.data.inspection.findings import Finding
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.data.leaks import leaked, without
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.targets import demand_learnable
from keras_transfer.recipe.options import AUTO
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.progress import Progress

_MAX_REJECTED = 0.1  # Share of the images.
_WARNED = ("leak", "label-conflict", "imbalance", "crop", "dark-16-bit")  # Kinds of findings that a run warns of.
_SAMPLES = 4
_MAX_COMPARED = 10_000  # Images; to look for near duplicates in different splits, all pairs are compared.


@dataclass(frozen=True)
class Prepared:
    """What a run trains and tests on.

    Attributes:
        recipe: Of the run.
        listed: All that the source named, unsplit, with digests.
        inspections: Of each listed image.
        indices: Positions, int64, in `listed` of the examples.
        examples: Those that are used, with splits.
        leaked: By position in `listed`, why an image that could be used would not test anything.
        seen_earlier: Digests of the images that the runs saw which this one comes from.
    """

    recipe: Recipe
    listed: Examples
    inspections: Sequence[Inspection]
    indices: np.ndarray
    examples: Examples
    leaked: dict[int, str]
    seen_earlier: frozenset[bytes] = frozenset()

    @property
    def rejected(self) -> list[tuple[str, str]]:
        """Names and reasons of the images that were left out."""
        return _named(self.listed, {**_faults(self.inspections), **self.leaked})

    @cached_property
    def warnings(self) -> list[str]:
        """What is unusual about the examples, and what to do about it, a line a kind: some of what `check` finds."""
        inspections = [self.inspections[index] for index in self.indices]
        if len(inspections) > _MAX_COMPARED:
            inspections = [replace(inspection, hash=b"") for inspection in inspections]
        by_kind: dict[str, list[Finding]] = {kind: [] for kind in _WARNED}
        for finding in findings.findings(self.examples, inspections, self.recipe):
            if finding.kind in by_kind:
                by_kind[finding.kind].append(finding)
        return [_warning(group, self.listed) for group in by_kind.values() if group]

    def samples(self) -> list[bytes]:
        """Return the bytes of a few training images, those that can still be read."""
        examples = self.examples
        paths = [examples.paths[index] for index in examples.indices("train")[:_SAMPLES]]
        read = (inspector.read(examples.contents, path) for path in paths)
        return [content for content, fault in read if fault is None]

    def write_rejected(self, file: Path) -> None:
        """Write `path,reason`, one row an image left out, if there are any."""
        if self.rejected:
            with file.open("w", newline="", encoding="utf-8") as stream:
                rows = [(printable(path), printable(reason)) for path, reason in self.rejected]
                csv.writer(stream).writerows([("path", "reason"), *rows])


def listing(recipe: Recipe, progress: Progress) -> Examples:
    """List the images of a recipe, and split them on trial: what is wrong with so little is told before TensorFlow is
    imported, and before an image is read.

    Raises:
        UserError: the images cannot be listed, or are too few to be split, or their numbers cannot be learnt.
    """
    listed = sources.load(recipe.data, recipe)
    if recipe.class_weights != "none" and listed.task != CLASSIFICATION:
        raise UsageError(f"--class-weights {recipe.class_weights} needs one class an image; this is {listed.task}.")
    if recipe.label_smoothing not in (AUTO, 0.0) and listed.task == REGRESSION:
        raise UsageError("--label-smoothing is for classes, and these are numbers. Leave it out.")
    joined = next((name for name in listed.classes if "|" in name), None)
    if joined is not None and listed.task == MULTI_LABEL:
        raise UserError(
            f"{recipe.data}: the label {joined!r} holds '|', which stands between several labels in what is written "
            "and served. Rename it."
        )
    if listed.understood:
        progress.say(listed.understood)
    if len(recipe.split) == 2 and (listed.splits == UNASSIGNED).all():
        train, validation, test = recipe.shares
        progress.say(
            f"--split has two shares, {train + validation:g} to train and {test:g} to test: {validation:g} of the "
            f"{train + validation:g} are for validation, by which the training is chosen."
        )
    copied = copies.by_name(listed.paths)
    if copied is not None and _is_dealt(listed):
        progress.say(copies.describe(copied, listed.paths))
    demand_learnable(splits.assign(listed, recipe.shares, recipe.seed))
    return listed


def unsplit_listing(recipe: Recipe, progress: Progress) -> Examples:
    """List the images of a recipe, on no side of a split but what their source says: for what only reads them, one
    image is enough.

    Raises:
        UserError: the images cannot be listed, or there is none.
    """
    listed = sources.load(recipe.data, recipe, Purpose.MEASURE)
    if not len(listed):
        raise UserError(f"{recipe.data} lists no images.")
    if listed.understood:
        progress.say(listed.understood)
    return listed


def unsplit(recipe: Recipe, listed: Examples, progress: Progress) -> Examples:
    """Return those of the listed images that can be used, in the splits that `usable` draws; those that it would leave
    out, for they would not test anything, in none. Where images are too few to be split, all are in none but those that
    the source gives.

    Raises:
        UserError: as `usable`, but for too few images.
    """
    listed, inspections = inspector.inspect(listed, recipe.max_pixels, progress, recipe.group_duplicates)
    indices = _without_faults(recipe, listed, inspections)
    if len(indices) < len(listed):
        progress.warn(inspector.left_out(_named(listed, _faults(inspections))))
    examples = listed.at(indices)
    if (examples.splits > SPLITS.index("train")).all():
        return examples  # Of a test split alone, no other can be cut.
    leaks = leaked(examples)
    try:
        kept = without(examples, leaks)
        drawn = _split(recipe, examples.at(kept), [inspections[index] for index in indices[kept]])
    except UserError as error:
        progress.say(f"No split is drawn: {error}")
        return examples
    if leaks:
        index, why = next(iter(leaks.items()))
        count = (
            "1 image is in no split, for it is"
            if len(leaks) == 1
            else f"{len(leaks)} images are in no split, for they are"
        )
        progress.warn(f"{count} in an earlier one too: {examples.paths[index]} {why}.")
    sides = np.full(len(examples), UNASSIGNED, "int8")
    sides[kept] = drawn.splits
    return replace(examples, splits=sides)


def inspected(recipe: Recipe, listed: Examples, progress: Progress) -> Prepared:
    """Read and decode the listed images, leave out what cannot be used, and split the others.

    Raises:
        UserError: as `usable`.
    """
    listed, inspections = inspector.inspect(listed, recipe.max_pixels, progress, recipe.group_duplicates)
    return usable(recipe, listed, inspections)


def usable(recipe: Recipe, listed: Examples, inspections: Sequence[Inspection]) -> Prepared:
    """Return the images that can be used, with splits.

    Args:
        recipe: Of the run.
        listed: With digests.
        inspections: Of each listed image.

    Raises:
        UserError: more than a tenth is left out, or, with `strict`, anything; or too little is left to split, or
            nothing of a split that was given, or numbers that cannot be learnt.
    """
    indices = _without_faults(recipe, listed, inspections)
    examples = listed.at(indices)
    _demand_classes(examples)
    leaks = leaked(examples)
    reasons = {int(indices[index]): why for index, why in leaks.items()}
    kept = without(examples, leaks)
    examples, indices = examples.at(kept), indices[kept]
    examples = _split(recipe, examples, [inspections[index] for index in indices])
    demand_learnable(examples)
    return Prepared(recipe, listed, inspections, indices, examples, reasons)


def _split(recipe: Recipe, examples: Examples, inspections: Sequence[Inspection]) -> Examples:
    """Return the examples on sides, those that are to stay together on one."""
    groups = related(examples, inspections if recipe.group_duplicates else None)
    return splits.assign(replace(examples, groups=groups), recipe.shares, recipe.seed)


def _is_dealt(listed: Examples) -> bool:
    return len(np.unique(listed.splits[listed.splits != UNASSIGNED])) < len(SPLITS)


def _without_faults(recipe: Recipe, listed: Examples, inspections: Sequence[Inspection]) -> np.ndarray:
    """Return the positions, int64, of the images that can be used; raise `UserError` if too many cannot."""
    rejected = _named(listed, _faults(inspections))
    if rejected and recipe.strict:
        raise UserError(f"{rejected[0][0]} {rejected[0][1]}. Remove or replace it, or run without --strict.")
    if len(rejected) > _MAX_REJECTED * len(listed):
        raise UserError(
            f"{listed.source}: {len(rejected)} of {len(listed)} images cannot be used, more than a tenth: "
            f"{inspector.listed(rejected)}. Remove or replace them."
        )
    return np.flatnonzero([inspection.fault is None for inspection in inspections])


def _faults(inspections: Sequence[Inspection]) -> dict[int, str]:
    return {index: inspection.fault for index, inspection in enumerate(inspections) if inspection.fault is not None}


def _named(listed: Examples, reasons: dict[int, str]) -> list[tuple[str, str]]:
    """Return the names of images, and the reasons that there are by position, in order."""
    return [(listed.paths[index], why) for index, why in sorted(reasons.items())]


def related(examples: Examples, inspections: Sequence[Inspection] | None = None) -> np.ndarray | None:
    """Return int64 `[N]`, equal for images that stay in one split: copies by digest or name, the user's own groups and,
    given inspections, near duplicates; None where all stand alone.
    """
    alike = None if inspections is None else duplicates.components(len(examples), findings.near_links(inspections))
    return duplicates.joined(duplicates.exact(examples.digests), examples.groups, alike, copies.by_name(examples.paths))


def _demand_classes(examples: Examples) -> None:
    if examples.task != CLASSIFICATION:
        return
    counts = Counter(examples.labels[examples.splits <= SPLITS.index("train")].tolist())
    for number, name in enumerate(examples.classes):
        if not counts[number]:
            where = "" if (examples.splits == UNASSIGNED).all() else " to train on"
            raise UserError(
                f"{examples.source}: class {name!r} has no image{where} that can be decoded. "
                "Add images of it, or remove it."
            )


def _warning(group: Sequence[Finding], listed: Examples) -> str:
    """Return a line on the findings of one kind."""
    first = group[0]
    if first.kind not in ("leak", "label-conflict"):
        return f"{first.detail}."
    names = " and ".join(listed.short(path) for path in first.paths[:2])
    more = f", and {len(first.paths) - 2} more," if len(first.paths) > 2 else ""
    paths = set(first.paths)
    given = {int(split) for path, split in zip(listed.paths, listed.splits, strict=True) if path in paths}
    advice = " (--group-duplicates does)" if first.kind == "leak" and len(given) == 1 else ""
    others = "So is 1 more group" if len(group) == 2 else f"So are {len(group) - 1} more groups"
    rest = f" {others} of pictures; `check` lists them." if len(group) > 1 else ""
    return f"{names}{more} are alike, {first.detail}{advice}.{rest}"
