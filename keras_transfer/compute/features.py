"""The frozen part runs once: activations of every image and view, computed where they are not stored yet."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from keras_transfer.compute import engine
from keras_transfer.compute.device import Plan
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data import augment, pipeline
from keras_transfer.data.decoding.decode import REVISION, Decoder
from keras_transfer.data.examples import Examples
from keras_transfer.network.network import Network
from keras_transfer.network.weights import Source
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress
from keras_transfer.support.version import __version__


@dataclass
class Extractor:
    """Computes and finds activations.

    Attributes:
        frozen: Pixels to a list of tensors, the embedding last.
        key: What the activations depend on besides the images.
        plan: Engine and precision.
        decoder: How files become pixels.
        progress: Hears of each pass.
        engine_name: What ran the last pass, empty while all was found stored.
        computed: Images that passed the network.
    """

    frozen: keras.Model
    key: dict[str, Any]
    plan: Plan
    decoder: Decoder
    progress: Progress
    engine_name: str = ""
    computed: int = 0
    _engine: engine.Engine | None = field(default=None, repr=False)

    @property
    def bytes_per_image(self) -> int:
        """Disk that one view of an image takes."""
        values = sum(int(np.prod(output.shape[1:])) for output in self.frozen.outputs)
        return values * (4 if self.plan.precision == "float32" else 2)

    def plain(self, examples: Examples, digests: Sequence[bytes]) -> ActivationSet:
        """Return the activations of the images as they are."""
        stored = ActivationSet({**self.key, "view": "plain"})
        missing = self._missing(stored, digests)
        names = [examples.paths[row] for row in missing]
        batches = pipeline.images(examples.contents, names, self.decoder, engine.BATCH)
        self._pass("Features", stored, [digests[row] for row in missing], pipeline.checked(batches))
        return stored

    def view(self, number: int, seed: int, flip: bool, examples: Examples, digests: Sequence[bytes]) -> ActivationSet:
        """Return the activations of an augmented view; it depends on all images, whose random numbers are drawn in
        one row.
        """
        everything = hashlib.blake2b(b"".join(digests), digest_size=16).hexdigest()
        stored = ActivationSet({**self.key, "view": number, "seed": seed, "flip": flip, "images": everything})
        if self._missing(stored, digests):
            batches = pipeline.images(examples.contents, examples.paths, self.decoder, engine.BATCH)
            drawn = seed * 1000 + number
            changed = batches.enumerate().map(lambda batch, pixels: augment.change(pixels, batch, drawn, flip))
            self._pass(f"View {number}", stored, digests, pipeline.checked(changed.prefetch(2)))
        return stored

    def _missing(self, stored: ActivationSet, digests: Sequence[bytes]) -> list[int]:
        with self.progress.activity("Checking stored activations"):
            missing = stored.missing(digests)
        if stored.damaged:
            count = len(stored.damaged)
            self.progress.warn(
                f"{count} shard{'s' * (count > 1)} of stored activations {'were' if count > 1 else 'was'} damaged, and "
                f"what {'they' if count > 1 else 'it'} held is computed anew: {stored.damaged[0]}."
            )
            stored.damaged.clear()
        return missing

    def _pass(self, name: str, stored: ActivationSet, digests: Sequence[bytes], batches: Iterator[np.ndarray]) -> None:
        if not digests:
            return
        with self.progress.task(name, len(digests)) as advance:
            stored.write(digests, self._counted(self._outputs(batches), advance))

    def _outputs(self, batches: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
        if self._engine is None:
            self._engine, outputs = engine.start(self.frozen, self.plan, next(batches), self.progress)
            self.engine_name = self._engine.name
            yield outputs
        yield from self._engine.run(batches)

    def _counted(self, outputs: Iterator[list[np.ndarray]], advance: Any) -> Iterator[list[np.ndarray]]:
        half = {"bfloat16": ml_dtypes.bfloat16, "float16": np.float16}.get(self.plan.precision)
        for batch in outputs:
            yield [array.astype(half) if half else array for array in batch]
            self.computed += len(batch[0])
            advance(len(batch[0]))


def extractor(
    frozen: keras.Model,
    boundary: str,
    network: Network,
    source: Source,
    recipe: Recipe,
    plan: Plan,
    progress: Progress,
) -> Extractor:
    """Return what computes the activations of a network's frozen part, keyed by all that they depend on.

    Args:
        frozen: Pixels to activations, the embedding last.
        boundary: Name of the block that is cut below, or `none`.
        network: The whole.
        source: Its base.
        recipe: Gives pooling and resizing.
        plan: Engine and precision.
        progress: Hears of each pass.
    """
    key = {
        "version": __version__,  # Another release may preprocess otherwise.
        "decoder": REVISION,
        "base": source.row.name,
        "network": source.key,
        "weights": weights_digest(network.base),
        "boundary": boundary,
        "pooling": recipe.pooling,
        "size": network.size,
        "resize": recipe.resize,
        "precision": plan.precision,
        "engine": plan.engine,
    }
    decoder = Decoder(network.size, recipe.resize, recipe.max_pixels)
    return Extractor(frozen, key, plan, decoder, progress)


def weights_digest(network: keras.Model) -> str:
    """Return a digest of all weights of a model."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in network.weights:
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()


def embeddings(stored: ActivationSet, digests: Sequence[bytes]) -> np.ndarray:
    """Return the embeddings, float32 `[N, D]`: the last tensor of each stored row."""
    last = len(stored.specs()) - 1
    return stored.read(digests, [last])[0].astype("float32", copy=False)


def boundary_signature(stored: ActivationSet) -> list[tf.TensorSpec]:
    """Return the signature of the stored boundary activations; of the embedding where nothing else is stored."""
    specs = stored.specs()
    return [tf.TensorSpec((None, *shape), tf.as_dtype(dtype)) for shape, dtype in specs[:-1] or specs]
