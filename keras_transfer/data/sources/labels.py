"""What the labels of records or rows mean: one class, or several, by number or by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, composed, counted, sorted_classes
from keras_transfer.support.errors import UserError

Cell = tuple[int | str, ...]  # What is written beside one image: numbers, or texts.


@dataclass(frozen=True)
class Labels:
    """The labels of a source.

    Attributes:
        values: As `Examples.labels`: int32 `[N]`, or float32 `[N, K]` of 0 and 1.
        classes: Their names.
        task: `classification` or `multi-label`.
        understood: What they were taken for, if that is not plain.
    """

    values: np.ndarray
    classes: tuple[str, ...]
    task: str
    understood: str = ""

    def described(self, source: str) -> str:
        """Return what the labels were taken for, and the classes, in sentences."""
        taken = f"{source}: {self.understood}. " if self.understood else ""
        return f"{taken}{counted(self.classes)}."


def whole(value: float) -> int:
    """Return a number as a whole one.

    Raises:
        ValueError: it is none.
    """
    if value != int(value):
        raise ValueError(f"the label {value:g} is no whole number")
    return int(value)


def numbered(names: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Return the position of each name among the classes, int32 `[N]`."""
    numbers = {name: number for number, name in enumerate(classes)}
    return np.asarray([numbers[name] for name in names], "int32")


def indicators(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    """Return 1 for each class that an image has and 0 for the others, float32 `[N, K]`."""
    numbers = {name: number for number, name in enumerate(classes)}
    values = np.zeros((len(labels), len(classes)), "float32")
    for index, names in enumerate(labels):
        values[index, [numbers[name] for name in names]] = 1
    return values


def interpret(cells: Sequence[Cell], names: Sequence[str] | None, places: Sequence[str], source: str) -> Labels:
    """Return the labels of images.

    Lists of one width that hold a single 1 and otherwise 0 are one-hot; of 0 and 1 alone, they name several classes;
    others are lists of classes.

    Args:
        cells: What is written beside each image: at least one number, not negative, or text.
        names: Of the classes with numbers, if they are given.
        places: Where each image lies.
        source: What the user called it.

    Raises:
        UserError: numbers and texts are mixed, or a number has no name, naming the first such place; or two classes
            have the same name.
    """
    names = names and [composed(name) for name in names]
    twice = next((name for name, count in Counter(names or ()).items() if count > 1), None)
    if twice is not None:
        raise UserError(f"{source}: two classes are named {twice!r}. Rename one of them.")
    numbers = np.asarray([isinstance(cell[0], int) for cell in cells])
    if numbers.any() and not numbers.all():
        rare = bool(numbers.sum() * 2 < len(numbers))
        place, kind = places[int(np.argmax(numbers == rare))], "a number" if rare else "a text"
        raise UserError(f"{place}: the label is {kind}; others in {source} are {'texts' if rare else 'numbers'}.")
    widths = {len(cell) for cell in cells}
    if numbers.all() and len(widths) == 1 and max(widths) > 1:
        table = np.asarray(cells)
        if table.max() <= 1:
            return _indicators(table, names, source)
    if names and numbers.all():
        for cell, place in zip(cells, places, strict=True):
            if max(map(int, cell)) >= len(names):
                raise UserError(f"{place}: label {max(map(int, cell))} has no name among the {len(names)} given.")
        named = [tuple(names[int(number)] for number in cell) for cell in cells]
        present = {name for cell in named for name in cell}
        classes = tuple(name for name in names if name in present)
    else:
        named = [tuple(composed(str(label)) for label in cell) for cell in cells]
        classes = sorted_classes(name for cell in named for name in cell)
    if max(widths) == 1:
        return Labels(numbered([cell[0] for cell in named], classes), classes, CLASSIFICATION)
    several = sum(len(cell) > 1 for cell in cells)
    understood = f"{several} of {len(cells)} images have several labels: the task is multi-label"
    return Labels(indicators(named, classes), classes, MULTI_LABEL, understood)


def _indicators(table: np.ndarray, names: Sequence[str] | None, source: str) -> Labels:
    width = table.shape[1]
    if names and len(names) != width:
        raise UserError(f"{source}: labels are lists of {width} numbers, but {len(names)} classes are named.")
    listed = tuple(names) if names else tuple(map(str, range(width)))
    if (table.sum(1) == 1).all():
        present, values = np.unique(table.argmax(1), return_inverse=True)
        understood = f"lists of {width} numbers with a single 1 are one-hot labels"
        return Labels(values.astype("int32"), tuple(listed[k] for k in present), CLASSIFICATION, understood)
    understood = f"lists of {width} numbers, 0 or 1, are several labels an image: the task is multi-label"
    return Labels(table.astype("float32"), listed, MULTI_LABEL, understood)
