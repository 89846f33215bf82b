"""A CSV file as columns of cells: its encoding, delimiter and headings."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from keras_transfer.support.errors import UsageError, UserError

_DELIMITERS = ",;\t|"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods; .xls


@dataclass(frozen=True)
class Table:
    """A CSV file in columns.

    Attributes:
        source: What the user called it.
        columns: Headings in lower case to the cells of each row, without blanks around them.
        places: File and row number, counted from 1, of each row.
        has_headings: Whether the file has a first row of headings; if not, they were given to it.
        spellings: Headings in lower case to the same as the file writes them, which may name classes.
    """

    source: str
    columns: dict[str, list[str]]
    places: list[tuple[str, int]]
    has_headings: bool = True
    spellings: Mapping[str, str] = field(default_factory=dict)

    def spelling(self, name: str) -> str:
        """Return a heading as the file writes it."""
        return self.spellings.get(name, name)

    def first_of(self, names: Sequence[str]) -> str | None:
        """Return the first of some headings that the table has."""
        return next((name for name in names if name in self.columns), None)

    def place(self, index: int) -> str:
        """Return where a row is, for messages."""
        file, row = self.places[index]
        return f"{file}, row {row}"


def read(
    content: bytes, source: str, encoding: str = "", headings: Collection[str] = (), splits: Collection[str] = ()
) -> Table:
    """Return the table of a CSV file; its delimiter (comma, semicolon, tab or bar) is found out.

    Args:
        content: Of the file.
        source: What the user called it.
        encoding: Of its text; by default UTF-8. A mark of UTF-8 or UTF-16 says more than this.
        headings: Known ones, by which a first row of headings is told from one of data.
        splits: Words that name splits, in lower case.

    Raises:
        UsageError: there is no such encoding.
        UserError: naming the row that is wrong.
    """
    text = _decoded(content, source, encoding)
    first, _, rest = text.partition("\n")
    skipped, delimiter = 0, ""
    if first.strip().lower().startswith("sep="):  # Excel's own line.
        text, delimiter, skipped = rest, first.strip()[4:5], 1
    delimiter = delimiter or max(_DELIMITERS, key=lambda sign: _count_headings(text, sign, headings))
    # Rows end at CR, LF or both, and nowhere else: `str.splitlines` knows ten ends of lines.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        stripped = ([cell.strip() for cell in row] for row in reader)
        # Spreadsheets leave rows of empty cells behind.
        rows = [(number + skipped, row) for number, row in enumerate(stripped, 1) if any(row)]
    except csv.Error as error:
        raise UserError(f"{source}, line {reader.line_num + skipped}: {error}.") from error
    if not rows:
        raise UserError(f"{source} has no rows. It needs a header 'path,label' and one row an image.")
    written = rows[0][1]
    names = [name.lower() for name in written]
    has_headings = bool(set(names) & set(headings)) or not any(map(_is_image_name, names))
    if has_headings:
        del rows[0]
    else:
        written = names = _given_headings([row for _, row in rows], splits, source)
    if not rows:
        raise UserError(f"{source} has no rows. It needs a header 'path,label' and one row an image.")
    for number, row in rows:
        if len(row) != len(names):
            raise UserError(f"{source}, row {number}: {len(row)} cells, where the header has {len(names)}.")
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise UserError(f"{source}: two columns have the same name. Rename one of them.")
    columns = {
        name: list(cells) for name, cells in zip(names, zip(*(row for _, row in rows), strict=True), strict=True)
    }
    places = [(source, number) for number, _ in rows]
    return Table(source, columns, places, has_headings, dict(zip(names, written, strict=True)))


def with_cells(content: bytes, encoding: str, cells: Mapping[str, str]) -> bytes:
    """Return a CSV file in which what stands between delimiters, quotes and ends of rows is replaced, and nothing else.

    Args:
        content: Of a file that `read` takes.
        encoding: As `read` takes it.
        cells: What stands there, and what to write instead.
    """
    used = _encoding_of(content, encoding)
    longest_first = sorted(cells, key=len, reverse=True)
    ends = re.escape(_DELIMITERS) + '\r\n"\ufeff'
    pattern = rf"(?:(?<=[{ends}])|^)( *)({'|'.join(map(re.escape, longest_first))})(?= *(?:[{ends}]|$))"
    text = re.sub(pattern, lambda match: match[1] + cells[match[2]], content.decode(used))
    return text.encode(used)


def _encoding_of(content: bytes, encoding: str) -> str:
    """Return the encoding of a file: that of its mark, which stays in its text, or the one that was given, or UTF-8."""
    if content[:2] in _UTF16_MARKS:
        return "utf-16"
    return "utf-8" if content.startswith(codecs.BOM_UTF8) else encoding or "utf-8"


def _decoded(content: bytes, source: str, encoding: str) -> str:
    if content.startswith(_WORKBOOKS):
        raise UserError(f"{source} is a spreadsheet's own file under another name. Save it as CSV, in UTF-8.")
    if not encoding and content[:2].count(0) == 1:
        endian = "be" if content.startswith(b"\0") else "le"
        raise UserError(f"{source} is UTF-16 without its mark, as it seems. Try --encoding utf-16-{endian}.")
    used = _encoding_of(content, encoding)
    try:
        text = content.decode(used)
    except LookupError as error:
        raise UsageError(
            f"--encoding: there is no encoding {encoding!r}. Examples: cp1252, cp1251, gbk, utf-16-le."
        ) from error
    except UnicodeDecodeError as error:
        row, byte = content[: error.start].count(b"\n") + 1, content[error.start]
        hint = "Save it as UTF-8, or name the encoding that it has, as --encoding cp1252 (or cp1251, gbk, shift_jis)"
        raise UserError(f"{source}, line {row}: byte 0x{byte:02x} is not {used.upper()}. {hint}.") from error
    if "\0" in text:
        raise UserError(f"{source} holds NUL characters: is it a text file, and --encoding right?")
    return text.removeprefix("\ufeff")


def _count_headings(text: str, delimiter: str, headings: Collection[str]) -> tuple[int, int]:
    """Return how many cells of the first row are known headings, and how many there are, outside quotes."""
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return 0, 0
    return sum(cell.strip().lower() in headings for cell in cells), len(cells)


def _is_image_name(cell: str) -> bool:
    return PurePath(cell).suffix.lower() in IMAGE_SUFFIXES


def _given_headings(rows: Sequence[Sequence[str]], splits: Collection[str], source: str) -> list[str]:
    """Return headings for a table whose first row is data: `TRAIN,gs://bucket/a.jpg,daisy`."""
    names = [""] * len(rows[0])
    for position in range(len(names)):
        cells = [row[position] for row in rows if len(row) == len(names)]
        if all(map(_is_image_name, cells)) and "path" not in names:
            names[position] = "path"
        elif all(cell.lower() in splits for cell in cells) and "split" not in names:
            names[position] = "split"
    if names.count("") != 1 or "path" not in names:
        raise UserError(f"{source} has no header: its first row is data. Put a row such as 'path,label' in front.")
    names[names.index("")] = "label"
    return names
