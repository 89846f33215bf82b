"""How well each class is recognised, and which worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, REGRESSION

_MAX_SHOWN = 5  # Classes.
_MIN_IMAGES = 10  # Of a class, below which its recall may be anything: 7 of 9 is 0.45 to 0.94.
_SCORES = ("precision", "recall", "f1")


def scores(task: str, outputs: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return `per_class` of `metrics.json`: by class, its `images`, `precision`, `recall`, `f1`, and, where there is
    one class an image, the class that it is most often taken for, `taken_for`, in `taken_for_images` images.

    What is undefined is None: the recall of a class without images, the precision of one that is never predicted.

    Args:
        task: One of `keras_transfer.data.examples.TASKS`; numbers have no classes.
        outputs: What the model serves, float `[N, K]`.
        labels: As in `Examples`.
        classes: K names.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    if task == REGRESSION:
        return {}
    single, positions = task == CLASSIFICATION, np.arange(len(classes))
    predicted, truth = (outputs.argmax(1), labels) if single else (outputs >= 0.5, labels >= 0.5)
    columns = precision_recall_fscore_support(truth, predicted, labels=positions, zero_division=np.nan)
    records: dict[str, dict[str, Any]] = {
        name: {"images": int(images), **{key: _defined(value) for key, value in zip(_SCORES, values, strict=True)}}
        for name, *values, images in zip(classes, *columns, strict=True)
    }
    if single:
        mistaken = confusion_matrix(truth, predicted, labels=positions)
        np.fill_diagonal(mistaken, 0)
        for name, counts in zip(classes, mistaken, strict=True):
            confused = int(counts.argmax())
            records[name] |= {
                "taken_for": classes[confused] if counts[confused] else None,
                "taken_for_images": int(counts[confused]),
            }
    return records


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def worst(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return name and scores of up to five classes with errors, that of the lowest F1 first; none where two classes are
    all there are, or none has enough images to say.

    Args:
        report: Of a test; `per_class` is missing in those of release 0.1.0.
    """
    records = report.get("per_class", {})
    wrong = [
        (name, record)
        for name, record in records.items()
        if record["images"] >= _MIN_IMAGES and record["f1"] is not None and record["f1"] < 1
    ]
    return sorted(wrong, key=lambda item: item[1]["f1"])[:_MAX_SHOWN] if len(records) > 2 else []


def too_few(report: dict[str, Any]) -> str | None:
    """Return why `worst` cannot say which classes are worst, where there are errors and too few images of any class."""
    records = report.get("per_class", {}).values()
    if len(records) <= 2 or all(record["f1"] in (None, 1.0) for record in records):
        return None
    max_images = max(record["images"] for record in records)
    if max_images >= _MIN_IMAGES:
        return None
    counted = "is at most 1 test image" if max_images == 1 else f"are at most {max_images} test images"
    return f"Classes are not compared: there {counted} of each; it takes {_MIN_IMAGES}."


def table(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of the `worst` classes, its heading first; nothing where there are none."""
    heading = ("worst classes", "images", "precision", "recall", "most often taken for")
    cells = [
        (
            name,
            str(record["images"]),
            *("-" if record[key] is None else f"{record[key]:.3f}" for key in ("precision", "recall")),
            f"{record['taken_for']} ({record['taken_for_images']})" if record.get("taken_for") else "-",
        )
        for name, record in worst(report)
    ]
    return [heading, *cells] if cells else []
