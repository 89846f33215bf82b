"""What half precision costs in accuracy: heads solved on its features, served in float32."""

from __future__ import annotations

import numpy as np

from benchmarks.recipe import pool
from benchmarks.results import spread
from keras_transfer.data import sources
from keras_transfer.data.examples import SPLITS, Examples
from keras_transfer.data.inspection import inspector
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies import features as embeddings
from keras_transfer.support.progress import Progress
from keras_transfer.tasks import linear, task_of
from keras_transfer.training import penalty

PRECISIONS = ("float32", "float16", "bfloat16")


def report(recipe: Recipe, a_class: int, seeds: int) -> list[str]:
    """Return the table of `python -m benchmarks precision`."""
    progress = Progress(quiet=True)
    examples, _ = inspector.inspect(sources.load(recipe.data), recipe.max_pixels, progress)
    recipe, pretrained = embeddings.load_base(recipe.replace(engine="tensorflow"), examples, progress)
    found = {
        precision: embeddings.compute(recipe.replace(precision=precision), pretrained, examples, progress).astype(
            "float32"
        )
        for precision in PRECISIONS
    }
    exact = found["float32"]
    lines = [
        "| features for training | largest error, of the largest feature | test accuracy, served in float32 "
        "| served as trained | float32 features minus these, points |",
        "|---|---|---|---|---|",
    ]
    truth = [_accuracies(exact, exact, examples, a_class, seed) for seed in range(seeds)]
    for precision, features in found.items():
        pairs = [_accuracies(features, exact, examples, a_class, seed) for seed in range(seeds)]
        error = float(np.abs(features - exact).max() / np.abs(exact).max())
        lost = [100 * (right[0] - pair[0]) for right, pair in zip(truth, pairs, strict=True)]
        mean = f"{np.mean(lost):.2f} (standard error {np.std(lost) / np.sqrt(seeds):.2f})"
        served, own = spread([pair[0] for pair in pairs]), spread([pair[1] for pair in pairs])
        lines.append(f"| {precision} | {error:.1e} | {served} | {own} | {mean} |")
    return lines


def _accuracies(
    features: np.ndarray, exact: np.ndarray, examples: Examples, a_class: int, seed: int
) -> tuple[float, float]:
    """Return the test accuracy of the head solved on features, given float32 features, and given its own kind."""
    split = pool(examples, a_class, seed)
    objective = task_of(split)
    seen, test = np.flatnonzero(split.splits != SPLITS.index("test")), split.indices("test")
    standard, targets = linear.scale(features[seen]), objective.targets(split)[seen]
    folds = penalty.folds(split.labels[seen], None, seed)
    strength = penalty.choose(objective, standard, targets, lambda _: None, folds).strength
    head = standard.head(objective.solve(standard, targets, strength))

    def accuracy(given: np.ndarray) -> float:
        return float((head.logits(given[test]).argmax(1) == split.labels[test]).mean())

    return accuracy(exact), accuracy(features)
