"""Files and folders that appear whole or not at all: filled beside their place under another name, then renamed.

What is being filled is locked meanwhile. So what a killed process left behind can be told from what another is still
writing, in the same container or not (`leftovers`); a note in the cache folder says where it lies.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keras_transfer.support.errors import UserError
from keras_transfer.support.paths import cache_folder

try:
    import fcntl
except ImportError:  # Windows, which does not let others delete what is open.
    fcntl = None  # type: ignore[assignment]

Stamp = tuple[int, int, int, int]  # Device, inode, size and time of change of a file.
_WRITING, _DELETING = STAGING_PREFIXES = (".writing-", ".deleting-")
_MOST_ATTEMPTS = 10


def stamp_of(file: str | int) -> Stamp:
    """Return what changes where a file is written anew, or another takes its place.

    Args:
        file: Its path or, where it is open, its descriptor.
    """
    status = os.stat(file)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """Yield a path to write a file to, of the same name, which takes the place of `file` at the end of the block.

    Files that are written next to it and belong to it, such as those of its weights, get their places before it does.
    If the block fails, what it wrote is deleted.
    """
    with staging_folder(file.parent) as staging:
        yield staging / file.name
        companions = [part for part in staging.iterdir() if part.name != file.name]
        for part in [*companions, staging / file.name]:
            os.replace(part, file.with_name(part.name))


@contextmanager
def output_file(file: Path) -> Iterator[Path]:
    """Yield a path to write to, as `whole` does, for a file that the user asked for.

    Raises:
        UserError: it cannot be written.
    """
    try:
        with whole(file) as staging:
            yield staging
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror or error}).") from error


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of `folder`, if that is empty or not there, at the end.

    If nothing was written into it, or the block fails, nothing is made.
    """
    with staging_folder(folder.parent) as staging:
        yield staging
        if any(staging.iterdir()):
            with suppress(FileNotFoundError):
                folder.rmdir()  # Windows renames nothing to a folder that is there.
            os.replace(staging, folder)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty folder within `parent`, to fill and to rename, or to take files from; the rest is deleted.

    `parent` is made if it is not there. Rights are those that the user's umask gives.
    """
    staging, lock = _made(parent)
    try:
        with _noted(staging):
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    finally:
        lock.release()


def delete_folder(folder: Path) -> bool:
    """Delete a folder unless somebody has locked it; it vanishes by one rename, so that nobody meets half of it.

    Returns:
        Whether it was deleted.

    Raises:
        OSError: it could not be renamed: another has just deleted it, or it may not be.
    """
    with unused(folder) as free:
        if free:
            staging = folder.with_name(f"{_DELETING}{secrets.token_hex(4)}")
            folder.rename(staging)
            with _noted(staging):
                shutil.rmtree(staging, ignore_errors=True)
    return free


class Lock:
    """A lock on a folder, shared with all who use it, that ends with the object or the process.

    Where there are no locks, on Windows and some network folders, it does nothing.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = None
        with suppress(OSError):
            if fcntl is not None:
                self._descriptor = os.open(path, os.O_RDONLY)
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_on(self, path: Path) -> bool:
        """Say whether what is locked is still there, not deleted while the lock was waited for."""
        try:
            there = os.stat(path)
            return self._descriptor is None or os.path.samestat(os.fstat(self._descriptor), there)
        except OSError:
            return False

    def release(self, close: Callable[[int], None] = os.close) -> None:
        """End the lock."""
        if self._descriptor is not None:
            close(self._descriptor)
            self._descriptor = None

    __del__ = release


def locked_folder(folder: Path) -> Lock:
    """Make a folder, if it is not there, and return a lock on it."""
    for attempt in itertools.count():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileNotFoundError, FileExistsError):  # Another has just deleted it, after it was there.
            if attempt == _MOST_ATTEMPTS:
                raise
            continue
        lock = Lock(folder)
        if lock.is_on(folder):
            break
        lock.release()
    return lock


@contextmanager
def unused(path: Path, unsure: bool = True) -> Iterator[bool]:
    """Yield whether nobody holds a `Lock` on a folder; nobody gets one within the block.

    Args:
        path: Which.
        unsure: What to say where that cannot be known.
    """
    descriptor = None
    try:
        if fcntl is not None:
            descriptor = os.open(path, os.O_RDONLY)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = unsure if fcntl is None else True
    except BlockingIOError:
        free = False
    except OSError:
        free = unsure
    try:
        yield free
    finally:
        if descriptor is not None:
            os.close(descriptor)


def children(folder: Path) -> list[Path]:
    """Return what lies in a folder, sorted; of one that is not there, or vanishes meanwhile, nothing."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def folder_size(path: Path) -> int:
    """Return the bytes of all files in a folder; of what vanishes meanwhile, none."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(folder, name)).st_size
    return total


def notes_folder() -> Path:
    """Return where notes are kept of what is being filled or deleted outside the cache folder."""
    return cache_folder() / "staging"


def _made(parent: Path) -> tuple[Path, Lock]:
    """Make a folder and lock it; others may delete it, or its parent, before it is locked."""
    for attempt in itertools.count():
        staging = parent / f"{_WRITING}{secrets.token_hex(4)}"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            staging.mkdir()
            lock = Lock(staging)
        except (FileNotFoundError, FileExistsError):
            if attempt == _MOST_ATTEMPTS:
                raise
            continue
        if lock.is_on(staging):
            break
        lock.release()
    return staging, lock


@contextmanager
def _noted(staging: Path) -> Iterator[None]:
    """Keep a note of what lies outside the cache folder while the block runs; without a cache folder, there is none."""
    path, note = Path(os.path.abspath(staging)), notes_folder() / secrets.token_hex(8)
    if path.is_relative_to(os.path.abspath(cache_folder())):
        yield
        return
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_bytes(os.fsencode(path))
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink()
