"""A version folder, loaded: predictions and evaluation from it alone, through the graph that is served."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer import tasks
from keras_transfer.data import prepare, sources
from keras_transfer.data.contents import Files
from keras_transfer.data.decoding import formats
from keras_transfer.data.examples import Examples, training_digests
from keras_transfer.data.inspection import inspector
from keras_transfer.network.network import Network
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support import forks
from keras_transfer.support.errors import UserError, demand_schema
from keras_transfer.support.paths import text_of
from keras_transfer.support.progress import Progress, chosen
from keras_transfer.versions import folders, in_memory, own_classes
from keras_transfer.versions.loaded_graph import LoadedGraph, Outputs
from keras_transfer.versions.predictions import Evaluated, Prediction, Tested, tested_image
from keras_transfer.versions.training_images import TrainingImages

_BATCH = 16
_TRIES = 10  # To load the newest version, where runs that prune follow each other.


class SavedClassifier:
    """A served version.

    Args:
        model: `saved_models/NAME` (its newest version) or `saved_models/NAME/3`.

    Attributes:
        folder: Of the version.
        classes: Labels, in the order of the probabilities.
        metrics: What `metrics.json` says of it, empty in a version that is being written.
        task: What it has learnt; in a version that is being written, its examples know.
        recipe: Of the run that made it; None in a version that is being written.

    Raises:
        UsageError: there is no such model.
        UserError: it cannot be loaded.
    """

    def __init__(self, model: str | Path) -> None:
        forks.check()
        for attempt in range(_TRIES):
            self.folder = folders.newest(model)
            try:
                return self._load()
            except Exception as error:  # TensorFlow's loader may fail in any way on a folder that is not whole.
                # A run that keeps few versions may have deleted this one meanwhile: then there is a newer one.
                if attempt == _TRIES - 1 or (self.folder / "saved_model.pb").is_file():
                    why = (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
                    raise UserError(f"{self.folder} cannot be loaded as a model of this program ({why}).") from error

    def __repr__(self) -> str:
        learnt = f"{len(self.classes)} classes" if self.task.has_classes else self.task.name
        return f"<SavedClassifier {self.folder}: {self.metrics.get('base', 'unknown base')}, {learnt}>"

    def _load(self) -> None:
        """Read the version's folder; raise whatever its files make readers raise."""
        self._graph = LoadedGraph(self.folder)
        extra = self.folder / "assets.extra"
        complete = (extra / "metrics.json").is_file()
        self.metrics: dict[str, Any] = json.loads((extra / "metrics.json").read_text("utf-8")) if complete else {}
        demand_schema(self.metrics, folders.SCHEMA, "its metrics.json")
        self.task = tasks.task_in(self.metrics)()
        self.recipe = Recipe.from_json(extra / "recipe.json") if complete else None
        listed = folders.labels_in((self.folder / "assets" / "labels.txt").read_bytes().decode())
        recorded = self.metrics.get("data", {}).get("classes", listed)
        # A line of the file cannot hold a name with a line break, which earlier releases wrote as it was.
        self.classes = tuple(recorded if any("\n" in name for name in recorded) else listed)
        if len(self.classes) != self._graph.width:
            raise ValueError(
                f"assets/labels.txt lists {len(self.classes)} classes, the graph has {self._graph.width} outputs"
            )

    def run(self, signature: str, inputs: Sequence[Any]) -> Outputs:
        """Return the outputs of a signature of the served graph, each with N entries along its first axis.

        Args:
            signature: `serving_default` or `features` for the bytes of N image files, `images` for N pictures, float
                pixels `[H, W, 3]` in 0..255.
            inputs: What it takes. A file that cannot be decoded has an `error`, and NaN for numbers.
        """
        forks.check()
        return self._graph.run(signature, inputs)

    @property
    def size(self) -> int:
        """Side of the pictures that the signature `images` takes, px."""
        return self._graph.size

    def predict(self, images: Any, progress: Progress | None = None) -> list[Prediction]:
        """Return a prediction, or the reason why there is none, for each image, in order.

        Args:
            images: Paths, bytes of image files, PIL images, arrays `[H, W, 3]` of pixels 0..255 (integers or floats),
                or a list of these; or one of them, which gives a list of one prediction. How a JPEG is decoded is part
                of the model: a path or the file's bytes give the most faithful answer.
            progress: Is told about each batch.

        Raises:
            TypeError: something is none of these.
            UsageError: an array has another shape or range.
        """
        images = in_memory.listed(images)
        for position, image in enumerate(images):
            if not in_memory.is_image(image):
                raise TypeError(f"[{position}] is of type {type(image).__name__}; predict takes {in_memory.ACCEPTED}.")
        predictions: list[Prediction] = []
        with chosen(progress, quiet=True).task("Predicting", len(images)) as advance:
            for start in range(0, len(images), _BATCH):
                batch = images[start : start + _BATCH]
                predictions += self._predict_batch(batch, start)
                advance(len(batch))
        return predictions

    def evaluate(
        self, data: str | Path | None = None, progress: Progress | None = None, **options: Any
    ) -> dict[str, Any]:
        """Return the `report` of `evaluated`, which has the arguments and errors."""
        return self.evaluated(data, progress, **options).report

    def evaluated(self, data: str | Path | None = None, progress: Progress | None = None, **options: Any) -> Evaluated:
        """Measure the model on the images of a source that training did not see, identified by their digests.

        Args:
            data: Labelled images, as `fit` takes them; None for what the model was fitted on.
            progress: Is told about the images.
            options: How the data is read: `columns`, `encoding`, `allow_outside` and `tfds_dir` of `Recipe`.

        Raises:
            UserError: training saw all of them, an image cannot be read, a class is unknown to the model, or the
                version was copied without its records.
        """
        progress = chosen(progress, quiet=True)
        recipe = self.recipe or Recipe()
        source = recipe.data if data is None else text_of(data, "--data")
        seen = training_digests(self.folder / "assets.extra")
        try:
            listed = sources.load_measured(source, recipe, self.task.name, **options)
        except UserError as error:
            if data is not None or any(options.values()):
                raise
            why = error.args[0].removeprefix("--data: ")
            raise UserError(f"What the model was fitted on is not where it was: {why} --data names images.") from error
        examples = own_classes.translated(listed, self.task, self.classes)
        progress.say(examples.understood)
        examples, faults = inspector.with_digests(examples, progress)
        indices = [index for index, digest in enumerate(examples.digests) if digest not in seen and index not in faults]
        if not indices:
            raise UserError(f"{source}: the model was trained on every image there. Give images that it has not seen.")
        unseen = examples.at(np.asarray(indices))
        evaluated = self.measure(replace(unseen, groups=prepare.related(unseen)), progress)
        faulty = [{"path": examples.paths[index], "reason": why} for index, why in faults.items()]
        evaluated.report["rejected"] += faulty
        evaluated.report["excluded_as_seen"] = len(examples) - len(indices) - len(faults)
        return evaluated

    def network(self) -> Network:
        """Return the network, to convert it, look into it, or train it on.

        Raises:
            UserError: the version has none, or Keras cannot load it.
        """
        return Network.load(self.folder / "assets.extra" / "model.keras")

    def training_images(self, data: str | Path | None = None) -> TrainingImages:
        """Return the images that the model was made from; `data` names where they are now, if they have moved."""
        return TrainingImages(self.folder, self.recipe or Recipe(), self.size, data)

    def measure(self, examples: Examples, progress: Progress) -> Evaluated:
        """Measure the model on labelled images, from their bytes; those that cannot be read or decoded are listed in
        `rejected` of the report.

        Raises:
            UserError: none can be decoded.
        """
        measured, outputs, rejected = [], [], []
        tested: list[Tested] = []
        task = tasks.TASKS[examples.task]()
        with progress.task("Testing", len(examples)) as advance:
            for start in range(0, len(examples), _BATCH):
                files = [inspector.read(examples.contents, path) for path in examples.paths[start : start + _BATCH]]
                for index, result in enumerate(self._run_files(files), start):
                    if isinstance(result, str):
                        rejected.append({"path": examples.paths[index], "reason": result})
                    else:
                        measured.append(index)
                        outputs.append(np.atleast_1d(result[task.served]))
                        tested.append(tested_image(examples, index, result))
                advance(len(files))
        if not measured:
            raise UserError(
                f"{examples.source}: no image can be decoded. {rejected[0]['path']} {rejected[0]['reason']}."
            )
        results = np.asarray(outputs), examples.labels[measured]
        classes = task.per_class(*results, examples.classes)
        report = task.report(*results) | {"per_class": classes, "rejected": rejected}
        if examples.groups is not None:
            report["groups"] = len(np.unique(examples.groups[measured]))
        return Evaluated(report, examples, tested)

    @property
    def max_pixels(self) -> int:
        """Largest picture that the graph decodes, width times height."""
        return (self.recipe or Recipe()).max_pixels

    def _predict_batch(self, images: Sequence[Any], start: int) -> list[Prediction]:
        names = [in_memory.name_of(image, index) for index, image in enumerate(images, start)]
        files = []
        for name, image in zip(names, images, strict=True):
            content = in_memory.file_bytes(image, name)
            files.append(
                inspector.read(Files(), name) if content is None else (content, formats.fault(content[: formats.HEAD]))
            )
        return [self._prediction(name, result) for name, result in zip(names, self._run_files(files), strict=True)]

    def _run_files(self, files: Sequence[tuple[bytes, str | None]]) -> list[dict[str, Any] | str]:
        """Return for each image file what `serving_default` gives for it, or why there is nothing.

        Args:
            files: Bytes of each, and what is known to be wrong with them.
        """
        usable = [index for index, (_, fault) in enumerate(files) if fault is None]
        outputs = self.run("serving_default", [files[index][0] for index in usable]) if usable else {}
        results: list[dict[str, Any] | str] = [fault or "" for _, fault in files]
        for position, index in enumerate(usable):
            result = {name: values[position] for name, values in outputs.items()}
            results[index] = self._reason(files[index][0], result["error"]) if result["error"] else result
        return results

    def _prediction(self, name: str, result: dict[str, Any] | str) -> Prediction:
        if isinstance(result, str):
            return Prediction(name, error=result)
        if "value" in result:
            return Prediction(name, value=float(result["value"]))
        probabilities = {
            label: float(share) for label, share in zip(self.classes, result["probabilities"], strict=True)
        }
        return Prediction(name, result["label"].decode(), float(result["confidence"]), probabilities)

    def _reason(self, content: bytes, error: bytes) -> str:
        """Return why the graph refused these bytes; the graph of an earlier release knows fewer formats than this."""
        if formats.image_format(content) == "WebP" and "WebP" not in error.decode():
            return f"is a WebP image, which this version cannot decode: fit it anew, or {formats.CONVERT}"
        return inspector.reason(content, self.max_pixels)
