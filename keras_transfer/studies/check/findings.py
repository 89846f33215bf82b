"""From facts to findings: what a person should look at, the gravest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data import cropping, depth, duplicates
from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, SPLITS, UNASSIGNED, Examples
from keras_transfer.data.prepare import IMBALANCE
from keras_transfer.studies.check.convert import Converted
from keras_transfer.studies.check.facts import Facts

_FEW = 10  # Images of a class, below which no split of it tells much.
_SIZES = (96, 128, 160, 192, 224, 256, 299, 384, 512)

# What a warning's kind means, in the order in which they are shown.
KINDS = {
    "leak": "the same picture in two splits: the test would be on what was learned",
    "label-conflict": "the same picture under different labels",
    "suspicious-label": "a network trained on the other pictures takes it for something else",
    "duplicate": "files of equal bytes",
    "near-duplicate": "pictures that hardly differ",
    "imbalance": "classes of very different sizes",
    "one-class": "a classifier needs two classes",
    "few": "classes with few images",
    "crop": "the centre crop hides much of many pictures",
    "dark-16-bit": "values of fewer than 16 bits, which are nearly black as 16 bits",
    "misnamed": "the extension is not the content",
    "near-constant": "nearly one colour",
    "tiny": "very small",
    "huge": "very large",
    "orientation": "stored turned",
    "animated": "several frames",
    "cmyk": "printing colours",
    "16-bit": "16 bits a channel",
    "alpha": "transparent parts",
    "palette": "palette colours",
}


@dataclass(frozen=True)
class Warned:
    """One thing to look at.

    Attributes:
        kind: One of `KINDS`.
        paths: The images it is about.
        detail: What is wrong, and what to do.
    """

    kind: str
    paths: list[str]
    detail: str


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
        warnings: The gravest first.
        sizes: Least, median and largest short side and aspect ratio (width over height).
        advised_size: For `--size`, px.
        labels_checked: Whether suspicious labels were looked for.
        understood: What the source was taken for, for the user.
        converted: Copies that were written of images that cannot be used; None if they were not asked for.
    """

    source: str
    root: Path
    files: int
    classes: dict[str, int]
    splits: dict[str, dict[str, int]]
    rejected: list[tuple[str, str]]
    warnings: list[Warned]
    sizes: dict[str, list[float]]
    advised_size: int
    labels_checked: bool
    understood: str = ""
    converted: Converted | None = None

    def record(self) -> dict[str, Any]:
        """Return what `check --json` prints."""
        return {
            "source": self.source,
            "understood": self.understood,
            "files": self.files,
            "classes": self.classes,
            "splits": self.splits,
            "rejected": [{"path": path, "reason": reason} for path, reason in self.rejected],
            "warnings": [{"kind": one.kind, "paths": one.paths, "detail": one.detail} for one in self.warnings],
            "sizes": self.sizes,
            "advised_size": self.advised_size,
            "labels_checked": self.labels_checked,
            "converted": asdict(self.converted) if self.converted else None,
        }


def collect(examples: Examples, facts: Sequence[Facts], suspects: Sequence[Warned] | None) -> Findings:
    """Return the findings of a data set.

    Args:
        examples: As listed.
        facts: Of each of them, in order.
        suspects: Suspicious labels; None if they were not looked for.
    """
    rows = [row for row, one in enumerate(facts) if one.fault is None]
    usable = examples.at(np.asarray(rows, "int64"))
    kept = [facts[row] for row in rows]
    warned = [*_alike(usable, kept), *(suspects or []), *_balance(usable), *_cropped(kept), *_dark(kept)]
    warned += [Warned(kind, [one.path], detail) for one in facts for kind, detail in one.notes]
    order = list(KINDS)
    warned.sort(key=lambda one: order.index(one.kind))
    shorts = np.asarray([min(one.width, one.height) for one in kept if one.width] or [0])
    aspects = np.asarray([one.width / one.height for one in kept if one.height] or [1.0])
    return Findings(
        examples.source,
        examples.root,
        len(examples),
        _counts(usable),
        {name: _counts(usable.at(usable.rows(name))) for name in SPLITS if (usable.splits == SPLITS.index(name)).any()},
        [(one.path, one.fault) for one in facts if one.fault is not None],
        warned,
        {"short_side": _three(shorts), "aspect": _three(aspects)},
        _advised(float(np.median(shorts))),
        suspects is not None,
        examples.understood,
    )


