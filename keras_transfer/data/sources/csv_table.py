"""Labelled images from a CSV file: `path,label[,split]`, several labels an image, or a number to predict."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_transfer.data.examples import (
    CLASSIFICATION,
    MULTI_LABEL,
    REGRESSION,
    SPLIT_NAMES,
    SPLITS,
    UNASSIGNED,
    Examples,
)
from keras_transfer.errors import UsageError, UserError, nearest

_PATH = ("path", "file", "filename", "filepath", "file_name", "image", "image_path")
_LABEL = ("label", "class", "category", "target", "value")
_SEPARATOR = "|"


@dataclass(frozen=True)
class _Table:
    """A CSV file in columns: lower-case names to the cells of each row."""

    source: str
    columns: dict[str, list[str]]

    def one_of(self, names: Sequence[str]) -> str | None:
        return next((name for name in names if name in self.columns), None)


def load(file: Path, source: str, task: str, group_by: str, allow_outside: bool) -> Examples:
    """List the images of a CSV file; delimiter (comma, semicolon, tab) and encoding are found out.

    Args:
        file: Has a header. Paths are relative to its folder.
        source: What the user called it.
        task: `auto`, or one of `TASKS`. Several labels an image stand in a column `labels`, separated by `|`, or in
            columns of 0 and 1, one a class.
        group_by: Column whose equal cells stay on one side of the split; empty for none.
        allow_outside: Paths may leave the folder of the file.

    Raises:
        UsageError: a column that an option names is missing.
        UserError: naming the row that is wrong.
    """
    table = _read(file, source)
    path_column = table.one_of(_PATH)
    if path_column is None:
        raise UserError(f"{source}: there is no column 'path'. It has {', '.join(map(repr, table.columns))}.")
    paths = _paths(table, path_column, file.parent, allow_outside)
    taken = {path_column, "split", group_by.lower()}
    labels, classes, task = _labels(table, task, taken)
    groups = None
    if group_by:
        cells = table.columns.get(group_by.lower())
        if cells is None:
            raise UsageError(
                f"--group-by: {source} has no column {group_by!r}.{nearest(group_by, list(table.columns))}"
            )
        groups = np.unique(np.asarray(cells), return_inverse=True)[1].astype("int64")
    return Examples(source, file.parent, paths, labels, _splits(table), classes, task, groups=groups)


def _read(file: Path, source: str) -> _Table:
    content = file.read_bytes()
    text = None
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    if text is None:
        raise UserError(f"{source} is neither UTF-8, UTF-16 nor Windows-1252 text. Save it as UTF-8.")
    lines = text.splitlines()
    if len(lines) < 2:
        raise UserError(f"{source} has no rows. It needs a header 'path,label' and one row an image.")
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header, rows = [name.strip().lower() for name in next(reader)], [row for row in reader if row]
    except csv.Error as error:
        raise UserError(f"{source}, line {reader.line_num}: {error}.") from error
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise UserError(f"{source}, row {number + 2}: {len(row)} cells, where the header has {len(header)}.")
    if len(set(header)) < len(header):
        raise UserError(f"{source}: two columns have the same name. Rename one of them.")
    return _Table(source, {name: list(cells) for name, cells in zip(header, zip(*rows, strict=True), strict=True)})


def _paths(table: _Table, column: str, folder: Path, allow_outside: bool) -> list[str]:
    found, root = [], os.path.abspath(folder)
    for number, cell in enumerate(table.columns[column]):
        name = cell.strip()
        if not name:
            raise UserError(f"{table.source}, row {number + 2}: the path is empty.")
        name = os.path.join(folder, name.replace("\\", os.sep) if "/" not in name else name)
        if not allow_outside and (os.path.isabs(cell) or ".." in cell):
            normal = os.path.abspath(name)
            if not normal.startswith(root + os.sep):
                raise UserError(
                    f"{table.source}, row {number + 2}: {cell!r} lies outside of {root}. --allow-outside permits it."
                )
        found.append(name)
    return found


def _labels(table: _Table, task: str, taken: set[str]) -> tuple[np.ndarray, tuple[str, ...], str]:
    column = table.one_of(_LABEL)
    flags = [name for name, cells in table.columns.items() if name not in taken and set(cells) <= {"0", "1"}]
    if task == REGRESSION:
        if column is None:
            raise UserError(f"{table.source}: there is no column 'label' or 'target' with the numbers to predict.")
        return _numbers(table, column), (column,), REGRESSION
    if task != CLASSIFICATION and "labels" in table.columns:
        return *_several(table), MULTI_LABEL
    if task != CLASSIFICATION and column is None and len(flags) > 1:
        matrix = np.asarray([table.columns[name] for name in flags]).T == "1"
        return matrix.astype("float32"), tuple(flags), MULTI_LABEL
    if task == MULTI_LABEL:
        raise UserError(f"{table.source}: several labels an image need a column 'labels', or columns of 0 and 1.")
    if column is None:
        raise UserError(f"{table.source}: there is no column 'label'. It has {', '.join(map(repr, table.columns))}.")
    names = [cell.strip() for cell in table.columns[column]]
    if "" in names:
        raise UserError(f"{table.source}, row {names.index('') + 2}: the label is empty.")
    classes = tuple(sorted(set(names)))
    if len(classes) < 2:
        raise UserError(f"{table.source}: every label is {classes[0]!r}. A classifier needs at least two classes.")
    index = {name: number for number, name in enumerate(classes)}
    return np.asarray([index[name] for name in names], "int32"), classes, CLASSIFICATION


def _several(table: _Table) -> tuple[np.ndarray, tuple[str, ...]]:
    rows = [[name.strip() for name in cell.split(_SEPARATOR) if name.strip()] for cell in table.columns["labels"]]
    classes = tuple(sorted({name for row in rows for name in row}))
    if not classes:
        raise UserError(f"{table.source}: the column 'labels' is empty throughout.")
    index = {name: number for number, name in enumerate(classes)}
    matrix = np.zeros((len(rows), len(classes)), "float32")
    for number, row in enumerate(rows):
        matrix[number, [index[name] for name in row]] = 1
    return matrix, classes


def _numbers(table: _Table, column: str) -> np.ndarray:
    values = np.empty((len(table.columns[column]), 1), "float32")
    for number, cell in enumerate(table.columns[column]):
        try:
            values[number] = float(cell)
        except ValueError:
            values[number] = np.nan
        if not np.isfinite(values[number, 0]):
            raise UserError(f"{table.source}, row {number + 2}: {cell!r} in column {column!r} is no number.")
    return values


def _splits(table: _Table) -> np.ndarray:
    cells = table.columns.get("split")
    if cells is None or not any(cell.strip() for cell in cells):
        return np.full(len(next(iter(table.columns.values()))), UNASSIGNED, "int8")
    found = np.empty(len(cells), "int8")
    for number, cell in enumerate(cells):
        name = SPLIT_NAMES.get(cell.strip().lower())
        if name is None:
            raise UserError(
                f"{table.source}, row {number + 2}: split must be one of {', '.join(SPLITS)}. Received: {cell!r}."
            )
        found[number] = SPLITS.index(name)
    if SPLITS.index("train") not in found:
        raise UserError(f"{table.source}: no row has the split 'train'.")
    return found
