"""Where the program keeps files on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder for this program; the environment variable KERAS_TRANSFER_CACHE moves it."""
    chosen = os.environ.get("KERAS_TRANSFER_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("keras_transfer", appauthor=False))
