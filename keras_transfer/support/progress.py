"""What a person sees while waiting: a bar with rate and time left on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from keras_transfer.support.program import worded
from keras_transfer.support.terminal import message

if TYPE_CHECKING:
    from rich.console import Console

_WORTH_A_LINE = 1.0  # Seconds from which a part that ended gets a line in a log file.
_TELL_EVERY = 300.0  # Seconds after which a log file is told how far a task is.


class Progress:
    """Reports on standard error, to a terminal, a notebook or a log file, or to nobody.

    Args:
        quiet: Say nothing (warnings still appear).
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self.visible = not quiet and (sys.stderr.isatty() or _in_notebook())
        self._console: Console | None = None  # Of the bar that is being shown.

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
            counted = unit.removesuffix("s") if done == 1 else unit
            self._ended(f"{name}: {done:,} {counted}", time.monotonic() - begun, done, unit)
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
        with self._showing(Bar(*columns, console=_console())) as bar:
            task = bar.add_task(name, total=total, unit=unit, rate="")

            def advance(more: int) -> None:
                count(more)
                bar.update(task, advance=more, rate=f"{done / max(time.monotonic() - begun, 1e-9):.1f} {unit}/s")

            yield advance
            if done < total:  # It ended early: a bar that stands still looks as if it had died.
                bar.update(task, total=done, completed=done)

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
        with self._showing(Bar(*columns, console=_console())) as bar:
            task = bar.add_task(name, total=None)
            yield
            bar.update(task, total=1, completed=1)

    def say(self, text: str) -> None:
        """Write one line for a person, above the bar if there is one, unless quiet."""
        if self.quiet:
            return
        lines = message(worded(text), sys.stderr)
        if self._console is not None:
            self._console.print(lines, markup=False, highlight=False, soft_wrap=True)
        else:
            print(lines, file=sys.stderr, flush=True)

    def warn(self, text: str) -> None:
        """Write a warning, always: it changes what the results mean."""
        print(message(f"Warning: {worded(text)}", sys.stderr), file=sys.stderr, flush=True)

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

    def _ended(self, what: str, seconds: float, done: int = 0, unit: str = "") -> None:
        if seconds >= _WORTH_A_LINE:
            rate = f" ({done / seconds:.1f} {unit}/s)" if done else ""
            self.say(f"{what}, {seconds:.1f} s{rate}")

    @contextmanager
    def _showing(self, bar: Any) -> Iterator[Any]:
        outer, self._console = self._console, bar.console
        try:
            with bar:
                yield bar
        finally:
            self._console = outer


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def _in_notebook() -> bool:
    """Say whether a bar can be shown in a notebook; without ipywidgets, rich shows none and warns."""
    return "IPython" in sys.modules and find_spec("ipywidgets") is not None and _console().is_jupyter


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
