"""Activations of every image and view, computed by the frozen part where they are not stored yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import keras
import ml_dtypes
import numpy as np

from keras_transfer.compute import engine, store
from keras_transfer.compute.device import ComputePlan
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data import verified
from keras_transfer.data.augment import View
from keras_transfer.data.decoding.decode import REVISION, Decoder
from keras_transfer.data.examples import Examples
from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.support.version import __version__

_MUCH_TO_VERIFY = 2**30  # Bytes, of which a person is told that they are read.
_HALF = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}  # What is stored in half precision.


class NotStored(UserError):
    """Activations cannot be written to the disk, or there is no room for them."""


@dataclass
class Extractor:
    """Computes and finds activations.

    Attributes:
        frozen: Pixels to a list of tensors, the embedding, where it is among them, last.
        base: All of whose weights the tensors may depend on.
        key: What the activations depend on besides the images.
        plan: Engine and precision.
        decoder: How the files of the data set become pixels.
        progress: Shows each pass.
        cache_limit: Disk for all stored activations, in GB.
        whose: Activations, where not those of the run's whole base: the end of what a pass is called.
        engine_name: What ran the last pass, empty while all was found stored.
        computed: Images that passed the network.
    """

    frozen: keras.Model
    base: keras.Model
    key: dict[str, Any]
    plan: ComputePlan
    decoder: Decoder
    progress: Progress
    cache_limit: float
    whose: str = ""
    engine_name: str = ""
    computed: int = 0
    _engine: engine.Engine | None = field(default=None, repr=False)
    _engine_weights: str = field(default="", repr=False)
    _sets: dict[View | None, ActivationSet] = field(default_factory=dict, repr=False)

    @property
    def bytes_per_image(self) -> int:
        """Disk that one view of an image takes."""
        values = sum(int(np.prod(output.shape[1:])) for output in self.frozen.outputs)
        return values * (4 if self.plan.precision == "float32" else 2)

    def extract(
        self, examples: Examples, digests: Sequence[bytes], views: Sequence[View | None] = (None,)
    ) -> list[ActivationSet]:
        """Return the activations of images, a set for each view; those that are not stored are computed.

        Args:
            examples: Which.
            digests: Of each one's bytes.
            views: Change each picture, all in one pass; None, the picture itself, comes before all others.

        Raises:
            UserError: an image was changed or deleted since it was listed.
            NotStored: the activations cannot be written.
        """
        plain = [view for view in views if view is None]
        augmented = [view for view in views if view is not None]
        return [
            *self._pass("Features", examples, digests, plain),
            *self._pass("Augmented views", examples, digests, augmented),
        ]

    def _to_compute(self, digests: Sequence[bytes], view: View | None) -> tuple[ActivationSet, list[int]]:
        """Return the set of a view, and the positions of the images that it lacks."""
        stored = self._set(view)
        missing = self._missing(stored, digests)
        if missing and (weights := self._weights()) != self.key["weights"]:
            # The base was trained meanwhile; what it computes now belongs to another key.
            stored = ActivationSet({**stored.key, "weights": weights})
            missing = self._missing(stored, digests)
        return stored, missing

    def count_missing(self, digests: Sequence[bytes], view: View | None = None) -> int:
        """Return how many activations of a view of some images would have to be computed."""
        return len(self._missing(self._set(view), digests))

    def _set(self, view: View | None) -> ActivationSet:
        """Return the set of a view, the same in each call: what was read of it once stays open whoever deletes it."""
        if view not in self._sets:
            self._sets[view] = ActivationSet({**self.key, **(view.key if view else {"view": "plain"})})
        return self._sets[view]

    def _weights(self) -> str:
        """Return the digest of the weights that a pass computes with: OpenVINO keeps those that it started with."""
        return self._engine_weights or weights_digest(self.base)

    def _missing(self, stored: ActivationSet, digests: Sequence[bytes]) -> list[int]:
        large = stored.unverified_bytes(digests) > _MUCH_TO_VERIFY
        with self.progress.activity("Verifying stored activations") if large else nullcontext():
            missing = stored.missing(digests)
        if stored.damaged:
            count = len(stored.damaged)
            self.progress.warn(
                f"{count} shard{'s' * (count > 1)} of stored activations {'were' if count > 1 else 'was'} damaged, and "
                f"what {'they' if count > 1 else 'it'} held is computed anew: {stored.damaged[0]}."
            )
            stored.damaged.clear()
        return missing

    def _pass(
        self, name: str, examples: Examples, digests: Sequence[bytes], views: Sequence[View | None]
    ) -> list[ActivationSet]:
        """Return the sets of views of images, all of them augmented or none, with what they lacked."""
        parts = [(*self._to_compute(digests, view), view) for view in views]
        sets = [stored for stored, _, _ in parts]
        parts = [part for part in parts if part[1]]
        if not parts:
            return sets
        indices = [index for _, missing, _ in parts for index in missing]
        names, wanted = [examples.paths[index] for index in indices], [digests[index] for index in indices]
        changes = [view for _, missing, view in parts for _ in missing if view is not None]
        size = engine.batch_size(self.plan, self.decoder.size)
        batches = verified.images(examples.contents, names, wanted, self.decoder, size, changes)
        store.make_room(self.bytes_per_image * len(indices), self.cache_limit)
        try:
            with self.progress.task(name + self.whose, len(indices)) as advance:
                outputs = self._counted(self._outputs(batches), advance)
                streams = store.split(outputs, [len(missing) for _, missing, _ in parts])
                for (stored, missing, _), stream in zip(parts, streams, strict=True):
                    stored.write([digests[index] for index in missing], stream)
        except OSError as error:
            raise NotStored(
                f"Activations cannot be written to {self._set(None).folder.parent} ({error.strerror or error}). Make "
                "room there, or name another folder by the environment variable KERAS_TRANSFER_CACHE."
            ) from error
        return sets

    def _outputs(self, batches: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
        if self._engine is None:
            self._engine, outputs = engine.start(self.frozen, self.plan, next(batches), self.progress)
            self.engine_name = self._engine.name
            self._engine_weights = weights_digest(self.base) if self.engine_name == "openvino" else ""
            yield outputs
        yield from self._engine.run(batches)

    def _counted(self, outputs: Iterator[list[np.ndarray]], advance: Any) -> Iterator[list[np.ndarray]]:
        dtype = _HALF.get(self.plan.precision)
        for batch in outputs:
            self.computed += len(batch[0])
            advance(len(batch[0]))
            yield [array.astype(dtype) if dtype else array for array in batch]


def extractor(
    frozen: keras.Model,
    boundary: str,
    network: Network,
    base: str,
    architecture: str,
    recipe: Recipe,
    plan: ComputePlan,
    format: str | None,
    progress: Progress,
) -> Extractor:
    """Return what computes the activations of a network's frozen part, keyed by all that they depend on.

    Args:
        frozen: Pixels to activations, the embedding, where it is among them, last.
        boundary: Name of the block that is cut below, or `none`.
        network: The whole.
        base: Name of its base.
        architecture: What tells its base from others, whatever their weights.
        recipe: Gives pooling, resizing, and the disk that may be used.
        plan: Engine and precision.
        format: Of all images, as in `Examples`.
        progress: Shows each pass.
    """
    key = {
        "version": __version__,  # Another release may preprocess otherwise.
        "decoder": REVISION,
        "base": base,
        "network": architecture,
        "weights": weights_digest(network.base),
        "boundary": boundary,
        "tensors": len(frozen.outputs),
        "pooling": recipe.pooling,
        "size": network.size,
        "resize": recipe.resize,
        "enlarge": recipe.enlarge,
        "precision": plan.precision,
        "engine": plan.engine,
    }
    decoder = Decoder.of(recipe, network.size, format)
    return Extractor(frozen, network.base, key, plan, decoder, progress, recipe.cache_limit)


def weights_digest(network: keras.Model) -> str:
    """Return a digest of all weights of a model."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in network.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()


def embeddings(stored: ActivationSet, digests: Sequence[bytes]) -> np.ndarray:
    """Return the embeddings, float32 `[N, D]`: the last tensor of each image that is stored with its embedding."""
    last = len(stored.specs()) - 1
    return stored.read(digests, [last])[0].astype("float32", copy=False)
