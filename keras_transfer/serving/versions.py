"""Version folders, as TensorFlow Serving wants them: `saved_models/NAME/3`, each whole or not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_transfer.errors import UsageError, UserError


def newest(model: str | Path) -> Path:
    """Return the version folder that a name means: `saved_models/NAME` its newest, `saved_models/NAME/3` itself.

    Raises:
        UsageError: there is no such model or version.
    """
    folder = Path(model).expanduser()
    if (folder / "saved_model.pb").is_file():
        return folder
    versions = _versions(folder)
    if not versions:
        raise UsageError(f"There is no model at {str(model)!r}: it has no version folder with a saved_model.pb.")
    return max(versions, key=lambda version: int(version.name))


def check_writable(folder: Path) -> None:
    """Raise `UsageError` unless versions can be written below `folder`, or below its nearest existing parent."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise UsageError(f"--output: {existing} is a file. Give a folder.")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--output: {existing} cannot be written to. Give another folder, or change its rights.")


@contextmanager
def new_version(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill and then to `publish` within the block; it vanishes if the block fails."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=folder, prefix=".writing-"))
    except OSError as error:
        raise UserError(f"--output: {folder} cannot be written to ({error.strerror}).") from error
    beside.chmod(0o755)
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        for parent in made:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        raise


def publish(beside: Path) -> Path:
    """Rename a filled folder to the next version number, and return the new path."""
    folder = beside.parent
    number = max((int(version.name) for version in _versions(folder)), default=0) + 1
    while True:
        try:
            return beside.rename(folder / str(number))
        except OSError:
            # Another run has just taken the number: the folder exists and is not empty.
            if not (folder / str(number)).exists():
                raise
            number += 1


def _versions(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [child for child in folder.iterdir() if child.name.isdigit() and (child / "saved_model.pb").is_file()]
