"""Version folders, as TensorFlow Serving wants them: `saved_models/NAME/3`, each whole or not there at all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from keras_transfer.evaluation.headline import headline
from keras_transfer.recipe.options import WEIGHTS
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import files
from keras_transfer.support.errors import Interruption, UsageError, nearest
from keras_transfer.support.paths import text_of
from keras_transfer.support.program import program
from keras_transfer.support.terminal import listed

SCHEMA = 1  # Of `metrics.json`: raise it where a key changes its meaning.


def with_weights_file(recipe: Recipe) -> Recipe:
    """Return a recipe whose weights, if they are those of an earlier run, are named by the file in its version folder.

    Raises:
        UsageError: the folder is no model of this program.
    """
    if recipe.weights in WEIGHTS or not Path(recipe.weights).expanduser().is_dir():
        return recipe
    return recipe.replace(weights=str(newest(recipe.weights) / "assets.extra" / "model.keras"))


def newest(model: str | Path) -> Path:
    """Return the version folder that a name means: `saved_models/NAME` its newest, `saved_models/NAME/3` itself.

    Raises:
        UsageError: there is no such model or version.
    """
    model = text_of(model, "model")
    if "://" in model:
        raise UsageError(f"{model!r} is an address, not a folder: {program()} request {model} IMAGES asks it.")
    folder = Path(model).expanduser()
    if (folder / "saved_model.pb").is_file():
        return folder
    versions = _versions(folder)
    if not versions:
        raise _no_model(model, folder)
    return max(versions, key=lambda version: int(version.name))


def _no_model(model: str, folder: Path) -> UsageError:
    """Return what to say of a name without a model: which models there are in the folder, or a name like it."""
    if not folder.exists():
        near = nearest(folder.name, [sibling.name for sibling in _models(folder.parent)])
        return UsageError(f"There is no model at {model!r}: there is no such folder.{near}")
    names = [str(Path(model) / child.name) for child in _models(folder)]
    if names:
        return UsageError(f"{model!r} holds models, and is none itself. Name one: {listed(names)}.")
    return UsageError(f"There is no model at {model!r}: it has no version folder with a saved_model.pb.")


def load_recipe(source: str | Path) -> Recipe:
    """Return the recipe in a `recipe.json`, or of a version, named as for `newest`: complete, as that run ran.

    Raises:
        UsageError: there is no such file or version, or it cannot be read.
    """
    file = Path(text_of(source, "source")).expanduser()
    return Recipe.from_json(file if file.is_file() else newest(source) / "assets.extra" / "recipe.json")


@contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill and then to `publish` within the block; it vanishes if the block fails.

    Raises:
        Interruption: it cannot be written to.
    """
    new_folders = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        with files.staging_folder(folder) as staging:
            yield staging
    except OSError as error:
        raise Interruption(f"--output: {folder} cannot be written to ({error.strerror or error}).") from error
    finally:
        for parent in new_folders:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()


def publish(staging: Path) -> Path:
    """Rename a filled folder to the next version number, and return the new path."""
    folder = staging.parent
    number = max((int(version.name) for version in _versions(folder)), default=0) + 1
    while True:
        try:
            return staging.rename(folder / str(number))
        except OSError:
            # Another run has just taken the number: the folder exists and is not empty.
            if not (folder / str(number)).exists():
                raise
            number += 1


