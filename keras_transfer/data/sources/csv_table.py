"""Labelled images from a CSV file: `path,label[,split]`, several labels an image, or a number to predict."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import FileContents, Files
from keras_transfer.data.examples import MULTI_LABEL, REGRESSION, SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.data.sources import csv_columns, csv_labels, csv_paths, csv_text
from keras_transfer.data.sources.csv_columns import yes_or_no
from keras_transfer.data.sources.csv_labels import Labels
from keras_transfer.data.sources.csv_text import Table
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError, nearest
from keras_transfer.support.terminal import listed

SUFFIXES = (".csv", ".tsv")  # Of tables.
_PATH = ("path", "file", "filename", "filepath", "file_name", "file_path", "image", "image_path", "image_name", "fname")
_SPLIT = ("split", "set", "subset", "partition", "ml_use")
# By headings without what stands between their words.
_MARKERS = {
    "istrain": ("train", "test"), "isvalid": ("validation", "train"), "valid": ("validation", "train"),
    "isval": ("validation", "train"), "isvalidation": ("validation", "train"), "istest": ("test", "train"),
    "isholdout": ("test", "train"),
}  # fmt: skip
# Columns that are never classes.
_NO_LABELS = re.compile(r"|id|index|unnamed: [\d.]+|(?:k|cv)?[ _-]?folds?(?:[ _-]?id)?|set|subset|partition")
_UNASSIGNED = ("", "unassigned")


def load(
    file: Path, source: str, recipe: Recipe, purpose: Purpose = Purpose.TRAIN, contents: FileContents | None = None
) -> Examples:
    """List the images of a CSV file.

    Args:
        file: Paths in it are relative to its folder.
        source: What the user called it.
        recipe: Gives the task, the columns, the encoding, the column to group by, and whether paths may lead outside.
        purpose: To measure, columns that the table does not have need not be there.
        contents: Read the table and the images; files, by default.

    Raises:
        UsageError: a column that an option names is missing.
        UserError: naming the row that is wrong.
    """
    contents = contents or Files()
    return _examples(_read(file, source, recipe, contents), source, file.parent, recipe, purpose, contents)


def load_parts(
    tables: Sequence[tuple[Path, int]],
    source: str,
    folder: Path,
    recipe: Recipe,
    purpose: Purpose = Purpose.TRAIN,
    contents: FileContents | None = None,
) -> Examples:
    """List the images of tables that lie beside them in the folders of splits.

    Args:
        tables: File and split, a position in `SPLITS`, of each.
        source: What the user called the folder.
        folder: Holds all.
        recipe: As in `load`.
        purpose: As in `load`.
        contents: As in `load`.

    Raises:
        UserError: the tables have not the same columns, or as in `load`.
    """
    contents, parts = contents or Files(), []
    for file, split in sorted(tables, key=lambda table: table[1]):
        table = _read(file, str(file), recipe, contents)
        columns, below = dict(table.columns), os.path.relpath(file.parent, folder)
        path = _path_column(table, recipe)
        if below != os.curdir:
            columns[path] = [cell and os.path.join(below, csv_paths.portable(cell)) for cell in columns[path]]
        if split != UNASSIGNED:
            columns["split"] = [SPLITS[split]] * len(table.places)
        parts.append(replace(table, columns=columns))
    first = parts[0]
    for part in parts:
        if set(part.columns) != set(first.columns):
            raise UserError(f"{part.source}: its columns are not those of {first.source}.")
    joined = {name: [cell for part in parts for cell in part.columns[name]] for name in first.columns}
    places = [place for part in parts for place in part.places]
    table = Table(source, joined, places, spellings=first.spellings)
    examples = _examples(table, source, folder, recipe, purpose, contents)
    names = listed([os.path.relpath(part.source, folder) for part in parts])
    return examples.explained(f"Labels are in {names}. {examples.understood}")


def with_names(file: Path, recipe: Recipe, names: Mapping[str, str]) -> bytes | None:
    """Return the table as it names other files, all else as it is; None where replacing text changes other cells too.

    Args:
        file: The table, as `load` takes it.
        recipe: As in `load`.
        names: Path of a file, as the examples have it, to its new name in the same folder.
    """
    contents = Files()
    table = _read(file, str(file), recipe, contents)
    column = _path_column(table, recipe)
    paths, _ = csv_paths.resolve(table, column, str(file.parent), recipe.allow_outside, contents)
    old = table.columns[column]
    new = [
        csv_paths.renamed(cell, names[path]) if path in names else cell for cell, path in zip(old, paths, strict=True)
    ]
    cells = {before: after for before, after in zip(old, new, strict=True) if before != after}
    content = contents.read(str(file))
    if not cells:
        return content
    content = csv_text.with_cells(content, recipe.encoding, cells)
    columns = csv_text.read(content, str(file), recipe.encoding, *_known(recipe)).columns
    return content if columns == {**table.columns, column: new} else None


def _read(file: Path, source: str, recipe: Recipe, contents: FileContents) -> Table:
    try:
        content = contents.read(str(file))
    except OSError as error:
        raise UserError(f"{source} cannot be read ({error.strerror or error}).") from error
    return csv_text.read(content, source, recipe.encoding, *_known(recipe))


def _known(recipe: Recipe) -> tuple[set[str], set[str]]:
    """Return the headings, and the words for splits, by which a table is read."""
    headings = {*_PATH, *csv_columns.LABEL, *csv_columns.SEVERAL, *recipe.column_roles.values()}
    return headings, {*SPLIT_NAMES, *_UNASSIGNED}


def _examples(
    table: Table, source: str, folder: Path, recipe: Recipe, purpose: Purpose, contents: FileContents
) -> Examples:
    roles = recipe.column_roles
    for name in roles.values():
        if name not in table.columns:
            raise UsageError(f"--columns: {source} has no column {name!r}.{nearest(name, list(table.columns))}")
    path = _path_column(table, recipe)
    paths, read_as = csv_paths.resolve(table, path, str(folder), recipe.allow_outside, contents)
    splits, split_columns = _splits(table, roles.get("split"), purpose)
    group_by = recipe.group_by.lower()
    if purpose is Purpose.MEASURE and group_by not in table.columns:
        group_by = ""  # Lost since the fit: the images are measured all the same.
    never = (name for name in table.columns if _marker(name) in _MARKERS or _NO_LABELS.fullmatch(name))
    taken = {path, *split_columns, *never, group_by}
    labels = csv_labels.labels(table, recipe.task, roles, taken, purpose)
    files = list(map(os.path.normpath, paths))
    if labels.task != REGRESSION:  # What is measured may be measured several times.
        _demand_one_label(table, table.columns[path], files, labels)
    groups = _groups(table, recipe.group_by) if group_by else None
    messages = _messages(table, path, split_columns, labels, group_by)
    repeated = len(files) - len(set(files))
    if repeated:
        rows = "1 row names" if repeated == 1 else f"{repeated} rows name"
        messages.append(f"{rows} an image again: it counts as often as it is named.")
    return Examples(
        source, folder, paths, labels.values, splits, labels.classes, labels.task, contents, groups,
        understood=" ".join(filter(None, (*messages, read_as))), tabular=True,
    )  # fmt: skip


def _path_column(table: Table, recipe: Recipe) -> str:
    column = recipe.column_roles.get("path") or table.first_of(_PATH)
    if column is None or column not in table.columns:
        raise UserError(
            f"{table.source}: there is no column 'path'. It has {', '.join(map(repr, table.columns))}. "
            f"Name the columns, as --columns path=id,label=breed, or head them {', '.join(_PATH)}; "
            f"{', '.join(csv_columns.LABEL)}."
        )
    return column


def _demand_one_label(table: Table, names: Sequence[str], files: Sequence[str], labels: Labels) -> None:
    """Refuse an image that has another label in another row, as tables of boxes or of annotators have it, or another of
    its labels.
    """
    first: dict[str, int] = {}
    for index, file in enumerate(files):
        earlier = first.setdefault(file, index)
        if np.any(labels.values[index] != labels.values[earlier]):
            advice = "Give it one row; several labels stand in a column 'labels', with | between them."
            if labels.task == MULTI_LABEL:
                advice = f"Each image has one row{', its labels separated by |' * (len(labels.columns) == 1)}."
            raise UserError(
                f"{table.place(index)}: {names[index]} is {labels.text(index)!r} here and {labels.text(earlier)!r} in "
                f"row {table.places[earlier][1]}. {advice}"
            )


def _groups(table: Table, group_by: str) -> np.ndarray:
    cells = table.columns.get(group_by.lower())
    if cells is None:
        raise UsageError(
            f"--group-by: {table.source} has no column {group_by!r}.{nearest(group_by, list(table.columns))}"
        )
    return np.unique(np.asarray(cells), return_inverse=True)[1].astype("int64")


def _splits(table: Table, named: str | None, purpose: Purpose) -> tuple[np.ndarray, list[str]]:
    """Return the split of each row, and the columns that tell it."""
    unsplit = np.full(len(table.places), UNASSIGNED, "int8")
    column = named or _split_column(table)
    markers = [] if column else [name for name in table.columns if _marker(name) in _MARKERS]
    if column is not None:
        cells = [cell.lower() for cell in table.columns[column]]
        if all(cell in _UNASSIGNED for cell in cells):
            return unsplit, [column]
        splits = unsplit.copy()
        for index, cell in enumerate(cells):
            if cell not in SPLIT_NAMES:
                raise UserError(
                    f"{table.place(index)}: split must be one of {', '.join(SPLITS)}. "
                    f"Received: {table.columns[column][index]!r}."
                )
            splits[index] = SPLITS.index(SPLIT_NAMES[cell])
    elif markers:
        splits = np.zeros(len(table.places), "int8")
        for name in markers:
            for index, cell in enumerate(table.columns[name]):
                marked = yes_or_no(cell)
                if marked is None:
                    raise UserError(f"{table.place(index)}: {cell!r} in column {name!r} is neither true nor false.")
                split = SPLITS.index(_MARKERS[_marker(name)][1 - marked])
                splits[index] = max(splits[index], split)
    else:
        return unsplit, []
    if SPLITS.index("train") not in splits and purpose is not Purpose.MEASURE:
        raise UserError(f"{table.source}: no row has the split 'train'.")
    return splits, [column] if column else markers


def _marker(name: str) -> str:
    return re.sub(r"[\W_]", "", name)


def _split_column(table: Table) -> str | None:
    """Return the column of splits; one that is not called so must hold nothing else."""
    words = {*SPLIT_NAMES, *_UNASSIGNED}
    for name in _SPLIT:
        cells = table.columns.get(name, [])
        if cells and (name == _SPLIT[0] or all(cell.lower() in words for cell in cells)):
            return name
    return None


def _messages(table: Table, path: str, split_columns: list[str], labels: Labels, group_by: str) -> list[str]:
    """Return what each column was taken for, in sentences."""
    heading = (
        "" if table.has_headings else "No header: the columns are taken for path, label and split by what they hold. "
    )
    messages = [f"{heading}Column {path!r} is the path, {labels.meaning}"]
    if split_columns:
        messages[0] += f", {listed(list(map(repr, split_columns)))} the split"
    if group_by:
        messages[0] += f", {group_by!r} the group"
    messages[0] += "."
    used = {path, group_by, *split_columns, *labels.columns, ""}
    unused = [repr(name) for name in table.columns if name not in used]
    if unused:
        messages.append(f"Not used: {listed(unused)}.")
    return messages
