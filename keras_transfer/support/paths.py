"""Where the program keeps files on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder for this program; the environment variable KERAS_TRANSFER_CACHE moves it."""
    chosen = os.environ.get("KERAS_TRANSFER_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("keras_transfer", appauthor=False))


def absolute(name: str) -> str:
    """Return a path, or a glob, as one that means the same from any working folder."""
    return os.path.abspath(Path(name).expanduser())


def shown(name: str) -> str:
    """Return a path as a person here would type it: relative, if it lies below the working folder."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_absolute() and path.is_relative_to(Path.cwd()) else name
