"""Where labelled images come from: folders, CSV files, records, arrays, tensorflow-datasets, the built-in digits."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_transfer.data import archive, arrays, records, table
from keras_transfer.data.examples import NOT_DATA, REGRESSION, SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UsageError, UserError
from keras_transfer.paths import cache_folder
from keras_transfer.recipe import AUTO, Recipe

_TABLES = (".csv", ".tsv")
_TARS = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


def load(source: str, recipe: Recipe | None = None, least_classes: int = 2) -> Examples:
    """List the labelled images of a source, unsplit unless the source itself is split.

    Args:
        source: A folder with one sub-folder per class; a folder with `train/` and, if there are any, `val/` (or
            `validation/`) and `test/` of such folders; a CSV file (`keras_transfer.data.table`); TFRecord shards as
            a folder, file or glob, or `tfds:NAME[:CONFIG]` (`keras_transfer.data.records`); an `.npz` file
            (`keras_transfer.data.arrays`); a `.zip` file of class folders (`keras_transfer.data.archive`); or `digits`.
        recipe: Gives the task, the column to group by, and where data may lie.
        least_classes: Of a folder, below which there is nothing to learn; with 1, its files may also lie in it
            without sub-folders.

    Raises:
        UsageError: there is no such source.
        UserError: it holds no classes, one class, or a class without images.
    """
    recipe = recipe or Recipe(data=source)
    if source == "digits":
        examples = _from_folder(_digits_folder(), source, 2)
    elif source.startswith("tfds:"):
        examples = records.load_tfds(source, recipe.tfds_dir)
    elif shards := records.shards_of(source):
        examples = records.load(shards, source)
    else:
        examples = _from_path(source, recipe, least_classes)
    if recipe.task not in (AUTO, examples.task):
        needs = "a CSV file with a numeric column" if recipe.task == REGRESSION else "a CSV file with several labels"
        raise UsageError(f"--task {recipe.task} needs {needs}. {source} is for {examples.task}.")
    if recipe.group_by and examples.groups is None:
        raise UsageError(f"--group-by needs a CSV file with that column; {source} is none.")
    return examples


def _from_path(source: str, recipe: Recipe, least_classes: int) -> Examples:
    path = Path(source).expanduser()
    if not path.exists():
        raise UsageError(f"--data: there is no {source!r}. Give a folder with one sub-folder per class, or a CSV file.")
    if path.is_dir():
        return _from_folder(path, source, least_classes)
    if path.suffix.lower() in _TABLES:
        return table.load(path, source, recipe.task, recipe.group_by, recipe.allow_outside)
    if path.suffix.lower() == ".npz":
        return arrays.load(path, source)
    if path.suffix.lower() == ".zip":
        return archive.load(path, source)
    if path.name.lower().endswith(_TARS):
        raise UsageError(f"--data: unpack {source!r} first (tar -xf {path.name}), and give the folder.")
    raise UsageError(f"--data: {source!r} is neither a folder nor a .csv, .npz, .tfrecord or .zip file.")


def _from_folder(folder: Path, source: str, least_classes: int) -> Examples:
    children = _sub_folders(folder)
    splits = {SPLIT_NAMES[child.name.lower()]: child for child in children if child.name.lower() in SPLIT_NAMES}
    if "train" in splits:
        stray = [child.name for child in children if child.name.lower() not in SPLIT_NAMES]
        if stray:
            raise UserError(
                f"{source}: {stray[0]!r} stands beside train/. Move it away, or into train/ if it is a class."
            )
        parts = [(splits[name], number) for number, name in enumerate(SPLITS) if name in splits]
    else:
        parts = [(folder, UNASSIGNED)]
    classes = tuple(child.name for child in _sub_folders(parts[0][0]))
    if not classes and least_classes == 1:
        files = _files(folder)
        labels, unsplit = np.zeros(len(files), "int32"), np.full(len(files), UNASSIGNED, "int8")
        return Examples(source, folder, files, labels, unsplit, (folder.name,))
    if len(classes) < least_classes:
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
    root = parts[0][0] if parts[0][1] == UNASSIGNED else parts[0][0].parent
    return Examples(source, root, paths, np.asarray(labels, "int32"), np.asarray(assigned, "int8"), classes)


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _files(folder: Path) -> list[str]:
    """Every file below a class folder, sorted; hidden files and what file managers leave behind are no data."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(parent, name) for name in names if not name.startswith(".") and name.lower() not in NOT_DATA
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
