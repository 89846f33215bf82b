"""The measurements behind `keras_transfer/rule.py`: test accuracy of each choice, over seeds.

`python -m benchmarks rule --data photos/ --weights FILE` draws, for each seed, a stratified pool of training photos
and tests on all others. 15% of the pool serves as validation; the columns `train` are what comes of training without
it, the columns `all` of training once more with it. An epoch of 0 means that phase 2 did not beat the head.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from keras_transfer import device
from keras_transfer.data import audit, sources
from keras_transfer.data.examples import SPLITS, Examples
from keras_transfer.network import weights
from keras_transfer.network.network import build
from keras_transfer.progress import Progress
from keras_transfer.recipe import Recipe
from keras_transfer.rule import complete
from keras_transfer.training import objectives, two_phase
from keras_transfer.training.material import Material

GRID = {
    "fine_tune_lr": (1e-4, 3e-4, 1e-3),
    "fine_tune_epochs": (5, 10),
    "label_smoothing": (0.0, 0.1),
}


def choices(grid: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Yield each combination of a grid."""
    for values in itertools.product(*grid.values()):
        yield dict(zip(grid, values, strict=True))


def pool(examples: Examples, a_class: int, seed: int) -> Examples:
    """Return the examples with `a_class` photos of each class to train and validate on, the rest to test."""
    splits = np.full(len(examples), SPLITS.index("test"), "int8")
    generator = np.random.default_rng(seed)
    for label in range(len(examples.classes)):
        rows = generator.permutation(np.flatnonzero(examples.labels == label))[:a_class]
        held = max(1, round(0.15 * a_class))
        splits[rows[:held]], splits[rows[held:]] = SPLITS.index("validation"), SPLITS.index("train")
    return replace(examples, splits=splits)


def measure(recipe: Recipe, a_class: int, seeds: int, grid: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Yield one record a seed and choice: test accuracy of the solved head and of phase 2, on `train` and on `all`."""
    progress = Progress(quiet=True)
    examples = sources.load(recipe.data)
    digests = audit.digests(examples, progress)
    for seed in range(seeds):
        split = pool(examples, a_class, seed)
        for choice in choices(grid):
            chosen = complete(recipe.replace(seed=seed, **choice), len(split.rows("train")), len(split.classes))
            source = weights.load(chosen.base, chosen.weights, int(chosen.size), seed)
            objective = objectives.of(split)
            network = build(source.base, source.row, chosen, len(split.classes), objective.output())
            material = Material(
                chosen, source, network, split, digests, objective, device.plan(chosen, split.task), progress
            )
            material.extract()
            yield {"seed": seed, "images": a_class * len(split.classes), **choice, **_both(material)}


def _both(material: Material) -> dict[str, float]:
    """Return the scores after each step of what `two_phase.run` does."""
    start = [half.get_weights() for half in (material.halves.tail, material.network.head)]
    head = two_phase.fit_head(material)
    found = {"head, train": test_accuracy(material)}
    tuned = two_phase.fine_tune(material)
    found["tuned, train"] = test_accuracy(material)
    for name, phases in (("head, all", [head]), ("tuned, all", [head, tuned])):
        two_phase.refit(material, phases, start)
        found[name] = test_accuracy(material)
    kept = {"epoch kept": tuned.best_epoch, "seconds": tuned.seconds}
    losses = {"loss, head": head.validation["loss"], "loss, tuned": tuned.validation["loss"]}
    return found | kept | losses


def test_accuracy(material: Material) -> float:
    """Return the accuracy of the network as it is on the test split, from stored activations."""
    rows = material.examples.rows("test")
    return float((material.logits(rows).argmax(1) == material.examples.labels[rows]).mean())


def table(records: list[dict[str, Any]], keys: list[str]) -> list[str]:
    """Return the mean over seeds of each choice, as the lines of a table."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    columns = [key for key in records[0] if key not in keys and key != "seed"]
    lines = [f"| {' | '.join([*keys, *columns, 'seeds'])} |", "|---" * (len(keys) + len(columns) + 1) + "|"]
    for choice, found in groups.items():
        means = [f"{float(np.mean([record[column] for record in found])):.3f}" for column in columns]
        lines.append(f"| {' | '.join([*map(str, choice), *means, str(len(found))])} |")
    return lines