def _versions(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [child for child in folder.iterdir() if is_number(child.name) and (child / "saved_model.pb").is_file()]


def is_number(name: str) -> bool:
    """Say whether a folder's name is that of a version: ASCII digits (`'²'` is a digit to Python too)."""
    return name.isascii() and name.isdigit()


def labels_text(classes: Iterable[str]) -> str:
    """Return what `labels.txt` holds: one class a line, line breaks within a name as blanks."""
    return "".join(f"{' '.join(name.split(chr(10)))}\n" for name in classes)


def labels_in(text: str) -> list[str]:
    """Return the lines of a `labels.txt`, which only a newline ends: a name may hold U+2028 or a vertical tab."""
    return text.removesuffix("\n").split("\n") if text else []


@dataclass(frozen=True)
class Version:
    """One version of a model, as `models` lists it.

    Attributes:
        model: Folder of the model.
        version: Its number.
        base: What was transferred.
        weights: Where the base's weights came from.
        score: Name of the metric and its value on the test split.
        bytes: Of all its files.
        modified: When it was written, seconds since 1970.
    """

    model: str
    version: int
    base: str
    weights: str
    score: tuple[str, float]
    bytes: int
    modified: float


def listing(root: str | Path) -> list[Version]:
    """Return the versions of the models in a folder, or of the model in it, by name and number.

    Raises:
        UsageError: there is no such folder.
    """
    folder = Path(text_of(root, "folder")).expanduser()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {str(root)!r}.")
    models = [folder] if _versions(folder) else _models(folder)
    return [
        _described(version)
        for model in models
        for version in sorted(_versions(model), key=lambda version: int(version.name))
    ]


def _models(folder: Path) -> list[Path]:
    """Return the models in a folder, by name."""
    return [child for child in files.children(folder) if _versions(child)]


def metrics_of(version: Path) -> dict[str, Any]:
    """Return the `metrics.json` of a version, empty where it has none that can be read: others wrote it, or it is
    damaged.
    """
    try:
        metrics = json.loads((version / "assets.extra" / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return metrics if isinstance(metrics, dict) else {}


def training_counts(version: Path) -> dict[str, int]:
    """Return the training images of each class, or label, of a version; nothing of one that has none."""
    from keras_transfer.tasks import TASKS  # Not for help: it imports NumPy.

    metrics = metrics_of(version)
    task = TASKS.get(metrics.get("task", ""))
    if task is None or not task.has_classes:
        return {}
    labels = _training_labels(version)
    if not labels:
        return {}
    counts = Counter(name for label in labels for name in ([label] if task.single_label else label.split("|")))
    return {name: counts[name] for name in metrics["data"]["classes"]}


def training_mean(version: Path) -> float | None:
    """Return the mean of the training numbers of a version; None of one that has classes, or no record of them."""
    from keras_transfer.tasks import TASKS  # Not for help: it imports NumPy.

    task = TASKS.get(metrics_of(version).get("task", ""))
    if task is None or task.has_classes:
        return None
    labels = _training_labels(version)
    return fmean(map(float, labels)) if labels else None


def _training_labels(version: Path) -> list[str]:
    """Return the labels of the training images, as `splits.csv` has them; none where there is no such file."""
    from keras_transfer.data.examples import SPLITS_FILE, recorded_splits  # Not for help: it imports NumPy.

    records = version / "assets.extra"
    if not (records / SPLITS_FILE).is_file():
        return []
    return [row["label"] for row in recorded_splits(records) if row["split"] == "train"]


def _described(version: Path) -> Version:
    metrics = metrics_of(version)
    test = metrics.get("test", {})
    name = headline(test)
    score = (name, float(test[name])) if test.get(name) is not None else ("", float("nan"))
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
    base, weights = metrics.get("base", "?"), metrics.get("weights", "?")
    modified = (version / "saved_model.pb").stat().st_mtime
    return Version(str(version.parent), int(version.name), base, weights, score, size, modified)


def prune(folder: Path, keep: int, needed: Iterable[Path] = ()) -> list[Path]:
    """Delete all but the newest `keep` versions of a model, and those that are needed, and return those deleted.

    A version vanishes by one rename, so that a server never finds half of one. Folders that are no whole versions
    are left alone.
    """
    deleted, stay = [], {version.resolve() for version in needed}
    for version in sorted(_versions(folder), key=lambda version: int(version.name))[: -max(keep, 1)]:
        with suppress(FileNotFoundError):  # Another run prunes the same model.
            if version.resolve() not in stay and files.delete_folder(version):
                deleted.append(version)
    return deleted
