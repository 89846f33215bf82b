"""A version folder, loaded: predictions and evaluation from it alone, through the graph that is served."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_transfer.data import audit, sources
from keras_transfer.data.examples import training_digests
from keras_transfer.errors import UserError
from keras_transfer.evaluation import metrics
from keras_transfer.progress import Progress
from keras_transfer.serving import versions

_BATCH = 16


@dataclass(frozen=True)
class Prediction:
    """What the model says of one file, or why it says nothing.

    Attributes:
        path: Of the file.
        label: The most probable class.
        confidence: Its probability.
        probabilities: Of each class.
        error: Why the file could not be read; then there is no answer.
    """

    path: str
    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
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

    Raises:
        UsageError: there is no such model.
        UserError: it cannot be loaded.
    """

    def __init__(self, model: str | Path) -> None:
        self.folder = versions.newest(model)
        try:
            self._graph = tf.saved_model.load(str(self.folder))
            self._serve = self._graph.signatures["serving_default"]
            self.classes = tuple((self.folder / "assets" / "labels.txt").read_text("utf-8").splitlines())
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise UserError(f"{self.folder} cannot be loaded as a model of this program ({error}).") from error
        file = self.folder / "assets.extra" / "metrics.json"
        self.metrics: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}

    def probabilities(self, contents: Sequence[bytes]) -> np.ndarray:
        """Return probabilities, float32 `[N, K]`, of the bytes of N image files.

        Raises:
            tensorflow.errors.InvalidArgumentError: one of them cannot be decoded.
        """
        return self._serve(image_bytes=tf.constant(list(contents), tf.string))["probabilities"].numpy()

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
        examples = sources.load(data)
        unknown = [name for name in examples.classes if name not in self.classes]
        if unknown:
            raise UserError(f"{data}: class {unknown[0]!r} is none of the model's: {', '.join(self.classes)}.")
        seen = training_digests(self.folder / "assets.extra" / "splits.csv")
        rows = [row for row, digest in enumerate(audit.digests(examples, progress)) if digest not in seen]
        if not rows:
            raise UserError(f"{data}: the model was trained on every image there. Give images that it has not seen.")
        labels = [self.classes.index(examples.classes[label]) for label in examples.labels[rows]]
        report = self.measure([examples.paths[row] for row in rows], np.asarray(labels), progress)
        return report | {"excluded_as_seen": len(examples) - len(rows)}

    def measure(self, paths: Sequence[str], labels: np.ndarray, progress: Progress) -> dict[str, Any]:
        """Return the metrics on labelled files, from their bytes.

        Raises:
            UserError: naming the first file that cannot be decoded.
        """
        predictions = self.predict(paths, progress)
        for prediction in predictions:
            if prediction.probabilities is None:
                raise UserError(f"{prediction.path} {prediction.error}. Remove or replace it.")
        probabilities = [list((prediction.probabilities or {}).values()) for prediction in predictions]
        return metrics.classification(np.asarray(probabilities, "float32"), labels)

    def _predict_batch(self, names: list[str]) -> list[Prediction]:
        faults = [audit.fault(name) for name in names]
        good = [name for name, reason in zip(names, faults, strict=True) if reason is None]
        answers = iter(self._answers(good))
        return [
            Prediction(name, error=reason) if reason else next(answers)
            for name, reason in zip(names, faults, strict=True)
        ]

    def _answers(self, names: list[str]) -> Iterator[Prediction]:
        if not names:
            return
        contents = [Path(name).read_bytes() for name in names]
        try:
            rows = list(self.probabilities(contents))
        except tf.errors.InvalidArgumentError:
            if len(names) == 1:
                yield Prediction(names[0], error="cannot be decoded: it is damaged or cut off")
                return
            for name in names:
                yield from self._answers([name])
            return
        for name, row in zip(names, rows, strict=True):
            best = int(row.argmax())
            shares = {label: float(share) for label, share in zip(self.classes, row, strict=True)}
            yield Prediction(name, self.classes[best], float(row[best]), shares)


def write_predictions(predictions: Sequence[Prediction], classes: Sequence[str], stream: Any) -> None:
    """Write predictions as CSV: path, label, confidence, one column a class, error."""
    writer = csv.writer(stream)
    writer.writerow(("path", "label", "confidence", *classes, "error"))
    for found in predictions:
        shares = found.probabilities or {}
        writer.writerow(
            (
                found.path,
                found.label or "",
                found.confidence,
                *(shares.get(name) for name in classes),
                found.error or "",
            )
        )
