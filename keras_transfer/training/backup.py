"""What a phase leaves in a folder after each epoch and at its end, so that an interrupted run can go on from it."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras

Epochs = dict[int, dict[str, float]]  # By number, from 1: losses and metrics, as Keras names them.

_BEST, _LATEST, _LOG = "best.weights.h5", "latest", "history.csv"  # Of a phase that goes on.
_LAST, _RECORD = "last.weights.h5", "phase.json"  # Of one that is over.


def logged(folder: Path | None) -> Epochs:
    """Return the epochs that an interrupted phase left."""
    if folder is None or not (folder / _LOG).exists():
        return {}
    with (folder / _LOG).open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return {int(row.pop("epoch")) + 1: {key: float(value) for key, value in row.items()} for row in rows}


def callbacks(folder: Path, criterion: str, earlier: Epochs, held_out: bool) -> list[keras.callbacks.Callback]:
    """Return what keeps each epoch: its log and the best weights first, for the latest weights tell that it is over.

    Args:
        folder: Of the phase.
        criterion: The loss, as Keras names it, by which epochs are judged.
        earlier: Epochs of an interrupted run.
        held_out: Whether there are validation images to judge them on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found: list[keras.callbacks.Callback] = [keras.callbacks.CSVLogger(str(folder / _LOG), append=True)]
    if held_out:
        least = min((epoch[criterion] for epoch in earlier.values()), default=None)
        options = {"save_best_only": True, "save_weights_only": True, "initial_value_threshold": least}
        found.append(keras.callbacks.ModelCheckpoint(str(folder / _BEST), criterion, mode="min", **options))
    return [*found, keras.callbacks.BackupAndRestore(str(folder / _LATEST))]


def load_best(folder: Path, model: keras.Model) -> None:
    """Give a model the weights of the best epoch before an interruption."""
    model.load_weights(folder / _BEST)


def end(folder: Path, model: keras.Model, record: dict[str, Any]) -> None:
    """Leave a phase's weights and its record, which appears when all else is there, and nothing of its epochs."""
    model.save_weights(folder / _LAST)
    beside = folder / f".{_RECORD}"
    beside.write_text(json.dumps(record, default=float), "utf-8")
    os.replace(beside, folder / _RECORD)
    shutil.rmtree(folder / _LATEST, ignore_errors=True)
    for file in (_BEST, _LOG):
        (folder / file).unlink(missing_ok=True)


def ended(folder: Path | None, model: keras.Model) -> dict[str, Any] | None:
    """Return the record of a phase that ended, its weights loaded; None if it did not."""
    if folder is None or not (folder / _RECORD).exists():
        return None
    model.load_weights(folder / _LAST)
    return json.loads((folder / _RECORD).read_text("utf-8"))


def discard(folder: Path) -> None:
    """Forget a phase."""
    shutil.rmtree(folder, ignore_errors=True)
