"""The one internal form of a data set: where its images lie, what they show, on which side of the split."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SPLITS = ("train", "validation", "test")
UNASSIGNED = -1


@dataclass(frozen=True)
class Examples:
    """Labelled images, listed but not read.

    Attributes:
        source: What the user called them.
        root: Folder that the paths lie below.
        paths: File of each image.
        labels: int32 `[N]`, an index into `classes`.
        splits: int8 `[N]`, an index into `SPLITS`, or -1 before the split is drawn.
        classes: Names of the classes, sorted.
    """

    source: str
    root: Path
    paths: Sequence[str]
    labels: np.ndarray
    splits: np.ndarray
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, split: str) -> np.ndarray:
        """Return the positions, int64, of the examples in a split."""
        return np.flatnonzero(self.splits == SPLITS.index(split))

    def at(self, rows: np.ndarray) -> Examples:
        """Return the examples at some positions, in that order."""
        return replace(
            self, paths=[self.paths[row] for row in rows], labels=self.labels[rows], splits=self.splits[rows]
        )

    def one_hot(self) -> np.ndarray:
        """Return the labels as float32 `[N, K]`."""
        return np.eye(len(self.classes), dtype="float32")[self.labels]

    def write_csv(self, file: Path, digests: Sequence[bytes]) -> None:
        """Write `path,label,split,digest`, one row an image: the path relative to `root`, the BLAKE2b digest of the
        file.
        """
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("path", "label", "split", "digest"))
            for path, label, split, digest in zip(self.paths, self.labels, self.splits, digests, strict=True):
                name = Path(os.path.relpath(path, self.root)).as_posix()
                writer.writerow((name, self.classes[label], SPLITS[split], digest.hex()))


def training_digests(file: Path) -> set[bytes]:
    """Return the digests of the images in a `splits.csv` that training or model selection saw."""
    with file.open(newline="", encoding="utf-8") as stream:
        return {bytes.fromhex(row["digest"]) for row in csv.DictReader(stream) if row["split"] != "test"}
