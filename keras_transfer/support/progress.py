"""What a person sees while waiting: a bar with rate and time left on a terminal and in a notebook, plain lines in a log
file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from keras_transfer.support import notebook
from keras_transfer.support.errors import FULL, UsageError, failed_write
from keras_transfer.support.program import worded
from keras_transfer.support.terminal import broken, message

if TYPE_CHECKING:
    from rich.console import Console

_WORTH_A_LINE = 1.0  # Seconds from which a part that ended gets a line in a log file.
_TELL_EVERY = 300.0  # Seconds after which a log file is told how far a task is.


class Progress:
    """Reports on standard error, to a terminal or a log file; to a notebook, which shows standard error as if something
    were wrong, on standard output; or to nobody.

    Args:
        quiet: Say nothing (warnings still appear).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._notebook = not sys.stderr.isatty() and notebook.in_notebook()
        self.visible = not quiet and (sys.stderr.isatty() or self._notebook)
        self._above: Callable[[str], None] | None = None  # Writes lines above the bar that is being shown.

    @contextmanager
    def task(self, name: str, total: int, unit: str = "images") -> Iterator[Callable[[int], None]]:
        """Show a task while the block runs; call what it yields with the number of units just done."""
        begun, done = time.monotonic(), 0
        told = begun

        def count(more: int) -> None:
            nonlocal done, told
            done += more
            now = time.monotonic()
            if not self.visible and done < total and now - told >= _TELL_EVERY:
                minutes = (now - begun) / done * (total - done) / 60
                self.say(f"{name}: {done:,} of {total:,} {unit}, about {max(minutes, 1):.0f} min left")
                told = now

        if not self.visible:
            yield count
            self._ended(name, time.monotonic() - begun, done, unit)
            return
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description:<16}"),
            BarColumn(bar_width=30),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with self._showing(Bar(*columns, console=self._console())) as bar:
            task = bar.add_task(name, total=total, unit=unit, rate="")

            def advance(more: int) -> None:
                count(more)
                bar.update(task, advance=more, rate=f"{done / max(time.monotonic() - begun, 1e-9):.1f} {unit}/s")

            yield advance
            if done < total:  # It ended early: a bar that stands still looks as if it had died.
                bar.update(task, total=done, completed=done)
            if self._notebook:
                self._ended(name, time.monotonic() - begun, done, unit)

    @contextmanager
    def activity(self, name: str) -> Iterator[None]:
        """Show what has no units, with the seconds that it takes, while the block runs."""
        begun = time.monotonic()
        if not self.visible:
            yield
            self._ended(name, time.monotonic() - begun)
            return
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description}"), SpinnerColumn("line", finished_text=""), TimeElapsedColumn())
        with self._showing(Bar(*columns, console=self._console())) as bar:
            task = bar.add_task(name, total=None)
            yield
            bar.update(task, total=1, completed=1)
            if self._notebook:
                self._ended(name, time.monotonic() - begun)

    def say(self, text: str) -> None:
        """Write one line for a person, above the bar if there is one, unless quiet."""
        if self.quiet:
            return
        if self._notebook:
            lines = "\n".join(broken(line, notebook.COLUMNS) for line in worded(text).split("\n"))
        else:
            lines = message(worded(text), sys.stderr)
        if self._above is not None:
            self._above(lines)
        else:
            print(lines, file=sys.stdout if self._notebook else sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a warning, always: it changes what the results mean."""
        print(message(f"Warning: {worded(text)}", sys.stderr), file=sys.stderr, flush=True)

    @contextmanager
    def optional(self, what: str, without: str = "the version appears without it") -> Iterator[None]:
        """Warn where the block fails, and go on: what it makes is not worth the trained network.

        Args:
            what: It makes, at the beginning of a sentence.
            without: What happens instead.

        Raises:
            OSError: the disk is full, or a quota used up: what is to appear without it cannot be written either.
        """
        try:
            yield
        except Exception as error:  # Whatever it is: it must not cost hours of training.
            failed = failed_write(error)
            if failed is not None and failed.errno in FULL:
                raise failed from error
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            self.warn(f"{what} failed ({reason}): {without}.")

    def _ended(self, name: str, seconds: float, done: int | None = None, unit: str = "") -> None:
        if seconds >= _WORTH_A_LINE:
            counted = "" if done is None else f": {done:,} {unit.removesuffix('s') if done == 1 else unit}"
            rate = f" ({done / seconds:.1f} {unit}/s)" if done else ""
            self.say(f"{name}{counted}, {seconds:.1f} s{rate}")

    def _console(self) -> Console:
        if self._notebook:
            return notebook.plain_console()
        from rich.console import Console

        return Console(stderr=True)

    @contextmanager
    def _showing(self, bar: Any) -> Iterator[Any]:
        outer = self._above
        try:
            if self._notebook:
                with notebook.Output(bar) as output:
                    self._above = output.say
                    yield bar
            else:
                with bar:
                    self._above = partial(bar.console.print, markup=False, highlight=False, soft_wrap=True)
                    yield bar
        finally:
            self._above = outer


class Stopwatch:
    """Seconds of each part of a run.

    Args:
        clock: Tells the time in seconds; `time.process_time` counts those that processors worked.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun = clock, clock()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def time(self, part: str) -> Iterator[None]:
        """Add the block's time to a part."""
        begun = self._clock()
        try:
            yield
        finally:
            self.seconds[part] = self.seconds.get(part, 0.0) + self._clock() - begun

    def total(self) -> float:
        """Return the seconds since the watch was made."""
        return self._clock() - self._begun


def chosen(progress: Progress | None, quiet: bool = False) -> Progress:
    """Return what a caller gave to be told, by default a new `Progress`.

    Raises:
        UsageError: it is none.
    """
    if progress is None:
        return Progress(quiet)
    if not isinstance(progress, Progress):
        raise UsageError(f"progress must be None or a Progress, as kt.Progress(quiet=True). Received: {progress!r}.")
    return progress
