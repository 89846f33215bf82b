"""Predictions for images, labelled or not, and their CSV tables."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.support.files import output_file
from keras_transfer.support.numerals import float32_text, number_text
from keras_transfer.tasks import TASKS

if TYPE_CHECKING:
    from keras_transfer.data.examples import Examples

_OWN_COLUMNS = ("path", "label", "confidence", "value", "error")


@dataclass(frozen=True)
class Prediction:
    """What the model predicts for an image, or why it predicts nothing.

    Attributes:
        path: Of the file; of an image in memory, its place in the list, as `[0]`.
        label: The most probable class; where an image may have several, those of 0.5 and more, separated by `|`.
        confidence: The largest probability; where an image may have several labels, that of the least sure decision:
            the least, over the classes, of the larger of `p` and `1 - p`.
        probabilities: Of each class.
        value: The number that a regression predicts.
        error: Why the file could not be read; then there is nothing else.
    """

    path: str
    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    value: float | None = None
    error: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the fields that are there."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Tested:
    """What the model predicts for a labelled image.

    Attributes:
        name: As in `Examples.paths`.
        path: Relative to the folder of the images.
        label: As in `splits.csv`.
        predicted: Likewise.
        confidence: As in `Prediction`; None of a number.
        sureness: How sure the model is of what it gets wrong, as `sureness` has it.
    """

    name: str
    path: str
    label: str
    predicted: str
    confidence: float | None
    sureness: float = 0.0


@dataclass(frozen=True)
class Evaluated:
    """What came of measuring a model.

    Attributes:
        report: The metrics, as in the `test` block of `metrics.json`; of `evaluate` also `excluded_as_seen`.
        examples: What it was measured on, in the model's classes.
        tested: What was predicted of those that could be read.
    """

    report: dict[str, Any]
    examples: Examples
    tested: list[Tested]


def tested_image(examples: Examples, index: int, outputs: Mapping[str, Any]) -> Tested:
    """Return what was predicted for one of the examples, from the outputs of `serving_default`."""
    name = examples.paths[index]
    path, label = examples.short(name), examples.label_text(index)
    if "value" in outputs:
        return Tested(name, path, label, number_text(outputs["value"]), None)
    several = not TASKS[examples.task].single_label
    probabilities = dict(zip(examples.classes, map(float, outputs["probabilities"]), strict=True))
    predicted, confidence = outputs["label"].decode(), float(outputs["confidence"])
    return Tested(name, path, label, predicted, confidence, sureness(label, probabilities, several))


def sureness(label: str, probabilities: Mapping[str, float], several: bool) -> float:
    """Return how sure a model is of what it gets wrong: 0 to 1.

    Args:
        label: Of the image, as in `splits.csv`.
        probabilities: Of each class.
        several: Whether an image may have several labels: then it is that of the wrong one of which it is surest, there
            or not there, 0 where none is wrong. Otherwise it is the largest probability.
    """
    if not several:
        return max(probabilities.values())
    true = set(label.split("|"))
    wrong = [abs(share - (name in true)) for name, share in probabilities.items() if (share >= 0.5) != (name in true)]
    return max(wrong, default=0.0)


def write_tested(tested: Sequence[Tested], file: Path) -> None:
    """Write `path,label,predicted,confidence`, one row an image.

    Raises:
        UserError: the file cannot be written.
    """
    with output_file(file) as staging, staging.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("path", "label", "predicted", "confidence"))
        writer.writerows((image.path, image.label, image.predicted, _cell(image.confidence)) for image in tested)


def write_predictions(predictions: Sequence[Prediction], classes: Sequence[str], stream: Any) -> None:
    """Write predictions as CSV: path, label, confidence, one column a class (or path, value), error.

    A class whose name is that of another column is written as `class NAME`. The stream, as standard output, knows how
    lines end.
    """
    writer = csv.writer(stream, lineterminator="\n")
    if any(prediction.value is not None for prediction in predictions):
        writer.writerow(("path", "value", "error"))
        writer.writerows(
            (row.path, "" if row.value is None else float32_text(row.value), row.error or "") for row in predictions
        )
        return
    writer.writerow(("path", "label", "confidence", *_class_columns(classes), "error"))
    for prediction in predictions:
        shares = prediction.probabilities or {}
        cells = (prediction.label, prediction.confidence, *(shares.get(name) for name in classes))
        writer.writerow((prediction.path, *map(_cell, cells), prediction.error or ""))


def _class_columns(classes: Sequence[str]) -> list[str]:
    used, columns = {*_OWN_COLUMNS, *classes}, []
    for name in classes:
        column = name
        while column in _OWN_COLUMNS or (column != name and column in used):
            column = f"class {column}"
        used.add(column)
        columns.append(column)
    return columns


def _cell(value: Any) -> Any:
    return "" if value is None else value
