"""The two phases of transfer: the head on frozen features, then the top blocks at a low rate.

"Linear probe, then fine-tune" (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a head that is solved first
lets the blocks above the boundary train without first being torn apart by a random one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from keras_transfer import rule
from keras_transfer.data import pipeline, splits
from keras_transfer.progress import Stopwatch
from keras_transfer.recipe import SOLVERS, Recipe
from keras_transfer.training import backup as backups
from keras_transfer.training import penalty, solver
from keras_transfer.training.material import Material
from keras_transfer.training.penalty import Choice
from keras_transfer.training.phases import Descent, Feed, Phase, train

# A solved head holds all embeddings in memory, several times over; above this it is trained by gradient.
_SOLVER_BYTES = 2**28


# Of the validation loss: the least share of it that phase 2 must gain. What the same weights lose or gain by another
# order of summation, or by bfloat16 in training and float32 in serving, is a tenth of that.
_LEAST_GAIN = 1e-3


def run(material: Material, watch: Stopwatch, backup: Path | None = None) -> list[Phase]:
    """Run both phases, and once more on training and validation images together where the recipe says so.

    Args:
        material: What they train, and on what.
        watch: Learns the seconds of each part.
        backup: Folder that keeps each phase's weights after each epoch, to go on from after an interruption.

    Returns:
        What each phase did; the network is as the last one left it.
    """
    with watch.time("features"):
        material.extract()
    start = [model.get_weights() for model in (material.halves.tail, material.network.head)]
    with watch.time("head"):
        phases = [fit_head(material, backup)]
    if material.thaws:
        with watch.time("fine-tune"):
            phases.append(fine_tune(material, backup))
    with watch.time("refit"):
        return [*phases, *refit(material, phases, start, backup)]


def fit_head(material: Material, backup: Path | None = None) -> Phase:
    """Phase 1: solve or train the head on the embeddings of the training images.

    Args:
        material: Extracted. Where its embeddings are too large to solve the head, its recipe says so afterwards.
        backup: As in `run`.
    """
    width = material.sets[0].specs()[-1][0][0]
    small = len(material.seen) * material.views * width * 4 <= _SOLVER_BYTES
    if material.recipe.head_solver in SOLVERS and small:
        return _solve_head(material)
    if material.recipe.head_solver in SOLVERS:
        material.progress.warn("The embeddings are too large to solve the head in memory; it is trained by gradient.")
        trained = material.recipe.replace(head_solver="adam")
        material.recipe = rule.complete(trained, len(material.train), len(material.examples.classes))
    return _descend(material, "head", _head_descent(material), material.train, True, backup)


def fine_tune(material: Material, backup: Path | None = None) -> Phase:
    """Phase 2: train the thawed blocks and the head on the training images, from the weights as they are.

    Both ends of the phase are judged on the validation images in float32, in which the network is served, and the
    weights from before are kept unless the loss falls by more than a thousandth.
    """
    model = material.halves.tail
    before, start = material.scores(material.validation), model.get_weights()
    phase = _descend(material, "fine-tune", _tune_descent(material), material.train, True, backup)
    after = material.scores(material.validation)
    reached = {"epoch": phase.best_epoch, **after}
    if after["loss"] < before["loss"] * (1 - _LEAST_GAIN):
        return replace(phase, validation=after, details={"before": before, "reached": reached})
    model.set_weights(start)
    return replace(phase, best_epoch=0, validation=before, details={"before": before, "reached": reached})


def refit(
    material: Material, phases: list[Phase], start: list[list[np.ndarray]], backup: Path | None = None
) -> list[Phase]:
    """Train once more on training and validation images, as the recipe says, by what validation chose.

    A solved head is convex: of more images, the same penalty makes a better one. A thawed network is trained by the
    very schedule that chose its epoch: as many steps, ended at the same one. Nothing validates it; it is dropped
    where its loss on the training images is worse than that of the validated network.

    Args:
        material: Trained already.
        phases: What each phase chose.
        start: Weights of tail and head before them.
        backup: As in `run`.

    Returns:
        A phase, if there was one.
    """
    head, *tuned = phases
    solved = "strength" in head.details
    thawed = bool(tuned and tuned[0].best_epoch)
    if material.recipe.refit == "off" or (material.recipe.refit == "head" and (thawed or not solved)):
        return []
    begun, models = time.monotonic(), (material.halves.tail, material.network.head)
    validated, before = [model.get_weights() for model in models], material.scores(material.train)
    _set_weights(models, start)
    epochs, parameters = head.best_epoch, head.trainable_parameters
    if solved:
        solution = _solve(material, material.seen, head.details["strength"])
        material.network.head.get_layer("logits").set_weights([solution.kernel, solution.bias])
    else:
        _descend(material, "head", _head_descent(material, head.best_epoch), material.seen, False, backup)
    if thawed:
        epochs, parameters = tuned[0].best_epoch, tuned[0].trainable_parameters
        _descend(material, "fine-tune", _tune_descent(material, epochs), material.seen, False, backup)
    after = material.scores(material.train)
    convex = solved and not thawed
    kept = convex or after["loss"] <= before["loss"]
    if not kept:
        _set_weights(models, validated)
    seconds = time.monotonic() - begun
    rate = epochs * len(material.train) / max(seconds, 1e-9)
    scores = head.details["cross_validation"] if convex else {}
    details = {"images": len(material.seen), "training_loss": {"before": before["loss"], "after": after["loss"]}}
    return [Phase("refit", epochs, epochs if kept else 0, seconds, parameters, rate, scores, [], details)]


def _set_weights(models: Sequence[keras.Model], weights: Sequence[list[np.ndarray]]) -> None:
    for model, values in zip(models, weights, strict=True):
        model.set_weights(values)


def _solve_head(material: Material) -> Phase:
    begun, method = time.monotonic(), material.recipe.head_solver
    choice = _choose(material)
    head = _solve(material, material.train, choice.strength)
    material.network.head.get_layer("logits").set_weights([head.kernel, head.bias])
    held = material.validation
    scores = material.objective.judge(head.logits(material.embeddings(held, 0)), material.objective.targets[held])
    seconds = time.monotonic() - begun
    rate = len(material.train) * material.views / max(seconds, 1e-9)
    count, iterations = head.kernel.size + head.bias.size, choice.solution.iterations
    history = [{"phase": "head", "iterations": iterations, **{f"val_{key}": scores[key] for key in scores}}]
    details = {"solver": method, "strength": choice.strength, "cross_validation": _crossed(material, choice)}
    return Phase("head", iterations, iterations, seconds, count, rate, scores, history, details)


def _choose(material: Material) -> Choice:
    """Choose the penalty on all images that are not for the test."""
    examples = material.examples.at(material.seen)
    folds = penalty.folds(splits.strata(examples), examples.groups, material.recipe.seed)
    return penalty.choose(material.objective, *_head_data(material, material.seen), folds, material.views)


def _crossed(material: Material, choice: Choice) -> dict[str, float]:
    """Return the scores of the chosen penalty's held-out logits; none if nothing could be held out."""
    held = np.flatnonzero(~np.isnan(choice.logits[:, 0]))
    targets = material.objective.targets[material.seen[held]]
    return material.objective.judge(choice.logits[held], targets) if len(held) else {}


