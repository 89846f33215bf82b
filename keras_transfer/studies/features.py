"""Feature copying: the embeddings of a source's images, for a classifier of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_transfer.data import prepare
from keras_transfer.data.examples import SPLITS, Examples
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import files, forks, logs, paths
from keras_transfer.support.progress import Progress
from keras_transfer.tasks import TASKS
from keras_transfer.versions import folders

if TYPE_CHECKING:
    from keras_transfer.network.weights import PretrainedBase


def write(recipe: Recipe, file: Path, progress: Progress) -> tuple[int, int]:
    """Write what `arrays` returns to an `.npz` file, which appears whole or not at all.

    Returns:
        N and D.

    Raises:
        UsageError: the file cannot be written there, or is the data.
        UserError: as `arrays`, or the file cannot be written.
    """
    paths.demand_file(file, ".npz", "--output")
    paths.demand_other_file(file, recipe.data, "--output")
    embeddings = arrays(recipe, progress)
    with files.output_file(file) as staging:
        np.savez(staging, **embeddings)  # type: ignore[arg-type]
    images, width = embeddings["features"].shape
    return images, width


def arrays(recipe: Recipe, progress: Progress) -> dict[str, np.ndarray]:
    """Return `features` float32 `[N, D]`, `labels`, `paths`, `splits`, `classes` and `weights` (strings) of all images.

    A split is `train`, `validation` or `test`, as `fit` has it of the same recipe, so that what is fitted on features
    can be tested on the same images; empty of an image that `fit` leaves out, for it stands in an earlier split too,
    and where the images are too few to be split.

    Args:
        recipe: Gives base, weights, data, split, seed, size, pooling, resizing, precision and engine.
        progress: Is told about the pass.
    """
    forks.check()
    listed = prepare.unsplit_listing(recipe, progress)
    with progress.activity("Importing TensorFlow"):
        logs.import_tensorflow()
    recipe, pretrained = load_base(recipe, listed, progress)
    examples = prepare.unsplit(recipe, listed, progress)
    names = np.asarray(examples.classes)
    return {
        "features": compute(recipe, pretrained, examples, progress),
        "labels": names[examples.labels] if TASKS[examples.task].single_label else examples.labels,
        "paths": np.asarray(list(examples.paths)),
        "splits": np.asarray([*SPLITS, ""])[examples.splits],  # UNASSIGNED is the last.
        "classes": names,
        "weights": np.asarray(pretrained.weights),
    }


def load_base(recipe: Recipe, listed: Examples, progress: Progress) -> tuple[Recipe, PretrainedBase]:
    """Return a recipe with its input size and weights file, and its base: before all images are read, for weights may
    have to be downloaded, or not fit.
    """
    from keras_transfer.training import transfer

    recipe = transfer.with_pixels(folders.with_weights_file(recipe), listed, progress)
    pretrained = transfer.load_base(recipe, progress)
    if pretrained.caution:
        progress.warn(pretrained.caution)
    return recipe, pretrained


def compute(recipe: Recipe, pretrained: PretrainedBase, examples: Examples, progress: Progress) -> np.ndarray:
    """Return the embeddings of images, float32 `[N, D]`.

    Args:
        recipe: Gives pooling, resizing, precision and engine.
        pretrained: The base.
        examples: All of which can be decoded, with digests.
        progress: Is told about the pass.
    """
    from keras_transfer.compute import device, features
    from keras_transfer.network.cut import cut
    from keras_transfer.network.network import build
    from keras_transfer.training import transfer

    plan = device.plan(recipe, TASKS[examples.task].needs_float32)
    with transfer.built_in_float32():
        network = build(pretrained.base, pretrained.spec, recipe, len(examples.classes))
        frozen = cut(network, None).frozen
    base, architecture = pretrained.spec.name, pretrained.key
    extractor = features.extractor(frozen, "none", network, base, architecture, recipe, plan, examples.format, progress)
    (stored,) = extractor.extract(examples, examples.digests)
    return features.embeddings(stored, examples.digests)
