"""The images that a version was made from, by the split that they were in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_transfer.data import sources
from keras_transfer.data.decoding.decode import UNDECODABLE, Decoder
from keras_transfer.data.examples import Examples, recorded_splits, spread
from keras_transfer.data.inspection import inspector
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.paths import text_of
from keras_transfer.support.progress import Progress


class TrainingImages:
    """The images of a run: where they were, identified by their paths, or elsewhere, by their digests.

    Args:
        version: Folder of the version.
        recipe: Of the run that made it.
        size: Side of the pictures that it takes, px.
        data: Where the images are now, as `fit` takes it; None for where they were.

    Attributes:
        missing: Why none of them is there, or None.

    Raises:
        UserError: `data` cannot be read as labelled images, or the version was copied without its records.
    """

    def __init__(self, version: Path, recipe: Recipe, size: int, data: str | Path | None = None) -> None:
        self._decoder = Decoder.of(recipe, size)
        self._source = recipe.data if data is None else text_of(data, "--data")
        self.missing: str | None = None
        records = recorded_splits(version / "assets.extra")
        try:
            self._examples = sources.load(self._source, recipe.replace(data=self._source, group_by=""), given=())
        except UserError as error:
            if data is not None:
                raise
            self._images: list[tuple[str, str, str]] = []
            self.missing = error.args[0].removeprefix("--data: ")
            return
        self._images = _matches(self._examples, records, by_bytes=data is not None)
        if not self._images:
            self.missing = f"{self._source} holds none of them."

    def files(self, split: str, max_images: int | None = None) -> Iterator[tuple[str, str, bytes]]:
        """Yield name, label and bytes of up to `max_images` images of a split, spread over it; not of those that are
        damaged since, as far as their first bytes tell.

        Raises:
            UserError: they are gone.
        """
        listed = [(name, label) for image_split, name, label in self._images if image_split == split]
        absent = self.absent(split)
        if absent:
            raise UserError(
                f"The model's own images of the {split} split are needed here and are not where they were: {absent} "
                "--data names where they are now."
            )
        for index in spread(len(listed), max_images or len(listed)):
            name, label = listed[index]
            content, fault = inspector.read(self._examples.contents, name)
            if fault is None:
                yield name, label, content

    def pixels(self, split: str, max_images: int) -> Iterator[tuple[str, np.ndarray]]:
        """Yield label and pixels, float32 `[H, W, 3]` in 0..255, of up to `max_images` images of a split, of those that
        can still be decoded.

        Raises:
            UserError: they are gone.
        """
        for _, label, content in self.files(split, max_images):
            try:
                pixels = self._decoder.pixels(content)
            except UNDECODABLE:
                continue
            yield label, pixels.astype("float32")

    def absent(self, split: str) -> str | None:
        """Return why no image of a split is there, or None."""
        if any(image_split == split for image_split, _, _ in self._images):
            return None
        return self.missing or f"{self._source} holds none of them."


def _matches(examples: Examples, records: list[dict[str, str]], by_bytes: bool) -> list[tuple[str, str, str]]:
    """Return split, name and label of each example that `splits.csv` lists."""
    if by_bytes:
        keys = [digest.hex() for digest in inspector.with_digests(examples, Progress(quiet=True))[0].digests]
    else:
        keys = [examples.short(name) for name in examples.paths]
    recorded = {record["digest" if by_bytes else "path"]: record for record in records}
    return [
        (recorded[key]["split"], name, recorded[key]["label"])
        for key, name in zip(keys, examples.paths, strict=True)
        if key in recorded
    ]
