"""A model as a LiteRT, ONNX, OpenVINO or Keras file, compared with the SavedModel on real images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.exports import formats, keras, litert, onnx, openvino
from keras_transfer.exports.network import Predict, input_rule
from keras_transfer.support import files, logs, strict_json
from keras_transfer.support.progress import Progress
from keras_transfer.versions.saved import SavedClassifier
from keras_transfer.versions.training_images import TrainingImages

_COMPARED, _BATCH = 256, 32  # Images of the test split, at most, on which a file is compared, so many at a time.
_MIN_AGREEMENT = 0.9


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        file: Where.
        format: One of `formats.SUFFIX`.
        precision: Of its weights and, with int8, of its arithmetic.
        bytes: Its size.
        images: How many images it was compared on.
        agreement: Share of them that get the same class, or all the same labels; None for regression, and where there
            was none to compare on.
        largest_difference: Of any probability, or number, on any of them; None where there was none.
        accuracy: On them, by the file; None where images do not have one class each.
        model_accuracy: The same by the SavedModel.
        default_precision: Arithmetic in which OpenVINO runs its file on this machine unless it is told; None where that
            is float32, in which it is compared otherwise, and for other formats.
        default_difference: As `largest_difference`, in that arithmetic.
        input: How photos become the pixels that the file takes, in words.
        preprocessing: The same as `InputRule.fields` has it.
    """

    file: str
    format: str
    precision: str
    bytes: int
    images: int
    agreement: float | None
    largest_difference: float | None
    accuracy: float | None = None
    model_accuracy: float | None = None
    default_precision: str | None = None
    default_difference: float | None = None
    input: str = ""
    preprocessing: dict[str, Any] | None = None


def export(
    model: str, format: str, precision: str, output: Path | None, progress: Progress, data: str | Path | None = None
) -> Exported:
    """Write a model in another format, and compare it with the SavedModel, if the run's test images are there.

    Args:
        model: As `SavedClassifier` takes it.
        format: One of `formats.SUFFIX`.
        precision: One of `formats.PRECISIONS`.
        output: The file; None puts it into `assets.extra/exports` of the version.
        progress: Shows the steps.
        data: Where the images of the run are now, as `fit` takes it; None for where they were.

    Raises:
        UsageError: there is no such format or precision, or its package is missing.
        UserError: int8 needs the run's training images and they are gone, conversion fails, or the file cannot be
            written.
    """
    formats.demand(format, precision, output)
    classifier = SavedClassifier(model)
    folder = classifier.folder / "assets.extra" / "exports"
    file = output or folder / f"model-{precision}{formats.SUFFIX[format]}"
    images = classifier.training_images(data)
    if precision == "int8" and format != "keras":
        next(images.files("train", 1), None)  # It is calibrated on them; better refused before the conversion.
    progress.say(f"Converting to {format}, {precision}")
    with files.output_file(file) as written:
        predict = _write(classifier, format, precision, images, written)
        size = sum(part.stat().st_size for part in written.parent.iterdir())
        absent = images.absent("test")
        compared = None if absent else _compare(classifier, images, predict, progress)
        rule = input_rule(classifier)
        report = Exported(str(file), format, precision, size, *(compared or (0, None, None)))
        report = replace(report, input=str(rule), preprocessing=rule.fields())
        if compared and format == "openvino":
            report = _with_default(report, classifier, images, written, progress)
        if absent:
            progress.warn(
                f"It was not compared with the SavedModel, for the model's own test images are not where they were: "
                f"{absent} --data names where they are now."
            )
        elif compared is None:
            progress.warn("It was not compared with the SavedModel, for no test image can be decoded any more.")
        elif _unlike(report, classifier.metrics["test"]):
            progress.warn(
                "Its predictions differ from the SavedModel's. Measure it on your own images before you use it."
            )
    if output is None:
        with files.output_file(folder / f"{file.name}.json") as record:
            record.write_text(strict_json.text(report.__dict__), "utf-8")
    return report


def _write(classifier: SavedClassifier, format: str, precision: str, images: TrainingImages, file: Path) -> Predict:
    """Write the file and return what predicts by it."""
    with logs.without_notes():
        return _WRITERS[format](classifier, precision, images, file)


def _compare(
    classifier: SavedClassifier, images: TrainingImages, predict: Predict, progress: Progress
) -> tuple[int, float | None, float, float | None, float | None] | None:
    """Return the fields of `Exported` that say how a file and the model do on test images; None of no image."""
    task, served = classifier.task, classifier.task.served
    labels: list[str] = []
    batches: list[tuple[np.ndarray, np.ndarray]] = []
    labelled = images.pixels("test", _COMPARED)
    with progress.task("Comparing", min(_COMPARED, classifier.metrics["data"]["test"])) as advance:
        while batch := list(islice(labelled, _BATCH)):
            labels += [label for label, _ in batch]
            pixels = np.stack([picture for _, picture in batch])
            with logs.without_notes():
                actual = predict(pixels)
            batches.append((classifier.run("images", list(pixels))[served], actual))
            advance(len(batch))
    if not batches:
        return None
    model, file = (np.concatenate(side).reshape(len(labels), -1) for side in zip(*batches, strict=True))
    difference = float(np.abs(file - model).max())
    if not task.has_classes:
        return len(labels), None, difference, None, None
    if not task.single_label:
        agreement = float(((file >= 0.5) == (model >= 0.5)).all(1).mean())
        return len(labels), agreement, difference, None, None
    agreement = float((file.argmax(1) == model.argmax(1)).mean())
    names = np.asarray(classifier.classes)
    accuracy, model_accuracy = (float((names[side.argmax(1)] == labels).mean()) for side in (file, model))
    return len(labels), agreement, difference, accuracy, model_accuracy


def _with_default(
    report: Exported, classifier: SavedClassifier, images: TrainingImages, file: Path, progress: Progress
) -> Exported:
    """Return the report of an OpenVINO file with what comes of it where nobody asks for float32."""
    precision, predict = openvino.by_default(file)
    compared = None if precision == "float32" else _compare(classifier, images, predict, progress)
    return replace(report, default_precision=precision, default_difference=compared[2]) if compared else report


def _unlike(report: Exported, test: dict[str, Any]) -> bool:
    """Say whether a file differs from the model on a tenth of the images, or by more than the model's own error.

    Numbers beyond 65,504 leave float16's range, and eight bits are few for any.
    """
    if report.agreement is None:
        error = test.get("root_mean_squared_error", float("inf"))  # None of a version that was not tested.
        return report.largest_difference is None or not report.largest_difference <= error
    return report.agreement < _MIN_AGREEMENT


_WRITERS = {"litert": litert.write, "onnx": onnx.write, "openvino": openvino.write, "keras": keras.write}
