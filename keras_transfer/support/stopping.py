"""Ctrl-C, SIGTERM and SIGHUP: where they end the work, and what is said then."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from keras_transfer.support import program

Handler = Callable[[int, "FrameType | None"], None]

GO_ON = "go on with the same command and --resume."
RESUMABLE = f"Stopped; {GO_ON}"
INTERRUPTED = "Interrupted; nothing was written."

_WAITING = b"\nStopping after this step; Ctrl-C again stops at once.\n"
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # The terminal was closed; not on Windows.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP else []))
_CLEAN_UP_SECONDS = 2.0
_SHOW_CURSOR = "\n\x1b[?25h"  # Which a bar may have hidden: https://invisible-island.net/xterm/ctlseqs/ctlseqs.html.


class Stopped(KeyboardInterrupt):
    """A signal has ended the work.

    Attributes:
        exit_code: Of the process: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows of it, by IPython's protocol: where it was stopped tells nothing."""
        return [str(self)]


@contextmanager
def raised(message: str, signals: Sequence[signal.Signals] = _SIGNALS) -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP, unless `nohup` has it ignored, raise `Stopped` with a message in the block, where
    they can: in the main thread.

    They raise it in the midst of C code too, which may fail in its own way then: such an error is no answer.
    """
    last, stopped = -_CLEAN_UP_SECONDS, None

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last, stopped
        # While the block ends and cleans up after a signal, the next one must not keep it from that.
        if time.monotonic() - last >= _CLEAN_UP_SECONDS:
            _leave_closed_terminal()
            last, stopped = time.monotonic(), Stopped(message, 128 + number)
            raise stopped

    ignored = [_HANGUP] if _HANGUP and signal.getsignal(_HANGUP) == signal.SIG_IGN else []
    with _handled({number: stop for number in signals if number not in ignored}):
        try:
            yield
        except Exception as error:
            if stopped is None:
                raise
            raise stopped from error


class Request:
    """A signal that waits until the work may end."""

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._number: int | None = None

    @property
    def requested(self) -> bool:
        """Whether there is one."""
        return self._number is not None

    def end_if_requested(self) -> None:
        """End the work, as the signal would have, if there is one."""
        if self._number is not None:
            handler = self._handlers[signal.Signals(self._number)]
            if callable(handler):
                handler(self._number, None)

    def wait(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; the second one ends the work at once."""
        again, self._number = self.requested, number
        _leave_closed_terminal()
        if again and number != _HANGUP:  # Which shell and kernel both send.
            self.end_if_requested()
        elif sys.stderr.isatty():
            # Not through the stream, in the midst of whose writing the signal may have come.
            os.write(sys.stderr.fileno(), _WAITING)

    def handlers(self) -> dict[signal.Signals, Handler]:
        """Return what handles those signals that raise an exception."""
        return {number: self.wait for number, handler in self._handlers.items() if callable(handler)}


@contextmanager
def deferred() -> Iterator[Request]:
    """Let the first signal in the block wait until `end_if_requested` or the block's end; the second does not.

    Around C code that calls Python, as h5py does, in which an exception may be lost or become another.
    """
    request = Request()
    with _handled(request.handlers()):
        try:
            yield request
        finally:
            request.end_if_requested()


@contextmanager
def at_once() -> Iterator[None]:
    """Let a signal in the block that would raise `Stopped` end the process of a command with that line: within imports
    the exception may be lost, or become another. Nothing may have begun that is to be cleaned up.
    """
    if not program.from_command_line():
        yield
        return
    before = {number: handler for number in _SIGNALS if callable(handler := signal.getsignal(number))}
    terminal = os.dup(2)  # The block may send what goes there elsewhere.

    def end(number: int, frame: FrameType | None) -> None:
        try:
            before[signal.Signals(number)](number, frame)
        except Stopped as stopped:
            with suppress(OSError):  # It may be closed.
                os.write(terminal, f"{_SHOW_CURSOR * os.isatty(terminal)}{stopped}\n".encode())
            os._exit(stopped.exit_code)

    try:
        with _handled(dict.fromkeys(before, end)):
            yield
    finally:
        os.close(terminal)


def _leave_closed_terminal() -> None:
    """Send output to nowhere if its terminal was closed: to write there fails, and would keep the work from its end."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, descriptor)
                os.close(nowhere)


@contextmanager
def _handled(handlers: dict[signal.Signals, Handler]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # To which alone signals are delivered.
        yield
        return
    before: dict[signal.Signals, Any] = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
