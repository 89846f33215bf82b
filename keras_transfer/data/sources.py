"""Where labelled images come from: class folders, split folders, and the built-in digits."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UsageError, UserError
from keras_transfer.paths import cache_folder

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}
_NOT_DATA = {"thumbs.db", "desktop.ini"}


def load(source: str) -> Examples:
    """List the labelled images of a source, unsplit unless the source itself is split.

    Args:
        source: A folder with one sub-folder per class; a folder with `train/` and, if there are any, `val/` (or
            `validation/`) and `test/` of such folders; or `digits`.

    Raises:
        UsageError: there is no such folder.
        UserError: the folder holds no classes, one class, or a class without images.
    """
    if source == "digits":
        return _from_folder(_digits_folder(), source)
    folder = Path(source).expanduser()
    if not folder.exists():
        raise UsageError(f"--data: there is no folder {source!r}. Give a folder with one sub-folder per class.")
    if not folder.is_dir():
        raise UsageError(f"--data: {source!r} is a file. Give a folder with one sub-folder per class.")
    return _from_folder(folder, source)


def _from_folder(folder: Path, source: str) -> Examples:
    children = _sub_folders(folder)
    splits = {_SPLIT_FOLDERS[child.name.lower()]: child for child in children if child.name.lower() in _SPLIT_FOLDERS}
    if "train" in splits:
        stray = [child.name for child in children if child.name.lower() not in _SPLIT_FOLDERS]
        if stray:
            raise UserError(
                f"{source}: {stray[0]!r} stands beside train/. Move it away, or into train/ if it is a class."
            )
        parts = [(splits[name], number) for number, name in enumerate(SPLITS) if name in splits]
    else:
        parts = [(folder, UNASSIGNED)]
    classes = tuple(child.name for child in _sub_folders(parts[0][0]))
    if len(classes) < 2:
        found = f"only one sub-folder, {classes[0]!r}" if classes else "no sub-folders"
        raise UserError(
            f"{source}: {found} in {parts[0][0]}. A classifier needs a folder for each of at least two classes."
        )
    return _list_parts(parts, classes, source)


def _list_parts(parts: list[tuple[Path, int]], classes: tuple[str, ...], source: str) -> Examples:
    paths: list[str] = []
    labels: list[int] = []
    assigned: list[int] = []
    for part, split in parts:
        for child in _sub_folders(part):
            if child.name not in classes:
                raise UserError(f"{source}: class {child.name!r} of {part} is missing from {parts[0][0]}.")
            files = _files(child)
            if not files and split <= 0:
                raise UserError(f"{source}: class folder {child} is empty. Add images to it, or remove it.")
            paths += files
            labels += [classes.index(child.name)] * len(files)
            assigned += [split] * len(files)
    root = parts[0][0] if len(parts) == 1 else parts[0][0].parent
    return Examples(source, root, paths, np.asarray(labels, "int32"), np.asarray(assigned, "int8"), classes)


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(folder: Path) -> list[str]:
    """Every file below a class folder, sorted; hidden files and what file managers leave behind are no data."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(parent, name) for name in names if not name.startswith(".") and name.lower() not in _NOT_DATA
        ]
    return sorted(found)


def expand(images: Sequence[str]) -> list[str]:
    """Return the files that paths, globs and folders (and what lies below them) name, in order.

    Raises:
        UsageError: one of them names nothing.
    """
    found: list[str] = []
    for name in images:
        path = Path(name).expanduser()
        files = (
            _files(path)
            if path.is_dir()
            else [str(path)]
            if path.exists()
            else sorted(glob.glob(str(path), recursive=True))
        )
        if not files:
            raise UsageError(f"{name!r} names no file. Give image files, globs or folders.")
        found += files
    return found


def _digits_folder() -> Path:
    """Return scikit-learn's bundled digits (1,797 scans of 8x8 px) as class folders of PNG files, written once."""
    folder = cache_folder() / "digits"
    if folder.is_dir():
        return folder
    from PIL import Image
    from sklearn.datasets import load_digits

    folder.parent.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".digits-"))
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        (beside / str(label)).mkdir(exist_ok=True)
        # The scans' 17 grey levels, 0..16, spread over 0..255.
        Image.fromarray((pixels * (255 / 16)).round().astype("uint8")).save(beside / str(label) / f"{number:04d}.png")
    try:
        beside.rename(folder)
    except OSError:
        shutil.rmtree(beside)
        if not folder.is_dir():
            raise
    return folder
