"""What ended processes left behind: folders that they were filling or deleting, and states of training."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keras_transfer.support import files
from keras_transfer.support.paths import cache_folder

_STATES = ("backups", "states")  # Folders in the cache folder.
_ABANDONED_SECONDS = 86_400  # Where nothing can be locked, what is as old as this is taken for abandoned.


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
                leftovers.append(Leftover(path, files.folder_size(path), _modified(path)))
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
                freed += files.folder_size(path)
                shutil.rmtree(path, ignore_errors=True)
    for note in _notes():
        if not os.path.lexists(_named(note)):
            with suppress(OSError):
                note.unlink()
    return freed


@contextmanager
def _abandoned(path: Path) -> Iterator[bool]:
    with files.unused(path, unsure=time.time() - _modified(path) > _ABANDONED_SECONDS) as abandoned:
        yield abandoned and os.path.lexists(path)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()


def _staging() -> list[Path]:
    """Return all that is, or was, being written or deleted."""
    paths = [
        path
        for note in _notes()
        if (path := _named(note)).name.startswith(files.STAGING_PREFIXES) and os.path.lexists(path)
    ]
    for folder, names, _ in os.walk(cache_folder()):
        paths += [Path(folder, name) for name in names if name.startswith(files.STAGING_PREFIXES)]
        names[:] = [name for name in names if not name.startswith(files.STAGING_PREFIXES)]
    return sorted(set(paths))


def _states() -> list[Path]:
    return [path for name in _STATES for path in files.children(cache_folder() / name)]


def _notes() -> list[Path]:
    return files.children(files.notes_folder())


def _named(note: Path) -> Path:
    try:
        return Path(os.fsdecode(note.read_bytes()))
    except OSError:
        return Path()
