"""What `check` tells of a data set: counts, sizes, what cannot be used, and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data import prepare
from keras_transfer.data.examples import REGRESSION, SPLITS, Examples
from keras_transfer.data.inspection.findings import UNREADABLE, Finding, class_counts, findings, in_order
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.recipe import rule
from keras_transfer.recipe.options import AUTO
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check.convert import Converted
from keras_transfer.support.errors import UserError
from keras_transfer.support.numerals import number_text
from keras_transfer.tasks import TASKS

_HEADINGS = {UNREADABLE: "Cannot be used", "few": "Small classes", "cmyk": "CMYK", "alpha": "Transparency"}
# Different images of a class, below which its labels are not checked: docs/measurements.md.
FEWEST = 10
_MAX_NAMES = 3  # Of classes, in a line of text.
_NATIVE, _LEAST = 224, 32  # Input sides of most bases, px: their own, and the least.


@dataclass(frozen=True)
class Findings:
    """What `check` tells.

    Attributes:
        source: What was checked.
        root: Folder that the images lie below.
        files: Images listed.
        classes: Usable images a class.
        splits: Usable images a split and class, if the source is split.
        rejected: Names of images that cannot be used, with the reason.
        warnings: The gravest first, those on what cannot be used among them.
        sizes: Least, median and largest short side and aspect ratio (width over height).
        advised_size: For `--size`, px.
        labels_checked: Whether suspicious labels were looked for.
        labels_checkable: Whether each image has one of several classes, which a network can check.
        understood: What the source was taken for, for the user.
        converted: Copies that were written of images that cannot be used; None if they were not asked for.
        targets: Least, median and largest number of the usable images, of a regression; otherwise empty.
        labels_few: Classes of too few images, whose labels were not checked, though those of others may have been.
    """

    source: str
    root: Path
    files: int
    classes: dict[str, int]
    splits: dict[str, dict[str, int]]
    rejected: list[tuple[str, str]]
    warnings: list[Finding]
    sizes: dict[str, list[float]]
    advised_size: int
    labels_checked: bool
    labels_checkable: bool = True
    understood: str = ""
    converted: Converted | None = None
    targets: Sequence[float] = ()
    labels_few: Sequence[str] = ()

    def __repr__(self) -> str:
        # Not all fields: where a call ends a notebook's cell, hundreds of findings would fill pages.
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        used = f"{self.files:,} images, {len(self.rejected):,} cannot be used, {len(self.classes)} classes"
        return f"<Findings {self.source}: {used}; {kinds or 'no warnings'}>"

    @property
    def unchecked(self) -> str:
        """What to say where suspicious labels were not looked for, or not in all classes."""
        whose, why = "", "--base names a network to check them with"
        if not self.labels_checkable:
            why = "that takes images of which each has one of several classes"
        elif self.labels_few:
            why = f"fewer than {FEWEST} different images of a class teach too little to tell which labels are wrong"
            if not self.labels_checked:
                why += "; two classes must have as many"
            else:
                more = f" and {len(self.labels_few) - _MAX_NAMES:,} more" * (len(self.labels_few) > _MAX_NAMES)
                whose = f" of {', '.join(map(repr, self.labels_few[:_MAX_NAMES]))}{more}"
        elif self.labels_checked:
            return ""
        return f"Labels{whose} were not checked: {why}."

    @property
    def targets_text(self) -> str:
        """What to say of the numbers of a regression; empty where images have classes."""
        if not self.targets:
            return ""
        low, middle, high = map(number_text, self.targets)
        return f"Targets of {low} to {high}, median {middle}."

    @property
    def kinds(self) -> Counter[str]:
        """How many findings there are of each kind."""
        return Counter(finding.kind for finding in self.warnings)

    def record(self) -> dict[str, Any]:
        """Return what `check --json` prints."""
        return {
            "source": self.source,
            "understood": self.understood,
            "files": self.files,
            "classes": self.classes,
            "splits": self.splits,
            "targets": list(self.targets),
            "rejected": [{"path": path, "reason": reason} for path, reason in self.rejected],
            "warnings": [asdict(finding) for finding in self.warnings],
            "sizes": self.sizes,
            "advised_size": self.advised_size,
            "labels_checked": self.labels_checked,
            "labels_few": list(self.labels_few),
            "converted": asdict(self.converted) if self.converted else None,
        }


def heading(kind: str) -> str:
    """Return the kind of a finding as a person reads it."""
    return _HEADINGS.get(kind, kind.replace("-", " ").capitalize())


def checkable(examples: Examples) -> bool:
    """Return whether each image has one of several classes."""
    return TASKS[examples.task].single_label and len(examples.classes) > 1


def collect(
    recipe: Recipe,
    examples: Examples,
    inspections: Sequence[Inspection],
    suspects: Sequence[Finding] | None,
    few: Sequence[str] = (),
) -> Findings:
    """Return the findings of a data set.

    Args:
        recipe: Of a run on it.
        examples: As listed, with digests.
        inspections: Of each of them.
        suspects: Suspicious labels; None if they were not looked for.
        few: Classes of too few images for that.
    """
    indices = np.flatnonzero([inspection.fault is None for inspection in inspections])
    usable, kept = examples.at(indices), [inspections[index] for index in indices.tolist()]
    rejected = [(path, seen.fault) for path, seen in zip(examples.paths, inspections, strict=True) if seen.fault]
    warnings = [*findings(usable, kept, recipe), *(suspects or []), *_refusal(recipe, examples, inspections)]
    warnings += [Finding(UNREADABLE, [path], reason) for path, reason in rejected]
    shorts = np.asarray([min(seen.width, seen.height) for seen in kept if seen.width] or [0])
    aspects = np.asarray([seen.width / seen.height for seen in kept if seen.height] or [1.0])
    return Findings(
        examples.source,
        examples.root,
        len(examples),
        class_counts(usable),
        {
            name: class_counts(usable.at(usable.indices(name)))
            for name in SPLITS
            if (usable.splits == SPLITS.index(name)).any()
        },
        rejected,
        in_order(warnings),
        {"short_side": _three(shorts), "aspect": _three(aspects)},
        rule.input_size(recipe.replace(size=AUTO), _NATIVE, _LEAST, float(np.median(shorts)), recipe.base.lower()),
        suspects is not None,
        checkable(examples),
        examples.understood,
        targets=_three(usable.labels, None) if examples.task == REGRESSION and len(usable) else (),
        labels_few=few,
    )


def _refusal(recipe: Recipe, examples: Examples, inspections: Sequence[Inspection]) -> list[Finding]:
    """Return why `fit` would not train on the images, if it would not."""
    try:
        prepare.usable(recipe, examples, inspections)
    except UserError as error:
        return [Finding("refused", [], str(error))]
    return []


def _three(values: np.ndarray, digits: int | None = 3) -> list[float]:
    """Return the least, the median and the largest value, rounded to so many decimals."""
    three = [float(value) for value in (values.min(), np.median(values), values.max())]
    return three if digits is None else [round(value, digits) for value in three]
