"""What the value of an option may be: the rules of a `Recipe`'s fields."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Callable
from typing import Any

from keras_transfer.support.errors import UsageError, nearest
from keras_transfer.support.paths import text_of

AUTO = "auto"
FRESH = "fresh"  # Views that each epoch draws anew.
WEIGHTS = ("imagenet", "random")  # By a word; others are a file's or an earlier run's.
NOTHING = ("none", "0")  # Of the base is thawed.
SOLVERS = ("newton-cg", "lbfgs")  # Of a linear head, by scikit-learn's names; the first is the default.
INTERPOLATIONS = ("bilinear", "bicubic")  # The first is how files of all releases became pixels.
_ROLES = ("path", "label", "labels", "split")  # Of a table's columns.
_Field = dataclasses.Field[Any]


def option_name(field: _Field) -> str:
    """Return the command-line spelling of a field: `head_lr` is `--head-lr`."""
    return "--" + field.name.replace("_", "-")


def parse(field: _Field, value: Any) -> Any:
    """Return the value of an option, as the command line or Python gives it, in its own type.

    Raises:
        UsageError: naming the option, the value received, and the nearest right one.
    """
    return _PARSERS[field.metadata.get("kind", "choice")](field, value)


def _parse_choice(field: _Field, value: Any) -> Any:
    choices = field.metadata["choices"]
    if not isinstance(value, str) or value not in choices:
        listed = ", ".join(map(repr, choices))
        raise UsageError(f"{option_name(field)} must be one of {listed}. Received: {value!r}.{nearest(value, choices)}")
    return value


def _parse_path(field: _Field, value: Any) -> str:
    return _not_empty(field, text_of(value, option_name(field)))


def _parse_block(field: _Field, value: Any) -> str:
    counts = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return _not_empty(field, str(value) if counts else _parse_text(field, value))


def _not_empty(field: _Field, text: str) -> str:
    if not text.strip():
        raise UsageError(f"{option_name(field)} must not be empty.")
    return text


def _parse_folder(field: _Field, value: Any) -> str:
    return text_of(value, option_name(field))


def _parse_text(field: _Field, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{option_name(field)} must be text. Received: {value!r}.")
    return str(value)


def _parse_columns(field: _Field, value: Any) -> str:
    text = _parse_text(field, value)
    column_roles(text)
    return text


def _parse_flag(field: _Field, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{option_name(field)} must be True or False. Received: {value!r}.")
    return value


def _parse_split(field: _Field, value: Any) -> tuple[float, ...]:
    return split_shares(value)


def _parse_number(field: _Field, value: Any) -> int | float | str:
    rules = field.metadata
    words = [AUTO] if field.default == AUTO else []
    words += [rules["also"]] if "also" in rules else []
    if isinstance(value, str) and value in words:
        return value
    integer = rules["kind"] == "int"
    noun = "a whole number" if integer else "a number"
    low, high = rules.get("low"), rules.get("high")
    if high is not None:
        noun += f" from {low} to {high}"
    elif low is not None:
        noun += f" of at least {low}"
    also = "".join(f" or {word!r}" for word in words)
    try:
        number = int(str(value)) if integer else _float(value)
        ok = math.isfinite(number) and (low is None or number >= low) and (high is None or number <= high)
    except (TypeError, ValueError):
        ok = False
    if not ok:
        raise UsageError(f"{option_name(field)} must be {noun}{also}. Received: {value!r}.{nearest(value, words)}")
    return number


def _float(value: Any) -> float:
    """Return a number, or the text of one, as `float` does, which takes True for 1 too.

    Raises:
        TypeError: it is of another type.
        ValueError: the text is of no number.
    """
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        raise TypeError(value)
    return float(value)


def _parse_interval(field: _Field, value: Any) -> int | str:
    number = str(value).removesuffix("m")
    if not (number.isascii() and number.isdigit() and int(number)):
        raise UsageError(f"{option_name(field)} must be steps, as 500, or minutes, as 5m. Received: {value!r}.")
    return int(number) if number == str(value) else f"{int(number)}m"


def _parse_widths(field: _Field, value: Any) -> tuple[int, ...]:
    parts = str(value).split(",") if isinstance(value, str | int) else value
    try:
        widths = tuple(int(str(part)) for part in parts if str(part).strip())
    except (TypeError, ValueError):
        widths = (0,)
    if any(width < 1 for width in widths):
        raise UsageError(f"{option_name(field)} must be widths of at least 1, as 256,128. Received: {value!r}.")
    return widths


_PARSERS: dict[str, Callable[[_Field, Any], Any]] = {
    "choice": _parse_choice,
    "block": _parse_block,
    "path": _parse_path,
    "folder": _parse_folder,
    "text": _parse_text,
    "columns": _parse_columns,
    "flag": _parse_flag,
    "split": _parse_split,
    "int": _parse_number,
    "float": _parse_number,
    "interval": _parse_interval,
    "widths": _parse_widths,
}


def split_shares(value: Any) -> tuple[float, ...]:
    """Return the two or three shares of `--split`, in percent."""
    try:
        shares = [_float(part) for part in (value.split("/") if isinstance(value, str) else value)]
    except (TypeError, ValueError):
        shares = []
    total = sum(shares)
    positive = all(share > 0 for share in shares) and (abs(total - 100) < 1e-3 or abs(total - 1) < 1e-5)
    if len(shares) not in (2, 3) or not positive:
        raise UsageError(
            "--split must be positive shares that add up to 100, as 70/15/15, or 80/20 (validation is cut from the "
            f"80). Received: {value!r}."
        )
    scale = 100 if abs(total - 1) < 1e-5 else 1
    return tuple(share * scale for share in shares)


def column_roles(text: str) -> dict[str, str]:
    """Return the columns of `--columns` in lower case, by role."""
    roles = {}
    for part in text.split(",") if text.strip() else ():
        role, _, column = (word.strip().lower() for word in part.partition("="))
        if role not in _ROLES or not column:
            raise UsageError(
                f"--columns must say which column is {', '.join(_ROLES)}, as path=id,label=breed. "
                f"Received: {part.strip()!r}.{nearest(role, _ROLES)}"
            )
        roles[role] = column
    return roles
