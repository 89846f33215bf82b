"""What can go wrong for a user, each with one line that says what, where and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """The work failed for a reason the user can mend; the command line exits with 1."""

    exit_code = 1


class UsageError(UserError):
    """An option or argument is wrong; the command line exits with 2."""

    exit_code = 2


def nearest(value: object, allowed: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the allowed word closest to `value`, or an empty string."""
    close = difflib.get_close_matches(str(value).lower(), list(allowed), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
