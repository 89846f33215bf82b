"""Where a measured number means little, in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from keras_transfer.evaluation import per_class
from keras_transfer.support.terminal import listed

_FEW_TESTED = 10  # Images below which a score is next to chance.
_INDEPENDENT = 0.8  # Share of groups in the images tested, below which images are no measure of how much was tested.
_FEW_TRAINED = 5  # Training images of a class below which nobody can say that it was learnt.
_NAMED = 5  # Classes named in a line.
_ROUNDING = 1e-9  # Of two computations of the same score.


def cautions(report: dict[str, Any], training: Mapping[str, int]) -> list[str]:
    """Return what must be said with a report, a sentence each.

    Args:
        report: The `test` block of `metrics.json`, or what `evaluate` gives.
        training: Training images of each class; empty where there are no classes, or nobody knows.
    """
    if not report["images"]:
        return []
    lines = []
    if report["images"] < _FEW_TESTED:
        count = "1 image" if report["images"] == 1 else f"{report['images']} images"
        lines.append(f"Only {count} tested: the score says little.")
    groups = report.get("groups", report["images"])
    if groups < _INDEPENDENT * report["images"]:
        so = "the score is less sure than so many images make it look."
        if any(name.endswith("_interval") for name in report):
            so = "intervals take each image for independent, and are too narrow."
        lines.append(
            f"The {report['images']} images tested are in {groups} group{'s' * (groups != 1)} of related ones: {so}"
        )
    few = [name for name, count in training.items() if count < _FEW_TRAINED]
    if few:
        lines.append(f"Fewer than {_FEW_TRAINED} training images of {listed(few, _NAMED)}: add some.")
    unrecognised = per_class.never_recognised(report)
    return [*lines, *([unrecognised] if unrecognised else []), *_no_better(report)]


def _no_better(report: dict[str, Any]) -> list[str]:
    counts = report.get("counts", [])
    # Of images of one class, always answering it is right by definition.
    if sum(count > 0 for count in counts) > 1 and report["accuracy"] <= max(counts) / sum(counts):
        return [
            f"Accuracy {report['accuracy']:.3f} is no better than always answering the largest class "
            f"({max(counts) / sum(counts):.3f})."
        ]
    if report.get("r2", 1.0) <= 0:
        return ["The numbers are predicted no better than by always answering their mean (R2 is not above 0)."]
    return _no_better_labels(report) if "micro_f1" in report else []


def _no_better_labels(report: dict[str, Any]) -> list[str]:
    """Say where several labels an image are ranked as by chance, or given no better than always the same ones."""
    images = report["images"]
    counts = [record["images"] for record in report.get("per_class", {}).values() if record["images"]]
    # Of a label that no image has nothing is measured; where the others are on all images, there is nothing to tell.
    if all(count == images for count in counts):
        return []
    lines = []
    by_chance = sum(_precision_by_chance(count, images) for count in counts) / len(counts)
    if report["mean_average_precision"] <= by_chance:
        lines.append(
            f"Mean average precision {report['mean_average_precision']:.3f} is no better than by chance "
            f"({by_chance:.3f})."
        )
    # The labels that most images have, as many of them as are best.
    rights = accumulate(sorted(counts, reverse=True))
    constant = max(2 * right / (given * images + sum(counts)) for given, right in enumerate(rights, 1))
    if report["micro_f1"] <= constant + _ROUNDING:
        lines.append(
            f"Micro F1 {report['micro_f1']:.3f} is no better than always giving the same labels ({constant:.3f})."
        )
    return lines


def _precision_by_chance(count: int, images: int) -> float:
    """Return the mean average precision of images in random order of which `count` have a label: its share, and on few
    images more.
    """
    others = (count - 1) / (images - 1)
    return others + (1 - others) * sum(1 / rank for rank in range(1, images + 1)) / images
