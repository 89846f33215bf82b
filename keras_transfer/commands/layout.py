"""Text and tables laid out for a terminal: columns aligned, prose wrapped at blanks, long cells shortened."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection, Sequence

from keras_transfer.support.terminal import broken, printable

NARROW = 80  # Columns of a usual terminal.
_NARROWEST = 60  # Columns below which nothing is laid out.
UNLIMITED = sys.maxsize  # Width of a file or a pipe: nothing is shortened there.
_PROSE = 110  # Columns beyond which lines of text are hard to read.
_MIN_CELL = 8  # Columns of a shortened cell.
_READABLE_CELL = 16  # Below which a column is rather left out than shortened further, where it may be.


def width() -> int:
    """Return the columns that there are for what a command prints."""
    if (sys.stdout is not None and sys.stdout.isatty()) or "COLUMNS" in os.environ:
        return max(shutil.get_terminal_size().columns, _NARROWEST)
    return UNLIMITED


def wrapped(text: str, width: int, indent: str = "") -> str:
    """Return text in lines of at most `width` columns, as `broken` breaks them; lines after the first are indented.

    Args:
        text: Of one line.
        width: Of a line.
        indent: Of the lines after the first.
    """
    return broken(text, min(width, _PROSE), indent)


def with_path(before: str, path: str, width: int, after: str = "") -> str:
    """Return a line that names a path; where it would break within the path, that begins a line, to be copied whole."""
    path = printable(path)
    return f"{before}{path}{after}" if len(before + path) <= width else f"{before.rstrip()}\n{path}{after}"


def shortened(text: str, width: int) -> str:
    """Return text with `...` for its middle where it is longer than `width`."""
    if len(text) <= width:
        return text
    head = (width - 3) // 3
    return f"{text[:head]}...{text[len(text) - (width - 3 - head) :]}"


def aligned(
    rows: Sequence[Sequence[str]],
    width: int = UNLIMITED,
    flexible: Collection[int] = (),
    expendable: int = 0,
    name: int | None = None,
) -> list[str]:
    """Left-align words, right-align columns whose cells below the heading are all numbers.

    Args:
        rows: Cells; the first row is the heading.
        width: Columns of a line.
        flexible: Positions of the columns whose cells are shortened in the middle where lines are longer than that.
        expendable: How many of the last columns are left out, the last first, as long as that is not enough.
        name: Position of the column that tells rows apart: its cells are shortened where nothing else is enough.
    """
    columns = list(zip(*([printable(cell) for cell in row] for row in rows), strict=True))
    widths = _fitted(columns, width, flexible, _READABLE_CELL)
    while expendable and _line_width(widths) > width:
        columns, expendable = columns[:-1], expendable - 1
        widths = _fitted(columns, width, flexible, _READABLE_CELL)
    widths = _narrowed(widths, columns, width, flexible, _MIN_CELL)
    if name is not None:
        widths = _narrowed(widths, columns, width, (name,), _MIN_CELL)
    numbers = [all(cell.replace(",", "").replace(".", "", 1).isdigit() for cell in column[1:]) for column in columns]
    return [
        "  ".join(
            cell.rjust(size) if number else shortened(cell, size).ljust(size)
            for cell, size, number in zip(row, widths, numbers, strict=True)
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]


def _fitted(columns: Sequence[Sequence[str]], width: int, flexible: Collection[int], least: int) -> list[int]:
    return _narrowed([max(map(len, column)) for column in columns], columns, width, flexible, least)


def _narrowed(
    widths: Sequence[int], columns: Sequence[Sequence[str]], width: int, flexible: Collection[int], least: int
) -> list[int]:
    """Return the widths of columns, the widest of the flexible ones narrowed until lines fit or they are at least."""
    narrowed, narrowest = list(widths), [max(least, len(column[0])) for column in columns]
    while _line_width(narrowed) > width:
        shrinking = [index for index in flexible if index < len(narrowed) and narrowed[index] > narrowest[index]]
        if not shrinking:
            break
        narrowed[max(shrinking, key=narrowed.__getitem__)] -= 1
    return narrowed


def _line_width(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)
