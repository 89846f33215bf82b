"""What a version says of itself: recipe, metrics, history, splits, environment, and the model to train on from."""

from __future__ import annotations

import csv
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.compute import device
from keras_transfer.data.examples import SPLITS_FILE, write_seen_earlier
from keras_transfer.data.prepare import Prepared
from keras_transfer.recipe.options import WEIGHTS
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import strict_json
from keras_transfer.support.paths import absolute
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.training.trainer import Trainer
from keras_transfer.versions import folders

_PACKAGES = ("keras-transfer", "tensorflow", "keras", "numpy", "scikit-learn", "openvino")


def write(
    folder: Path,
    prepared: Prepared,
    trained: Trainer,
    test: dict[str, Any],
    timer: Stopwatch,
    progress: Progress,
    **blocks: Any,
) -> dict[str, Any]:
    """Write the records of a run into a new folder and return its metrics.

    Recipe, labels, splits and metrics, which the version is used by, must succeed; for others a failure is a warning.

    Args:
        folder: Made here: `assets.extra` of a version.
        prepared: The data.
        trained: What was trained, and how.
        test: Metrics on the test split.
        timer: Seconds of each part so far.
        progress: Warns of records that cannot be written.
        blocks: Further blocks of the metrics.
    """
    folder.mkdir()
    examples = trained.setup.examples
    (folder / "recipe.json").write_text(_from_any_folder(trained.recipe).to_json(), "utf-8")
    (folder / "labels.txt").write_bytes(folders.labels_text(examples.classes).encode())
    examples.write_csv(folder / SPLITS_FILE)
    write_seen_earlier(folder, prepared.seen_earlier)
    with timer.time("export"), progress.optional("Writing model.keras"):
        trained.setup.network.classifier().save(folder / "model.keras")
    with progress.optional("Writing environment.json"):
        (folder / "environment.json").write_text(strict_json.text(environment()), "utf-8")
    with progress.optional("Writing rejected.csv"):
        prepared.write_rejected(folder / "rejected.csv")
    with progress.optional("Writing history.csv"):
        _write_history(folder / "history.csv", trained.history)
    report = metrics(prepared, trained, test, timer) | blocks
    (folder / "metrics.json").write_text(strict_json.text(report), "utf-8")
    return report


def metrics(prepared: Prepared, trained: Trainer, test: dict[str, Any], timer: Stopwatch) -> dict[str, Any]:
    """Return what `metrics.json` holds; its keys are stable."""
    recipe, setup, examples = trained.recipe, trained.setup, trained.setup.examples
    counts = {split: len(examples.indices(split)) for split in ("train", "validation", "test")}
    return {
        "schema": folders.SCHEMA,
        "base": setup.pretrained.spec.name,
        "weights": setup.pretrained.weights,
        "method": recipe.method,
        "task": examples.task,
        "seed": recipe.seed,
        "data": {
            "source": _from_any_folder(recipe).data,
            "classes": list(examples.classes),
            **counts,
            "rejected": len(prepared.rejected),
        },
        "size": int(recipe.size),
        "thawed": trained.thawed,
        "reason": trained.reason,
        "engine": trained.engine,
        "precision": setup.plan.precision,
        "images_through_the_base": trained.computed,
        "phases": [phase.record() for phase in trained.results],
        "exported": trained.exported.name,
        "validation": trained.exported.validation,
        "test": test,
        "seconds": {"total": timer.total(), **timer.seconds},
        "machine": f"{device.processor()}, {os.cpu_count()} cores",
    }


def _from_any_folder(recipe: Recipe) -> Recipe:
    """Return the recipe with absolute paths, which mean the same wherever it is read."""
    named = {"data": recipe.data, "base": recipe.base, "weights": recipe.weights, "tfds_dir": recipe.tfds_dir}
    named["teacher"] = recipe.teacher
    paths = {
        "data": recipe.data != "digits" and not recipe.data.startswith("tfds:"),
        "base": recipe.base.endswith((".keras", ".h5", ".hdf5")),
        "weights": recipe.weights not in WEIGHTS,
        "tfds_dir": bool(recipe.tfds_dir),
        "teacher": recipe.teacher != "none",
    }
    return recipe.replace(**{key: absolute(value) for key, value in named.items() if paths[key]})


def environment() -> dict[str, Any]:
    """Return the machine and the versions of what computes."""
    releases = {}
    for package in _PACKAGES:
        try:
            releases[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": device.processor(),
        "cores": os.cpu_count(),
        "packages": releases,
    }


def _write_history(file: Path, rows: list[dict[str, Any]]) -> None:
    columns = sorted(dict.fromkeys(key for row in rows for key in row), key=_position)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {key: float(value) if isinstance(value, np.floating) else value for key, value in row.items()}
            )


def _position(column: str) -> tuple[bool, int]:
    """Return what columns of `history.csv` are sorted by: training before validation, the loss before the score."""
    first = ("phase", "epoch", "iterations", "loss", "val_loss")
    return column.startswith("val_"), first.index(column) if column in first else len(first)
