"""The one internal form of a data set: where its images lie, what they show, on which side of the split."""

from __future__ import annotations

import csv
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import Contents, Files
from keras_transfer.support.errors import UserError
from keras_transfer.support.numerals import number_text
from keras_transfer.support.terminal import listed

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "trainval": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
}
SPLITS_FILE = "splits.csv"
SEEN_EARLIER = "seen-earlier.csv"
UNASSIGNED = -1
CLASSIFICATION, MULTI_LABEL, REGRESSION = TASKS = ("classification", "multi-label", "regression")


def sorted_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Return distinct names of classes in order: that of numbers, where all are whole numbers."""
    distinct = sorted(set(names))
    return tuple(sorted(distinct, key=int) if all(name.isdecimal() for name in distinct) else distinct)


def composed(name: str) -> str:
    """Return a name of a class in composed Unicode (NFC), in which names are compared: some programs decompose é."""
    return unicodedata.normalize("NFC", name)


def counted(classes: Sequence[str]) -> str:
    """Return how many classes there are, and which."""
    return f"{len(classes)} class{'es' * (len(classes) != 1)}: {listed(classes)}"


def label_text(label: np.ndarray, classes: tuple[str, ...], task: str) -> str:
    """Return a label, a row of `Examples.labels`, as a CSV file has it."""
    if np.ndim(label) == 0:  # The position of a class, whatever the task makes of it.
        return classes[int(label)]
    if task == MULTI_LABEL:
        return "|".join(classes[k] for k in np.flatnonzero(label))
    return number_text(label[0])


@dataclass(frozen=True)
class Examples:
    """Labelled images, listed but not read.

    Attributes:
        source: What the user called them.
        root: Folder that the paths lie below.
        paths: Name of each image: its file, or what `contents` reads.
        labels: int32 `[N]`, an index into `classes`; multi-label, float32 `[N, K]` of 0 and 1; regression, float64
            `[N, 1]`, as they were read.
        splits: int8 `[N]`, an index into `SPLITS`, or -1 before the split is drawn.
        classes: Names of the classes, sorted (as numbers, if all are whole numbers); regression, the target's name.
        task: One of `TASKS`.
        contents: Reads the images.
        groups: int64 `[N]`, equal for images that must stay on one side of the split; None without such groups.
        digests: BLAKE2b of the bytes of each image, 16 bytes; empty until they were read.
        sizes: int32 `[N, 2]`, height and width, px, as headers announce them; 0 where they do not. None until they were
            read.
        format: Of all images that can be used, as `image_format` names it; None if there are several, or they were not
            read yet.
        understood: What the source was taken for, in a line or two for the user.
        tabular: Whether a table names the images, and not their folders or records.
    """

    source: str
    root: Path
    paths: Sequence[str]
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]
    task: str = CLASSIFICATION
    contents: Contents = field(default_factory=Files)
    groups: np.ndarray | None = None
    digests: Sequence[bytes] = ()
    sizes: np.ndarray | None = None
    format: str | None = None
    understood: str = ""
    tabular: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def indices(self, split: str) -> np.ndarray:
        """Return the positions, int64, of the examples in a split."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def at(self, indices: np.ndarray) -> Examples:
        """Return the examples at some positions, in that order."""
        return replace(
            self,
            paths=[self.paths[index] for index in indices],
            labels=self.labels[indices],
            splits=self.splits[indices],
            groups=None if self.groups is None else self.groups[indices],
            digests=[self.digests[index] for index in indices] if self.digests else (),
            sizes=None if self.sizes is None else self.sizes[indices],
        )

    def short_sides(self, indices: np.ndarray) -> np.ndarray:
        """Return the short sides, int32 px, of those images at some positions whose size is known."""
        if self.sizes is None:
            return np.zeros(0, "int32")
        sides = self.sizes[indices].min(axis=1)
        return sides[sides > 0]

    def explained(self, understood: str) -> Examples:
        """Return the examples with what their source was taken for."""
        return replace(self, understood=understood)

    def targets(self) -> np.ndarray:
        """Return the labels as a table, `[N, K]`, float32: one-hot for classification; the numbers of regression, which
        a network learns standardised, float64.
        """
        if self.task == CLASSIFICATION:
            return np.eye(len(self.classes), dtype="float32")[self.labels]
        return self.labels

    def label_text(self, index: int) -> str:
        """Return the label of an example as a CSV file has it."""
        return label_text(self.labels[index], self.classes, self.task)

    def write_csv(self, file: Path) -> None:
        """Write `path,label,split,digest`, one row an image, once they were read: the path relative to `root`."""
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("path", "label", "split", "digest"))
            for index, (path, split, digest) in enumerate(zip(self.paths, self.splits, self.digests, strict=True)):
                writer.writerow((self.short(path), self.label_text(index), SPLITS[split], digest.hex()))

    def short(self, path: str) -> str:
        """Return the name of an image relative to `root`, bytes that are not UTF-8 escaped."""
        return printable(Path(os.path.relpath(path, self.root)).as_posix())


def printable(name: str) -> str:
    """Return a name as it can be written to a file: bytes that are not UTF-8 are escaped, as in `ros\\xe9.jpg`."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def spread(count: int, most: int) -> np.ndarray:
    """Return up to `most` positions, int64, spread over `count` images, which are listed class by class."""
    return np.linspace(0, count - 1, min(count, most)).round().astype("int64")


def recorded_splits(records: Path) -> list[dict[str, str]]:
    """Return the rows of a version's `splits.csv`.

    Args:
        records: Its folder.

    Raises:
        UserError: the version was copied without it.
    """
    try:
        with (records / SPLITS_FILE).open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError as error:
        raise UserError(
            f"{records.parent} lacks {records.name}/{SPLITS_FILE}, which says what it was trained on. Copy the whole "
            "version, or fit it again."
        ) from error


def training_digests(records: Path) -> set[bytes]:
    """Return the digests of the images that training or model selection saw, or that of the runs that a run came from.

    Args:
        records: Folder of a version's `splits.csv` and, where it came from other runs, `seen-earlier.csv`.

    Raises:
        UserError: there is no `splits.csv`.
    """
    seen = {bytes.fromhex(row["digest"]) for row in recorded_splits(records) if row["split"] != "test"}
    if (records / SEEN_EARLIER).is_file():
        with (records / SEEN_EARLIER).open(newline="", encoding="utf-8") as stream:
            seen |= {bytes.fromhex(row["digest"]) for row in csv.DictReader(stream)}
    return seen


def write_seen_earlier(records: Path, digests: Iterable[bytes]) -> None:
    """Write what `training_digests` reads of the runs that a run came from, if they saw any image."""
    rows = [(digest.hex(),) for digest in sorted(digests)]
    if rows:
        with (records / SEEN_EARLIER).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("digest",), *rows])
