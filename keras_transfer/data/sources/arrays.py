"""Labelled images from the arrays of an `.npz` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import Arrays
from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError

# Names of images and labels in the files that keras.datasets and MedMNIST give away, and plain ones.
_UNSPLIT = (("x", "y"), ("X", "y"), ("images", "labels"))
_SPLIT = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "validation": (("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}
_NAMES = ("classes", "class_names")


def load(file: Path, source: str) -> Examples:
    """List the rows of an `.npz` file: pixels `[N, H, W, 3]`, `[N, H, W, 1]` or `[N, H, W]`, uint8 or float (0..1,
    or 0..255), and labels `[N]`, numbers or names.

    Names of arrays: `x, y`, `images, labels`, or by split `x_train, y_train, x_test, ...`; `classes` may name the
    numbers.

    Raises:
        UserError: no such arrays, or of other shapes.
    """
    try:
        archive = np.load(file, allow_pickle=False)
        arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{source} cannot be read as an .npz file of plain arrays ({error}).") from error
    pairs = [(one, UNASSIGNED) for one in _UNSPLIT if set(one) <= set(arrays)][:1]
    for position, name in enumerate(SPLITS):
        pairs += [(one, position) for one in _SPLIT[name] if set(one) <= set(arrays)][:1]
    if not pairs or (len(pairs) > 1 and pairs[0][1] == UNASSIGNED):
        raise UserError(
            f"{source} needs arrays x and y, or x_train, y_train, x_test, y_test. It has {', '.join(arrays)}."
        )
    names: list[str] = []
    pixels, labels, splits = {}, [], []
    for (images, targets), split in pairs:
        pixels[images] = _pixels(arrays[images], f"{source}: {images}")
        found = arrays[targets].reshape(len(arrays[targets]), -1)
        if found.shape != (len(pixels[images]), 1):
            raise UserError(f"{source}: {targets} must have one label for each of {len(pixels[images])} images.")
        names += [f"{images}[{row}]" for row in range(len(found))]
        labels.append(found[:, 0])
        splits += [split] * len(found)
    distinct, values = np.unique(np.concatenate(labels), return_inverse=True)
    given = next((arrays[name] for name in _NAMES if name in arrays), None)
    if given is not None and distinct.dtype.kind in "iu" and distinct.min() >= 0 and distinct.max() < len(given):
        distinct = given[distinct]
    if len(distinct) < 2:
        raise UserError(f"{source}: every label is the same. A classifier needs at least two classes.")
    classes = tuple(map(str, distinct))
    assigned = np.asarray(splits, "int8")
    return Examples(source, Path(), names, values.astype("int32"), assigned, classes, contents=Arrays(pixels))


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
