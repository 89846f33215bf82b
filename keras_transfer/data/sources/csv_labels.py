"""The labels of a table: one class a row, several, columns of 0 and 1, or numbers to predict."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from keras_transfer.data.examples import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    composed,
    label_text,
    listed,
    sorted_classes,
)
from keras_transfer.data.sources.csv_text import Table
from keras_transfer.data.sources.labels import indicators, numbered
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.options import AUTO
from keras_transfer.support.errors import UserError

LABEL = ("label", "class", "category", "target", "value")
SEVERAL = ("labels", "tags")
FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
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
    several = roles.get("labels") or (None if "label" in roles else table.first_of(SEVERAL))
    single = roles.get("label") or table.first_of(LABEL)
    if several in SEVERAL[1:] and single and "labels" not in roles:
        several = None
    column = several or single
    named = bool({"label", "labels"} & set(roles))
    free = [name for name in table.columns if name not in taken]
    flags = [] if named else [name for name in free if _is_flags(table.columns[name])]
    if task == REGRESSION:
        if single is None:
            raise UserError(f"{table.source}: there is no column 'label' or 'target' with the numbers to predict.")
        target = table.spelling(single)
        return Labels(_numbers(table, single), (target,), REGRESSION, (single,), f"{target!r} the number to predict")
    if column in flags and len(flags) > 1:
        if task == MULTI_LABEL:
            return _from_flags(table, free, flags, task)
        if task == AUTO:
            rest = ", ".join(repr(name) for name in flags if name != column)
            raise UserError(
                f"{table.source}: column {column!r} of 0 and 1 is either the label, or one class of several beside "
                f"{rest}. Say which: --task classification, or --task multi-label."
            )
    if several and task != CLASSIFICATION:
        return _several(table, several)
    if column and task != MULTI_LABEL:
        return _single(table, column, task, purpose)
    if len(flags) > 1:
        return _from_flags(table, free, flags, task)
    if task == MULTI_LABEL:
        raise UserError(f"{table.source}: several labels an image need a column 'labels', or columns of 0 and 1.")
    _demand_flags(table, free)
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
    for separator in ("|", ",", ";"):
        parts = {name: {part.strip() for part in name.split(separator)} for name in classes}
        uses = Counter(part for own in parts.values() for part in own)
        shared = (name for name, own in parts.items() if len(own) > 1 and any(uses[part] > 1 for part in own))
        name = next(shared, None)
        if name is not None:
            raise UserError(
                f"{table.place(names.index(name))}: {name!r} in column {column!r} may be several labels. If so, call "
                "the column 'labels', with | between them; if it is one: --task classification."
            )


def _several(table: Table, column: str) -> Labels:
    cells = table.columns[column]
    separator = next((sign for sign in ("|", ";", ",") if any(sign in cell for cell in cells)), "")
    labels = [_split(table, index, column, separator) for index in range(len(cells))]
    classes = sorted_classes(name for names in labels for name in names)
    if not classes:
        raise UserError(f"{table.source}: the column {column!r} is empty throughout.")
    separated = f", separated by {separator!r}" if separator else ""
    meaning = f"{column!r} the labels{separated} ({_counted(classes)})"
    return Labels(indicators(labels, classes), classes, MULTI_LABEL, (column,), meaning)


def _split(table: Table, index: int, column: str, separator: str) -> list[str]:
    cell = table.columns[column][index]
    if cell.startswith("[") and cell.endswith("]"):
        try:
            return [str(name).strip() for name in ast.literal_eval(cell)]
        except (ValueError, SyntaxError, TypeError) as error:
            raise UserError(f"{table.place(index)}: {cell!r} in column {column!r} is no list of labels.") from error
    # A blank or a slash is part of many a name, and separates names in other tables.
    signs = {"": " /", ";": ","}.get(separator, "")
    if any(sign in cell for sign in signs):
        raise UserError(
            f"{table.place(index)}: {cell!r} in column {column!r} is one label or several. Separate labels by |."
        )
    return [name.strip() for name in (cell.split(separator) if separator else [cell]) if name.strip()]


def _from_flags(table: Table, free: Sequence[str], flags: Sequence[str], task: str) -> Labels:
    _demand_flags(table, free)
    matrix = np.asarray([[FLAGS[cell.lower()] for cell in table.columns[name]] for name in flags], "float32").T
    ones = matrix.sum(axis=1)
    classes, columns = tuple(composed(table.spelling(name)) for name in flags), tuple(flags)
    if task == CLASSIFICATION and (ones != 1).any():
        index = int(np.flatnonzero(ones != 1)[0])
        raise UserError(
            f"{table.place(index)}: {int(ones[index])} of the columns {listed(list(flags))} are 1, not one."
        )
    if task != MULTI_LABEL and (ones == 1).all():
        order = [classes.index(name) for name in sorted_classes(classes)]
        classes = sorted_classes(classes)
        values = matrix[:, order].argmax(axis=1).astype("int32")
        meaning = f"the columns of 0 and 1 one class each, of which every row has one ({_counted(classes)})"
        return Labels(values, classes, CLASSIFICATION, columns, meaning)
    return Labels(matrix, classes, MULTI_LABEL, columns, f"the columns of 0 and 1 one label each ({_counted(classes)})")


def _demand_flags(table: Table, free: Sequence[str]) -> None:
    """Refuse a column that is of 0 and 1 but for some cells."""
    for name in free:
        cells = [cell.lower() for cell in table.columns[name]]
        odd = [index for index, cell in enumerate(cells) if cell not in FLAGS]
        flags = len(cells) - len(odd)
        if odd and flags and (2 * flags >= len(cells) or not any(cells[index] for index in odd)):
            cell = table.columns[name][odd[0]]
            raise UserError(
                f"{table.place(odd[0])}: {cell!r} in column {name!r} is neither 0 nor 1, as its other cells are. "
                "Mend it, or remove the column; a column of labels is named by --columns label=NAME."
            )


def _is_flags(cells: Sequence[str]) -> bool:
    return all(cell.lower() in FLAGS for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except ValueError:
        return False


def _numbers(table: Table, column: str) -> np.ndarray:
    values = np.empty((len(table.places), 1), "float32")
    for index, cell in enumerate(table.columns[column]):
        values[index] = float(cell) if _is_number(cell) else np.nan
        if not np.isfinite(values[index, 0]):
            raise UserError(f"{table.place(index)}: {cell!r} in column {column!r} is no number.")
    return values


def _counted(classes: Sequence[str]) -> str:
    return f"{len(classes)}: {listed(classes)}"
