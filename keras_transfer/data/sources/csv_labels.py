"""The labels of a table: one class a row, several, columns of 0 and 1, or numbers to predict."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, REGRESSION, composed, label_text, sorted_classes
from keras_transfer.data.sources.csv_columns import LABEL, Candidates, candidates, demand_flags, yes_or_no
from keras_transfer.data.sources.csv_text import Table
from keras_transfer.data.sources.labels import indicators, numbered
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.sources.split_words import splits_in
from keras_transfer.recipe.options import AUTO
from keras_transfer.support.errors import UserError
from keras_transfer.support.terminal import listed

_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")
_SEPARATORS = re.compile(r"\s*[,;|/+&\uff0c\u3001]\s*")
_MANY_NUMBERS = 20  # Different whole numbers, above which they are rather measured than classes.


@dataclass(frozen=True)
class Labels:
    """The labels of a table.

    Attributes:
        values: As in `Examples`.
        classes: As in `Examples`.
        task: One of `TASKS`.
        columns: From which they come.
        meaning: What these were taken for, for the user.
    """

    values: np.ndarray
    classes: tuple[str, ...]
    task: str
    columns: tuple[str, ...]
    meaning: str

    def text(self, index: int) -> str:
        """Return the label of a row as a CSV file has it."""
        return label_text(self.values[index], self.classes, self.task)


def labels(table: Table, task: str, roles: dict[str, str], taken: Collection[str], purpose: Purpose) -> Labels:
    """Return the labels of a table.

    Args:
        table: Its rows are images.
        task: `auto`, or one of `TASKS`.
        roles: Columns that the user named, by `label` or `labels`.
        taken: Columns that are none of labels.
        purpose: To measure or inspect, one class is enough.

    Raises:
        UserError: there are none, or naming the row and column that is not understood.
    """
    table = replace(table, columns={name: list(map(composed, cells)) for name, cells in table.columns.items()})
    columns = candidates(table, roles, taken)
    if task == REGRESSION:
        return _to_predict(table, columns.single)
    if task == MULTI_LABEL:
        return _multi_label(table, columns)
    if task == CLASSIFICATION:
        return _one_class(table, columns, purpose)
    return _understood(table, columns, purpose)


def _to_predict(table: Table, column: str | None) -> Labels:
    if column is None:
        raise UserError(f"{table.source}: there is no column 'label' or 'target' with the numbers to predict.")
    target = table.spelling(column)
    return Labels(_numbers(table, column), (target,), REGRESSION, (column,), f"{target!r} the number to predict")


def _multi_label(table: Table, columns: Candidates) -> Labels:
    if columns.unclear:
        return _from_flags(table, columns, MULTI_LABEL)
    if columns.several:
        return _several(table, columns.several, MULTI_LABEL)
    if len(columns.flags) > 1:
        return _from_flags(table, columns, MULTI_LABEL)
    raise UserError(f"{table.source}: several labels an image need a column 'labels', or columns of 0 and 1.")


def _one_class(table: Table, columns: Candidates, purpose: Purpose) -> Labels:
    if columns.named:
        return _single(table, columns.named, CLASSIFICATION, purpose)
    if len(columns.flags) > 1:
        return _from_flags(table, columns, CLASSIFICATION)
    _refuse(table, columns)


def _understood(table: Table, columns: Candidates, purpose: Purpose) -> Labels:
    """Return the labels of a table of which nobody said what they are."""
    if columns.unclear:
        rest = ", ".join(repr(name) for name in columns.flags if name != columns.named)
        raise UserError(
            f"{table.source}: column {columns.named!r} of 0 and 1 is either the label, or one class of several beside "
            f"{rest}. Say which: --task classification, or --task multi-label."
        )
    if columns.several:
        return _several(table, columns.several, AUTO)
    if columns.single:
        return _single(table, columns.single, AUTO, purpose)
    if len(columns.flags) > 1:
        return _from_flags(table, columns, AUTO)
    _refuse(table, columns)


def _refuse(table: Table, columns: Candidates) -> NoReturn:
    """Say of a table without labels which cell is odd, or which column is missing."""
    demand_flags(table, columns.free)
    raise UserError(
        f"{table.source}: there is no column 'label'. It has {', '.join(map(repr, table.columns))}. "
        f"Name it, as --columns label=breed, or head it {', '.join(LABEL)}; several labels: labels."
    )


def _single(table: Table, column: str, task: str, purpose: Purpose) -> Labels:
    names = table.columns[column]
    if "" in names:
        raise UserError(f"{table.place(names.index(''))}: the label is empty.")
    classes = sorted_classes(names)
    if task == AUTO:
        _demand_names(table, column, classes)
    purpose.demand_classes(classes, table.source)
    return Labels(
        numbered(names, classes), classes, CLASSIFICATION, (column,), f"{column!r} the label ({_counted(classes)})"
    )


def _demand_names(table: Table, column: str, classes: Sequence[str]) -> None:
    """Refuse labels that are rather numbers to predict, or rather several labels each."""
    names = table.columns[column]
    if all(map(_is_number, classes)):
        fraction = any(not float(name).is_integer() for name in classes)
        if fraction or len(classes) > max(_MANY_NUMBERS, len(names) // 2):
            raise UserError(
                f"{table.source}: column {column!r} holds {len(classes)} different numbers. To predict them: "
                "--task regression; if each is a class: --task classification."
            )
    name = next(filter(_is_list, classes), None) or _combination(classes) or _with_shared_parts(classes)
    if name is not None:
        raise UserError(
            f"{table.place(names.index(name))}: {name!r} in column {column!r} may be several labels. If so, call "
            "the column 'labels', with | between them; if it is one: --task classification."
        )


def _with_shared_parts(classes: Sequence[str]) -> str | None:
    """Return the first name of a class that has a part, by a separator of lists, in common with another."""
    for separator in ("|", ",", ";"):
        parts = {name: {part.strip() for part in name.split(separator)} for name in classes}
        uses = Counter(part for own in parts.values() for part in own)
        for name, own in parts.items():
            if len(own) > 1 and any(uses[part] > 1 for part in own):
                return name
    return None


def _several(table: Table, column: str, task: str) -> Labels:
    cells = table.columns[column]
    separator = next((sign for sign in ("|", ";", ",") if any(sign in cell for cell in cells)), "")
    labels = [_split(table, index, column, separator) for index in range(len(cells))]
    classes = sorted_classes(name for names in labels for name in names)
    if not classes:
        raise UserError(f"{table.source}: the column {column!r} is empty throughout.")
    combined = _combination(classes) if task == AUTO else None
    if combined is not None:
        index = next(index for index, names in enumerate(labels) if combined in names)
        raise UserError(
            f"{table.place(index)}: {combined!r} in column {column!r} is one label or several. Separate labels by |; "
            "if it is one: --task multi-label."
        )
    separated = f", separated by {separator!r}" if separator else ""
    meaning = f"{column!r} the labels{separated} ({_counted(classes)})"
    return Labels(indicators(labels, classes), classes, MULTI_LABEL, (column,), meaning)


def _split(table: Table, index: int, column: str, separator: str) -> list[str]:
    cell = table.columns[column][index]
    if _is_list(cell):
        names = _listed(cell)
        if names is None:
            raise UserError(f"{table.place(index)}: {cell!r} in column {column!r} is no list of labels.")
        return names
    # A blank or a slash is part of many a name, and separates names in other tables.
    signs = {"": " /", ";": ","}.get(separator, "")
    if any(sign in cell for sign in signs):
        raise UserError(
            f"{table.place(index)}: {cell!r} in column {column!r} is one label or several. Separate labels by |."
        )
    return [name.strip() for name in (cell.split(separator) if separator else [cell]) if name.strip()]


def _is_list(cell: str) -> bool:
    """Return whether a cell is a list as a program writes it, though not `(other)`."""
    return cell[-1:] == _BRACKETS.get(cell[:1], " ") and (cell[0] != "(" or bool(_QUOTED.search(cell)))


def _listed(cell: str) -> list[str] | None:
    """Return the labels of a list that Python, JSON or pandas wrote; None if it is none of these."""
    try:
        names = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError):
        return None
    strings = sum(isinstance(name, str) for name in names)
    if strings != len(_QUOTED.findall(cell)):  # NumPy writes `['red' 'tall']`, which Python takes for one.
        return None
    return [str(name).strip() for name in names]


def _combination(classes: Collection[str]) -> str | None:
    """Return the first name of a class that is made of the names of others."""
    for name in classes:
        parts = [part for part in _SEPARATORS.split(name) if part]
        if len(parts) > 1 and all(part in classes for part in parts):
            return name
    return None


def _from_flags(table: Table, columns: Candidates, task: str) -> Labels:
    flags = tuple(columns.flags)
    demand_flags(table, columns.free)
    if task == AUTO:
        _demand_no_split(table, flags)
    matrix = np.asarray([[yes_or_no(cell) for cell in table.columns[name]] for name in flags], "float32").T
    ones = matrix.sum(axis=1)
    classes = tuple(composed(table.spelling(name)) for name in flags)
    if task == CLASSIFICATION and (ones != 1).any():
        index = int(np.flatnonzero(ones != 1)[0])
        raise UserError(f"{table.place(index)}: {int(ones[index])} of the columns {listed(flags)} are 1, not one.")
    if task != MULTI_LABEL and (ones == 1).all():
        order = [classes.index(name) for name in sorted_classes(classes)]
        classes = sorted_classes(classes)
        values = matrix[:, order].argmax(axis=1).astype("int32")
        meaning = f"the columns of 0 and 1 one class each, of which every row has one ({_counted(classes)})"
        return Labels(values, classes, CLASSIFICATION, flags, meaning)
    return Labels(matrix, classes, MULTI_LABEL, flags, f"the columns of 0 and 1 one label each ({_counted(classes)})")


def _demand_no_split(table: Table, flags: Sequence[str]) -> None:
    """Ask about a column of 0 and 1 that is called like a split."""
    name = next((name for name in flags if splits_in(name)[0] and not splits_in(name)[1]), None)
    if name is not None:
        raise UserError(
            f"{table.source}: column {name!r} of 0 and 1 either marks a split, and should be called is_train, is_valid "
            "or is_test, or it is a class. Rename it, or say that it is a class: --task multi-label, or "
            "--task classification where each row has one."
        )


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _numbers(table: Table, column: str) -> np.ndarray:
    values = np.empty((len(table.places), 1), "float64")
    for index, cell in enumerate(table.columns[column]):
        values[index] = float(cell) if _is_number(cell) else np.nan
        if not np.isfinite(values[index, 0]):
            raise UserError(f"{table.place(index)}: {cell!r} in column {column!r} is no number. {_remedy(cell)}")
    return values


def _remedy(cell: str) -> str:
    """Return what to do about a cell that should be a number."""
    if not cell:
        return "Fill it in, or delete the row."
    if re.fullmatch(r"[-+]?\d[\d.,'\s]*", cell):
        return "Write it with a decimal point and nothing between thousands, as 1234.5."
    return "Write one, as 1234.5, or delete the row."


def _counted(classes: Sequence[str]) -> str:
    return f"{len(classes)}: {listed(classes)}"
