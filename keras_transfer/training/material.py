"""What both phases train on: activations of a run's images that were stored once, or, where they are not, pixels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial

import keras
import numpy as np
import tensorflow as tf

from keras_transfer import cache, features
from keras_transfer.cache import ActivationSet
from keras_transfer.data import augment, pipeline
from keras_transfer.data.examples import Examples
from keras_transfer.device import Plan
from keras_transfer.features import Extractor
from keras_transfer.network.cut import Frozen, Halves, cut
from keras_transfer.network.network import Network
from keras_transfer.network.precision import computing_in
from keras_transfer.network.weights import Source
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe
from keras_transfer.training import failures, objectives
from keras_transfer.training.objectives import Objective


@dataclass
class Material:
    """A network, cut where the frozen part ends, and the images of a run on both sides of that boundary.

    Attributes:
        recipe: Complete but for thaw.
        source: Base and weights.
        network: Trained in place.
        examples: With splits.
        digests: Of each example's file.
        objective: What to learn.
        plan: Precision, XLA, engine.
        progress: Hears of everything.
        halves: The network, cut.
        extractor: Computes activations, or finds them.
        sets: Activations of all training and validation images, one set a view, once they are extracted.
        stored: Whether phase 2 trains on stored activations; otherwise on pixels, in each epoch anew.
    """

    recipe: Recipe
    source: Source
    network: Network
    examples: Examples
    digests: Sequence[bytes]
    objective: Objective
    plan: Plan
    progress: Progress
    halves: Halves = field(init=False)
    extractor: Extractor = field(init=False)
    sets: list[ActivationSet] = field(init=False, default_factory=list)
    stored: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.train = self.examples.rows("train")
        self.validation = self.examples.rows("validation")
        self.seen = np.concatenate([self.train, self.validation])
        block = self.source.row.thawed(self.recipe.thaw) if self.recipe.fine_tune_epochs else None
        self.thaws = block is not None
        self.boundary = block.name if block else "none"
        self.halves = cut(self.network, block)
        whole = block is not None and not block.boundary
        self.stored = block is None or not (whole or self.recipe.views == "fresh")
        self.views = self.recipe.views if isinstance(self.recipe.views, int) and self.recipe.augment != "none" else 1
        self.extractor = self._extractor()
        self._make_room()

    def extract(self) -> None:
        """Pass every training and validation image through the frozen part, where that was not done before."""
        seen, digests = self.examples.at(self.seen), [self.digests[row] for row in self.seen]
        self.sets = [self.extractor.plain(seen, digests)]
        for view in range(1, self.views):
            self.sets.append(self.extractor.view(view, self.recipe.seed, self._flip, seen, digests))

    def batches(
        self, rows: np.ndarray, order: pipeline.Order, embedding: bool = False, augmented: bool = False
    ) -> tf.data.Dataset:
        """Return batches of what a phase trains on, their targets and, for training, the weights of the images.

        Args:
            rows: Of the examples.
            order: View and positions within `rows` of each batch.
            embedding: Give what the head takes; otherwise what the thawed part takes.
            augmented: For training: weigh images, and augment freshly decoded pixels, where the recipe says so.
        """
        targets = self.targets(rows) if augmented else [self.objective.targets[rows]]
        if self.stored or embedding:
            specs = self.sets[0].specs()
            signature = features.boundary_signature(self.sets[0])
            tensors = list(range(len(signature)))
            if embedding:
                tensors, (shape, dtype) = [len(specs) - 1], specs[-1]
                signature = [tf.TensorSpec((None, *shape), tf.as_dtype(dtype))]
            digests = [self.digests[row] for row in rows]
            read = partial(_read, self.sets, digests, tensors)
            return pipeline.stored(read, signature, targets, order)
        batches = pipeline.decoded(self.examples.at(rows), targets, self.extractor.decoder, order)
        if augmented and self.recipe.views == "fresh" and self.recipe.augment != "none":
            seed, flip = self.recipe.seed, self._flip
            changed = batches.enumerate(order.start).map(
                lambda step, row: (augment.change(row[0], step, seed, flip), *row[1:])
            )
            return changed.prefetch(2)
        return batches

    def in_order(self, rows: np.ndarray) -> pipeline.Order:
        """Return the order of a pass without training: in larger batches, those that wait would take more memory."""
        return pipeline.InOrder(len(rows), 2 * int(self.recipe.batch_size))

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the network's logits, float32 `[N, K]`, for some rows, test images among them.

        In float32, in which the network is served, whatever precision it is trained in: weights of different phases
        are compared by it.
        """
        order = self.in_order(rows)
        if self.stored:
            digests = [self.digests[row] for row in rows]
            activations = self.extractor.plain(self.examples.at(rows), digests)
            signature = features.boundary_signature(activations)
            read = partial(_read, [activations], digests, list(range(len(signature))))
            batches = pipeline.stored(read, signature, [], order)
        else:
            batches = pipeline.decoded(self.examples.at(rows), [], self.extractor.decoder, order)
        with failures.reported(self._in_float32):
            return np.concatenate(
                [keras.ops.convert_to_numpy(self._in_float32.predict_on_batch(x)) for (x,) in batches]
            )

    def scores(self, rows: np.ndarray) -> dict[str, float]:
        """Return score and loss of the network as it is on some rows."""
        return self.objective.judge(self.logits(rows), self.objective.targets[rows])

    @cached_property
    def _in_float32(self) -> keras.Model:
        """The same layers as a model of its own, whose function is traced in float32."""
        model = self.trainable()
        return keras.Model(model.input, model.output)

    def targets(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return what training compares with: targets and, where classes are weighed, the images' weights."""
        targets = self.objective.targets[rows]
        return [targets, objectives.class_weights(targets)] if self.recipe.class_weights == "balanced" else [targets]

    def embeddings(self, rows: np.ndarray, view: int) -> np.ndarray:
        """Return what the head takes, float32 `[N, D]`, for some training or validation rows of a view."""
        return features.embeddings(self.sets[view], [self.digests[row] for row in rows])

    def trainable(self) -> keras.Model:
        """Return what phase 2 trains, from what `batches` gives to logits."""
        if self.stored:
            return self.halves.tail
        pixels = keras.Input(self.network.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.halves.tail(Frozen(self.halves.below)(pixels)))

    def computing(self, model: keras.Model) -> AbstractContextManager[None]:
        """Let a model that is trained compute in the plan's precision; logits and losses stay float32."""
        return computing_in(self.plan.policy, model, self.halves.below, but=[self.network.head.get_layer("logits")])

    def _extractor(self) -> Extractor:
        frozen = self.halves.frozen if self.stored else cut(self.network, None).frozen
        boundary = self.boundary if self.stored else "none"
        return features.extractor(frozen, boundary, self.network, self.source, self.recipe, self.plan, self.progress)

    def _make_room(self) -> None:
        needed = self.extractor.bytes_per_image * len(self.seen) * self.views
        reason = cache.room(needed, self.recipe.cache_limit)
        if reason is None:
            return
        if self.stored and self.thaws:
            self.progress.warn(
                f"Storing the activations at {self.boundary} would take {needed / 1e9:.1f} GB, but {reason}. "
                "They are computed anew in each epoch, which takes longer."
            )
            self.stored, self.views = False, 1
            self.extractor = self._extractor()
            cache.room(self.extractor.bytes_per_image * len(self.seen), self.recipe.cache_limit)

    @property
    def _flip(self) -> bool:
        return self.examples.source != "digits"


def _read(
    sets: Sequence[ActivationSet], digests: Sequence[bytes], tensors: Sequence[int], view: int, rows: np.ndarray
) -> list[np.ndarray]:
    return sets[view].read([digests[row] for row in rows], tensors)
