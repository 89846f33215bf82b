"""What a notebook shows of a task: one output, changed in place, which needs no widgets and is kept with it."""

from __future__ import annotations

import io
import sys
from threading import Event, RLock, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar

COLUMNS = 96  # Of text. Notebooks break longer lines too, but within words.
_FIRST_AFTER = 1.0  # Seconds: what is shown cannot be taken away, so that what takes no time is not shown.
_EVERY = 0.5


def in_notebook() -> bool:
    """Say whether what is displayed appears in a page."""
    if "IPython" not in sys.modules:
        return False
    from rich.console import Console

    return Console().is_jupyter


def plain_console() -> Console:
    """Return a console whose bars are text, for rich's own outputs in notebooks end before their bars do."""
    from rich.console import Console

    return Console(file=io.StringIO(), width=COLUMNS, force_jupyter=False, color_system=None)


class Output:
    """Shows a bar, and above it what is said, while the block runs; after it, what was said is left.

    Args:
        bar: With a console of `plain_console`, not started.
    """

    def __init__(self, bar: Bar) -> None:
        self._bar: Bar | None = bar
        self._lines: list[str] = []
        self._handle: Any = None
        self._shown: str | None = None
        self._ended, self._lock = Event(), RLock()
        self._thread = Thread(target=self._move, daemon=True)

    def __enter__(self) -> Output:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:  # Otherwise it goes on saying how far the task came.
            self._bar = None
        if self._handle is not None:
            self._show()

    def say(self, text: str) -> None:
        """Write lines above the bar."""
        with self._lock:
            if self._handle is None:
                print(text, flush=True)
            else:
                self._lines.append(text)
                self._show()

    def _move(self) -> None:
        wait = _FIRST_AFTER
        while not self._ended.wait(wait):
            self._show()
            wait = _EVERY

    def _show(self) -> None:
        from IPython.display import display

        with self._lock:
            text = "\n".join([*self._lines, *self._drawn()])
            if text == self._shown:
                return
            self._shown, content = text, {"text/plain": text}
            if self._handle is None:
                self._handle = display(content, raw=True, display_id=True)
            else:
                self._handle.update(content, raw=True)

    def _drawn(self) -> list[str]:
        if self._bar is None:
            return []
        with self._bar.console.capture() as drawn:
            self._bar.console.print(self._bar.get_renderable())
        return [drawn.get().rstrip()]
