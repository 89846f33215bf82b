"""The images that a version was made from, by the split that they were in."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_transfer.data import sources
from keras_transfer.data.decoding.decode import Decoder
from keras_transfer.errors import UserError
from keras_transfer.recipe import Recipe


class Origin:
    """The images of a run, found where they were.

    Args:
        version: Folder of the version.
        recipe: Of the run that made it.
        size: Side of the pictures that it takes, px.
    """

    def __init__(self, version: Path, recipe: Recipe, size: int) -> None:
        self._examples = sources.load(recipe.data, recipe)
        self._decoder = Decoder(size, recipe.resize, recipe.max_pixels)
        splits = version / "assets.extra" / "splits.csv"
        with splits.open(newline="", encoding="utf-8") as stream:
            self._rows = {row["path"]: (row["split"], row["label"]) for row in csv.DictReader(stream)}

    def files(self, split: str, most: int | None = None) -> Iterator[tuple[str, str, bytes]]:
        """Yield name, label and bytes of up to `most` images of a split, spread over it.

        Raises:
            UserError: they are gone.
        """
        examples = self._examples
        found = [(name, self._rows.get(examples.short(name), ("", ""))) for name in examples.paths]
        listed = [(name, label) for name, (where, label) in found if where == split]
        if not listed:
            raise UserError(f"{examples.source}: the images of the {split} split, which are needed here, are gone.")
        step = max(1, len(listed) // most) if most else 1
        for name, label in listed[::step][:most]:
            yield name, label, examples.contents.read(name)

    def pixels(self, split: str, most: int) -> Iterator[np.ndarray]:
        """Yield pixels, float32 `[H, W, 3]` in 0..255, of up to `most` images of a split."""
        for _, _, content in self.files(split, most):
            yield self._decoder(tf.constant(content)).numpy().astype("float32")
