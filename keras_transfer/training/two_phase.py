"""The two phases of transfer: the head on frozen features, then the top blocks at a low rate.

"Linear probe, then fine-tune" (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a head that is solved first
lets the blocks above the boundary train without first being torn apart by a random one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_transfer import cache, features, rule
from keras_transfer.cache import ActivationSet
from keras_transfer.data import augment, pipeline
from keras_transfer.data.examples import Examples
from keras_transfer.device import Plan
from keras_transfer.features import Extractor
from keras_transfer.model import Frozen, Halves, Network, cut
from keras_transfer.progress import Progress, Stopwatch
from keras_transfer.recipe import SOLVERS, Recipe
from keras_transfer.training import objectives, solver
from keras_transfer.training.objectives import Objective
from keras_transfer.training.phases import Descent, Feed, Phase, logged, train
from keras_transfer.weights import Source

# A solved head holds all embeddings in memory, several times over; above this it is trained by gradient.
_SOLVER_BYTES = 2**28


@dataclass
class TwoPhase:
    """One run's material, and the two phases as its methods, in the order in which `fit` calls them.

    Attributes:
        recipe: Complete but for thaw.
        source: Base and weights.
        network: Trained in place.
        examples: With splits.
        digests: Of each example's file.
        objective: What to learn.
        plan: Precision, XLA, engine.
        progress: Hears of everything.
        backup: Folder that keeps each phase's weights after each epoch, to go on from after an interruption.
    """

    recipe: Recipe
    source: Source
    network: Network
    examples: Examples
    digests: Sequence[bytes]
    objective: Objective
    plan: Plan
    progress: Progress
    backup: Path | None = None
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

    def fit_head(self, rows: np.ndarray, chosen: Phase | None = None) -> Phase:
        """Phase 1: solve or train the head on the embeddings of some rows.

        Args:
            rows: Of the examples.
            chosen: An earlier phase 1, whose choices (strength, epochs) hold; None makes them on the validation split.
        """
        width = self.sets[0].specs()[-1][0][0]
        small = len(rows) * self.views * width * 4 <= _SOLVER_BYTES
        if self.recipe.head_solver in SOLVERS and small:
            return self._solve_head(rows, chosen.details["strength"] if chosen else None)
        if self.recipe.head_solver in SOLVERS:
            self.progress.warn("The embeddings are too large to solve the head in memory; it is trained by gradient.")
            trained = self.recipe.replace(head_solver="adam")
            self.recipe = rule.complete(trained, len(self.train), len(self.examples.classes))
        epochs = chosen.best_epoch if chosen else self._int("head_epochs")
        descent = Descent(epochs, float(self.recipe.head_lr), 0.0, self._patience, self.plan.xla, self.objective)
        return self._descend("head", self.network.head, rows, descent, embedding=True, held_out=chosen is None)

    def fine_tune(self, rows: np.ndarray, epochs: int, held_out: bool = True) -> Phase:
        """Phase 2: train the thawed blocks and the head on some rows, from the weights as they are.

        Args:
            rows: Of the examples.
            epochs: At most.
            held_out: Judge by the validation split and keep the best weights, those from before included.
        """
        recipe = self.recipe
        descent = Descent(
            epochs,
            float(recipe.fine_tune_lr),
            float(recipe.label_smoothing),
            self._patience,
            self.plan.xla,
            self.objective,
        )
        return self._descend("fine-tune", self._trainable(), rows, descent, held_out=held_out)

    def _solve_head(self, rows: np.ndarray, strength: float | None) -> Phase:
        begun = time.monotonic()
        embeddings = np.concatenate([self._embeddings(rows, view) for view in range(self.views)])
        targets, *weights = (np.tile(table, (self.views,) + (1,) * (table.ndim - 1)) for table in self._targets(rows))
        train: dict[str, Any] = {
            "embeddings": solver.standardise(embeddings, self.recipe.head_solver),
            "targets": targets,
            "weights": weights[0] if weights else None,
        }
        held, held_targets = self._embeddings(self.validation, 0), self.objective.targets[self.validation]
        if strength is None:
            head = objectives.solve_validated(self.objective, train, held, held_targets)
        else:
            head = self.objective.solve(**train, strength=strength)
        self.network.head.get_layer("logits").set_weights([head.kernel, head.bias])
        scores = self.objective.judge(head.logits(held), held_targets)
        seconds = time.monotonic() - begun
        rate = len(embeddings) / max(seconds, 1e-9)
        history = [{"phase": "head", "epoch": head.iterations, **{f"val_{key}": scores[key] for key in scores}}]
        details = {"solver": self.recipe.head_solver, "strength": head.strength}
        count = head.kernel.size + head.bias.size
        return Phase("head", head.iterations, head.iterations, seconds, count, rate, scores, history, details)

    def _descend(
        self,
        name: str,
        model: keras.Model,
        rows: np.ndarray,
        descent: Descent,
        embedding: bool = False,
        held_out: bool = True,
    ) -> Phase:
        size = self._int("batch_size")
        backup = self.backup / f"{name}-{len(rows)}" if self.backup else None
        earlier = logged(backup)
        order = pipeline.Shuffled(len(rows), size, self.views, self.recipe.seed, first=len(earlier))
        validation = None
        if held_out:
            held = pipeline.in_order(len(self.validation), 4 * size)
            validation = self.batches(self.validation, held, embedding)
        batches = self.batches(rows, order, embedding, augmented=True)
        feed = Feed(batches, len(rows), order.steps, validation, earlier)
        keras.utils.set_random_seed(self.recipe.seed)
        return train(name, model, feed, descent, self.progress, keep_better=name != "head", backup=backup)

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
        targets = self._targets(rows) if augmented else [self.objective.targets[rows]]
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
            before = order.first * order.steps if isinstance(order, pipeline.Shuffled) else 0
            changed = batches.enumerate(before).map(
                lambda step, row: (augment.change(row[0], step, seed, flip), *row[1:])
            )
            return changed.prefetch(2)
        return batches

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Return the network's logits, float32 `[N, K]`, for some rows, test images among them."""
        order = pipeline.in_order(len(rows), 4 * self._int("batch_size"))
        if self.stored:
            digests = [self.digests[row] for row in rows]
            found = self.extractor.plain(self.examples.at(rows), digests)
            signature = features.boundary_signature(found)
            read = partial(_read, [found], digests, list(range(len(signature))))
            batches = pipeline.stored(read, signature, [], order)
        else:
            batches = pipeline.decoded(self.examples.at(rows), [], self.extractor.decoder, order)
        model = self._trainable()
        return np.concatenate([keras.ops.convert_to_numpy(model.predict_on_batch(x)) for (x,) in batches])

    def _targets(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return what training compares with: targets and, where classes are weighed, the images' weights."""
        targets = self.objective.targets[rows]
        return [targets, objectives.class_weights(targets)] if self.recipe.class_weights == "balanced" else [targets]

    def _trainable(self) -> keras.Model:
        if self.stored:
            return self.halves.tail
        pixels = keras.Input(self.network.base.input_shape[1:], name="images")
        return keras.Model(pixels, self.halves.tail(Frozen(self.halves.below)(pixels)))

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

    def _embeddings(self, rows: np.ndarray, view: int) -> np.ndarray:
        return features.embeddings(self.sets[view], [self.digests[row] for row in rows])

    @property
    def _flip(self) -> bool:
        return self.examples.source != "digits"

    @property
    def _patience(self) -> int | None:
        return None if self.recipe.patience == "none" else self._int("patience")

    def _int(self, name: str) -> int:
        return int(getattr(self.recipe, name))


def _read(
    sets: Sequence[ActivationSet], digests: Sequence[bytes], tensors: Sequence[int], view: int, rows: np.ndarray
) -> list[np.ndarray]:
    return sets[view].read([digests[row] for row in rows], tensors)


def run(material: TwoPhase, watch: Stopwatch) -> list[Phase]:
    """Run both phases, and once more on training and validation images together where the recipe says so."""
    with watch.time("features"):
        material.extract()
    start = [model.get_weights() for model in (material.halves.tail, material.network.head)]
    with watch.time("head"):
        phases = [material.fit_head(material.train)]
    if material.thaws:
        with watch.time("fine-tune"):
            phases.append(material.fine_tune(material.train, int(material.recipe.fine_tune_epochs)))
    if material.recipe.refit == "on":
        with watch.time("refit"):
            refit(material, phases, start)
    return phases


def refit(material: TwoPhase, phases: list[Phase], start: list[list[np.ndarray]]) -> None:
    """Train once more on training and validation images, with the strength and the epochs that validation chose.

    Args:
        material: Trained already.
        phases: What each phase chose.
        start: Weights of tail and head before them.
    """
    for model, weights in zip((material.halves.tail, material.network.head), start, strict=True):
        model.set_weights(weights)
    material.fit_head(material.seen, phases[0])
    if len(phases) > 1 and phases[1].best_epoch:
        material.fine_tune(material.seen, phases[1].best_epoch, held_out=False)
    phases[-1].details["refit_images"] = len(material.seen)
