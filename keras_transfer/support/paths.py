"""Where the program keeps files on this machine."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from keras_transfer.support.errors import UsageError
from keras_transfer.support.progress import Progress


def cache_folder() -> Path:
    """Return the user's cache folder for this program; the environment variable KERAS_TRANSFER_CACHE moves it.

    Who has no home to write to, as in a container, gets a folder that lasts as long as the process.

    Raises:
        UsageError: the variable names a folder that cannot be written to.
    """
    chosen = os.environ.get("KERAS_TRANSFER_CACHE")
    if chosen:
        folder = Path(chosen).expanduser()
        if not writable(folder):
            raise UsageError(f"KERAS_TRANSFER_CACHE: {folder} cannot be written to. Name another folder.")
        return folder
    usual = Path(platformdirs.user_cache_dir("keras_transfer", appauthor=False))
    # Where nobody knows the home, it is called "~".
    return usual if usual.is_absolute() and writable(usual) else _passing_folder(usual)


def writable(folder: Path) -> bool:
    """Say whether files can be made below a folder, or below its nearest existing parent."""
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)


@functools.cache
def _passing_folder(usual: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="keras_transfer-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    Progress().warn(
        f"{usual} cannot be written to: what is stored to be used again goes to {folder}, and is deleted at the end. "
        "KERAS_TRANSFER_CACHE names another folder."
    )
    return folder


def absolute(name: str) -> str:
    """Return a path, or a glob, as one that means the same from any working folder."""
    return os.path.abspath(Path(name).expanduser())


def shown(name: str) -> str:
    """Return a path as a person here would type it: relative, if it lies below the working folder."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else name
