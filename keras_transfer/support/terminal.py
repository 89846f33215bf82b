"""Messages, and names that users and strangers gave, as a terminal may show them."""

from __future__ import annotations

import re
import shutil
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TextIO

# What embeds or overrides a direction of writing: https://www.unicode.org/reports/tr9/.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_NARROWEST = 60  # Columns below which lines are not broken.
_QUOTED = re.compile(r"(?<!\w)(?:'[^']+'|\"[^\"]+\"|`[^`]+`)(?!\w)")
_UNBROKEN_BLANK = "\ufdd0"  # While lines are broken; no text has it: https://www.unicode.org/faq/private_use.html.


def message(text: str, stream: TextIO) -> str:
    """Return a message as a stream can show it: printable and, on a terminal, with lines broken by `broken`."""
    lines = text.split("\n")
    if not stream.isatty():
        return "\n".join(map(printable, lines))
    width = max(shutil.get_terminal_size().columns, _NARROWEST)
    return "\n".join(broken(line, width) for line in lines)


def broken(text: str, width: int, indent: str = "") -> str:
    """Return a line as printable lines of at most `width` columns, broken at blanks, but not within quotes, so that
    these can be copied: what is too long begins a line and is left whole.

    Args:
        text: Without line breaks.
        width: Columns.
        indent: Of all lines but the first.
    """
    text = _QUOTED.sub(lambda quoted: quoted[0].replace(" ", _UNBROKEN_BLANK), printable(text))
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


def printable(text: str) -> str:
    """Return a line with `?` for what would move a terminal's cursor, change its colours or turn its lines round."""
    return "".join("?" if _moves_cursor(letter) else letter for letter in text)


def _moves_cursor(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNS


def listed(names: Sequence[str], max_count: int = 8) -> str:
    """Return names for a sentence, the first ones where there are many."""
    return ", ".join(names[:max_count]) + (f" and {len(names) - max_count} more" if len(names) > max_count else "")
