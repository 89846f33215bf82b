"""How the program was started, so that what it prints can be copied."""

from __future__ import annotations

import sys
from pathlib import Path


def program() -> str:
    """Return what a user types to start the program: `keras-transfer`, unless it was started from the source."""
    file = Path(sys.argv[0])
    if file.name == "cli.py":
        return "python cli.py"
    if file == Path(__file__).parent.parent / "__main__.py":
        return "python -m keras_transfer"
    return "keras-transfer"
