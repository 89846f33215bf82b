"""Labelled images in the class folders of a `.zip` file."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from keras_transfer.data.contents import Zipped
from keras_transfer.data.examples import NOT_DATA, UNASSIGNED, Examples
from keras_transfer.data.sources.folders import Classes, examples_of, splits_of
from keras_transfer.errors import UserError

Parts = tuple[str, ...]


def load(file: Path, source: str) -> Examples:
    """List the images of a `.zip` file as `keras_transfer.data.sources.folders` does of a folder; nothing is unpacked.

    Folders that hold all others, like the `photos/` of an archive of `photos/cats/1.jpg`, name nothing.

    Raises:
        UserError: it is no such file, a path in it leads out of it, or as there.
    """
    members = _members(file, source)
    depth = _depth(members)
    splits = splits_of({parts[depth] for parts in members if len(parts) > depth + 1}, source)
    at = depth + bool(splits)
    found: dict[int, Classes] = {}
    for parts, name in members.items():
        if len(parts) > at + 1:  # Licences and the like lie beside the class folders.
            classes = found.setdefault(splits.get(parts[depth], UNASSIGNED), {})
            classes.setdefault(parts[at], []).append(f"{file}/{name}")
    return examples_of(source, file, Zipped(str(file)), found.items())


def _members(file: Path, source: str) -> dict[Parts, str]:
    """Return the files of an archive by the parts of their paths; hidden ones and those of macOS are no data."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{source} cannot be read as a .zip file ({error}).") from error
    found = {}
    for name in names:
        parts = PurePosixPath(name).parts
        if ".." in parts or name.startswith("/"):
            raise UserError(f"{source}: {name!r} leads out of the archive. Pack it anew, without such paths.")
        if not any(part.startswith((".", "__MACOSX")) for part in parts) and parts[-1].lower() not in NOT_DATA:
            found[parts] = name
    if not found:
        raise UserError(f"{source}: there is no file in it.")
    return found


def _depth(paths: Collection[Parts]) -> int:
    """Return how many folders hold all others."""
    depth = 0
    while len({parts[depth] for parts in paths if len(parts) > depth + 1}) == 1 and max(map(len, paths)) > depth + 2:
        depth += 1
    return depth
