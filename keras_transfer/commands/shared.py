"""What the commands share: the group, options made from the recipe's fields, and how a model is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from keras_transfer.recipe.recipe import Recipe, option_name
from keras_transfer.support.errors import nearest
from keras_transfer.support.logs import import_tensorflow
from keras_transfer.support.version import __version__

if TYPE_CHECKING:
    from keras_transfer.versions.saved import SavedClassifier

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "auto_envvar_prefix": "KERAS_TRANSFER"}


class Commands(click.Group):
    """Commands that answer a user's mistake with one line, and an unknown name with the nearest right one."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Name the nearest command for one that is not there."""
        if args and self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


def example(text: str) -> str:
    """Return the last line of a command's help."""
    return f"Example: python cli.py {text}"


BASE_OPTIONS = (
    "base",
    "data",
    "weights",
    "size",
    "resize",
    "columns",
    "encoding",
    "seed",
    "pooling",
    "engine",
    "precision",
    "xla",
)


def recipe_options(command: Callable[..., Any], names: tuple[str, ...] = ()) -> Callable[..., Any]:
    """One option for each field of the recipe, or for those named, checked there, not here."""
    for field in reversed(dataclasses.fields(Recipe)):
        if names and field.name not in names:
            continue
        if field.metadata.get("kind") == "flag":
            command = click.option(option_name(field), field.name, is_flag=True, help=field.metadata["help"])(command)
            continue
        shown = "/".join(str(choice) for choice in field.metadata.get("choices", ())) or "VALUE"
        note = (
            ""
            if "[default" in field.metadata["help"] or field.default in ("", None)
            else f" [default: {field.default}]"
        )
        names_of = [*field.metadata.get("short", ()), option_name(field), field.name]
        option = click.option(*names_of, metavar=shown, default=None, help=field.metadata["help"] + note)
        command = option(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
quiet_option = click.option("--quiet", is_flag=True, help="No progress.")
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error, and TensorFlow's log.")


@click.group(cls=Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="keras-transfer")
def cli() -> None:
    """Point it at a folder of labelled images, get back a tested classifier that serves."""


def load(model: str) -> SavedClassifier:
    """Return a model; a wrong name is told before TensorFlow is imported."""
    load_tensorflow_for(model)
    from keras_transfer.versions.saved import SavedClassifier

    return SavedClassifier(model)


def load_tensorflow_for(model: str) -> None:
    """Import TensorFlow, once it is known that there is such a model."""
    from keras_transfer.versions import folders

    folders.newest(model)
    import_tensorflow()


def recipe_of(options: dict[str, Any]) -> Recipe:
    """Return the recipe of the options given, its base and block checked before TensorFlow is imported."""
    from keras_transfer.network.bases import row_of

    recipe = Recipe(**{name: value for name, value in options.items() if value is not None})
    row = row_of(recipe.base)
    if row is not None:
        row.thawed(recipe.thaw)
    return recipe
