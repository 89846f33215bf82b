"""Which metric stands for a whole report where there is room for one."""

from __future__ import annotations

from collections.abc import Container

# Accuracy comes second: of several labels an image, it is that of all image-class pairs, most of which are absent ones.
_HEADLINES = ("mean_average_precision", "accuracy", "r2")

_SHORT = {"mean_average_precision": "mAP"}


def short(name: str) -> str:
    """Return a metric's name for the head of a column."""
    return _SHORT.get(name, name)


def headline(report: Container[str]) -> str:
    """Return the name of the metric, as in a task's report; an empty one of what was not tested."""
    return next((name for name in _HEADLINES if name in report), "")
