"""The penalty of a linear head, chosen by cross-validation over all images that are not for the test."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_transfer.training.objectives import Objective
from keras_transfer.training.solver import Solution, Standardised

FOLDS = 5
# Inverses of the L2 penalty on standardised embeddings, in the order in which they are tried.
_STRENGTHS = tuple(10.0**exponent for exponent in range(-3, 5))
_STRONGER = tuple(10.0**exponent for exponent in range(-4, -8, -1))
# Of the held-out loss: what a weaker penalty must gain for a still weaker one to be tried. Where classes are told apart
# without fail, the loss falls for ever, to no one's use, and each solution takes longer than the one before.
_LEAST_GAIN = 1e-3

Fold = tuple[np.ndarray, np.ndarray]  # Indices of the images to fit on, and of those held out.


@dataclass(frozen=True)
class Choice:
    """An inverse penalty and what speaks for it.

    Attributes:
        strength: The inverse penalty.
        logits: float64 `[N, K]`, of each image by the head of the fold that held it out; NaN for images that all
            folds fit on.
        losses: Held-out loss by inverse penalty, of all that were tried.
        solution: Of all images.
    """

    strength: float
    logits: np.ndarray
    losses: dict[float, float]
    solution: Solution


def folds(strata: np.ndarray, groups: np.ndarray | None, seed: int) -> list[Fold]:
    """Split images into at most five folds, each held out once, with every stratum's share in each.

    Args:
        strata: int `[N]`, class of each image.
        groups: int `[N]`, equal for images that stay together; None without such groups.
        seed: Of the shuffle.
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    members = len(strata) if groups is None else len(np.unique(groups))
    count = min(FOLDS, members, int(np.bincount(strata).max()))
    if count < 2:
        return []
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splits = kind(count, shuffle=True, random_state=seed).split(strata, strata, groups)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class")
        return list(map(_with_every_class(strata), splits))


def _with_every_class(strata: np.ndarray) -> Callable[[Fold], Fold]:
    """Return what moves the held-out images of classes that nobody else trains on back to training."""

    def whole(fold: Fold) -> Fold:
        train, held = fold
        trained = np.isin(strata[held], strata[train])
        return np.concatenate([train, held[~trained]]), held[trained]

    return whole


def choose(
    objective: Objective,
    embeddings: Standardised,
    targets: np.ndarray,
    weights: np.ndarray | None,
    folds: list[Fold],
    views: int = 1,
) -> Choice:
    """Choose the inverse penalty of the least held-out loss, from the strongest penalty on until the loss
    hardly falls.

    Where the strongest penalty of all is the best, stronger ones are tried too. Along the penalties, the loss fell and
    then rose in each of 80 draws of photos, and the weakest take longest. The folds of a penalty start from the
    solution of all images, which leaves them a few steps of Newton's method.

    Args:
        objective: Solves and judges.
        embeddings: Of N images; of several views, one view after the other.
        targets: float32 `[N, K]`, of each.
        weights: float32 `[N]`, how much each counts; None counts all the same.
        folds: Of the images of one view; without any, the first penalty is taken.
        views: How many views of each image there are; only the first is held out.
    """
    count = len(targets) // views

    def solve(indices: np.ndarray, strength: float, start: Solution | None) -> Solution:
        some = None if weights is None else weights[indices]
        return objective.solve(embeddings.at(indices), targets[indices], strength, some, start)

    def attempt(strength: float, start: Solution | None) -> Choice:
        solution = solve(np.arange(len(targets)), strength, start)
        logits = np.full((count, targets.shape[1]), np.nan)
        for train, held in folds:
            indices = np.concatenate([train + view * count for view in range(views)])
            logits[held] = solve(indices, strength, solution).logits(embeddings.values[held])
        held = np.flatnonzero(~np.isnan(logits[:, 0]))
        losses = {strength: objective.judge(logits[held], targets[held])["loss"]} if len(held) else {}
        return Choice(strength, logits, losses, solution)

    tried = _walk(attempt, _STRENGTHS, None)
    best = _best(tried)
    if best is tried[0] and len(tried) > 1:
        tried = [*reversed(_walk(attempt, _STRONGER, best)), *tried[1:]]
        best = _best(tried)
    return replace(best, losses={strength: held for choice in tried for strength, held in choice.losses.items()})


def _walk(
    attempt: Callable[[float, Solution | None], Choice], strengths: Sequence[float], first: Choice | None
) -> list[Choice]:
    """Return one choice a strength, until the loss hardly falls, or without folds the first alone."""
    choices = [first] if first else []
    for strength in strengths:
        choices.append(attempt(strength, choices[-1].solution if choices else None))
        if len(choices) == 1 and choices[0].losses:
            continue
        if len(choices) == 1 or _loss(choices[-2]) - _loss(choices[-1]) < _LEAST_GAIN:
            break
    return choices


def _best(choices: Sequence[Choice]) -> Choice:
    return min(choices, key=lambda choice: _loss(choice) if choice.losses else 0.0)


def _loss(choice: Choice) -> float:
    return choice.losses[choice.strength]
