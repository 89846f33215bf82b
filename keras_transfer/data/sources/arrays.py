"""Labelled images from the arrays of an `.npz` file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import Arrays
from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.data.sources import labels
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support.errors import UserError

# Names of images and labels in the files that keras.datasets and MedMNIST give away, and plain ones.
_UNSPLIT = (("x", "y"), ("X", "y"), ("images", "labels"))
_SPLIT = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_NAMES = ("classes", "class_names")


def load(file: Path, source: str, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List the rows of an `.npz` file: pixels `[N, H, W, 3]`, `[N, H, W, 1]` or `[N, H, W]`, uint8 or float (0..1,
    or 0..255), and labels `[N]`, numbers or names, or `[N, K]`, one-hot or several an image.

    Names of arrays: `x, y`, `images, labels`, or by split `x_train, y_train, x_test, ...`; `classes` may name the
    numbers.

    Raises:
        UserError: no such arrays, or of other shapes.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            return _listed(archive, source, purpose)
    except (ValueError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise UserError(f"{source} cannot be read as an .npz file of plain arrays ({error}).") from error


def _listed(archive: Mapping[str, np.ndarray], source: str, purpose: Purpose) -> Examples:
    """List the rows of the arrays that are needed; others are not even loaded."""
    held = set(archive)
    pairs = [(pair, UNASSIGNED) for pair in _UNSPLIT if set(pair) <= held][:1]
    for position, name in enumerate(SPLITS):
        pairs += [(pair, position) for pair in _SPLIT[name] if set(pair) <= held][:1]
    if not pairs or (len(pairs) > 1 and pairs[0][1] == UNASSIGNED):
        raise UserError(
            f"{source} needs arrays x and y, or x_train, y_train, x_test, y_test. It has {', '.join(archive)}."
        )
    names: list[str] = []
    cells: list[labels.Cell] = []
    pixels, splits = {}, []
    for (images, targets), split in pairs:
        pixels[images] = _pixels(archive[images], f"{source}: {images}")
        count = len(pixels[images])
        listed = _cells(archive[targets], count, f"{source}: {targets}")
        if not all(listed):
            raise UserError(f"{source}: {targets}[{listed.index(())}] has no label.")
        cells += listed
        names += [f"{images}[{row}]" for row in range(count)]
        splits += [split] * count
    class_names = next((archive[name].tolist() for name in _NAMES if name in held), None)
    told = labels.interpret(cells, class_names and [str(name) for name in class_names], names, source)
    if len(told.classes) < purpose.min_classes:
        raise UserError(f"{source}: every label is the same. A classifier needs at least two classes.")
    assigned = np.asarray(splits, "int8")
    understood = f"{source}: {told.understood}." if told.understood else ""
    return Examples(
        source, Path(), names, told.values, assigned, told.classes, told.task, Arrays(pixels), understood=understood
    )


def _cells(array: np.ndarray, count: int, name: str) -> list[labels.Cell]:
    """Return what an array of labels, `[N]` or `[N, K]`, has for each image."""
    if not 1 <= array.ndim <= 2 or len(array) != count:
        raise UserError(f"{name} must have one label for each of {count} images. Received: {list(array.shape)}.")
    if array.dtype.kind == "f":
        odd = np.argwhere(array != np.floor(array))
        if len(odd):
            value = array[tuple(odd[0])]
            raise UserError(f"{name}[{odd[0][0]}] is {value:g}. Labels are whole numbers or texts, for classes.")
    table = array.reshape(count, -1)
    if table.dtype.kind in "fbiu":
        table = table.astype("int64")
        if table.shape[1] == 1 and table.min(initial=0) < 0:  # Such as -1 and 1.
            table = table.astype(str)
    if table.dtype.kind == "i":
        return [tuple(value for value in row if value >= 0) for row in table.tolist()]
    return [tuple(str(value) for value in row if str(value)) for row in table.tolist()]


def _pixels(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)) or not len(array):
        raise UserError(f"{name} must be [N, H, W, 3] or [N, H, W]. Received: {list(array.shape)}.")
    if array.dtype == np.uint8:
        return array
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):
        raise UserError(f"{name} must hold 0..255, or 0..1 as floats. Received: {low:g} to {high:g}.")
    scale = 255 if array.dtype.kind == "f" and high <= 1 else 1
    return np.round(array * scale).astype("uint8")
