"""What the commands share: options made from the recipe's fields, and how a model is loaded."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_transfer.commands.group import Option
from keras_transfer.recipe.options import AUTO, option_name
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError
from keras_transfer.support.logs import import_tensorflow
from keras_transfer.support.terminal import message
from keras_transfer.versions.folders import metrics_of

if TYPE_CHECKING:
    from keras_transfer.support.progress import Progress
    from keras_transfer.versions.saved import SavedClassifier

BASE_OPTIONS = (
    "base",
    "data",
    "weights",
    "size",
    "resize",
    "enlarge",
    "task",
    "columns",
    "encoding",
    "max_pixels",
    "allow_outside",
    "tfds_dir",
    "seed",
    "pooling",
    "engine",
    "precision",
    "xla",
)


def recipe_options(command: Callable[..., Any], names: tuple[str, ...] = ()) -> Callable[..., Any]:
    """One option for each field of the recipe, or for those named, checked there, not here."""
    for field in reversed(dataclasses.fields(Recipe)):
        if not names or field.name in names:
            command = _recipe_option(field)(command)
    return command


def _recipe_option(field: dataclasses.Field[Any]) -> Callable[..., Any]:
    rules, help = field.metadata, field.metadata["help"]
    name = option_name(field)
    if rules.get("kind") == "flag":
        attributes: dict[str, Any] = {}
        name += f"/--no-{name.removeprefix('--')}"  # Which switches off what a recipe's file switched on.
    else:
        attributes = {"metavar": _metavar(field)}
        if "[default" not in help and field.default not in ("", None):
            help += f" [default: {field.default}]"
    declared = [*rules.get("short", ()), name, field.name]
    return click.option(*declared, cls=Option, section=rules["section"], default=None, help=help, **attributes)


_TYPES = {
    "int": "INTEGER",
    "float": "NUMBER",
    "split": "A/B/C",
    "widths": "N,N",
    "columns": "ROLE=NAME,...",
    "interval": "N|Nm",
}


def _metavar(field: dataclasses.Field[Any]) -> str:
    """Return what values an option takes: its choices, or its type and the words that may stand in its place."""
    rules = field.metadata
    if "choices" in rules:
        return "|".join(rules["choices"])
    words = [rules["also"]] if "also" in rules else []
    if rules.get("kind") in ("int", "float") and field.default == AUTO:
        words.append(AUTO)
    return "|".join([_TYPES.get(rules.get("kind", ""), "TEXT"), *words])


data_argument = click.argument("photos", metavar="[DATA]", required=False)


def one_source(photos: str | None, data: str | None) -> str | None:
    """Return the data of a command that takes it as an argument or as `--data`."""
    if photos is not None and data is not None:
        raise UsageError(f"The data is given twice: as {photos!r} and as --data {data!r}. Leave one of them out.")
    return data if photos is None else photos


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error, and TensorFlow's log.")


def load(model: str, progress: Progress) -> SavedClassifier:
    """Return a model; a wrong name is refused before TensorFlow is imported."""
    load_tensorflow_for(model, progress)
    from keras_transfer.versions.saved import SavedClassifier

    with progress.activity("Loading the model"):
        return SavedClassifier(model)


def load_tensorflow_for(model: str, progress: Progress) -> None:
    """Import TensorFlow, once it is known that there is such a model."""
    from keras_transfer.versions import folders

    folders.newest(model)
    with progress.activity("Importing TensorFlow"):
        import_tensorflow()


def recipe_of(options: dict[str, Any], start: Recipe | None = None) -> Recipe:
    """Return the recipe of the options given, its base and block checked before TensorFlow is imported.

    Args:
        options: Of fields; None where they were not given.
        start: What the options change; None for the defaults.
    """
    from keras_transfer.network.bases import check_base

    fields = {name: value for name, value in options.items() if value is not None}
    return check_base(start.replace(**fields) if start else Recipe(**fields))


def exit_with_errors(records: Sequence[Mapping[str, Any]]) -> None:
    """Name the images that have no prediction on standard error, each with its reason, and exit with 1 if any has none.

    Args:
        records: With `path` and, of those images, `error`.
    """
    failed = [record for record in records if record.get("error")]
    for record in failed:
        click.echo(message(f"{record['path']}: {record['error']}", sys.stderr), err=True)
    if failed:
        sys.exit(1)


def data_name(version: Path) -> str:
    """Return the last part of the name of what a version was fitted on."""
    source = metrics_of(version).get("data", {}).get("source", "?")
    return source if "://" in source else Path(source).name or source
