"""The penalty of a linear head, chosen by cross-validation over all images that are not for the test."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from keras_transfer.tasks.linear import EXACT, ROUGH, Scaled, Solution, one_thread
from keras_transfer.tasks.task import Task

FOLDS = 5
# Inverses of the L2 penalty on scaled embeddings, in the order in which they are tried.
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


@dataclass(frozen=True)
class _Attempt:
    strength: float
    loss: float
    logits: np.ndarray
    solutions: list[Solution]


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
    objective: Task,
    embeddings: Scaled,
    targets: np.ndarray,
    weights: np.ndarray | None,
    folds: list[Fold],
    views: int = 1,
) -> Choice:
    """Choose the inverse penalty of the least held-out loss, from the strongest penalty on until the loss
    hardly falls.

    Where the strongest penalty of all is the best, stronger ones are tried too. Along the penalties, the loss fell and
    then rose in each of 80 draws of photos, and the weakest take longest. A fold starts from its own solution under the
    penalty before: from one that has seen the images held out, a rough solution would remember them.

    Args:
        objective: Solves and judges.
        embeddings: Of N images; of several views, one view after the other.
        targets: float32 `[N, K]`, of each.
        weights: float32 `[N]`, how much each counts; None counts all the same.
        folds: Of the images of one view; without any, the first penalty is taken.
        views: How many views of each image there are; only the first is held out.
    """
    count = len(targets) // views

    def solve(
        indices: np.ndarray, strength: float, start: Solution | None = None, tolerance: float = EXACT
    ) -> Solution:
        some = None if weights is None else weights[indices]
        return objective.solve(embeddings.at(indices), targets[indices], strength, some, start, tolerance)

    def attempt(strength: float, starts: Sequence[Solution | None]) -> _Attempt:
        fitted = [np.concatenate([train + view * count for view in range(views)]) for train, _ in folds]
        solutions = list(pool.map(lambda indices, start: solve(indices, strength, start, ROUGH), fitted, starts))
        logits = np.full((count, targets.shape[1]), np.nan)
        for (_, held), solution in zip(folds, solutions, strict=True):
            logits[held] = solution.logits(embeddings.values[held])
        held = np.flatnonzero(~np.isnan(logits[:, 0]))
        loss = objective.judge(logits[held], targets[held])["loss"] if len(held) else np.inf
        return _Attempt(strength, loss, logits, solutions)

    with one_thread(), ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = [attempt(_STRENGTHS[0], [None] * len(folds))]
        if folds:
            tried = _walk(attempt, _STRENGTHS[1:], tried)
            if len(tried) == 2 and tried[0].loss <= tried[1].loss:
                tried = [*reversed(_walk(attempt, _STRONGER, tried[:1])), tried[1]]
    best = min(tried, key=lambda attempt: attempt.loss)
    losses = {attempt.strength: attempt.loss for attempt in tried if attempt.solutions}
    return Choice(best.strength, best.logits, losses, solve(np.arange(len(targets)), best.strength))


def _walk(
    attempt: Callable[[float, Sequence[Solution]], _Attempt], strengths: Sequence[float], tried: list[_Attempt]
) -> list[_Attempt]:
    """Try one strength after the other until the loss hardly falls."""
    tried = list(tried)
    for strength in strengths:
        tried.append(attempt(strength, tried[-1].solutions))
        if tried[-2].loss - tried[-1].loss < _LEAST_GAIN:
            break
    return tried
