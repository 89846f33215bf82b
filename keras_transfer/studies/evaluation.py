"""A saved model measured on labelled images, and what a page shows of it."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.evaluation import per_class
from keras_transfer.evaluation.cautions import cautions
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies import page, plots
from keras_transfer.support.numerals import number_text
from keras_transfer.support.paths import demand_other_file, portable
from keras_transfer.support.progress import Progress
from keras_transfer.tasks import TASKS
from keras_transfer.tasks.regression import Regression
from keras_transfer.versions import folders
from keras_transfer.versions.predictions import Evaluated, Tested, write_tested

if TYPE_CHECKING:
    from keras_transfer.versions.saved import SavedClassifier

_MAX_MISTAKES = 60  # With pictures; `predictions.csv` has all.
_TOP = 5  # Classes, of which the top five are all.
_MAX_MATRIX = 30  # Classes, above which a matrix is too wide to be read.
_MEANINGS = {
    "expected_calibration_error": "how far confidences are from the share of right answers",
    "calibration_error_by_chance": "what a perfectly calibrated model has on so few images",
}


def evaluate(
    classifier: SavedClassifier,
    data: str | None,
    html: Path | None,
    csv: Path | None,
    progress: Progress,
    **options: Any,
) -> dict[str, Any]:
    """Return a model's metrics on labelled images, and write a page and a table about them.

    Args:
        classifier: The model.
        data: As `SavedClassifier.evaluate` takes it.
        html: File of the page; None writes none.
        csv: File of the table, a row an image; None writes none.
        progress: Is told about the images.
        options: As `SavedClassifier.evaluate` takes them.

    Raises:
        UsageError: the table would be written over the data.
        UserError: as `SavedClassifier.evaluate`, or a file cannot be written.
    """
    if csv is not None:
        demand_other_file(csv, (classifier.recipe or Recipe()).data if data is None else data, "--csv")
    evaluated = classifier.evaluated(data, progress, **options)
    if csv is not None:
        write_tested(evaluated.tested, csv)
    if html is not None:
        title = f"{classifier.folder.parent.name}/{classifier.folder.name} on {portable(evaluated.examples.source)}"
        training = folders.training_counts(classifier.folder), folders.training_mean(classifier.folder)
        measured = scores(evaluated, *training)
        page.write(html, title, [measured, *details(evaluated, classifier.max_pixels, html.parent)])
    return evaluated.report


def scores(evaluated: Evaluated, training: Mapping[str, int], mean: float | None) -> str:
    """Return the table of the metrics and where they mean little, as HTML.

    Args:
        evaluated: What was measured.
        training: Training images of each class.
        mean: Of the training numbers; None where there are classes, or nobody knows.
    """
    report, baseline = evaluated.report, _baseline(evaluated, mean)
    rows = [
        (name.replace("_", " "), _number(report, name), _interval(report, name) or (_MEANINGS | baseline).get(name, ""))
        for name, value in report.items()
        if isinstance(value, float) and (name != "top5_accuracy" or len(report["per_class"]) > _TOP)
    ]
    excluded = report.get("excluded_as_seen", 0)  # By `evaluate` alone.
    seen = f", {excluded} that training saw are left out" * bool(excluded)
    faults = f", {len(report['rejected'])} cannot be used" * bool(report["rejected"])
    table = page.table(("", "", ""), rows, words=(0, 2))
    doubts = "".join(f"<p>{html.escape(line)}</p>" for line in cautions(report, training))
    return f"<p>{report['images']:,} images{seen}{faults}.</p>{table}{doubts}"


def _baseline(evaluated: Evaluated, mean: float | None) -> dict[str, str]:
    """Return by metric what always answering the mean of the training numbers would have."""
    if mean is None:
        return {}
    labels = np.asarray([[float(image.label)] for image in evaluated.tested])
    report = Regression().report(np.full_like(labels, mean), labels)
    names = ("mean_absolute_error", "root_mean_squared_error")
    return {name: f"always answering the training mean: {_number(report, name)}" for name in names}


def details(evaluated: Evaluated, max_pixels: int, folder: Path | None) -> list[str]:
    """Return what a page shows below the scores, as HTML: classes, confusions, calibration, predicted numbers and
    mistakes.

    Args:
        evaluated: What was measured.
        max_pixels: Largest picture that is decoded, width times height.
        folder: Of the page, from which pictures lead to their files; None makes no links.
    """
    records = evaluated.report["per_class"]
    plotted = _calibration(evaluated), _predicted(evaluated)
    return [_classes(records), _matrix(records), *plotted, _mistakes(evaluated, max_pixels, folder)]


def _number(report: dict[str, Any], name: str) -> str:
    """Return a metric as text; errors of numbers may be of any size."""
    if math.isnan(report[name]):
        return "-"
    return number_text(report[name], 4) if "r2" in report and name != "r2" else f"{report[name]:.3f}"


def _interval(report: dict[str, Any], name: str) -> str:
    interval = report.get(f"{name}_interval")
    return f"95% interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _classes(records: dict[str, dict[str, Any]]) -> str:
    """Return the table of all classes, that of the lowest F1 first."""
    if not records:
        return ""
    worst_first = sorted(records.items(), key=lambda item: 2.0 if item[1]["f1"] is None else item[1]["f1"])
    heading, *rows = per_class.scores_table("class", worst_first, ("precision", "recall", "f1"))
    return "<h2>Classes</h2>" + page.table(heading, rows, words=(0, 5))


def _matrix(records: dict[str, dict[str, Any]]) -> str:
    """Return the confusion matrix, a row a class, a column a prediction, shaded by the share of the class."""
    if not 1 < len(records) <= _MAX_MATRIX or not all("predicted_as" in record for record in records.values()):
        return ""
    head = "".join(f"<th class='n'>{html.escape(name)}</th>" for name in records)
    rows = ""
    for name, record in records.items():
        counts = [record["predicted_as"].get(other, 0) for other in records]
        cells = "".join(
            f"<td class='n' style='background:rgba(74,111,165,{0.6 * count / max(1, record['images']):.2f})'>"
            f"{count or ''}</td>"
            for count in counts
        )
        rows += f"<tr><th>{html.escape(name)}</th>{cells}</tr>"
    about = "<p class='about'>Images of each class (rows) by the class that was predicted (columns).</p>"
    return f"<h2>Confusion matrix</h2>{about}<table><tr><th></th>{head}</tr>{rows}</table>"


def _calibration(evaluated: Evaluated) -> str:
    """Return a plot of how often the model is right where it is how sure, of tasks with one answer an image."""
    if "expected_calibration_error" not in evaluated.report:
        return ""
    confidences = np.asarray([image.confidence for image in evaluated.tested], float)
    correct = np.asarray([image.predicted == image.label for image in evaluated.tested])
    png = plots.calibration(confidences, correct)
    if png is None:
        return ""
    about = (
        "Accuracy by confidence, with 95% intervals: of a calibrated model, the dots lie about the dotted line; below "
        "it, confidences are too high."
    )
    return f"<h2>Calibration</h2><p class='about'>{about}</p>{page.plot(png, 400, about)}"


def _predicted(evaluated: Evaluated) -> str:
    """Return a plot of predicted numbers against actual ones, of a regression."""
    if TASKS[evaluated.examples.task].has_classes or not evaluated.tested:
        return ""
    numbers = np.asarray([(float(image.label), float(image.predicted)) for image in evaluated.tested])
    about = "Each dot is an image: its number as predicted, by its actual one. On the dotted line they are equal."
    png = plots.predicted(numbers[:, 0], numbers[:, 1])
    return f"<h2>Predicted and actual</h2><p class='about'>{about}</p>{page.plot(png, 400, about)}"


def _error(image: Tested) -> float:
    """Return how far a predicted number is from the actual one."""
    return abs(float(image.predicted) - float(image.label))


def _mistakes(evaluated: Evaluated, max_pixels: int, folder: Path | None) -> str:
    """Return the images that are named wrongly, the surest first, or whose number is most wrong."""
    from keras_transfer.data.decoding.decode import Decoder

    has_classes = TASKS[evaluated.examples.task].has_classes
    if has_classes:
        wrong = [image for image in evaluated.tested if image.predicted != image.label]
        wrong.sort(key=lambda image: -image.sureness)
        heading = f"Mistakes ({len(wrong)})"
    else:
        wrong = sorted(evaluated.tested, key=_error, reverse=True)
        heading = "Largest errors"
    if not wrong:
        return "<h2>Mistakes</h2><p>None.</p>"
    shown = wrong[:_MAX_MISTAKES]
    decoder = Decoder(page.THUMBNAIL, "pad", max_pixels)
    pictures = page.pictures([image.name for image in shown], evaluated.examples, decoder, folder)
    figures = "".join(page.figure(pictures.get(image.name), _caption(image)) for image in shown)
    more = f"<p>and {len(wrong) - _MAX_MISTAKES} more</p>" * (has_classes and len(wrong) > _MAX_MISTAKES)
    return f"<h2>{heading}</h2><div class='pictures'>{figures}</div>{more}"


def _caption(image: Tested) -> str:
    if image.confidence is None:
        return f"{image.label}, predicted {image.predicted}, off by {number_text(_error(image), 4)}: {image.path}"
    return f"{image.label or 'none'}, taken for {image.predicted or 'none'} ({image.confidence:.2f}): {image.path}"
