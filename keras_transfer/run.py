"""A run, from labelled images to a served version: read `fit` first."""

from __future__ import annotations

import csv
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer import device, model, rule, weights
from keras_transfer.data import audit, sources, splits
from keras_transfer.progress import Progress
from keras_transfer.recipe import AUTO, Recipe
from keras_transfer.serving import export, versions
from keras_transfer.serving.saved import SavedClassifier
from keras_transfer.training import two_phase
from keras_transfer.training.phases import Phase
from keras_transfer.training.two_phase import TwoPhase


@dataclass(frozen=True)
class Result:
    """What a run made.

    Attributes:
        folder: The new version.
        metrics: As in its `metrics.json`.
        recipe: Complete, as it ran.
    """

    folder: Path
    metrics: dict[str, Any]
    recipe: Recipe

    def load(self) -> SavedClassifier:
        """Return the version, loaded."""
        return SavedClassifier(self.folder)


class Stopwatch:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add the block's wall time to a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begun

    def total(self) -> dict[str, float]:
        """Return the seconds so far, of all and of each part."""
        return {"total": time.monotonic() - self.begun, **self.seconds}


def fit(recipe: Recipe, progress: Progress | None = None) -> Result:
    """Transfer a base onto labelled images and write a version that serves.

    Args:
        recipe: What to do; fields at `"auto"` are chosen by `keras_transfer.rule`.
        progress: What to tell meanwhile; by default, a terminal.

    Raises:
        UserError: with one line that says what is wrong, where, and what to do. Nothing is left behind then.
    """
    progress, watch = progress or Progress(), Stopwatch()
    folder = output_folder(recipe)
    versions.check_writable(folder)
    with watch.time("data"):
        examples = splits.assign(sources.load(recipe.data), recipe.split, recipe.seed)
        digests = audit.digests(examples, progress)
    recipe = _complete(recipe, len(examples.rows("train")), len(examples.classes))
    plan = device.plan(recipe)
    with watch.time("build"), _policy(plan.policy):
        source = _load_base(recipe, progress)
        network = model.build(source.base, source.row, recipe, len(examples.classes))
        material = TwoPhase(recipe, source, network, examples, digests, plan, progress)
        phases = two_phase.run(material)
    served = _in_float32(network, source, recipe, plan, len(examples.classes))
    with versions.new_version(folder) as beside:
        with watch.time("export"):
            export.save(served, examples.classes, recipe.resize, beside)
        with watch.time("test"):
            test = examples.at(examples.rows("test"))
            tested = SavedClassifier(beside).measure(test.paths, test.labels, progress)
        report = _metrics(recipe, source, material, phases, tested, watch)
        _write_records(beside / "assets.extra", recipe, report, material, phases, served)
        return Result(versions.publish(beside), report, recipe)


def output_folder(recipe: Recipe) -> Path:
    """Return where the versions of a recipe go."""
    if recipe.output != AUTO:
        return Path(recipe.output).expanduser()
    parts = [part.replace(":", "-") for part in (Path(recipe.data).resolve().name, Path(recipe.base).stem.lower())]
    return Path("saved_models") / "-".join(parts)


def _complete(recipe: Recipe, images: int, classes: int) -> Recipe:
    row = weights.row_of(recipe.base)
    size = rule.input_size(recipe, row.size if row else weights.native_size(recipe.base), row.least_size if row else 1)
    return rule.complete(recipe, images, classes).replace(size=size)


def _load_base(recipe: Recipe, progress: Progress) -> weights.Source:
    size = int(recipe.size)
    try:
        return weights.load(recipe.base, recipe.weights, size, recipe.seed)
    except weights.ImageNetUnavailable as error:
        if recipe.data != "digits":
            raise
        progress.warn(
            f"{error}\nWarning: THE BUILT-IN SAMPLE RUNS ON WITH RANDOM WEIGHTS: it shows that everything works, "
            "not what transfer gains."
        )
        return weights.load(recipe.base, "random", size, recipe.seed)


@contextmanager
def _policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _in_float32(
    network: model.Network, source: weights.Source, recipe: Recipe, plan: device.Plan, classes: int
) -> model.Network:
    """Return the network as it is served: trained weights are float32 in any precision, its arithmetic is not."""
    if plan.precision == "float32":
        return network
    own = "random" if source.row.constructor else recipe.weights
    rebuilt = weights.load(recipe.base, own, network.size, recipe.seed)
    served = model.build(rebuilt.base, source.row, recipe, classes)
    served.classifier().set_weights(network.classifier().get_weights())
    return served


def _metrics(
    recipe: Recipe,
    source: weights.Source,
    material: TwoPhase,
    phases: list[Phase],
    tested: dict[str, Any],
    watch: Stopwatch,
) -> dict[str, Any]:
    examples, extractor = material.examples, material.extractor
    counts = {split: len(examples.rows(split)) for split in ("train", "validation", "test")}
    kept = phases[-1].validation
    seconds = watch.total()
    seconds |= {phase.name: phase.seconds for phase in phases} | {"features": material.feature_seconds}
    return {
        "base": source.row.name,
        "weights": source.weights,
        "method": "two-phase",
        "seed": recipe.seed,
        "data": {"source": recipe.data, "classes": list(examples.classes), **counts},
        "size": int(recipe.size),
        "thawed": material.boundary,
        "engine": extractor.engine_name or "cache",
        "precision": material.plan.precision,
        "images_through_the_base": extractor.computed,
        "phases": [phase.record() for phase in phases],
        "validation": kept,
        "test": tested,
        "seconds": seconds,
        "machine": device.processor(),
    }


def _write_records(
    folder: Path, recipe: Recipe, report: dict[str, Any], material: TwoPhase, phases: list[Phase], served: model.Network
) -> None:
    folder.mkdir()
    (folder / "recipe.json").write_text(recipe.to_json(), "utf-8")
    (folder / "metrics.json").write_text(json.dumps(report, indent=2), "utf-8")
    (folder / "environment.json").write_text(json.dumps(_environment(), indent=2), "utf-8")
    (folder / "labels.txt").write_text("".join(f"{name}\n" for name in material.examples.classes), "utf-8")
    material.examples.write_csv(folder / "splits.csv", material.digests)
    rows = [row for phase in phases for row in phase.history]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows({key: _plain(value) for key, value in row.items()} for row in rows)
    served.classifier().save(folder / "model.keras")


def _environment() -> dict[str, Any]:
    packages = ("keras-transfer", "tensorflow", "keras", "numpy", "scikit-learn", "openvino")
    found = {}
    for package in packages:
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


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, np.floating) else value

