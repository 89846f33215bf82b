"""Labelled images inside a `.zip` file: the same class folders as on a disk, read where they lie."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from keras_transfer.data.contents import Zipped
from keras_transfer.data.examples import NOT_DATA, SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError

Parts = tuple[str, ...]


def load(file: Path, source: str) -> Examples:
    """List the images of a `.zip` file by class folders, with or without split folders above them.

    Folders that hold all others, like the `photos/` of an archive of `photos/cats/1.jpg`, name nothing. Nothing is
    unpacked.

    Raises:
        UserError: it is no such file, a path in it leads out of it, or it holds fewer than two classes.
    """
    members = _members(file, source)
    depth = _depth(list(members))
    tops = {parts[depth].lower(): parts[depth] for parts in members if len(parts) > depth + 1}
    split = any(SPLIT_NAMES.get(top) == "train" for top in tops)
    stray = [name for top, name in tops.items() if top not in SPLIT_NAMES]
    if split and stray:
        raise UserError(f"{source}: {stray[0]!r} stands beside train/. Move it into train/ if it is a class.")
    names: list[str] = []
    labels: list[str] = []
    assigned: list[int] = []
    for parts, name in sorted(members.items()):
        if len(parts) < depth + split + 2:
            continue  # Licences and the like, beside the class folders.
        names.append(f"{file}/{name}")
        labels.append(parts[depth + split])
        assigned.append(SPLITS.index(SPLIT_NAMES[parts[depth].lower()]) if split else UNASSIGNED)
    classes, positions = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        found = f"only one class folder, {str(classes[0])!r}" if len(classes) else "no class folders"
        raise UserError(f"{source}: {found} in it. A classifier needs a folder for each of at least two classes.")
    numbers, splits_of = positions.astype("int32"), np.asarray(assigned, "int8")
    return Examples(source, file, names, numbers, splits_of, tuple(map(str, classes)), contents=Zipped(str(file)))


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


def _depth(paths: Sequence[Parts]) -> int:
    """Return how many folders hold all others."""
    depth = 0
    while len({parts[depth] for parts in paths if len(parts) > depth + 1}) == 1 and max(map(len, paths)) > depth + 2:
        depth += 1
    return depth
