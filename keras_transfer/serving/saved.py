"""A version folder, loaded: predictions and evaluation from it alone, through the graph that is served."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer import versions
from keras_transfer.data import audit, sources
from keras_transfer.data.contents import Files
from keras_transfer.data.examples import CLASSIFICATION, REGRESSION, Examples, training_digests
from keras_transfer.errors import UserError
from keras_transfer.evaluation import metrics
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe
from keras_transfer.serving.origin import Origin

_BATCH = 16
_OUTPUT = {REGRESSION: "value"}


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file, or why it says nothing.

    Attributes:
        path: Of the file.
        label: The most probable class; of several, those of a half and more, separated by `|`.
        confidence: The largest probability.
        probabilities: Of each class.
        value: The number that a regression predicts.
        error: Why the file could not be read; then there is no answer.
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


class SavedClassifier:
    """A served version.

    Args:
        model: `saved_models/NAME` (its newest version) or `saved_models/NAME/3`.

    Attributes:
        folder: Of the version.
        classes: Labels, in the order of the probabilities.
        metrics: What `metrics.json` says of it, empty in a version that is being written.
        recipe: Of the run that made it; None in a version that is being written.

    Raises:
        UsageError: there is no such model.
        UserError: it cannot be loaded.
    """

    def __init__(self, model: str | Path) -> None:
        self.folder = versions.newest(model)
        try:
            self._graph = tf.saved_model.load(str(self.folder))
            self._graph.signatures["serving_default"]
            self.classes = tuple((self.folder / "assets" / "labels.txt").read_text("utf-8").splitlines())
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"{self.folder} cannot be loaded as a model of this program ({error}).") from error
        extra = self.folder / "assets.extra"
        known = (extra / "metrics.json").is_file()
        self.metrics: dict[str, Any] = json.loads((extra / "metrics.json").read_text("utf-8")) if known else {}
        self.recipe = Recipe.from_json(extra / "recipe.json") if known else None

    def answer(self, contents: Sequence[bytes]) -> dict[str, np.ndarray]:
        """Return the outputs of `serving_default`, each with N rows, for the bytes of N image files.

        A file that cannot be decoded has an `error`, and NaN for numbers.
        """
        return self.run("serving_default", contents)

    def run(self, signature: str, rows: Sequence[Any]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature for rows of its input: bytes of files, or pixels `[H, W, 3]`."""
        call = self._graph.signatures[signature]
        if signature == "images":
            found = call(images=tf.constant(np.asarray(rows, "float32")))
        else:
            try:
                found = call(image_bytes=tf.constant(list(rows), tf.string))
            # TensorFlow's message may quote a file that is no text.
            except (tf.errors.InvalidArgumentError, UnicodeDecodeError):
                if len(rows) > 1:
                    raise
                # One file alone fails as a whole; given twice, it gets the row that says so.
                found = call(image_bytes=tf.constant([*rows, *rows], tf.string))
        return {name: values.numpy()[: len(rows)] for name, values in found.items()}

    @property
    def size(self) -> int:
        """Side of the pictures that the signature `images` takes, px."""
        return int(self._graph.signatures["images"].structured_input_signature[1]["images"].shape[1])

    def predict(self, files: Sequence[str | Path], progress: Progress | None = None) -> list[Prediction]:
        """Return a prediction, or the reason why there is none, for each file, in order."""
        found: list[Prediction] = []
        names = [str(file) for file in files]
        with (progress or Progress(quiet=True)).task("Predicting", len(names)) as advance:
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                found += self._predict_batch(batch)
                advance(len(batch))
        return found

    def evaluate(self, data: str, progress: Progress | None = None) -> dict[str, Any]:
        """Return the metrics on the images of a source that training did not see, told by their contents.

        Raises:
            UserError: training saw all of them, an image cannot be read, or a class is unknown to the model.
        """
        progress = progress or Progress(quiet=True)
        task = self.metrics.get("task", CLASSIFICATION)
        examples = self._in_own_classes(sources.load_measured(data, self.recipe or Recipe(), task))
        progress.say(examples.understood)
        digests, faults = audit.read(examples, progress)
        seen = training_digests(self.folder / "assets.extra" / "splits.csv")
        rows = [row for row, digest in enumerate(digests) if digest not in seen and row not in faults]
        if not rows:
            raise UserError(f"{data}: the model was trained on every image there. Give images that it has not seen.")
        report = self.measure(examples.at(np.asarray(rows)), progress)
        report["rejected"] += [{"path": examples.paths[row], "reason": why} for row, why in faults.items()]
        return report | {"excluded_as_seen": len(examples) - len(rows) - len(faults)}

    def origin(self) -> Origin:
        """Return the images that the model was made from."""
        return Origin(self.folder, self.recipe or Recipe(), self.size)

    def mistakes(self, most: int = 12) -> list[tuple[bytes, str, Prediction]]:
        """Return bytes, true label and prediction of the test images that the model gets wrong, the surest first.

        Raises:
            UserError: the images of the run are gone.
        """
        found = []
        for name, label, content in self.origin().files("test"):
            prediction = self._prediction(name, content, self.answer([content]), 0)
            if prediction.label != label:
                found.append((content, label, prediction))
        return sorted(found, key=lambda one: -(one[2].confidence or 0.0))[:most]

    def measure(self, examples: Examples, progress: Progress) -> dict[str, Any]:
        """Return the metrics on labelled images, from their bytes; those that cannot be read or decoded are listed in
        `rejected`.

        Raises:
            UserError: none can be decoded.
        """
        good, answers, rejected = [], [], []
        with progress.task("Testing", len(examples)) as advance:
            for start in range(0, len(examples), _BATCH):
                names = examples.paths[start : start + _BATCH]
                read = [audit.examine(examples.contents, name) for name in names]
                usable = [row for row, (_, fault) in enumerate(read) if fault is None]
                outputs = self.answer([read[row][0] for row in usable]) if usable else {}
                reasons = {row: fault for row, (_, fault) in enumerate(read) if fault is not None}
                for position, row in enumerate(usable):
                    if outputs["error"][position]:
                        reasons[row] = audit.reason_of(read[row][0], self.max_pixels)
                    else:
                        good.append(start + row)
                        answers.append(np.atleast_1d(outputs[_OUTPUT.get(examples.task, "probabilities")][position]))
                rejected += [{"path": names[row], "reason": why} for row, why in sorted(reasons.items())]
                advance(len(names))
        if not good:
            raise UserError(
                f"{examples.source}: no image can be decoded. {rejected[0]['path']} {rejected[0]['reason']}."
            )
        report = metrics.report(examples.task, np.asarray(answers), examples.labels[good])
        return report | {"rejected": rejected}

    @property
    def max_pixels(self) -> int:
        """Largest picture that the graph decodes, width times height."""
        return (self.recipe or Recipe()).max_pixels

    def _in_own_classes(self, examples: Examples) -> Examples:
        """Return the examples with labels that are positions in the model's classes."""
        task = self.metrics.get("task", CLASSIFICATION)
        if examples.task != task:
            raise UserError(f"{examples.source} is for {examples.task}, the model for {task}.")
        if task == REGRESSION:
            return examples
        unknown = [name for name in examples.classes if name not in self.classes]
        if unknown:
            known = ", ".join(self.classes)
            raise UserError(f"{examples.source}: class {unknown[0]!r} is none of the model's: {known}.")
        places = np.asarray([self.classes.index(name) for name in examples.classes])
        if task == CLASSIFICATION:
            return replace(examples, labels=places[examples.labels], classes=self.classes)
        labels = np.zeros((len(examples), len(self.classes)), "float32")
        labels[:, places] = examples.labels
        return replace(examples, labels=labels, classes=self.classes)

    def _predict_batch(self, names: list[str]) -> list[Prediction]:
        contents: dict[str, bytes] = {}
        faults: dict[str, str] = {}
        for name in names:
            content, fault = audit.examine(Files(), name)
            if fault is None:
                contents[name] = content
            else:
                faults[name] = fault
        found = self.answer(list(contents.values())) if contents else {}
        answered = {name: self._prediction(name, contents[name], found, row) for row, name in enumerate(contents)}
        return [answered[name] if name in answered else Prediction(name, error=faults[name]) for name in names]

    def _prediction(self, name: str, content: bytes, found: dict[str, np.ndarray], row: int) -> Prediction:
        if found["error"][row]:
            return Prediction(name, error=audit.reason_of(content, self.max_pixels))
        if "value" in found:
            return Prediction(name, value=float(found["value"][row]))
        probabilities = found["probabilities"][row]
        shares = {label: float(share) for label, share in zip(self.classes, probabilities, strict=True)}
        return Prediction(name, found["label"][row].decode(), float(found["confidence"][row]), shares)


def write_predictions(predictions: Sequence[Prediction], classes: Sequence[str], stream: Any) -> None:
    """Write predictions as CSV: path, label, confidence, one column a class (or path, value), error.

    A class that is called like one of the other columns has the heading `class NAME`.
    """
    writer = csv.writer(stream)
    cells: list[tuple[Any, ...]]
    if any(prediction.value is not None for prediction in predictions):
        writer.writerow(("path", "value", "error"))
        cells = [("" if prediction.value is None else prediction.value,) for prediction in predictions]
    else:
        own = ("path", "label", "confidence", "error")
        headings = [f"class {name}" if name in own else name for name in classes]
        writer.writerow((*own[:3], *headings, own[3]))
        blank = ("",) * (2 + len(classes))
        cells = [
            (prediction.label, prediction.confidence, *prediction.probabilities.values())
            if prediction.probabilities
            else blank
            for prediction in predictions
        ]
    for prediction, row in zip(predictions, cells, strict=True):
        writer.writerow((prediction.path, *row, prediction.error or ""))
