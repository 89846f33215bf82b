"""Where labelled images come from: a table of sources, each with what it looks like and what lists its images."""

from __future__ import annotations

import glob
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.examples import CLASSIFICATION, MULTI_LABEL, REGRESSION, Examples, printable, sorted_classes
from keras_transfer.data.sources import arrays, csv_table, digits, folders, tfds, tfrecord, unread, zipped
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.recipe.options import AUTO
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError, nearest_options
from keras_transfer.support.paths import absolute

_OF_TABLES = ("columns", "encoding", "allow_outside")
_READING = (*_OF_TABLES, "tfds_dir")  # Options that say how data is read.


@dataclass(frozen=True)
class Request:
    """What a source is asked for.

    Attributes:
        source: What the user called it.
        path: The same as a path.
        recipe: Gives the task, the columns of a table, and where data may lie.
        purpose: What the images are listed for.
    """

    source: str
    path: Path
    recipe: Recipe
    purpose: Purpose


@dataclass(frozen=True)
class Source:
    """A kind of source.

    Attributes:
        matches: Whether a request is for this kind.
        load: Lists its images.
    """

    matches: Callable[[Request], bool]
    load: Callable[[Request], Examples]


def _ends(*extensions: str) -> Callable[[Request], bool]:
    return lambda request: request.path.suffix.lower() in extensions and request.path.exists()


# The first that matches is used.
SOURCES = (
    Source(
        lambda request: request.source == "digits",
        lambda request: digits.load(request.source, request.recipe),
    ),
    Source(
        lambda request: request.source.startswith("tfds:"),
        lambda request: tfds.load(request.source, request.recipe.tfds_dir, request.purpose),
    ),
    Source(
        lambda request: bool(tfrecord.shards_of(request.source)),
        lambda request: tfrecord.load(tfrecord.shards_of(request.source), request.source, request.purpose),
    ),
    Source(
        lambda request: request.path.is_dir(),
        lambda request: folders.load(request.path, request.source, request.recipe, request.purpose),
    ),
    Source(
        _ends(*csv_table.SUFFIXES),
        lambda request: csv_table.load(request.path, request.source, request.recipe, request.purpose),
    ),
    Source(_ends(".npz"), lambda request: arrays.load(request.path, request.source, request.purpose)),
    Source(_ends(".zip"), lambda request: zipped.load(request.path, request.source, request.recipe, request.purpose)),
)


_NEEDS = {
    CLASSIFICATION: "one label an image",
    MULTI_LABEL: "several labels an image, as a CSV file may have",
    REGRESSION: "a CSV file with a numeric column",
}


def load(
    source: str,
    recipe: Recipe | None = None,
    purpose: Purpose = Purpose.TRAIN,
    given: Collection[str] = (*_READING, "group_by"),
) -> Examples:
    """List the labelled images of a source, unsplit unless the source itself is split.

    Args:
        source: A folder (or `.zip` file) with one sub-folder per class, or with `train/` and, if there are any,
            `val/` (or `validation/`) and `test/` of such folders; a CSV file; TFRecord shards as a folder, file or
            glob, or `tfds:NAME[:CONFIG]`; an `.npz` file; or `digits`. `SOURCES` names what lists each.
        recipe: Gives the task, the columns of a table, the one to group by, and where data may lie.
        purpose: What the images are listed for.
        given: Fields of the recipe that are meant for this source; others may be for one that it was made for.

    Raises:
        UsageError: there is no such source, or it has no use for an option that is given.
        UserError: it holds no classes, one class to train on, or a class without images; or a class has a name that a
            list of names, one a line, cannot hold.
    """
    recipe = recipe or Recipe(data=source)
    request = Request(source, Path(source).expanduser(), recipe, purpose)
    examples = _numbers_in_order(_kind(request).load(request))
    _demand_names(examples)
    examples = _with_lookalikes(examples)
    if purpose is Purpose.MEASURE and (examples.task, recipe.task) == (CLASSIFICATION, MULTI_LABEL):
        several = np.eye(len(examples.classes), dtype="float32")[examples.labels]
        examples = replace(examples, labels=several, task=MULTI_LABEL)
    if recipe.task not in (AUTO, examples.task):
        raise UsageError(f"{source} is for {examples.task}. For {recipe.task}, it needs {_NEEDS[recipe.task]}.")
    _demand_useful({name for name in given if getattr(recipe, name)}, examples)
    return examples


def _demand_useful(options: Collection[str], examples: Examples) -> None:
    """Refuse options that do nothing on a source; `options` are those that have a value."""
    source = examples.source
    if "group_by" in options and examples.groups is None:
        raise _useless("group_by", "a CSV file with that column", source)
    for name in _OF_TABLES:
        if name in options and not examples.tabular:
            raise _useless(name, "a CSV file", source)
    if "tfds_dir" in options and not source.startswith("tfds:"):
        raise _useless("tfds_dir", "a data set tfds:NAME", source)


