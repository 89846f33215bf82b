"""The files that a table's column of paths names, also where extensions or the folders of a server differ."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from keras_transfer.data.contents import FileContents
from keras_transfer.data.sources.csv_text import IMAGE_SUFFIXES, Table
from keras_transfer.support.errors import UserError

_PROBED = 20  # First rows that are looked for.
_FOUND = 0.8  # Share of them that must be there.
_MAX_FOLDERS = 1000  # Of those below the table in which they are looked for.


@dataclass(frozen=True)
class _Rule:
    """How a path becomes a file: without its first parts, below a folder, with an extension if need be."""

    dropped: int
    folder: str

    def name(self, parts: Sequence[str]) -> str:
        return os.path.join(self.folder, *(parts[self.dropped :] or parts[-1:]))

    def file(self, parts: Sequence[str], contents: FileContents) -> str | None:
        name = self.name(parts)
        suffixes = ("",) if name.lower().endswith(IMAGE_SUFFIXES) else ("", *IMAGE_SUFFIXES)
        return next((name + suffix for suffix in suffixes if contents.is_file(name + suffix)), None)


def resolve(
    table: Table, column: str, folder: str, allow_outside: bool, contents: FileContents
) -> tuple[list[str], str]:
    """Return the file of each row, and what the user should know of how it was found.

    Where none of the first rows is there as it is written, they are looked for without the folders of the server that
    they come from, with extensions, and in the folders below the table.

    Args:
        table: With the column.
        column: Of paths, relative to the folder, or absolute.
        folder: Of the table.
        allow_outside: Paths may leave the folder.
        contents: Of the folder.

    Raises:
        UserError: naming a row whose path is empty or leads outside; or the first rows are in several folders.
    """
    cells = table.columns[column]
    if "" in cells:
        raise UserError(f"{table.place(cells.index(''))}: the path is empty.")
    names = [os.path.join(folder, portable(cell)) for cell in cells]
    if not any(map(contents.is_file, names[:_PROBED])):
        rule = _search(table, cells[:_PROBED], folder, contents)
        if rule is not None:
            files = [rule.file(_parts(cell), contents) for cell in cells]
            first = next(index for index, file in enumerate(files) if file)
            names = [file or rule.name(_parts(cell)) for file, cell in zip(files, cells, strict=True)]
            return names, f"{_quoted(cells[first])} is read as {os.path.relpath(names[first], folder)!r}, and so on."
        if "://" in cells[0]:
            raise UserError(
                f"{table.place(0)}: {_quoted(cells[0])} is an address, and there is no such file below {folder}. "
                "Download the images into it."
            )
    if not allow_outside:
        _demand_inside(table, cells, names, folder, contents)
    return names, ""


def portable(cell: str) -> str:
    """Return a path with `/` between folders: one with `\\` alone was written on Windows."""
    return cell if "/" in cell else cell.replace("\\", "/")


def renamed(cell: str, name: str) -> str:
    """Return a cell as it names a file of another name in the same folder; without an extension if it had none."""
    last = re.split(r"[/\\]", cell)[-1]
    stem, _ = os.path.splitext(name)
    return cell if last == stem and "." not in last else cell.removesuffix(last) + name


def _quoted(cell: str) -> str:
    """Return a cell for a message; `repr` would double the backslashes of Windows."""
    return f"'{cell}'" if cell.isprintable() else repr(cell)


def _demand_inside(
    table: Table, cells: Sequence[str], names: Sequence[str], folder: str, contents: FileContents
) -> None:
    roots = {os.path.abspath(folder), os.path.realpath(folder)}
    for index, name in enumerate(names):
        normal = os.path.abspath(name)
        if not any(os.path.commonpath((root, normal)) == root for root in roots):
            missing = "" if contents.is_file(name) else ", and there is no such file"
            raise UserError(
                f"{table.place(index)}: {_quoted(cells[index])} lies outside of {os.path.abspath(folder)}{missing}. "
                "--allow-outside permits it."
            )


def _search(table: Table, cells: Sequence[str], folder: str, contents: FileContents) -> _Rule | None:
    probes = [_parts(cell) for cell in cells]
    for dropped in range(min(map(len, probes))):
        rule = _Rule(dropped, folder)
        if _fits(rule, probes, contents):
            return rule
    folders = list(itertools.islice(contents.folders(folder), _MAX_FOLDERS))
    for dropped in range(min(map(len, probes))):
        rules = [rule for below in folders if _fits(rule := _Rule(dropped, below), probes, contents)]
        if len(rules) > 1:
            where = " and in ".join(os.path.relpath(rule.folder, folder) + "/" for rule in rules[:2])
            raise UserError(
                f"{table.place(0)}: {_quoted(cells[0])} is in {where}. Write the folder into the table's paths."
            )
        if rules:
            return rules[0]
    return None


def _fits(rule: _Rule, probes: Sequence[Sequence[str]], contents: FileContents) -> bool:
    allowed = len(probes) - int(_FOUND * len(probes))
    for parts in probes:
        if rule.file(parts, contents) is None:
            allowed -= 1
            if allowed < 0:
                return False
    return any(rule.file(parts, contents) for parts in probes)


def _parts(cell: str) -> list[str]:
    """Return the parts of a path or an address, without those that lead up."""
    return [part for part in re.split(r"[/\\]+", cell) if part not in ("", ".", "..")]
