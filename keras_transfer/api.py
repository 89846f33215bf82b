"""The functions of the package: what the commands do, called from Python."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer import run
from keras_transfer.network.bases import check_base
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.run import Result
from keras_transfer.support.errors import UsageError
from keras_transfer.support.logs import import_tensorflow
from keras_transfer.support.paths import page_and_table, text_of
from keras_transfer.support.progress import Progress, chosen

if TYPE_CHECKING:
    import numpy as np

    from keras_transfer.exports.convert import Exported
    from keras_transfer.studies.check.findings import Findings
    from keras_transfer.studies.recommend import Recommendation
    from keras_transfer.versions.folders import Version
    from keras_transfer.versions.saved import SavedClassifier


def fit(
    recipe: Recipe | str | Path | None = None,
    *,
    progress: Progress | None = None,
    resume: bool = False,
    **options: Any,
) -> Result:
    """Transfer a base onto labelled images and write a version that serves.

        kt.fit("photos/", base="resnet50")
        kt.fit(kt.Recipe(data="photos/", base="resnet50"))

    Args:
        recipe: What to do; or the data alone, as `Recipe.data`; None for the built-in digits.
        progress: What to tell meanwhile; by default, a terminal.
        resume: Keep the state after each epoch, and go on where an interrupted run of the same recipe left off.
        options: Fields of `Recipe`; of a recipe that is given, those to change.

    Raises:
        UserError: with one line that says what is wrong, where, and what to do. Nothing is left behind then.
    """
    return run.fit(_recipe(recipe, options), chosen(progress), resume)


def evaluate(
    model: str | Path,
    data: str | Path | None = None,
    *,
    progress: Progress | None = None,
    html: str | Path | None = None,
    csv: str | Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Return a model's metrics on labelled images that its training did not see.

    Args:
        model: `saved_models/NAME` (its newest version) or `saved_models/NAME/3`.
        data: As `Recipe.data`; None for the test images of what the model was fitted on.
        progress: What to tell meanwhile; by default, nobody.
        html: File of a page of classes, confusions and mistakes, with thumbnails; None writes none.
        csv: File of a table of path, label, prediction and confidence of each image; None writes none.
        options: How the data is read: `columns`, `encoding`, `allow_outside` and `tfds_dir` of `Recipe`.

    Raises:
        UsageError: there is no such source, or a file cannot be written there.
        UserError: there is no such model, training saw all the images, a class is unknown to the model, or a file
            cannot be written.
    """
    from keras_transfer.data import sources
    from keras_transfer.studies import evaluation

    page, table = page_and_table(html, csv)
    progress = chosen(progress, quiet=True)
    source = None if data is None else text_of(data, "--data")
    if source is not None:
        sources.demand(source, options)
    return evaluation.evaluate(load(model), source, page, table, progress, **options)


def check(
    recipe: Recipe | str | Path,
    *,
    labels: bool | None = None,
    html: str | Path | None = None,
    progress: Progress | None = None,
    convert_to: str | Path | None = None,
    csv: str | Path | None = None,
    **options: Any,
) -> Findings:
    """Look a data set over before training on it.

        kt.check("photos/", html="check.html", base="mobilenetv2")

    Args:
        recipe: Gives data, task and limits, and with `labels` the base, its weights and size; or the data alone.
        labels: Look for suspicious labels too, with the features of the base; by default, if `base` is given here.
        html: Where to write a page with thumbnails; it appears whole or not at all.
        progress: What to tell meanwhile; by default, a terminal.
        convert_to: A new folder for copies of the images in formats that TensorFlow does not decode.
        csv: Where to write a table of the images with findings, and what to do about each; whole or not at all.
        options: Fields of `Recipe`; of a recipe that is given, those to change.

    Raises:
        UsageError: there is something in the folder for copies, or the page or the table cannot be written there.
        UserError: there is nothing to check, or something cannot be written.
    """
    from keras_transfer.studies.check.check import check as look

    labels = "base" in options if labels is None else labels
    return look(_recipe(_given(recipe), options), labels, html, chosen(progress), convert_to, csv)


