"""Standard output, whose failure is told as its own: an `OSError` of a full disk does not say of which file it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from keras_transfer.support.errors import UserError


@contextmanager
def named() -> Iterator[None]:
    """Let what the block prints be written by its end.

    Raises:
        UserError: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    if sys.stdout is None:  # It was closed.
        yield
        return
    stream: Any = _Output(sys.stdout)
    with redirect_stdout(stream):
        try:
            try:
                yield
            finally:
                stream.flush()
        finally:
            if stream.failed:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # It would fail anew as Python ends.


class _Output:
    def __init__(self, stream: TextIO) -> None:
        self._stream, self.failed = stream, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._failing():
            return self._stream.write(text)

    def flush(self) -> None:
        with self._failing():
            self._stream.flush()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failed = True
            if isinstance(error, BrokenPipeError):
                raise
            raise UserError(f"Standard output cannot be written ({error.strerror}).") from error
