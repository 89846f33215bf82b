"""What phases train on: activations of a run's images that were stored once, or, where they are not, pixels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.compute import engine, features, store
from keras_transfer.compute.device import ComputePlan, policy
from keras_transfer.compute.features import Extractor, NotStored
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data import augment, pipeline
from keras_transfer.data.augment import View
from keras_transfer.network.answering import answer
from keras_transfer.network.blocks import Block
from keras_transfer.network.cut import Frozen, cut
from keras_transfer.network.folding import depthwise_layers
from keras_transfer.network.network import Network
from keras_transfer.network.precision import computing_in
from keras_transfer.recipe.options import FRESH
from keras_transfer.training import failures, soft_targets
from keras_transfer.training.setup import Setup
from keras_transfer.training.technique import Technique


class Feed:
    """A network cut below a block, and a run's images on both sides of the cut.

    Args:
        setup: Of the run.
        block: The lowest block that is trained; None trains the head alone.
        views: Augmented views of each image that are stored, the image itself among them; `fresh` augments anew in
            each epoch, from pixels, and so does any number above 1 where nothing is stored.
        stores_embedding: Store what the head takes too. Without it, the part above the boundary need not be computed,
            and views of validation images are not needed either.
        plain: What has computed the activations of the images as they are already, with embeddings or not; None lets
            them be computed.

    Attributes:
        cut: The network, in two parts.
        extractor: Computes activations of views, or finds them.
        plain: Computes those of the images as they are, or finds them; the embedding last, if it gives that.
        sets: Activations of all training and validation images, one set a view, once they are extracted.
        stores_embedding: Whether what the head takes is stored.
        stored: Whether what is trained gets stored activations; otherwise pixels, in each epoch anew.
        views: How many views there are; 1 where they are fresh.
        fresh: Whether pixels are augmented anew in each epoch, if they are augmented at all.
    """

    def __init__(
        self,
        setup: Setup,
        block: Block | None,
        views: int | str = 1,
        stores_embedding: bool = True,
        plain: Extractor | None = None,
    ) -> None:
        self.setup = setup
        self.boundary = block.name if block else "none"
        self.stores_embedding = stores_embedding or block is None
        self.cut = cut(setup.network, block, self.stores_embedding)
        asked = views if views == FRESH or setup.recipe.augment != "none" else 1
        self.stored = block is None or bool(block.boundary and asked != FRESH)
        self.fresh = not self.stored and asked != 1
        self.views = asked if self.stored and isinstance(asked, int) else 1
        self.sets: list[ActivationSet] = []
        self.extractor = self._extractor()
        self.plain = plain if plain and self.stored else self.extractor

    @property
    def drawn(self) -> int | str:
        """The views as they turned out: their number, or `fresh`."""
        return FRESH if self.fresh else self.views

    def extract(self, seconds: float | None = None) -> None:
        """Pass every training and validation image through the frozen part, where that was not done before.

        What gets pixels needs no activations.

        Args:
            seconds: After which no further view of the images is begun; None stores all.
        """
        if not self.stored or self.sets:
            return
        try:
            self._demand_room()
            self.sets = self._extracted(seconds)
            self.views = len(self.sets)
        except NotStored as error:
            if self.boundary == "none":
                raise
            self.stored, self.fresh, self.views = False, self.views > 1, 1
            on_views = ", on new views of each image" if self.fresh else ""
            self.setup.progress.warn(f"{error} They are computed anew in each epoch{on_views}, which takes longer.")
            self.plain = self.extractor = self._extractor()

    def _extracted(self, seconds: float | None) -> list[ActivationSet]:
        setup, begun = self.setup, time.monotonic()
        # Of folds, the test images too: others train on them, and after this fold's training the base is another.
        indices = setup.seen if setup.recipe.folds == "none" else np.arange(len(setup.examples))
        sets = self.plain.extract(setup.examples.at(indices), setup.digests_of(indices))
        views, indices = self._augmented_views(), self._augmented
        for together in [views] if seconds is None else [[view] for view in views]:
            if seconds is not None and time.monotonic() - begun >= seconds:
                break
            sets += self.extractor.extract(setup.examples.at(indices), setup.digests_of(indices), together)
        return sets

    @property
    def _augmented(self) -> np.ndarray:
        """Indices of the images of which views are needed: a head, and a refit, get those for validation too."""
        return self.setup.seen if self.stores_embedding or self.setup.recipe.refit == "on" else self.setup.train

    def _augmented_views(self) -> list[View]:
        return [View(number, self.setup.recipe.seed, self.setup.flips) for number in range(1, self.views)]

    def _views(self) -> list[View | None]:
        return [None, *self._augmented_views()]

    def soft_targets(self, indices: np.ndarray, techniques: Sequence[Technique]) -> Sequence[np.ndarray] | None:
        """Return what techniques put in the place of images' labels, float32 `[N, K]` for each view; None where none
        does.
        """
        views = self._views()
        targets: Sequence[np.ndarray] = [self.setup.targets_of(indices)] * len(views)
        labels = targets
        for technique in techniques:
            targets = technique.targets(targets, self.setup, indices, views)
        return None if targets is labels else targets

    def batches(
        self,
        indices: np.ndarray,
        order: pipeline.Order,
        for_head: bool = False,
        augmented: bool = False,
        soft: Sequence[np.ndarray] | None = None,
    ) -> tf.data.Dataset:
        """Return batches of what a phase trains on, their targets and, where classes are weighed, the images' weights.

        Args:
            indices: Of the examples.
            order: View and positions within `indices` of each batch.
            for_head: Give what the head takes; otherwise what the thawed part takes.
            augmented: Augment freshly decoded pixels, where the recipe says so.
            soft: Soft targets of each view; labels follow them in the same table.
        """
        setup = self.setup
        labels = setup.targets_of(indices)
        counts = setup.weights_of(labels)
        weights = [] if counts is None else [counts]
        targets = [[labels, *weights]] * self.views
        if soft is not None:
            targets = [[soft_targets.with_labels(table, labels), *weights] for table in soft]
        if self.stored or for_head:
            return self._stored_batches(self.sets, indices, targets, order, for_head)
        batches = pipeline.decoded(setup.examples.at(indices), targets[0], self.extractor.decoder, order)
        if augmented and self.fresh and setup.recipe.augment != "none":
            seed, flip = setup.recipe.seed, setup.flips
            changed = batches.enumerate(order.start).map(
                lambda step, batch: (augment.change(batch[0], step, seed, flip), *batch[1:])
            )
            return changed.prefetch(2)
        return batches

    def in_order(self, indices: np.ndarray) -> pipeline.Order:
        """Return the order of a pass without training: in larger batches, those that wait would take more memory."""
        return pipeline.Sequential(len(indices), 2 * int(self.setup.recipe.batch_size))

    def logits(self, indices: np.ndarray) -> np.ndarray:
        """Return the network's logits, float32 `[N, K]`, for some images, test images among them.

        In float32, in which the network is served, whatever precision it is trained in: weights of different phases
        are compared by it.
        """
        # Of one size for few images and many: a second one is traced apart.
        order = pipeline.Sequential(len(indices), engine.batch_size(self.setup.plan, self.setup.network.size))
        if self.stored:
            activations = self.plain.extract(self.setup.examples.at(indices), self.setup.digests_of(indices))
            batches = self._stored_batches(activations, indices, [[]], order)
        else:
            batches = pipeline.decoded(self.setup.examples.at(indices), [], self.extractor.decoder, order)
        with failures.reported(self._in_float32):
            return np.concatenate([answer(self._in_float32, x, order.batch_size)[0] for (x,) in batches])

    def embeddings(self, indices: np.ndarray, view: int) -> np.ndarray:
        """Return what the head takes, float32 `[N, D]`, for some training or validation images of a view."""
        return features.embeddings(self.sets[view], self.setup.digests_of(indices))

    @cached_property
    def trainable(self) -> keras.Model:
        """What a phase trains, from what `batches` gives to logits."""
        if self.stored:
            return self.cut.above
        pixels = keras.Input(self.setup.network.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.cut.above(Frozen(self.cut.below)(pixels)))

    @cached_property
    def _in_float32(self) -> keras.Model:
        """The same layers as a model of its own, whose function is traced in float32."""
        model = keras.Model(self.trainable.input, self.trainable.output)
        # On a GPU, Keras's default compiles, which took half a minute for the shapes of a few batches.
        model.jit_compile = False
        return model

    def computing(self, model: keras.Model) -> AbstractContextManager[None]:
        """Let a model that is trained compute in the plan's precision, and what is below it."""
        return training_in(self.setup.plan, self.setup.network, model, self.cut.below)

    def _extractor(self) -> Extractor:
        setup = self.setup
        frozen = self.cut.frozen if self.stored else cut(setup.network, None).frozen
        boundary = self.boundary if self.stored else "none"
        base, architecture = setup.pretrained.spec.name, setup.pretrained.key
        common = setup.recipe, setup.plan, setup.examples.format, setup.progress
        extractor = features.extractor(frozen, boundary, setup.network, base, architecture, *common)
        extractor.whose = f" below {boundary}" if self.stored and not self.stores_embedding else ""
        return extractor

    def _demand_room(self) -> None:
        """Raise `NotStored` where there is no room for what is missing."""
        if self.boundary == "none":  # Embeddings are small, and needed in any case.
            return
        setup = self.setup
        missing = self.plain.count_missing(setup.digests_of(setup.seen))
        augmented = setup.digests_of(self._augmented)
        missing += sum(self.extractor.count_missing(augmented, view) for view in self._augmented_views())
        needed = missing * self.extractor.bytes_per_image
        reason = store.shortage(needed, setup.recipe.cache_limit) if missing else None
        if reason is not None:
            raise NotStored(
                f"Storing the activations at {self.boundary} would take {store.size_text(needed)}, but {reason}."
            )

    def _stored_batches(
        self,
        sets: Sequence[ActivationSet],
        indices: np.ndarray,
        targets: Sequence[Sequence[np.ndarray]],
        order: pipeline.Order,
        for_head: bool = False,
    ) -> tf.data.Dataset:
        """Return batches of what lies at the boundary, or of the embedding, which is stored last, and of each view's
        targets.
        """
        digests, specs = self.setup.digests_of(indices), sets[0].specs()
        below = len(self.cut.below.outputs) if self.boundary != "none" else 1
        tensors = [len(specs) - 1] if for_head else list(range(below))
        signature = [tf.TensorSpec((None, *specs[tensor][0]), tf.as_dtype(specs[tensor][1])) for tensor in tensors]

        def read(view: int, positions: np.ndarray) -> list[np.ndarray]:
            return sets[view].read([digests[position] for position in positions], tensors)

        return pipeline.stored(read, signature, targets, order)


def training_in(
    plan: ComputePlan, network: Network, model: keras.Model, *frozen: keras.Model
) -> AbstractContextManager[None]:
    """Let a model that is trained compute in the plan's precision; logits and losses stay float32.

    So do depthwise convolutions, whose gradients TensorFlow computes five times as slowly in bfloat16 on a processor;
    on an H200, steps take as long either way.

    Args:
        plan: Names the precision.
        network: Whose logits they are.
        model: Part of it, which is trained.
        frozen: What computes as well, and is not.
    """
    kept = [network.head.get_layer("logits"), *depthwise_layers(model)]
    return computing_in(policy(plan.precision), model, *frozen, keep_float32=kept)
