"""A trained network that another learns from, described without TensorFlow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from keras_transfer.recipe.recipe import Recipe

_BLOCK = 2**20  # Bytes of a file that are read at once.


@dataclass(frozen=True)
class Teacher:
    """A trained network that another learns from.

    Attributes:
        name: Of its model, and the number of its version, as `big/1`.
        file: Its network, a `model.keras` of this program.
        base: Name of its base.
        weights: Where those of its base came from.
        task: What it has learnt.
        classes: Labels, in the order of its outputs.
        recipe: Of the run that made it.
        seen: Digests of the images that it was trained on, or chosen by.
    """

    name: str
    file: Path
    base: str
    weights: str
    task: str
    classes: tuple[str, ...]
    recipe: Recipe
    seen: frozenset[bytes]

    @cached_property
    def digest(self) -> str:
        """What tells its network from others, whatever their names."""
        digest = hashlib.blake2b(digest_size=16)
        with self.file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()
