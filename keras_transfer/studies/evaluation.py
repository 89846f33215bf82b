"""A saved model measured on labelled images, and the page of what came of it: classes, confusions, mistakes."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_transfer.evaluation import per_class
from keras_transfer.studies import page
from keras_transfer.support.paths import portable
from keras_transfer.support.progress import Progress
from keras_transfer.versions.predictions import Evaluated, Tested

if TYPE_CHECKING:
    from keras_transfer.versions.saved import SavedClassifier

_MAX_MISTAKES = 60  # With pictures; `predictions.csv` has all.
_TOP = 5  # Classes, of which the top five are all.
_MAX_MATRIX = 30  # Classes, above which a matrix is too wide to be read.


def evaluate(
    classifier: SavedClassifier, data: str | None, file: Path | None, progress: Progress, **options: Any
) -> dict[str, Any]:
    """Return a model's metrics on labelled images, and write a page about them.

    Args:
        classifier: The model.
        data: As `SavedClassifier.evaluate` takes it.
        file: Of the page; None writes none.
        progress: Is told about the images.
        options: As `SavedClassifier.evaluate` takes them.

    Raises:
        UserError: as `SavedClassifier.evaluate`, or the page cannot be written.
    """
    evaluated = classifier.evaluated(data, progress, **options)
    if file is not None:
        _write(classifier, evaluated, file)
    return evaluated.report


def _write(classifier: SavedClassifier, evaluated: Evaluated, file: Path) -> None:
    report = evaluated.report
    title = f"{classifier.folder.parent.name}/{classifier.folder.name} on {portable(evaluated.examples.source)}"
    parts = [_summary(report), _classes(report["per_class"]), _matrix(report["per_class"])]
    page.write(file, title, [*parts, _mistakes(classifier, evaluated)])


def _summary(report: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{name.replace('_', ' ')}</td><td class='n'>{value:.3f}</td><td>{_interval(report, name)}</td></tr>"
        for name, value in report.items()
        if isinstance(value, float) and (name != "top5_accuracy" or len(report["per_class"]) > _TOP)
    )
    seen = f", {report['excluded_as_seen']} that training saw are left out" * bool(report["excluded_as_seen"])
    faults = f", {len(report['rejected'])} cannot be used" * bool(report["rejected"])
    return f"<p>{report['images']:,} images{seen}{faults}.</p><table>{rows}</table>"


def _interval(report: dict[str, Any], name: str) -> str:
    interval = report.get(f"{name}_interval")
    return f"95% interval {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""


def _classes(records: dict[str, dict[str, Any]]) -> str:
    """Return the table of all classes, that of the lowest F1 first."""
    if not records:
        return ""
    scores = ("precision", "recall", "f1")
    by_score = sorted(records.items(), key=lambda item: 2.0 if item[1]["f1"] is None else item[1]["f1"])
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td><td class='n'>{record['images']}</td>"
        + "".join(f"<td class='n'>{'-' if record[key] is None else format(record[key], '.3f')}</td>" for key in scores)
        + f"<td>{html.escape(per_class.taken_for(record))}</td></tr>"
        for name, record in by_score
    )
    head = "".join(f"<th class='n'>{name}</th>" for name in ("images", *scores))
    return f"<h2>Classes</h2><table><tr><th>class</th>{head}<th>most often taken for</th></tr>{rows}</table>"


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
    about = "<p class='about'>A row a class, a column what its images were taken for.</p>"
    return f"<h2>Confusions</h2>{about}<table><tr><th></th>{head}</tr>{rows}</table>"


def _mistakes(classifier: SavedClassifier, evaluated: Evaluated) -> str:
    """Return the images that are named wrongly, the surest first, or whose number is most wrong."""
    from keras_transfer.data.decoding.decode import Decoder

    has_classes = classifier.task.has_classes
    if has_classes:
        wrong = [image for image in evaluated.tested if image.predicted != image.label]
        wrong.sort(key=lambda image: -(image.confidence or 0.0))
        heading = f"Mistakes ({len(wrong)})"
    else:
        wrong = sorted(evaluated.tested, key=lambda image: -abs(float(image.predicted) - float(image.label)))
        heading = "Largest errors"
    if not wrong:
        return "<h2>Mistakes</h2><p>None.</p>"
    shown, examples = wrong[:_MAX_MISTAKES], evaluated.examples
    names = {examples.short(path): path for path in examples.paths}
    decoder = Decoder(page.THUMBNAIL, "pad", classifier.max_pixels)
    pictures = page.pictures([names[image.path] for image in shown], examples, decoder)
    figures = "".join(page.figure(pictures.get(names[image.path]), _caption(image)) for image in shown)
    more = f"<p>and {len(wrong) - _MAX_MISTAKES} more</p>" * (has_classes and len(wrong) > _MAX_MISTAKES)
    return f"<h2>{heading}</h2><div class='grid'>{figures}</div>{more}"


def _caption(image: Tested) -> str:
    if image.confidence is None:
        return f"{image.label}, predicted {image.predicted}: {image.path}"
    return f"{image.label or 'none'}, taken for {image.predicted or 'none'} ({image.confidence:.2f}): {image.path}"
