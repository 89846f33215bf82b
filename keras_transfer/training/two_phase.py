"""The two phases of transfer: the head on frozen features, then the top blocks at a low rate.

"Linear probe, then fine-tune" (Kumar et al. 2022, https://arxiv.org/abs/2202.10054): a head that is solved first
lets the blocks above the boundary train without first being torn apart by a random one.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_transfer import rule
from keras_transfer.data import pipeline
from keras_transfer.progress import Stopwatch
from keras_transfer.recipe import SOLVERS, Recipe
from keras_transfer.training import backup as backups
from keras_transfer.training import objectives, solver
from keras_transfer.training.material import Material
from keras_transfer.training.phases import Descent, Feed, Phase, train

# A solved head holds all embeddings in memory, several times over; above this it is trained by gradient.
_SOLVER_BYTES = 2**28


def run(material: Material, watch: Stopwatch, backup: Path | None = None) -> list[Phase]:
    """Run both phases, and once more on training and validation images together where the recipe says so.

    Args:
        material: What they train, and on what.
        watch: Learns the seconds of each part.
        backup: Folder that keeps each phase's weights after each epoch, to go on from after an interruption.
    """
    with watch.time("features"):
        material.extract()
    start = [model.get_weights() for model in (material.halves.tail, material.network.head)]
    with watch.time("head"):
        phases = [fit_head(material, material.train, backup=backup)]
    if material.thaws:
        with watch.time("fine-tune"):
            epochs = int(material.recipe.fine_tune_epochs)
            phases.append(fine_tune(material, material.train, epochs, backup=backup))
    if material.recipe.refit == "on":
        with watch.time("refit"):
            refit(material, phases, start, backup)
    return phases


def fit_head(material: Material, rows: np.ndarray, chosen: Phase | None = None, backup: Path | None = None) -> Phase:
    """Phase 1: solve or train the head on the embeddings of some rows.

    Args:
        material: Extracted. Where its embeddings are too large to solve the head, its recipe says so afterwards.
        rows: Of the examples.
        chosen: An earlier phase 1, whose choices (strength, epochs) hold; None makes them on the validation split.
        backup: As in `run`.
    """
    width = material.sets[0].specs()[-1][0][0]
    small = len(rows) * material.views * width * 4 <= _SOLVER_BYTES
    if material.recipe.head_solver in SOLVERS and small:
        return _solve_head(material, rows, chosen.details["strength"] if chosen else None)
    if material.recipe.head_solver in SOLVERS:
        material.progress.warn("The embeddings are too large to solve the head in memory; it is trained by gradient.")
        trained = material.recipe.replace(head_solver="adam")
        material.recipe = rule.complete(trained, len(material.train), len(material.examples.classes))
    recipe = material.recipe
    epochs = chosen.best_epoch if chosen else int(recipe.head_epochs)
    descent = Descent(epochs, float(recipe.head_lr), 0.0, _patience(recipe), material.plan.xla, material.objective)
    return _descend(material, "head", rows, descent, held_out=chosen is None, backup=backup)


def fine_tune(
    material: Material, rows: np.ndarray, epochs: int, held_out: bool = True, backup: Path | None = None
) -> Phase:
    """Phase 2: train the thawed blocks and the head on some rows, from the weights as they are.

    Args:
        material: Extracted.
        rows: Of the examples.
        epochs: At most.
        held_out: Judge by the validation split and keep the best weights, those from before included.
        backup: As in `run`.
    """
    recipe, objective = material.recipe, material.objective
    rate, smoothing = float(recipe.fine_tune_lr), float(recipe.label_smoothing)
    descent = Descent(epochs, rate, smoothing, _patience(recipe), material.plan.xla, objective)
    return _descend(material, "fine-tune", rows, descent, held_out, backup)


def refit(material: Material, phases: list[Phase], start: list[list[np.ndarray]], backup: Path | None = None) -> None:
    """Train once more on training and validation images, with the strength and the epochs that validation chose.

    Args:
        material: Trained already.
        phases: What each phase chose.
        start: Weights of tail and head before them.
        backup: As in `run`.
    """
    for model, weights in zip((material.halves.tail, material.network.head), start, strict=True):
        model.set_weights(weights)
    fit_head(material, material.seen, phases[0], backup)
    if len(phases) > 1 and phases[1].best_epoch:
        fine_tune(material, material.seen, phases[1].best_epoch, held_out=False, backup=backup)
    phases[-1].details["refit_images"] = len(material.seen)


def _solve_head(material: Material, rows: np.ndarray, strength: float | None) -> Phase:
    begun, objective, method = time.monotonic(), material.objective, material.recipe.head_solver
    views = [material.embeddings(rows, view) for view in range(material.views)]
    embeddings = solver.standardise(np.concatenate(views) if len(views) > 1 else views[0], method)
    del views  # A copy of all embeddings, while they are solved.
    tables = material.targets(rows)
    targets, *weights = (np.tile(table, (material.views,) + (1,) * (table.ndim - 1)) for table in tables)
    train: dict[str, Any] = {
        "embeddings": embeddings,
        "targets": targets,
        "weights": weights[0] if weights else None,
    }
    held, held_targets = material.embeddings(material.validation, 0), objective.targets[material.validation]
    if strength is None:
        head = objectives.solve_validated(objective, train, held, held_targets)
    else:
        head = objective.solve(**train, strength=strength)
    material.network.head.get_layer("logits").set_weights([head.kernel, head.bias])
    scores = objective.judge(head.logits(held), held_targets)
    seconds = time.monotonic() - begun
    rate = len(targets) / max(seconds, 1e-9)
    history = [{"phase": "head", "epoch": head.iterations, **{f"val_{key}": scores[key] for key in scores}}]
    details = {"solver": method, "strength": head.strength}
    count = head.kernel.size + head.bias.size
    return Phase("head", head.iterations, head.iterations, seconds, count, rate, scores, history, details)


def _descend(
    material: Material, name: str, rows: np.ndarray, descent: Descent, held_out: bool, backup: Path | None
) -> Phase:
    recipe, embedding = material.recipe, name == "head"
    folder = backup / f"{name}-{len(rows)}" if backup else None
    earlier = backups.logged(folder)
    order = pipeline.Shuffled(len(rows), int(recipe.batch_size), material.views, recipe.seed, first=len(earlier))
    validation = None
    if held_out:
        validation = material.batches(material.validation, material.in_order(material.validation), embedding)
    batches = material.batches(rows, order, embedding, augmented=True)
    feed = Feed(batches, len(rows), order.steps, validation, earlier)
    model = material.network.head if embedding else material.trainable()
    keras.utils.set_random_seed(recipe.seed)
    with material.computing(model):
        return train(name, model, feed, descent, material.progress, keep_better=not embedding, backup=folder)


def _patience(recipe: Recipe) -> int | None:
    return None if recipe.patience == "none" else int(recipe.patience)
