"""Where labelled images come from: folders, CSV files, records, arrays, tensorflow-datasets, the built-in digits."""

from __future__ import annotations

import glob
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from keras_transfer.data import arrays, folders, records, table
from keras_transfer.data.examples import REGRESSION, Examples
from keras_transfer.errors import UsageError
from keras_transfer.paths import cache_folder
from keras_transfer.recipe import AUTO, Recipe

_TABLES = (".csv", ".tsv")
_TARS = (".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz")


def load(source: str, recipe: Recipe | None = None, least_classes: int = 2) -> Examples:
    """List the labelled images of a source, unsplit unless the source itself is split.

    Args:
        source: A folder (or `.zip` file) with one sub-folder per class, or with `train/` and, if there are any,
            `val/` (or `validation/`) and `test/` of such folders (`keras_transfer.data.folders`); a CSV file
            (`keras_transfer.data.table`); TFRecord shards as a folder, file or glob, or `tfds:NAME[:CONFIG]`
            (`keras_transfer.data.records`); an `.npz` file (`keras_transfer.data.arrays`); or `digits`.
        recipe: Gives the task, the column to group by, and where data may lie.
        least_classes: Of a folder, below which there is nothing to learn; with 1, its files may also lie in it
            without sub-folders.

    Raises:
        UsageError: there is no such source.
        UserError: it holds no classes, one class, or a class without images.
    """
    recipe = recipe or Recipe(data=source)
    if source == "digits":
        examples = folders.load(_digits_folder(), source)
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
        return folders.load(path, source, least_classes)
    if path.suffix.lower() in _TABLES:
        return table.load(path, source, recipe.task, recipe.group_by, recipe.allow_outside)
    if path.suffix.lower() == ".npz":
        return arrays.load(path, source)
    if path.suffix.lower() == ".zip":
        return folders.load_zip(path, source)
    if path.name.lower().endswith(_TARS):
        raise UsageError(f"--data: unpack {source!r} first (tar -xf {path.name}), and give the folder.")
    raise UsageError(f"--data: {source!r} is neither a folder nor a .csv, .npz, .tfrecord or .zip file.")


def expand(images: Sequence[str]) -> list[str]:
    """Return the files that paths, globs and folders (and what lies below them) name, in order.

    Raises:
        UsageError: one of them names nothing.
    """
    found: list[str] = []
    for name in images:
        path = Path(name).expanduser()
        files = (
            folders.files(path)
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
