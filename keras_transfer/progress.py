"""What a person sees while waiting: one line a task, with its rate and the time left; nothing when not a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Progress:
    """Reports to the terminal on standard error, or to nobody.

    Args:
        quiet: Say nothing even on a terminal (warnings still appear).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.visible = not quiet and sys.stderr.isatty()
        self.quiet = quiet

    @contextmanager
    def task(self, name: str, total: int, unit: str = "images") -> Iterator[Callable[[int], None]]:
        """Show a task while the block runs; call what it yields with the number of units just done."""
        if not self.visible:
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=Console(stderr=True)) as bar:
            row = bar.add_task(name, total=total, unit=unit, rate="")
            begun = time.monotonic()

            def advance(done: int) -> None:
                bar.advance(row, done)
                rate = bar.tasks[0].completed / max(time.monotonic() - begun, 1e-9)
                bar.update(row, rate=f"{rate:.1f} {unit}/s")

            yield advance

    def say(self, text: str) -> None:
        """Write one line for a person, unless quiet or not on a terminal."""
        if self.visible:
            print(text, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a warning, always: it changes what the results mean."""
        print(f"Warning: {text}", file=sys.stderr, flush=True)

    @contextmanager
    def optional(self, what: str, without: str = "the version appears without it") -> Iterator[None]:
        """Warn where the block fails, and go on: what it makes is not worth the trained network.

        Args:
            what: It makes, at the beginning of a sentence.
            without: What happens instead.
        """
        try:
            yield
        except Exception as error:  # Whatever it is: it must not cost hours of training.
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            self.warn(f"{what} failed ({reason}): {without}.")


class Stopwatch:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add the block's wall time to a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + time.monotonic() - begun

    def total(self) -> float:
        """Return the seconds since the watch was made."""
        return time.monotonic() - self._begun