def _useless(name: str, needed: str, source: str) -> UsageError:
    option = name.replace("_", "-")
    without = "--no-allow-outside" if name == "allow_outside" else f"--{option} ''"
    return UsageError(f"--{option} needs {needed}; {source} is none. Leave it out; if a recipe has it, give {without}.")


def demand(source: str, options: Iterable[str] = ()) -> None:
    """Raise `UsageError` where there is no such source, or no such option of `load_measured`, before anything is
    read.
    """
    _demand_options(options)
    _kind(Request(source, Path(source).expanduser(), Recipe(data=source), Purpose.MEASURE))


def _kind(request: Request) -> Source:
    kind = next((kind for kind in SOURCES if kind.matches(request)), None)
    if kind is None:
        raise _unknown(request.source, request.path)
    return kind


def load_measured(source: str, recipe: Recipe, task: str, **options: Any) -> Examples:
    """List the images of a source that a model is measured on, its own in the groups that they were split by.

    Args:
        source: As in `load`; one class is enough, and a test split alone.
        recipe: Of the model.
        task: Of the model, one of `TASKS`.
        options: `columns` and `encoding`, as in `Recipe`; None: of the model's own table those of its recipe, of others
            the usual headings. `allow_outside` and `tfds_dir`; None: as in the recipe.

    Raises:
        UsageError: as in `load`, where it is given by `options`, or there is no such option.
        UserError: as in `load`.
    """
    changes: dict[str, Any] = {"data": source, "task": task}
    if recipe.data not in (source, absolute(source)):
        changes |= {"columns": "", "encoding": "", "group_by": ""}
    _demand_options(options)
    given = {name: value for name, value in options.items() if value is not None}
    return load(source, recipe.replace(**changes | given), Purpose.MEASURE, given)


def _demand_options(names: Iterable[str]) -> None:
    for name in names:
        if name not in _READING:
            raise UsageError(f"No such option {name!r}.{nearest_options(name, _READING)}")


def _numbers_in_order(examples: Examples) -> Examples:
    """Return the examples with classes in the order of numbers, if all are whole numbers."""
    classes = sorted_classes(examples.classes)
    if examples.task == REGRESSION or classes == examples.classes or not all(map(str.isdecimal, classes)):
        return examples
    if examples.task == CLASSIFICATION:
        positions = np.asarray([classes.index(name) for name in examples.classes], "int32")
        return replace(examples, labels=positions[examples.labels], classes=classes)
    order = [examples.classes.index(name) for name in classes]
    return replace(examples, labels=examples.labels[:, order], classes=classes)


def _demand_names(examples: Examples) -> None:
    """Refuse names of classes that would break `labels.txt`, which has one a line in UTF-8."""
    for name in examples.classes:
        odd = next((sign for sign in name if unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")), None)
        if odd is not None:
            if unicodedata.category(odd) == "Cs":
                shown, what = printable(name), "bytes that are not UTF-8"
            else:
                shown, what = ascii(name)[1:-1], "a line break or control character"
            raise UserError(f"{examples.source}: the name of class '{shown}' holds {what}. Rename it.")
        if not name.strip():
            raise UserError(f"{examples.source}: the name of a class is blank. Rename it.")


def _with_lookalikes(examples: Examples) -> Examples:
    """Return the examples with a word on classes that may be one: people write `Cat` and `cat`, or copy a sign that
    cannot be seen.
    """
    names: dict[str, str] = {}
    for name in examples.classes:
        visible = "".join(sign for sign in name.casefold() if unicodedata.category(sign) != "Cf")
        earlier = names.setdefault(" ".join(visible.split()), name)
        if earlier != name:
            return examples.explained(f"{examples.understood} {earlier!r} and {name!r} count as two classes.".lstrip())
    return examples


def _unknown(source: str, path: Path) -> UsageError:
    if not path.exists():
        return UsageError(
            f"--data: there is no {source!r}. Give a folder with one sub-folder per class, or a CSV file."
        )
    if not path.is_file():
        return UsageError(f"--data: {source!r} is neither a folder nor a regular file.")
    advice = unread.advice(path.name)
    if advice:
        return UsageError(f"--data: {source!r} is not read as it is: {advice}.")
    return UsageError(f"--data: {source!r} is neither a folder nor a .csv, .npz, .tfrecord or .zip file.")


def expand(images: Sequence[str]) -> list[str]:
    """Return the files that paths, globs and folders (and what lies below them) name, in order.

    What names no file stays in its place, so that whoever reads it says so and the others are read all the same.

    Raises:
        UsageError: none of them names a file.
    """
    # `Path("")` is the folder that the program runs in: a variable of a shell that is not set names nothing.
    named = [(name, _files(Path(name).expanduser()) if name else []) for name in images]
    if images and not any(files for _, files in named):
        raise UsageError(f"{images[0]!r} names no file. Give image files, globs or folders.")
    return [file for name, files in named for file in files or [name]]


def _files(path: Path) -> list[str]:
    if path.is_dir():
        return folders.files(path)
    return [str(path)] if path.exists() else sorted(glob.glob(str(path), recursive=True))
