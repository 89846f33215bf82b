"""Labelled images from the arrays of an `.npz` file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.contents import Arrays
from keras_transfer.data.examples import SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.data.sources import labels
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support.errors import UserError

# Names, in lower case, of images and labels in the files that keras.datasets and MedMNIST give away, and plain ones.
_UNSPLIT = dict.fromkeys((("x", "y"), ("images", "labels")), UNASSIGNED)
_SPLIT = {
    pair: SPLITS.index(split)
    for word, split in SPLIT_NAMES.items()
    for pair in ((f"x_{word}", f"y_{word}"), (f"{word}_images", f"{word}_labels"))
}
_NAMES = ("classes", "class_names")
_MAX_LABEL = 2**53  # Whole numbers up to it are exact as floats.


def load(file: Path, source: str, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List the rows of an `.npz` file: pixels `[N, H, W, 3]`, `[N, H, W, 1]` or `[N, H, W]`, uint8 or float (0..1,
    or 0..255), and labels `[N]`, numbers or names, or `[N, K]`, one-hot or several an image.

    Names of arrays: `x, y`, `images, labels`, or by split `x_train, y_train, x_test, ...`, with the words of
    `SPLIT_NAMES`; `classes` may name the numbers.

    Raises:
        UserError: no such arrays, or of other shapes; or another array is named as one of a split.
    """
    try:
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise UserError(f"{source} holds one array. np.savez('data.npz', x=images, y=labels) writes several.")
        with archive:
            return _listed(archive, source, purpose)
    except (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile, AttributeError) as error:
        hint = (
            ". Write labels and names of classes as text, np.array(labels, dtype=str), and pictures of one size"
            if "allow_pickle" in str(error)
            else ""
        )
        raise UserError(f"{source} cannot be read as an .npz file of plain arrays ({error}){hint}.") from error


def _listed(archive: Mapping[str, np.ndarray], source: str, purpose: Purpose) -> Examples:
    """List the rows of the arrays that are needed; others are not even loaded."""
    held = {name.lower(): name for name in archive}
    read: dict[int, tuple[str, str]] = {}
    for pair, split in (_UNSPLIT | _SPLIT).items():
        if set(pair) <= set(held):
            read.setdefault(split, pair)
    if not read or (len(read) > 1 and UNASSIGNED in read):
        raise UserError(
            f"{source} needs arrays x and y, or x_train, y_train, x_test, y_test. It has {', '.join(archive)}. "
            "np.savez('data.npz', x=images, y=labels) names them."
        )
    _demand_no_other_split(held, read, source)
    names: list[str] = []
    cells: list[labels.Cell] = []
    pixels, splits = {}, []
    for split, pair in read.items():
        images, targets = (held[name] for name in pair)
        pixels[images] = _pixels(archive[images], f"{source}: {images}")
        count = len(pixels[images])
        labelled = _cells(archive[targets], count, f"{source}: {targets}")
        if not all(labelled):
            raise UserError(f"{source}: {targets}[{labelled.index(())}] has no label.")
        cells += labelled
        names += [f"{images}[{index}]" for index in range(count)]
        splits += [split] * count
    class_names = next((_texts(archive[held[name]]) for name in _NAMES if name in held), None)
    meaning = labels.interpret(cells, class_names, names, source)
    purpose.demand_classes(meaning.classes, source)
    messages = [
        f"{', '.join(held[name] for pair in read.values() for name in pair)} are read.",
        meaning.described(source),
    ]
    return Examples(
        source, Path(), names, meaning.values, np.asarray(splits, "int8"), meaning.classes, meaning.task,
        Arrays(pixels), understood=" ".join(messages),
    )  # fmt: skip


def _demand_no_other_split(held: Mapping[str, str], read: Mapping[int, tuple[str, str]], source: str) -> None:
    """Refuse an array that is not read though its name says that it is of a split: another would be cut in its place.

    Args:
        held: Names in the file, by lower case.
        read: The pair that is read, by split.
    """
    taken = {name for pair in read.values() for name in pair}
    for name in (name for name in held if name not in taken):
        pair = next((pair for pair in _SPLIT if name in pair), None)
        if pair is not None:
            missing = next((other for other in pair if other not in held), None)
            why = f"has no {missing}" if missing else f"is of the same split as {held[read[_SPLIT[pair]][0]]}"
            raise UserError(f"{source}: {held[name]} {why}. Leave {held[name]} out{', or add that' * bool(missing)}.")
        if _labels_of(name) in held:
            raise UserError(
                f"{source}: {held[name]} is of no split that is known (x_train, x_val, x_test, train_images, ...). "
                "Rename it, or leave it out."
            )


def _labels_of(name: str) -> str:
    """Return what the labels of images would be called; nothing where an array is not called as images are."""
    if name.startswith("x_"):
        return f"y_{name[2:]}"
    return f"{name.removesuffix('_images')}_labels" if name.endswith("_images") else ""


def _cells(array: np.ndarray, count: int, name: str) -> list[labels.Cell]:
    """Return what an array of labels, `[N]` or `[N, K]`, has for each image."""
    if not 1 <= array.ndim <= 2 or len(array) != count:
        raise UserError(f"{name} must have one label for each of {count} images. Received: {list(array.shape)}.")
    if array.dtype.kind == "f":
        odd = np.argwhere((array != np.floor(array)) | (np.abs(array) > _MAX_LABEL))
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
    return [tuple(filter(None, row)) for row in _texts(table)]


def _texts(array: np.ndarray) -> list[Any]:
    """Return an array of texts or numbers as (nested) lists of text; bytes are UTF-8."""
    return (np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(str)).tolist()


def _pixels(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if not (array.ndim == 3 or (array.ndim == 4 and array.shape[-1] == 3)):
        raise UserError(f"{name} must be [N, H, W, 3] or [N, H, W]. Received: {list(array.shape)}.")
    if not array.size:
        raise UserError(f"{name} holds no pixels: its shape is {list(array.shape)}.")
    if array.dtype.kind in "ui" and array.max() == 1:
        raise UserError(f"{name} holds whole numbers of 0 and 1: give it as booleans, or as 0..255.")
    if array.dtype == np.uint8:
        return array
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):
        raise UserError(f"{name} must hold 0..255, or 0..1 as floats. Received: {low:g} to {high:g}.")
    scale = 255 if array.dtype.kind in "fb" and high <= 1 else 1
    return np.round(array * scale).astype("uint8")
