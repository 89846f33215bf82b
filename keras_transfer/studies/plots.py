"""Plots for pages: learning curves, calibration and predicted numbers, each a PNG file's bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_transfer.evaluation.metrics import share_interval
from keras_transfer.support import logs
from keras_transfer.support.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_TRAINING, _VALIDATION = "#9aa5b1", "#4a6fa5"
_IMAGES_A_BIN, _MOST_BINS, _FEWEST_BINS = 20, 10, 4


def curves(history: Sequence[dict[str, Any]], score: str, kept: dict[str, int]) -> bytes | None:
    """Draw loss and score of training and validation images over the epochs of all phases, one after the other.

    Args:
        history: As in `history.csv`: rows with `phase`, `epoch`, `loss`, `val_loss`, and those of the score. A row
            without `epoch` is of a head that was solved: a dotted line across.
        score: Name of the second panel.
        kept: By phase, the epoch whose weights were kept.

    Returns:
        A PNG file; None where nothing was trained by epochs.
    """
    epochs = [row for row in history if "epoch" in row]
    if not epochs:
        return None
    with _figure(9, 3.2) as figure:
        panels = figure.subplots(1, 2)
        for axes, name in zip(panels, ("loss", score), strict=True):
            _curve(axes, name, epochs, kept)
            solved = [row[f"val_{name}"] for row in history if "epoch" not in row and f"val_{name}" in row]
            if solved:
                axes.axhline(solved[-1], color=_VALIDATION, linestyle=":", label="validation, solved head")
            axes.set(title=name.replace("_", " "), xlabel="epoch")
            axes.margins(y=0.12)
            axes.xaxis.get_major_locator().set_params(integer=True)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
        return _png(figure)


def _curve(axes: Axes, name: str, epochs: Sequence[dict[str, Any]], kept: dict[str, int]) -> None:
    """Draw one panel; phases are apart, so that no line leads from one into the next."""
    phases = [list(rows) for _, rows in groupby(enumerate(epochs, 1), lambda row: row[1]["phase"])]
    for phase in phases:
        for key, color, images in ((name, _TRAINING, "training"), (f"val_{name}", _VALIDATION, "validation")):
            points = [(number, row[key]) for number, row in phase if key in row]
            if points:
                label = None if images in axes.get_legend_handles_labels()[1] else images
                axes.plot(*zip(*points, strict=True), "-o", color=color, markersize=3, label=label)
        (first, row), last = phase[0], kept.get(phase[0][1]["phase"])
        for number, epoch in phase:
            if epoch["epoch"] == last and f"val_{name}" in epoch:
                axes.plot(number, epoch[f"val_{name}"], "o", color=_VALIDATION, markersize=9, fillstyle="none")
        if len(phases) > 1:
            axes.axvline(first - 0.5, color="#ccc", linewidth=1)
            across = axes.get_xaxis_transform()  # Of x in epochs, y in panels.
            axes.text(first, 0.97, row["phase"], transform=across, va="top", fontsize=8)


def calibration(confidences: np.ndarray, correct: np.ndarray) -> bytes | None:
    """Draw the share of right answers against confidence, in bins of equally many images, with 95% intervals.

    Args:
        confidences: float `[N]`, of the predicted classes.
        correct: bool `[N]`, whether they were right.

    Returns:
        A PNG file; None of so few images that every interval would hold every answer.
    """
    bins = min(_MOST_BINS, len(correct) // _IMAGES_A_BIN)
    if bins < _FEWEST_BINS:
        return None
    with _figure(4, 3.6) as figure:
        axes = figure.subplots()
        for indices in np.array_split(np.argsort(confidences), bins):
            right, mean = int(correct[indices].sum()), float(confidences[indices].mean())
            low, high = share_interval(right, len(indices))
            axes.plot([mean, mean], [low, high], color=_TRAINING)
            axes.plot(mean, right / len(indices), "o", color=_VALIDATION)
        lowest = min(axes.get_xlim()[0], axes.get_ylim()[0])
        axes.plot([lowest, 1], [lowest, 1], ":", color="#888")
        axes.set(xlabel="confidence", ylabel="accuracy")
        return _png(figure)


def predicted(actual: np.ndarray, predicted: np.ndarray) -> bytes:
    """Draw predicted numbers, float `[N]`, against actual ones, and the line on which they are equal, as a PNG file."""
    with _figure(4, 3.6) as figure:
        axes = figure.subplots()
        ends = [min(actual.min(), predicted.min()), max(actual.max(), predicted.max())]
        axes.plot(ends, ends, ":", color="#888")
        axes.plot(actual, predicted, "o", color=_VALIDATION, markersize=4, alpha=0.6, markeredgewidth=0)
        axes.set(xlabel="actual", ylabel="predicted")
        axes.tick_params(labelsize=8)
        return _png(figure)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    """Yield a figure, in matplotlib's own style while the block runs: a page is white, whatever a notebook or a
    matplotlibrc asks for.
    """
    try:
        with logs.without_notes():  # Of a home folder that cannot be written, of fonts.
            import matplotlib
            from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("The plots of a page need another package: pip install matplotlib.") from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        yield Figure(figsize=(width, height), layout="constrained")


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI)
    return stream.getvalue()
