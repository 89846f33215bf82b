"""How the program was started, so that what it prints can be copied."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_OPTION = re.compile(r"`[^`]*`|(?<![\w-])--([a-z]+(?:-[a-z]+)*)")
_from_command_line = False


def program() -> str:
    """Return what a user types to start the program: `keras-transfer`, unless it was started from the source."""
    file = Path(sys.argv[0])
    if file.name == "cli.py":
        return "python cli.py"
    if file == Path(__file__).parent.parent / "__main__.py":
        return "python -m keras_transfer"
    return "keras-transfer"


def start_command_line() -> None:
    """Note that messages are for somebody who types options."""
    global _from_command_line
    _from_command_line = True


def from_command_line() -> bool:
    """Return whether the process is that of a command."""
    return _from_command_line


def worded(text: str) -> str:
    """Return a message with options as its reader writes them: `--head-lr` on the command line, `head_lr` in Python.

    What stands between backquotes is a command, and stays as it is.
    """
    if _from_command_line:
        return text
    return _OPTION.sub(lambda match: match[1].replace("-", "_") if match[1] else match[0], text)
