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
    program = click.Context(cli, info_name="python cli.py", **cli.context_settings)
    program.max_content_width = program.terminal_width = 100
    for name, command in sorted(cli.commands.items()):
        context = click.Context(command, parent=program, info_name=name)
        parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    (Path(__file__).parent / "commands.md").write_text(reference(), "utf-8")
