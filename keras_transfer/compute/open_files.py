"""The open files of shards: a bounded number, whatever the number of shards, read by several threads at once."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from keras_transfer.support.errors import UserError
from keras_transfer.support.files import Lock

T = TypeVar("T")

MAX_OPEN = 64  # Files at once.


class OpenFile:
    """An open file; it is closed when nobody reads it any more.

    Args:
        descriptor: Of the file.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # `os` may be gone when the program ends.
        close(self._descriptor)

    def read_into(self, buffer: memoryview, position: int) -> bool:
        """Fill a buffer from a position in the file; return whether the file reaches so far."""
        while len(buffer):
            count = _read_at(self._descriptor, buffer, position)
            if not count:
                return False
            buffer, position = buffer[count:], position + count
        return True


class Owner(Protocol):
    """What has files in a folder, by number.

    Attributes:
        folder: Which.
        opened: The files that are open. When the owner is gone, so are they.
        lock: Keeps the folder and others in its parent from being deleted, once one of its files was closed.
    """

    folder: Path
    opened: dict[int, OpenFile]
    lock: Lock | None

    def open(self, number: int) -> OpenFile:
        """Open a file."""


_recent: OrderedDict[tuple[int, int], weakref.ref[Owner]] = OrderedDict()  # The longest unused first.
_locks: weakref.WeakValueDictionary[Path, Lock] = weakref.WeakValueDictionary()
_busy = threading.RLock()


def opened(owner: Owner, number: int) -> OpenFile:
    """Return an owner's file, opened if need be.

    What is open can be read to its end, whoever deletes it. What is closed to make room for another could not be
    opened again; so the folder that holds its owner's is locked from then on.
    """
    with _busy:
        file = owner.opened.get(number)
        if file is None:
            file = owner.opened[number] = owner.open(number)
            _recent[id(owner), number] = weakref.ref(owner)
            while len(_recent) > MAX_OPEN:
                _close_oldest()
        elif (id(owner), number) in _recent:  # Unless it stays open because it was deleted.
            _recent.move_to_end((id(owner), number))
        return file


def retried(function: Callable[[], T]) -> T:
    """Call what opens a file; where the process may not open more of them, close others until it can.

    Raises:
        UserError: there are no others.
    """
    while True:
        try:
            return function()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            with _busy:
                if not _recent:
                    raise UserError(
                        "Too many files are open. Allow the program more of them: ulimit -n 4096."
                    ) from error
                _close_oldest()


def _close_oldest() -> None:
    (_, number), reference = _recent.popitem(last=False)
    owner = reference()
    if owner is not None:
        owner.lock = _locked(owner.folder.parent)
        if owner.folder.is_dir():  # Otherwise another has just deleted it, and it could not be opened again.
            owner.opened.pop(number, None)


def _locked(folder: Path) -> Lock:
    lock = _locks.get(folder)
    if lock is None:
        lock = _locks[folder] = Lock(folder)
    return lock


if hasattr(os, "preadv"):

    def _read_at(descriptor: int, buffer: memoryview, position: int) -> int:
        return os.preadv(descriptor, [buffer], position)

else:  # Windows has only the file's one position, which pipelines that read at once have to share.
    _position = threading.Lock()

    def _read_at(descriptor: int, buffer: memoryview, position: int) -> int:
        with _position:
            os.lseek(descriptor, position, os.SEEK_SET)
            content = os.read(descriptor, len(buffer))
        buffer[: len(content)] = content
        return len(content)
