"""Labelled images in class folders: a folder's name is its images' label."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import Contents, Files
from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples, sorted_classes
from keras_transfer.data.sources import csv_table, layout, tfrecord, unread
from keras_transfer.data.sources.layout import Classes
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.sources.tree import Folder, Tree, same_file_twice, walk
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError
from keras_transfer.support.terminal import listed

_TABLES = ("_classes.csv", "metadata.csv")  # As labelling services and Hugging Face lay them beside images.


def load(folder: Path, source: str, recipe: Recipe, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List the images of a folder by class folders, with or without split folders above them.

    Args:
        folder: Exists. One that holds nothing but another folder stands for that.
        source: What the user called it.
        recipe: Says how a table is read that lies beside the images of a folder without class folders.
        purpose: To inspect, images may also lie in it without class folders.

    Raises:
        UserError: it holds too few classes, one without images, or one that only a later split knows; a folder cannot
            be read, or is neither split nor class; one file has two classes.
    """
    tree = walk(folder)
    labelled = tables(tree.root, source)
    if labelled:
        return csv_table.load_parts(labelled, source, folder, recipe, purpose)
    return from_tree(tree, source, folder, Files(), purpose)


def files(folder: Path) -> list[str]:
    """Return every file below a folder, sorted; hidden files and what devices and programs leave behind are no data."""
    return walk(folder).root.all_files()


def from_tree(tree: Tree, source: str, root: Path, contents: Contents, purpose: Purpose) -> Examples:
    """Return the images of a tree of folders as examples."""
    if tree.doubled is not None:
        raise UserError(f"{source}: {tree.doubled[0]} and {tree.doubled[1]} lead to one folder. Remove one of them.")
    arranged = layout.arrange(tree.root, source, purpose)
    if arranged.flat:
        names = listed([f"{folder.name}/" for _, folder in arranged.flat])
        hint = _hint(tree.root)
        raise UserError(
            f"{source}: {names} look like splits, but hold images without class folders. "
            f"{hint or 'Sort the images into a folder for each class.'}"
        )
    classes = _class_names(arranged.parts, source, purpose, _hint(tree.root))
    examples = _examples(source, root, contents, arranged.parts, classes, purpose)
    same = same_file_twice(tree, zip(examples.paths, map(examples.label_text, range(len(examples))), strict=True))
    if same is not None:
        raise UserError(f"{source}: {same[0]} and {same[1]} are one file in two classes. Remove it from one of them.")
    within = [f"Folders in a class are part of it: {listed(arranged.within, 4)}."] if arranged.within else []
    messages = [*arranged.messages, *within, layout.describe(arranged.parts, classes), *tree.messages()]
    return examples.explained(" ".join(messages))


def _class_names(parts: Iterable[tuple[int, Classes]], source: str, purpose: Purpose, hint: str) -> tuple[str, ...]:
    taught = {name for split, members in parts if split <= 0 or purpose is Purpose.MEASURE for name in members}
    classes = sorted_classes(taught)
    if len(classes) < purpose.min_classes:
        what = f"only one class folder, {classes[0]!r}" if classes else "no class folders"
        raise UserError(
            f"{source}: {what} in it. {hint or 'A classifier needs a folder for each of at least two classes.'}"
        )
    return classes


def _examples(
    source: str,
    root: Path,
    contents: Contents,
    parts: Iterable[tuple[int, Classes]],
    classes: tuple[str, ...],
    purpose: Purpose,
) -> Examples:
    paths: list[str] = []
    labels: list[np.ndarray] = []
    splits: list[np.ndarray] = []
    for split, members in sorted(parts, key=lambda part: part[0]):
        for name, images in sorted(members.items()):
            if name not in classes:
                raise UserError(f"{source}: class {name!r} of the {SPLITS[split]} split is missing from train/.")
            if not images and split <= 0 and purpose is Purpose.TRAIN:
                raise UserError(f"{source}: class folder {name!r} is empty. Add images to it, or remove it.")
            paths += sorted(images)
            labels.append(np.full(len(images), classes.index(name), "int32"))
            splits.append(np.full(len(images), split, "int8"))
    return Examples(source, root, paths, np.concatenate(labels), np.concatenate(splits), classes, contents=contents)


def tables(root: Folder, source: str) -> list[tuple[Path, int]]:
    """Return the tables that label images lying in no class folders, with the split of each."""
    if len(root.folders) < 2 and not any(folder.folders for folder in root.folders.values()):
        table = next(filter(None, map(_table_in, (root, *root.folders.values()))), None)
        return [(table, UNASSIGNED)] if table else []
    flat = layout.flat_splits(root)
    tables = [(split, folder, _table_in(folder)) for split, folder in flat]
    if not any(table for _, _, table in tables):
        return []
    without = next((folder for _, folder, table in tables if table is None), None)
    if without is not None:
        raise UserError(f"{source}: {without.name}/ has no table of its labels, as the other splits do.")
    return [(table, split) for split, _, table in tables if table is not None]


def _table_in(folder: Folder) -> Path | None:
    return next((Path(file) for file in folder.files if Path(file).name.lower() in _TABLES), None)


def _hint(root: Folder) -> str:
    """Return what to give instead, where a table, or what is not read, lies in a folder without classes."""
    table = next(
        (file for file in root.files if file.lower().endswith(csv_table.SUFFIXES) and Path(file).exists()), None
    )
    if table:
        return f"Is its table meant? Then give that: --data {table}"
    for name in root.all_files():
        if tfrecord.is_named_like_a_shard(os.path.basename(name)):
            unpacked = os.path.isdir(root.path)
            unpack, place = ("", root.path) if unpacked else ("unpack it, and ", root.name)
            return f"Are its TFRecord files meant? Then {unpack}give a pattern, as --data '{place}/**/*.tfrec*'."
        advice = unread.advice(name)
        if advice:
            return f"{os.path.basename(name)} is not read as it is: {advice}."
    return ""