def recommend(
    recipe: Recipe | str | Path,
    bases: str | Path | Sequence[str | Path] | None = None,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Recommendation:
    """Say which base to transfer onto labelled images, by heads on the features of each, without training any.

        kt.recommend("photos/", ["mobilenetv2", "resnet50"]).recommended

    Args:
        recipe: Gives data, split, seed, size, resizing, pooling, precision and engine; or the data alone.
        bases: Names or files, or one of them; None for those that `bases` says to begin with.
        progress: What to tell meanwhile; by default, a terminal.
        options: Fields of `Recipe`; of a recipe that is given, those to change.

    Raises:
        UserError: a base cannot be had, or the images cannot be used, or are too few to cross-validate on.
    """
    from keras_transfer.studies.recommend import recommend as compare

    given = () if bases is None else [bases] if isinstance(bases, (str, os.PathLike)) else bases
    names = [text_of(base, "--bases") for base in given]
    if names:
        options = {**options, "base": names[0]}  # The size must suit a base that is compared, not the default one.
    return compare(_recipe(_given(recipe), options), names, chosen(progress))


def export(
    model: str | Path,
    format: str,
    *,
    precision: str = "float32",
    output: str | Path | None = None,
    data: str | Path | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write a model in another format, and compare it with the SavedModel on the run's test images.

    Args:
        model: `saved_models/NAME` (its newest version) or `saved_models/NAME/3`.
        format: `litert`, `onnx`, `openvino` or `keras`.
        precision: `float32`, `float16` or `int8`.
        output: The file to write; None for `assets.extra/exports` of the version.
        data: Where the images of the run are now, if they have moved.
        progress: What to tell meanwhile; by default, a terminal.

    Raises:
        UsageError: there is no such model, format or precision, or a package is missing.
    """
    progress = chosen(progress)
    import_tensorflow()
    from keras_transfer.exports.convert import export as write

    file = None if output is None else Path(text_of(output, "--output")).expanduser()
    return write(text_of(model, "model"), format, precision, file, progress, data)


def features(
    recipe: Recipe | str | Path | None = None, *, progress: Progress | None = None, **options: Any
) -> dict[str, np.ndarray]:
    """Return the feature vectors of labelled images, for a classifier of one's own.

    Args:
        recipe: Gives data, split, seed, base, weights, size, pooling, resizing, precision and engine; or the data
            alone; None for the built-in digits.
        progress: What to tell meanwhile; by default, a terminal.
        options: Fields of `Recipe`; of a recipe that is given, those to change.

    Returns:
        `features` float32 `[N, D]`, `labels` `[N]` (class names; of other tasks numbers `[N, K]`), `paths`, `splits`
        (`train`, `validation` or `test`, as of `fit`; empty of an image that `fit` leaves out, for it stands in an
        earlier split too, and where the images are too few), `classes` and `weights`.

    Raises:
        UserError: with one line that says what is wrong, where, and what to do.
    """
    from keras_transfer.studies.features import arrays

    return arrays(_recipe(recipe, options), chosen(progress))


def models(folder: str | Path = "saved_models") -> list[Version]:
    """Return the versions of the models in a folder, or of the model in it, by name and number.

    Raises:
        UsageError: there is no such folder.
    """
    from keras_transfer.versions.folders import listing

    return listing(folder)


def load(model: str | Path) -> SavedClassifier:
    """Return a saved version, ready to predict: `saved_models/NAME` (its newest) or `saved_models/NAME/3`.

    Raises:
        UserError: there is no such model, or it cannot be loaded.
    """
    from keras_transfer.versions import folders

    folders.newest(model)
    import_tensorflow()
    from keras_transfer.versions.saved import SavedClassifier

    return SavedClassifier(model)


def load_recipe(source: str | Path) -> Recipe:
    """Return the recipe in a `recipe.json`, or of a saved version, to fit it again.

        kt.fit(kt.load_recipe("saved_models/photos"), seed=1)

    Args:
        source: The file; or `saved_models/NAME` (its newest version) or `saved_models/NAME/3`.

    Raises:
        UsageError: there is no such file or version, or it cannot be read.
    """
    from keras_transfer.versions import folders

    return folders.load_recipe(source)


def _given(recipe: Recipe | str | Path) -> Recipe | str:
    """Refuse None, which `_recipe` takes for the built-in digits."""
    return recipe if isinstance(recipe, Recipe) else text_of(recipe, "--data")


def _recipe(recipe: Recipe | str | Path | None, options: dict[str, Any]) -> Recipe:
    if isinstance(recipe, Recipe):
        return check_base(recipe.replace(**options) if options else recipe)
    if recipe is not None:
        if "data" in options:
            first, second = (text_of(data, "--data") for data in (recipe, options["data"]))
            raise UsageError(f"The data is given twice: as {first!r} and as data={second!r}.")
        options = {**options, "data": recipe}
    return check_base(Recipe(**options))
