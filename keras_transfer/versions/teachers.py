"""A version as the teacher of another run: read from its folder, and checked, without TensorFlow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, Examples, label_text, training_digests
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError, demand_schema
from keras_transfer.support.progress import Progress
from keras_transfer.support.terminal import listed
from keras_transfer.training.teacher import Teacher
from keras_transfer.versions import folders
from keras_transfer.versions.predictions import Tested

if TYPE_CHECKING:
    from keras_transfer.training.trainer import Trainer


def resolved(recipe: Recipe) -> tuple[Recipe, Teacher | None]:
    """Return a recipe whose teacher, if it has one, is named by its version folder, and that teacher.

    Raises:
        UsageError: there is no such model.
        UserError: records or network of the version are missing or damaged.
    """
    if recipe.teacher == "none":
        return recipe, None
    folder = folders.newest(recipe.teacher)
    extra = folder / "assets.extra"
    try:
        metrics = json.loads((extra / "metrics.json").read_text("utf-8"))
        demand_schema(metrics, folders.SCHEMA, f"--teacher: {extra / 'metrics.json'}")
        (extra / "model.keras").open("rb").close()
        teacher = Teacher(
            "/".join(folder.absolute().parts[-2:]),
            extra / "model.keras",
            metrics["base"],
            metrics["weights"],
            metrics.get("task", CLASSIFICATION),
            tuple(metrics["data"]["classes"]),
            Recipe.from_json(extra / "recipe.json"),
            frozenset(training_digests(extra)),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else f"{extra} is damaged: {error}"
        raise UserError(f"--teacher: the version cannot be learned from ({why}). Fit it anew.") from error
    return recipe.replace(teacher=str(folder)), teacher


def demand_same_classes(teacher: Teacher | None, examples: Examples) -> None:
    """Refuse a teacher, if there is one, that has learnt something else than what a run's images show.

    Raises:
        UserError: it has another task, or other classes.
    """
    if teacher is None:
        return
    if teacher.task != examples.task:
        raise UserError(f"--teacher: {teacher.name} is for {teacher.task}, {examples.source} for {examples.task}.")
    sides = (teacher.name, teacher.classes, examples.classes), (examples.source, examples.classes, teacher.classes)
    for name, own, rest in sides:
        alone = [label for label in own if label not in rest]
        if alone:
            raise UserError(
                f"--teacher: the classes must be the same, and only {name} has {alone[0]!r}; the others are "
                f"{listed(rest)}."
            )


def announce(teacher: Teacher | None, progress: Progress) -> None:
    """Say who teaches, if anybody does."""
    if teacher is None:
        return
    progress.say(f"Learns from {teacher.name} ({teacher.base}) too, besides the labels.")
    if teacher.weights == "random":
        progress.warn(f"The base of the teacher {teacher.name} began with random weights.")


def record(teacher: Teacher, trained: Trainer, tested: list[Tested]) -> dict[str, Any]:
    """Return the `teacher` block of `metrics.json`: its version and base; whether a phase that learned from it is in
    what is exported; and, where labels are classes, the share of the tested images of which both predict the same.

    Args:
        teacher: Of the run.
        trained: What learned from it.
        tested: What that, as it is served, predicts of the test images.
    """
    from keras_transfer.training.techniques import distillation

    setup = trained.setup
    kept = [phase for phase, result in zip(trained.phases, trained.results, strict=False) if result.best_epoch]
    about = {
        "version": teacher.name,
        "base": teacher.base,
        "weights": teacher.weights,
        "learned_from": any(
            isinstance(technique, distillation.Distillation) for phase in kept for technique in phase.techniques
        ),
    }
    if not tested or not setup.task.has_classes:
        return about
    examples, single = setup.examples, setup.task.single_label
    position = {examples.paths[index]: index for index in examples.indices("test")}
    (answers,) = distillation.answers(teacher, setup, np.asarray([position[image.name] for image in tested]), [None])
    labels = answers.argmax(1) if single else answers >= 0.5
    texts = [label_text(label, examples.classes, examples.task) for label in labels]
    agreed = sum(text == image.predicted for text, image in zip(texts, tested, strict=True))
    return {**about, "agreement": agreed / len(tested)}
