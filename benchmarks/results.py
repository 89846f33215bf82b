"""Tables, and the file that keeps them: a section of `RESULTS.md` for each command, replaced when that is run again."""

from __future__ import annotations

import os
import platform
import re
import shlex
import sys
import textwrap
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import click

from keras_transfer.compute.device import processor

FILE = Path(__file__).with_name("RESULTS.md")
_PACKAGES = ("tensorflow", "keras", "openvino", "keras-hub", "torch", "transformers")
_TITLE = (
    "# Results\n\n"
    "Written by the commands named, each of which replaces its own section; ratios are of runs that took\nturns.\n"
)


def show(name: str, lines: list[str], markdown: bool) -> None:
    """Print a table; with `markdown`, put it into `RESULTS.md` under `name`, with the command and the machine."""
    print("\n".join(lines))
    if not markdown:
        return
    words = [_neutral(word) for word in sys.argv[1:] if word != "--markdown"]
    section = [f"## {name}", "", "```", _command(words), "```", "", *map(_wrapped, [machine(), "", *lines]), ""]
    text = FILE.read_text("utf-8") if FILE.exists() else _TITLE
    parts = [part for part in re.split(r"(?m)^(?=## )", text) if not part.startswith(f"## {name}\n")]
    FILE.write_text("\n".join([part.rstrip() + "\n" for part in parts] + ["\n".join(section)]), "utf-8")
    click.echo(f"Wrote {FILE}.", err=True)


def _command(words: list[str]) -> str:
    """Return the command with these words, quoted as a shell needs them, in lines of 100 characters that it joins."""
    blank = "\0"  # Within quotes, where no line may end.
    text = " ".join(shlex.quote(word).replace(" ", blank) for word in ["python", "-m", "benchmarks", *words])
    lines = textwrap.wrap(text, 98, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return " \\\n".join(lines).replace(blank, " ")


def _wrapped(line: str) -> str:
    """Return a line of prose in lines of 100 characters, as all Markdown here; one of a table as it is."""
    return line if line.startswith("|") else textwrap.fill(line, 100, break_long_words=False, break_on_hyphens=False)


def machine() -> str:
    """Return one line on processor and packages."""
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}, {', '.join(found)}."


def _neutral(word: str) -> str:
    """Return a word of the command line without the folders of this machine."""
    return Path(word).name if os.sep in word else word


def spread(values: list[float]) -> str:
    """Return the median with the least and the most."""
    form = "{:.0f}" if median(values) > 100 else "{:.3f}" if median(values) < 1 else "{:.2f}"
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"