def _solve(material: Material, rows: np.ndarray, strength: float) -> solver.LinearHead:
    embeddings, targets, weights = _head_data(material, rows)
    return embeddings.head(material.objective.solve(embeddings, targets, strength, weights))


def _head_data(material: Material, rows: np.ndarray) -> tuple[solver.Standardised, np.ndarray, np.ndarray | None]:
    """Return embeddings of all views of some images, view after view, their targets, and their weights if any."""
    views = [material.embeddings(rows, view) for view in range(material.views)]
    embeddings = solver.standardise(np.concatenate(views) if len(views) > 1 else views[0], material.recipe.head_solver)
    targets, *weights = (np.concatenate([table] * material.views) for table in material.targets(rows))
    return embeddings, targets, weights[0] if weights else None


def _head_descent(material: Material, stop: int | None = None) -> Descent:
    recipe = material.recipe
    return Descent(
        int(recipe.head_epochs),
        float(recipe.head_lr),
        0.0,
        _patience(recipe),
        material.plan.xla,
        material.objective,
        stop,
    )


def _tune_descent(material: Material, stop: int | None = None) -> Descent:
    recipe, smoothing = material.recipe, float(material.recipe.label_smoothing)
    epochs, rate = int(recipe.fine_tune_epochs), float(recipe.fine_tune_lr)
    return Descent(epochs, rate, smoothing, _patience(recipe), material.plan.xla, material.objective, stop)


def _descend(
    material: Material, name: str, descent: Descent, rows: np.ndarray, held_out: bool, backup: Path | None
) -> Phase:
    recipe, embedding = material.recipe, name == "head"
    folder = backup / f"{name}-{len(rows)}" if backup else None
    earlier = backups.logged(folder)
    # An epoch is as many images whether or not those of validation are among them.
    steps = pipeline.Shuffled(len(material.train), int(recipe.batch_size), material.views, recipe.seed).steps
    order = pipeline.Shuffled(len(rows), int(recipe.batch_size), material.views, recipe.seed, len(earlier) * steps)
    validation = None
    if held_out:
        validation = material.batches(material.validation, material.in_order(material.validation), embedding)
    batches = material.batches(rows, order, embedding, augmented=True)
    feed = Feed(batches, len(material.train), steps, validation, earlier)
    model = material.network.head if embedding else material.trainable()
    keras.utils.set_random_seed(recipe.seed)
    with material.computing(model):
        return train(name, model, feed, descent, material.progress, backup=folder)


def _patience(recipe: Recipe) -> int | None:
    return None if recipe.patience == "none" else int(recipe.patience)
