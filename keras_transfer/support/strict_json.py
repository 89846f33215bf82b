"""JSON that every parser reads."""

from __future__ import annotations

import json
import math
from typing import Any


def text(value: Any) -> str:
    """Return a value as JSON, with null for what JSON has no numbers for: NaN and infinities, which browsers and `jq`
    refuse.
    """
    return json.dumps(_with_nulls(value), indent=2, allow_nan=False)


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_nulls(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_nulls(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
