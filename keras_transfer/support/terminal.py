"""Names that users and strangers gave, as a terminal may show them."""

from __future__ import annotations

import unicodedata

# What embeds or overrides a direction of writing: https://www.unicode.org/reports/tr9/.
_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def printable(text: str) -> str:
    """Return a line with `?` for what would move a terminal's cursor, change its colours or turn its lines round."""
    return "".join("?" if _moves_cursor(letter) else letter for letter in text)


def _moves_cursor(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp") or unicodedata.bidirectional(letter) in _TURNS
