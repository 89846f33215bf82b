"""What a version says of itself: recipe, metrics, history, splits, environment, and the model to train on from."""

from __future__ import annotations

import csv
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import device
from keras_transfer.data.prepare import Prepared
from keras_transfer.progress import Progress, Stopwatch
from keras_transfer.transfer import Trained

_PACKAGES = ("keras-transfer", "tensorflow", "keras", "numpy", "scikit-learn", "openvino")


def write(
    folder: Path,
    found: Prepared,
    trained: Trained,
    test: dict[str, Any],
    watch: Stopwatch,
    progress: Progress,
    **more: Any,
) -> dict[str, Any]:
    """Write the records of a run into a new folder and return its metrics.

    Recipe, labels, splits and metrics, which the version is used by, must succeed; of others a failure is told.

    Args:
        folder: Made here: `assets.extra` of a version.
        found: The data.
        trained: What was trained, and how.
        test: Metrics on the test split.
        watch: Seconds of each part so far.
        progress: Hears of records that cannot be written.
        more: Further blocks of the metrics.
    """
    folder.mkdir()
    material = trained.material
    (folder / "recipe.json").write_text(trained.recipe.to_json(), "utf-8")
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in material.examples.classes), "utf-8")
    material.examples.write_csv(folder / "splits.csv", material.digests)
    with watch.time("export"), progress.optional("Writing model.keras"):
        trained.network.classifier().save(folder / "model.keras")
    with progress.optional("Writing environment.json"):
        (folder / "environment.json").write_text(json.dumps(environment(), indent=2), "utf-8")
    with progress.optional("Writing rejected.csv"):
        found.write_rejected(folder / "rejected.csv")
    with progress.optional("Writing history.csv"):
        _write_history(folder / "history.csv", [row for phase in trained.phases for row in phase.history])
    report = metrics(found, trained, test, watch) | more
    (folder / "metrics.json").write_text(json.dumps(report, indent=2), "utf-8")
    return report


def metrics(found: Prepared, trained: Trained, test: dict[str, Any], watch: Stopwatch) -> dict[str, Any]:
    """Return what `metrics.json` holds; its keys are stable."""
    recipe, material = trained.recipe, trained.material
    examples, extractor = material.examples, material.extractor
    counts = {split: len(examples.rows(split)) for split in ("train", "validation", "test")}
    return {
        "base": trained.source.row.name,
        "weights": trained.source.weights,
        "method": "two-phase",
        "task": examples.task,
        "seed": recipe.seed,
        "data": {"source": recipe.data, "classes": list(examples.classes), **counts, "rejected": len(found.rejected)},
        "size": int(recipe.size),
        "thawed": material.boundary,
        "engine": extractor.engine_name or "cache",
        "precision": material.plan.precision,
        "images_through_the_base": extractor.computed,
        "phases": [phase.record() for phase in trained.phases],
        "validation": trained.phases[-1].validation,
        "test": test,
        "seconds": {"total": watch.total(), **watch.seconds},
        "machine": f"{device.processor()}, {os.cpu_count()} cores",
    }


def environment() -> dict[str, Any]:
    """Return the machine and the versions of what computes."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": device.processor(),
        "cores": os.cpu_count(),
        "packages": found,
    }


def _write_history(file: Path, rows: list[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {key: float(value) if isinstance(value, np.floating) else value for key, value in row.items()}
            )
