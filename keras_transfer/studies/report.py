"""The page of a run: what it was trained on and how, and what it does with the test images."""

from __future__ import annotations

import html
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_transfer.studies import evaluation, page, plots
from keras_transfer.support.paths import portable
from keras_transfer.support.version import __version__
from keras_transfer.tasks import TASKS, task_in
from keras_transfer.versions import card, phases
from keras_transfer.versions.predictions import Evaluated


def write(
    file: Path,
    name: str,
    metrics: dict[str, Any],
    history: Sequence[dict[str, Any]],
    evaluated: Evaluated,
    max_pixels: int,
    training: Mapping[str, int] | None = None,
    mean: float | None = None,
) -> None:
    """Write the page.

    Args:
        file: Appears whole or not at all.
        name: Of the model.
        metrics: As in `metrics.json`.
        history: As in `history.csv`.
        evaluated: What came of the test.
        max_pixels: Largest picture that is decoded, width times height.
        training: Training images of each class; None where there are no classes, or nobody knows.
        mean: Of the training numbers; None where there are classes, or nobody knows.

    Raises:
        UserError: it cannot be written.
    """
    test = [
        "<h2>Test</h2><p class='about'>Images that took no part in training or in any choice, through the exported "
        "graph.</p>",
        evaluation.scores(evaluated, training or {}, mean),
        *(f"<p>{line}</p>" for line in phases.folds(metrics)),
    ]
    # A version travels: links through folders above the working folder would tell their names, and lead nowhere.
    here = [Path(os.path.abspath(path)).is_relative_to(Path.cwd()) for path in (file, evaluated.examples.root)]
    details = evaluation.details(evaluated, max_pixels, file.parent if all(here) else None)
    parts = [_about(metrics), *test, _training(metrics, history), *details]
    page.write(file, name, parts)


def _about(metrics: dict[str, Any]) -> str:
    data = metrics["data"]
    random = metrics["weights"] == "random"
    classes = data["classes"]
    what = f"{len(classes):,} classes" if TASKS[metrics["task"]].has_classes else f"numbers ({classes[0]})"
    facts = [
        f"{metrics['base']}, weights {portable(metrics['weights'])}, {metrics['size']} px.",
        f"{portable(data['source'])}: {what}, {data['train']:,} / {data['validation']:,} / "
        f"{data['test']:,} images to train / validate / test, seed {metrics['seed']}.",
        f"{time.strftime('%Y-%m-%d')}, keras_transfer {__version__}, {metrics['machine']}.",
    ]
    text = "<br>".join(map(html.escape, facts))
    return f"<p>{text}</p>" + f"<p><strong>{card.RANDOM}</strong></p>" * random


def _training(metrics: dict[str, Any], history: Sequence[dict[str, Any]]) -> str:
    """Return what each phase reached, which network is exported and why, and the curves."""
    records = metrics["phases"]
    heading, *rows = phases.table(records)
    told = [metrics["reason"], *phases.told(metrics)]
    kept = {phase["name"]: phase["best_epoch"] for phase in records}
    classes = task_in(metrics).has_classes
    png = plots.curves(history, task_in(metrics).score, kept)
    curves = ""
    if png is not None:
        about = (
            f"Loss and score by epoch{', before calibration' * classes}; a ring marks the epoch that was kept. The "
            f"training loss is of augmented images and includes penalties{' and label smoothing' * classes}"
            f"{', and it is by the answers of the teacher too' * ('teacher' in metrics)}."
        )
        curves = f"{page.plot(png, 900, about)}<p class='about'>{about}</p>"
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in told if line)
    return f"<h2>Training</h2>{page.table(heading, rows)}{paragraphs}{curves}"
