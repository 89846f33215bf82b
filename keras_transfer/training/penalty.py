"""The penalty of a linear head, chosen by cross-validation over all images that are not for the test."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from keras_transfer.support.progress import Progress
from keras_transfer.tasks.linear import ROUGH, Scaled, Solution, one_thread
from keras_transfer.tasks.task import Task

FOLDS = 5
# Inverses of the L2 penalty on scaled embeddings, in the order in which they are tried.
_STRENGTHS = tuple(10.0**exponent for exponent in range(-3, 5))
_STRONGER = tuple(10.0**exponent for exponent in range(-4, -8, -1))
# Of the held-out loss: what a weaker penalty must gain for a still weaker one to be tried. Where classes are told apart
# without fail, the loss falls for ever, to no one's use, and each solution takes longer than the one before.
_MIN_GAIN = 1e-3
_LONG = 10.0  # Seconds, from which on a person is told how long a head may take.
# Times the seconds of a fold's first and strongest penalty, of 20 to 100 classes: 4 to 7 for all penalties of the fold,
# and up to 7 for each of the two heads that are solved to the end, without and with the validation images.
_ALL_PENALTIES, _FINAL_HEADS = 7, 10

Fold = tuple[np.ndarray, np.ndarray]  # Indices of the images to fit on, and of those held out.


@dataclass(frozen=True)
class Choice:
    """An inverse penalty and what speaks for it.

    Attributes:
        strength: The inverse penalty.
        logits: float64 `[N, K]`, of each image by the head of the fold that held it out; NaN for images that all
            folds fit on.
        losses: Held-out loss by inverse penalty, of all that were tried.
    """

    strength: float
    logits: np.ndarray
    losses: dict[float, float]


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
        return [_with_every_class(fold, strata, groups) for fold in splits]


def _with_every_class(fold: Fold, strata: np.ndarray, groups: np.ndarray | None) -> Fold:
    """Return a fold whose held-out images of classes that it does not train on are trained on, with their groups."""
    train, held = fold
    moved = ~np.isin(strata[held], strata[train])
    if groups is not None:
        moved = np.isin(groups[held], groups[held[moved]])
    return np.concatenate([train, held[moved]]), held[~moved]


def choose(
    task: Task,
    embeddings: Scaled,
    targets: np.ndarray,
    weigh: Callable[[np.ndarray], np.ndarray | None],
    folds: list[Fold],
    views: int = 1,
    progress: Progress | None = None,
) -> Choice:
    """Choose the inverse penalty of the least held-out loss, from the strongest penalty on until the loss
    hardly falls.

    Where the strongest penalty of all is the best, stronger ones are tried too. Along the penalties, the loss fell and
    then rose in each of 80 draws of photos, and the weakest take longest. A fold starts from its own solution under the
    penalty before: from one that has seen the images held out, a rough solution would remember them.

    Args:
        task: Solves heads, and evaluates them.
        embeddings: Of N images; of several views, one view after the other.
        targets: float32 `[N, K]`, of each.
        weigh: Returns how much images of some targets count, float32 `[N]`; None where all count the same. A fold's
            images are weighed among themselves: weights of all would make the rarer class of a fold the larger one.
        folds: Of the images of one view; without any, the first penalty is taken.
        views: How many views of each image there are; only the first is held out.
        progress: Is told of each fold, and after the first penalty if all of them may take long; None tells nobody.
    """
    if not folds:
        return Choice(_STRENGTHS[0], np.full((len(targets) // views, targets.shape[1]), np.nan), {})
    # Seconds, for which solutions that are timed would wait.
    import sklearn.linear_model  # noqa: F401

    progress = progress or Progress(quiet=True)
    total = len(folds) * len(_STRENGTHS)  # At most.
    with (
        progress.task("Choosing the penalty of the head", total, "folds") as advance,
        one_thread(),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        crossed = _CrossValidation(task, embeddings, targets, weigh, folds, views, pool, advance)
        tried = [crossed.attempt(_STRENGTHS[0], [None] * len(folds))]
        # The first solution of a process waits for what the others have no need of.
        _announce(min(crossed.seconds), len(folds), targets.shape, progress)
        tried = _walk(crossed.attempt, _STRENGTHS[1:], tried)
        if len(tried) == 2 and tried[0].loss <= tried[1].loss:
            tried = [*reversed(_walk(crossed.attempt, _STRONGER, tried[:1])), tried[1]]
    best = min(tried, key=lambda attempt: attempt.loss)
    return Choice(best.strength, best.logits, {attempt.strength: attempt.loss for attempt in tried})


@dataclass(frozen=True)
class _CrossValidation:
    """Solves the heads of all folds for one penalty after the other.

    Attributes:
        task, embeddings, targets, weigh, folds, views: As `choose` has them.
        pool: Solves folds side by side.
        advance: Is told of each fold.
        seconds: Of each solution.
    """

    task: Task
    embeddings: Scaled
    targets: np.ndarray
    weigh: Callable[[np.ndarray], np.ndarray | None]
    folds: list[Fold]
    views: int
    pool: Executor
    advance: Callable[[int], None]
    seconds: list[float] = field(default_factory=list)

    def attempt(self, strength: float, starts: Sequence[Solution | None]) -> _Attempt:
        """Evaluate a penalty on what each fold holds out; the solver of each starts from a solution, or from zero."""
        solutions: list[Solution] = []
        for solution in self.pool.map(self._solve, self.folds, [strength] * len(self.folds), starts):
            solutions.append(solution)
            self.advance(1)
        logits = np.full((len(self.targets) // self.views, self.targets.shape[1]), np.nan)
        for (_, held), solution in zip(self.folds, solutions, strict=True):
            logits[held] = solution.logits(self.embeddings.values[held])
        held = np.flatnonzero(~np.isnan(logits[:, 0]))
        return _Attempt(strength, self._loss(logits[held], held) if len(held) else np.inf, logits, solutions)

    def _loss(self, logits: np.ndarray, held: np.ndarray) -> float:
        """Return the loss of held-out images, by how much each counts: what the heads are fitted to."""
        targets = self.targets[held]
        return float(np.average(self.task.losses(logits, targets), weights=self.weigh(targets)))

    def _solve(self, fold: Fold, strength: float, start: Solution | None) -> Solution:
        """Solve a head on all views of the images that a fold fits on."""
        started, count = time.monotonic(), len(self.targets) // self.views
        indices = np.concatenate([fold[0] + view * count for view in range(self.views)])
        targets = self.targets[indices]
        weights = self.weigh(targets)
        solution = self.task.solve(self.embeddings.at(indices), targets, strength, weights, start, ROUGH)
        self.seconds.append(time.monotonic() - started)
        return solution


def _announce(fold: float, folds: int, shape: tuple[int, ...], progress: Progress) -> None:
    """Say how long the head may take, where that is long, by the seconds of a fold's first penalty."""
    seconds = fold * (_ALL_PENALTIES * folds / min(folds, os.cpu_count() or 1) + _FINAL_HEADS)
    if seconds < _LONG:
        return
    length = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    progress.say(
        f"Solving the head for {shape[1]:,} outputs on {shape[0]:,} embeddings may take up to {length}; "
        "--head-solver adam trains it by gradient instead."
    )


def _walk(
    attempt: Callable[[float, Sequence[Solution]], _Attempt], strengths: Sequence[float], tried: list[_Attempt]
) -> list[_Attempt]:
    """Try one strength after the other until the loss hardly falls."""
    tried = list(tried)
    for strength in strengths:
        tried.append(attempt(strength, tried[-1].solutions))
        if tried[-2].loss - tried[-1].loss < _MIN_GAIN:
            break
    return tried
