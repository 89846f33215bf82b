"""Messages, and names that users and strangers gave, as a terminal may show them."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from typing import TextIO

# What embeds or overrides a direction of writing: https://www.unicode.org/reports/tr9/.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_NARROWEST = 60  # Columns below which lines are not broken.


def message(text: str, stream: TextIO) -> str:
    """Return a message as a stream can show it: printable and, on a terminal, with lines broken at blanks only."""
    lines = list(map(printable, text.split("\n")))
    if stream.isatty():
        width = max(shutil.get_terminal_size().columns, _NARROWEST)
        lines = [textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False) for line in lines]
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return a line with `?` for what would move a terminal's cursor, change its colours or turn its lines round."""
    return "".join("?" if _moves_cursor(letter) else letter for letter in text)


def _moves_cursor(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNS
