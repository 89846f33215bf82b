"""Labelled images in a `.zip` file, in class folders or named by a table."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path

from keras_transfer.data.contents import Zipped
from keras_transfer.data.examples import Examples
from keras_transfer.data.sources import csv_table, folders, layout
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.sources.tree import of_names
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.terminal import listed


def load(file: Path, source: str, recipe: Recipe, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List the images of a `.zip` file as `keras_transfer.data.sources.folders` does of a folder; nothing is unpacked.

    Where there are no class folders, the one table in it says what the images are.

    Raises:
        UserError: it is no such file, a path in it leads out of it or has no known encoding, or as there.
    """
    contents = Zipped(str(file))
    try:
        members = [name for name in contents.members() if not name.endswith("/")]
    except UnicodeDecodeError as error:
        name = error.object.decode("ascii", "backslashreplace")
        raise UserError(
            f"{source}: the name '{name}' is not in UTF-8. Unpack it with its encoding "
            f"(unzip -O CP932 {file.name}, or CP936, CP866, CP850), and give the folder."
        ) from error
    except (zipfile.BadZipFile, OSError) as error:
        raise UserError(f"{source} cannot be read as a .zip file ({error}).") from error
    for name in members:
        if ".." in name.split("/") or name.startswith("/"):
            raise UserError(f"{source}: {name!r} leads out of the archive. Pack it anew, without such paths.")
    tree = of_names(file.name, {name: f"{file}/{name}" for name in members})
    if not tree.root.all_files():
        raise UserError(f"{source}: there is no file in it.")
    tables = folders.tables(tree.root, source)
    if tables:
        return csv_table.load_parts(tables, source, file, recipe, purpose, contents)
    named = [name for name in tree.root.all_files() if name.lower().endswith(csv_table.SUFFIXES)]
    if named and not layout.has_classes(tree.root):
        return _by_table(named, source, file, recipe, purpose, contents)
    return folders.from_tree(tree, source, file, contents, purpose)


def _by_table(
    tables: Sequence[str], source: str, file: Path, recipe: Recipe, purpose: Purpose, contents: Zipped
) -> Examples:
    names = [os.path.relpath(table, file) for table in tables]
    if len(names) > 1:
        raise UserError(
            f"{source}: there are no class folders in it, and {len(names)} tables: {listed(names)}. "
            "Unpack it, and give the table that is meant."
        )
    examples = csv_table.load(Path(tables[0]), source, recipe, purpose, contents)
    return examples.explained(f"Labels are in {names[0]}. {examples.understood}")
