"""Write docs/commands.md from the commands' own help: `python docs/build.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent.parent))

from keras_transfer.commands import cli


def reference() -> str:
    """Return the page: each command's `--help`, in a code block."""
    parts = ["# Commands\n\nMade from `--help` by `python docs/build.py`.\n"]
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, info_name=f"python cli.py {name}", max_content_width=100, terminal_width=100)
        parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parent / "commands.md").write_text(reference(), "utf-8")
