"""Which classes a report says are recognised worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_transfer.support.terminal import listed

_MAX_SHOWN = 5  # Classes.
_MIN_IMAGES = 10  # Of a class, below which its recall may be anything: 7 of 9 is 0.45 to 0.94.


def worst(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return name and scores of up to five classes with errors, that of the lowest F1 first; none where two classes are
    all there are, or none has enough images to say.

    Args:
        report: Of a test; `per_class` is missing in those of release 0.1.0.
    """
    records = report.get("per_class", {})
    wrong = [
        (name, record)
        for name, record in records.items()
        if record["images"] >= _MIN_IMAGES and record["f1"] is not None and record["f1"] < 1
    ]
    return sorted(wrong, key=lambda item: item[1]["f1"])[:_MAX_SHOWN] if len(records) > 2 else []


def too_few(report: dict[str, Any]) -> str | None:
    """Return why `worst` cannot say which classes are worst, where there are errors and too few images of any class."""
    records = report.get("per_class", {}).values()
    if len(records) <= 2 or all(record["f1"] in (None, 1.0) for record in records):
        return None
    max_images = max(record["images"] for record in records)
    if max_images >= _MIN_IMAGES:
        return None
    counted = "is at most 1 test image" if max_images == 1 else f"are at most {max_images} test images"
    return f"Classes are not compared: there {counted} of each; it takes {_MIN_IMAGES}."


def never_recognised(report: dict[str, Any]) -> str | None:
    """Return which classes not one image was recognised of, however few there are, or None."""
    missed = [
        f"{name} (0 of {record['images']})"
        for name, record in report.get("per_class", {}).items()
        if record["images"] and not record["recall"]
    ]
    return f"No image was recognised of {listed(missed, _MAX_SHOWN)}." if missed else None


def table(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of the `worst` classes, its heading first; nothing where there are none."""
    return scores_table("worst classes", worst(report))


def whole_table(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the table of all classes in their order, its heading first; nothing where there are none."""
    return scores_table("class", list(report.get("per_class", {}).items()))


def scores_table(
    title: str, records: Sequence[tuple[str, dict[str, Any]]], measures: Sequence[str] = ("precision", "recall")
) -> list[tuple[str, ...]]:
    """Return the table of some classes, its heading first; nothing where there are none.

    Args:
        title: Heads the names of the classes.
        records: Name and record, as in `per_class`, of each class.
        measures: Of a record, a column each.
    """
    if not records:
        return []
    # Where an image may have several labels, none is taken for another.
    taken_for = ("most often taken for",) if all("taken_for" in record for _, record in records) else ()
    cells = [
        (
            name,
            str(record["images"]),
            *("-" if record[key] is None else f"{record[key]:.3f}" for key in measures),
            *(_taken_for(record) for _ in taken_for),
        )
        for name, record in records
    ]
    return [(title, "images", *measures, *taken_for), *cells]


def _taken_for(record: dict[str, Any]) -> str:
    return f"{record['taken_for']} ({record['taken_for_images']})" if record["taken_for"] else "-"
