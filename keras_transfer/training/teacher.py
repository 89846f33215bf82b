"""A trained network that another learns from, and what it says of a run's images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.recipe.recipe import Recipe

if TYPE_CHECKING:
    from keras_transfer.compute.features import Extractor
    from keras_transfer.data.augment import View
    from keras_transfer.network.network import Network
    from keras_transfer.training.setup import Setup

_BATCH = 256  # Embeddings that the head is asked about at once.
_BLOCK = 2**20  # Bytes of a file that are read at once.


@dataclass(frozen=True)
class Teacher:
    """A trained network that another learns from: described without TensorFlow, loaded each time it is asked.

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

    def answers(self, setup: Setup, indices: np.ndarray, views: Sequence[View | None]) -> list[np.ndarray]:
        """Return what the teacher says of each view of some of a run's images, as targets of that run: float32
        `[N, K]` a view, probabilities of the run's classes in their order, or numbers as its task has them.

        The teacher sees the same views as the network that learns from it, at its own input size. What its base
        computes of them is stored as any base's is: asked again, it answers at once.

        Args:
            setup: Of the run.
            indices: Of its examples.
            views: Of each; None, the image itself, comes before all others.

        Raises:
            UserError: the network or an image cannot be read.
        """
        import keras

        from keras_transfer.compute import features
        from keras_transfer.network.network import Network

        network = Network.load(self.file)
        extractor = self._extractor(network, setup)
        examples, digests = setup.examples.at(indices), setup.digests_of(indices)
        order = [self.classes.index(name) for name in setup.examples.classes]
        embedding = keras.Input(network.head.input_shape[1:])
        answering = keras.Model(embedding, network.output(network.head(embedding)))
        answering.jit_compile = False  # On a GPU, Keras's default compiles for longer than this answers.
        answers, augmented = [], [view for view in views if view is not None]
        sets = [extractor.extract(examples, digests)] if None in views else []
        for stored in [*sets, *extractor.extract_views(examples, digests, augmented)]:
            embeddings = features.embeddings(stored, digests)
            outputs = answering.predict(embeddings, batch_size=_BATCH, verbose=0)
            answers.append(setup.task.as_targets(outputs[:, order]))
        return answers

    def _extractor(self, network: Network, setup: Setup) -> Extractor:
        """Return what computes the teacher's embeddings of a run's images, as the run's recipe says to compute."""
        from keras_transfer.compute import device, features
        from keras_transfer.network.bases import TABLE
        from keras_transfer.network.cut import cut

        own: dict[str, Any] = {name: getattr(self.recipe, name) for name in ("pooling", "resize", "enlarge")}
        recipe = setup.recipe.replace(base=self.base, **own)
        plan = device.plan(recipe, setup.task.needs_float32)
        architecture = self.base if self.recipe.base in TABLE else self.digest
        frozen, format = cut(network, None).frozen, setup.examples.format
        extractor = features.extractor(
            frozen, "none", network, self.base, architecture, recipe, plan, format, setup.progress
        )
        extractor.whose = " of the teacher"
        return extractor
