"""Files and folders that appear whole or not at all: filled beside their place under another name, then renamed.

What is being filled is locked meanwhile. So what a killed process left behind can be told from what another is still
writing, in the same container or not; a note in the cache folder says where it lies.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.support.paths import cache_folder

try:
    import fcntl
except ImportError:  # Windows, which does not let others delete what is open.
    fcntl = None  # type: ignore[assignment]

_WRITING, _DELETING = _PREFIXES = (".writing-", ".deleting-")
_STATES = ("backups", "states")  # Folders in the cache folder.
_MOST_ATTEMPTS = 10
_ABANDONED_SECONDS = 86_400  # Where nothing can be locked, what is as old as this is taken for abandoned.


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
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which takes the place of `folder`, if that is empty or not there, at the end.

    If nothing was written into it, or the block fails, nothing is made.
    """
    with staging_folder(folder.parent) as staging:
        yield staging
        if any(staging.iterdir()):
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


@dataclass(frozen=True)
class Leftover:
    """What an ended process left: a folder that it was filling or deleting, or a state of training to go on from.

    Attributes:
        path: Where.
        bytes: Of all its files.
        modified: When it was last written to, seconds since 1970.
    """

    path: Path
    bytes: int
    modified: float


def leftovers() -> list[Leftover]:
    """Return what ended processes left, in the cache folder and wherever it was noted, by path."""
    leftovers = []
    for path in [*_staging(), *_states()]:
        with _abandoned(path) as abandoned:
            if abandoned:
                leftovers.append(Leftover(path, folder_size(path), _modified(path)))
    return leftovers


def delete_leftovers() -> int:
    """Delete what `leftovers` returns, and return its bytes."""
    return _delete_abandoned([*_staging(), *_states()])


def delete_staging() -> int:
    """Delete what ended processes were filling or deleting, and return its bytes."""
    return _delete_abandoned(_staging())


def _delete_abandoned(paths: Iterable[Path]) -> int:
    freed = 0
    for path in paths:
        with _abandoned(path) as abandoned:
            if abandoned:
                freed += folder_size(path)
                shutil.rmtree(path, ignore_errors=True)
    for note in _notes():
        if not os.path.lexists(_named(note)):
            with suppress(OSError):
                note.unlink()
    return freed


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
def _abandoned(path: Path) -> Iterator[bool]:
    with unused(path, unsure=time.time() - _modified(path) > _ABANDONED_SECONDS) as abandoned:
        yield abandoned and os.path.lexists(path)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _staging() -> list[Path]:
    """Return all that is, or was, being written or deleted."""
    paths = [path for note in _notes() if (path := _named(note)).name.startswith(_PREFIXES) and os.path.lexists(path)]
    for folder, names, _ in os.walk(cache_folder()):
        paths += [Path(folder, name) for name in names if name.startswith(_PREFIXES)]
        names[:] = [name for name in names if not name.startswith(_PREFIXES)]
    return sorted(set(paths))


def _states() -> list[Path]:
    return [path for name in _STATES for path in children(cache_folder() / name)]


def _notes() -> list[Path]:
    return children(cache_folder() / "staging")


def _named(note: Path) -> Path:
    try:
        return Path(os.fsdecode(note.read_bytes()))
    except OSError:
        return Path()


@contextmanager
def _noted(staging: Path) -> Iterator[None]:
    """Keep a note of what lies outside the cache folder while the block runs; without a cache folder, there is none."""
    path, note = Path(os.path.abspath(staging)), cache_folder() / "staging" / secrets.token_hex(8)
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