def _alike(examples: Examples, facts: Sequence[Facts]) -> list[Warned]:
    exact = duplicates.exact([one.digest for one in facts]) if facts else np.zeros(0, "int64")
    found = [w for rows in _groups(exact) for w in _warn(examples, rows, "duplicate", "equal byte for byte")]
    # A picture of one colour is like any other: it has nothing to compare.
    rich = [row for row, one in enumerate(facts) if "near-constant" not in dict(one.notes)]
    links = duplicates.near(np.asarray([facts[row].hash for row in rich])) if rich else np.zeros((0, 3), "int64")
    groups = duplicates.components(len(rich), links)
    most = np.zeros(len(rich), "int64")
    np.maximum.at(most, groups[links[:, 0]], links[:, 2])
    for group in _groups(groups):
        rows = [rich[place] for place in group]
        if len(set(exact[rows])) > 1:
            how = f"each differs from another in at most {most[groups[group[0]]]} of 256 bits of their hashes"
            found += _warn(examples, rows, "near-duplicate", how)
    return found


def _warn(examples: Examples, rows: list[int], kind: str, how: str) -> list[Warned]:
    """Return the finding on a group of equal pictures, and those that follow from their splits and labels."""
    paths = [examples.paths[row] for row in rows]
    found = [Warned(kind, paths, f"{len(rows)} pictures: {how}")]
    splits = sorted({int(examples.splits[row]) for row in rows} - {UNASSIGNED})
    if len(splits) > 1:
        names = " and ".join(SPLITS[split] for split in splits)
        found.append(Warned("leak", paths, f"in {names} ({how}): keep them in one split"))
    labels = sorted({examples.label_text(row) for row in rows})
    if len(labels) > 1 and examples.task in (CLASSIFICATION, MULTI_LABEL):
        found.append(Warned("label-conflict", paths, f"labelled {', '.join(map(repr, labels))} ({how}): one is wrong"))
    return found


def _balance(examples: Examples) -> list[Warned]:
    counts = _counts(examples)
    if not counts:
        return []
    if len(counts) == 1:
        return [Warned("one-class", [], f"all images are in one class, {next(iter(counts))!r}: nothing to tell apart")]
    found = []
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    if counts[most] > IMBALANCE * max(counts[least], 1):
        advice = "--class-weights balanced makes both count" if examples.task == CLASSIFICATION else "add images"
        detail = f"{counts[most]} images of {most!r}, {counts[least]} of {least!r}: {advice}"
        found.append(Warned("imbalance", [], detail))
    few = [name for name, count in counts.items() if count < _FEW]
    if few:
        detail = f"fewer than {_FEW} images of {', '.join(map(repr, few[:10]))}: add images, or leave the class out"
        found.append(Warned("few", [], detail))
    return found


def _cropped(facts: Sequence[Facts]) -> list[Warned]:
    told = cropping.warning([(one.height, one.width) for one in facts if one.width and one.height])
    return [Warned("crop", [], told)] if told else []


def _dark(facts: Sequence[Facts]) -> list[Warned]:
    """Return one finding on all pictures whose 16 bits hold fewer."""
    deep = [one for one in facts if one.peak]
    told = depth.warning([one.peak for one in deep])
    return [Warned("dark-16-bit", [one.path for one in deep], told)] if told else []


def _counts(examples: Examples) -> dict[str, int]:
    if examples.task == CLASSIFICATION:
        found = Counter(examples.labels.tolist())
        return {name: found[number] for number, name in enumerate(examples.classes)}
    if examples.task == MULTI_LABEL:
        return {name: int(count) for name, count in zip(examples.classes, examples.labels.sum(0), strict=True)}
    return {}


def _groups(ids: np.ndarray) -> list[list[int]]:
    """Return the positions of each id that occurs more than once."""
    order = np.argsort(ids, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(ids[order])) + 1) if len(ids) else []
    return [part.tolist() for part in parts if len(part) > 1]


def _three(values: np.ndarray) -> list[float]:
    return [round(float(value), 3) for value in (values.min(), np.median(values), values.max())]


def _advised(short: float) -> int:
    """Return the largest usual input size that half of the pictures fill, at most what ImageNet's bases expect."""
    return max([size for size in _SIZES if size <= min(short, 224)], default=_SIZES[0])
