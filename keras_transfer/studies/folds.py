"""Cross-validation: the same recipe, fitted and tested on other splits of the same images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_transfer.data import splits
from keras_transfer.data.examples import Examples
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.progress import Progress, Stopwatch
from keras_transfer.training import transfer
from keras_transfer.training.state import Record, TrainingState


def measure(
    recipe: Recipe, examples: Examples, progress: Progress, resume: bool = False
) -> tuple[dict[str, Any], list[TrainingState], Record]:
    """Return the score of each fold on its test images, their mean, and their standard deviation over folds; what is
    kept of their training, to be discarded when the run has ended; and the work that they were, as `Trainer.work`.

    Every image is tested once, by a network that was trained and chosen without it. The base computes each image's
    activations once for all folds.

    Args:
        recipe: Complete, with the number of folds.
        examples: All images, with digests; their splits are drawn anew.
        progress: Is told about each fold.
        resume: Keep what folds train, and go on from what an interrupted run left; otherwise nothing is kept.
    """
    count = int(recipe.folds)
    reports: list[dict[str, Any]] = []
    states: list[TrainingState] = []
    work: Record | None = None
    for number, fold in enumerate(splits.folds(examples, count, recipe.seed)):
        progress.say(f"Fold {number + 1} of {count}")
        pretrained = transfer.load_base(recipe, progress)
        trained = transfer.train(recipe, pretrained, fold, progress, Stopwatch(), resume or None, earlier_work=work)
        states += [trained.state] if trained.state else []
        indices = fold.indices("test")
        outputs = trained.setup.network.output(trained.logits(indices))
        work = trained.work()
        reports.append(trained.setup.task.report(keras.ops.convert_to_numpy(outputs), fold.labels[indices]))
    names = [name for name, value in reports[0].items() if isinstance(value, float)]
    values = {name: [report[name] for report in reports] for name in names}
    measured = {
        "count": count,
        "mean": {name: float(np.mean(scores)) for name, scores in values.items()},
        "standard_deviation": {name: float(np.std(scores, ddof=1)) for name, scores in values.items()},
        "each": reports,
    }
    return measured, states, work or {}
