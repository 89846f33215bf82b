"""A linear head is solved on stored embeddings, its penalty chosen by cross-validation."""

from __future__ import annotations

import time

import numpy as np

from keras_transfer.data import splits
from keras_transfer.support.errors import UserError
from keras_transfer.tasks import linear
from keras_transfer.training import penalty
from keras_transfer.training.feed import Feed
from keras_transfer.training.penalty import Choice
from keras_transfer.training.phase import PhaseResult, Solver
from keras_transfer.training.setup import Setup

# A solved head holds all embeddings in memory, several times over; above this it is trained by gradient.
SOLVER_BYTES = 2**28


def solvable(setup: Setup, views: int) -> bool:
    """Return whether the embeddings of all images that are not for the test are small enough to solve a head on."""
    width = int(setup.network.head.input_shape[-1])
    return len(setup.seen) * views * width * 4 <= SOLVER_BYTES


def solve(feed: Feed, indices: np.ndarray, solver: Solver, name: str) -> PhaseResult:
    """Solve the head of a feed's network on the embeddings of some images.

    Args:
        feed: Extracted.
        indices: Of the images; where the validation images are among them, nothing validates the head.
        solver: Method and penalty; where the penalty is to be chosen, held-out logits also give the temperature that
            the head's are divided by.
        name: Of the phase.
    """
    begun, setup = time.monotonic(), feed.setup
    strength, temperature = solver.strength, 1.0
    details: dict[str, object] = {"solver": setup.task.solver(solver.method), "strength": strength}
    if strength is None:
        choice = _choose(feed, solver.method)
        strength, (temperature, scores) = choice.strength, _held_out(setup, choice)
        details |= {"strength": strength, "temperature": temperature, "cross_validation": scores}
    embeddings, targets = _data(feed, indices, solver.method)
    with setup.progress.activity("Solving the head"):
        solution = setup.task.solve(embeddings, targets, strength, setup.weights_of(targets))
    head = embeddings.head(solution.divided(temperature))
    setup.network.head.get_layer("logits").set_weights([head.kernel, head.bias])
    iterations = max(solution.iterations, 1)
    scores, row = {}, {"phase": name, "iterations": iterations}
    if not np.isin(setup.validation, indices).any():
        logits, held = head.logits(feed.embeddings(setup.validation, 0)), setup.targets_of(setup.validation)
        scores = setup.task.evaluate(logits, held)
        row |= {f"val_{key}": value for key, value in scores.items()}
        # As the epochs of other phases have it.
        row["val_loss"] = float(np.average(setup.task.losses(logits, held), weights=setup.weights_of(held)))
    seconds = time.monotonic() - begun
    rate = len(targets) / max(seconds, 1e-9)
    count = head.kernel.size + head.bias.size
    return PhaseResult(name, iterations, iterations, seconds, count, rate, scores, [row], details)


def cross_validated(feed: Feed, method: str) -> tuple[np.ndarray, dict[str, float]]:
    """Return how well heads do on images that they were not solved on: the loss of each image, float64 `[N]`, by the
    head of the fold that held it out, after temperature scaling, and their mean scores.

    Args:
        feed: Extracted.
        method: Of the solver.

    Raises:
        UserError: there are too few images for folds.
    """
    setup, choice = feed.setup, _choose(feed, method)
    held = np.flatnonzero(~np.isnan(choice.logits[:, 0]))
    if not len(held):
        raise UserError(f"{setup.examples.source}: the images of each class are too few to cross-validate a head.")
    targets = setup.targets_of(setup.seen[held])
    temperature, scores = setup.task.calibrated(choice.logits[held], targets)
    return setup.task.losses(choice.logits[held] / temperature, targets), scores


def _choose(feed: Feed, method: str) -> Choice:
    """Choose the penalty on all images that are not for the test."""
    setup = feed.setup
    examples = setup.examples.at(setup.seen)
    folds = penalty.folds(splits.strata(examples), examples.groups, setup.recipe.seed)
    data = _data(feed, setup.seen, method)
    return penalty.choose(setup.task, *data, setup.weights_of, folds, feed.views, setup.progress)


def _held_out(setup: Setup, choice: Choice) -> tuple[float, dict[str, float]]:
    """Return the temperature of the chosen penalty's held-out logits and their scores; 1 and none without any."""
    held = np.flatnonzero(~np.isnan(choice.logits[:, 0]))
    if not len(held):
        return 1.0, {}
    return setup.task.calibrated(choice.logits[held], setup.targets_of(setup.seen[held]))


def _data(feed: Feed, indices: np.ndarray, method: str) -> tuple[linear.Scaled, np.ndarray]:
    """Return embeddings of all views of some images, view after view, and their targets."""
    views = [feed.embeddings(indices, view) for view in range(feed.views)]
    embeddings = linear.scale(np.concatenate(views) if len(views) > 1 else views[0], method)
    return embeddings, np.concatenate([feed.setup.targets_of(indices)] * feed.views)
