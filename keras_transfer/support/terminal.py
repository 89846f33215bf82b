"""Messages, and names that users and strangers gave, as a terminal may show them."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TextIO

# What embeds or overrides a direction of writing: https://www.unicode.org/reports/tr9/.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_NARROWEST = 60  # Columns below which lines are not broken.
_QUOTED = re.compile(r"(?<!\w)(?:'[^']+'|\"[^\"]+\"|`[^`]+`)(?!\w)")
_UNBROKEN_BLANK = "\ufdd0"  # While lines are broken; no text has it: https://www.unicode.org/faq/private_use.html.
_MAX_NAME_WORDS = 12


def message(text: str, stream: TextIO) -> str:
    """Return a message as a stream can show it: printable and, on a terminal, with lines broken by `broken`."""
    lines = text.split("\n")
    if not stream.isatty():
        return "\n".join(map(printable, lines))
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    return "\n".join(broken(line, width) for line in lines)


def broken(text: str, width: int, names: Iterable[str] = (), indent: str = "") -> str:
    """Return a line as printable lines of at most `width` columns, broken at blanks, but neither within quotes nor
    within the name of a file, so that these can be copied: what is too long begins a line and is left whole.

    Args:
        text: Without line breaks.
        width: Columns.
        names: Of files; those of files that are there are known.
        indent: Of all lines but the first.
    """
    text = printable(text)
    unbroken = {*map(printable, names), *_QUOTED.findall(text), *_names_of_files(text)}
    for name in sorted(unbroken, key=len, reverse=True):  # A name may be part of a longer one.
        text = text.replace(name, name.replace(" ", _UNBROKEN_BLANK))
    start = text[: len(text) - len(text.lstrip())]
    lines = textwrap.fill(
        text.lstrip(),
        width,
        initial_indent=start,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return lines.replace(_UNBROKEN_BLANK, " ")


def _names_of_files(text: str) -> list[str]:
    """Return the names with blanks in a text that are those of files or folders."""
    words, names = text.split(" "), []
    for start in range(len(words)):
        for end in range(start + 2, min(start + _MAX_NAME_WORDS, len(words)) + 1):
            name = " ".join(words[start:end]).lstrip("(").rstrip(".,:;)")
            if os.path.lexists(name):
                names.append(name)
    return names


def printable(text: str) -> str:
    """Return a line with `?` for what would move a terminal's cursor, change its colours or turn its lines round."""
    return "".join("?" if _moves_cursor(letter) else letter for letter in text)


def _moves_cursor(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNS


def listed(names: Sequence[str], max_count: int = 8) -> str:
    """Return names for a sentence, the first ones where there are many."""
    return ", ".join(names[:max_count]) + (f" and {len(names) - max_count} more" if len(names) > max_count else "")
