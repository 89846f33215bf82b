"""Numbers of a user's own units, as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_SMALL, _LARGE = 1e-4, 1e15  # Between them nobody needs an exponent.


def number_text(value: float | np.floating, digits: int | None = None) -> str:
    """Return a number in the fewest digits that are read back as the same number of its type, float32 or float64, or in
    at most so many significant digits. An exponent is only for those that would be rows of zeros.
    """
    import numpy as np  # Not for help.

    if value == 0 or _SMALL <= abs(float(value)) < _LARGE:
        return np.format_float_positional(value, digits, fractional=False, trim="-")
    return np.format_float_scientific(value, digits and digits - 1, trim="-")


def float32_text(value: float) -> str:
    """Return a number that came from a network, in the digits that float32 has, not in those that its value in float64
    has too.
    """
    import numpy as np

    return number_text(np.float32(value))
