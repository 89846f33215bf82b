"""Labelled images in class folders: a folder's name is its images' label."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from keras_transfer.data.contents import Contents, Files
from keras_transfer.data.examples import NOT_DATA, SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError

Classes = dict[str, list[str]]  # Names of images by class.


def load(folder: Path, source: str, least_classes: int = 2) -> Examples:
    """List the images of a folder by class folders, with or without split folders above them.

    Args:
        folder: Exists.
        source: What the user called it.
        least_classes: Below which there is nothing to learn; with 1, its files may also lie in it without sub-folders.

    Raises:
        UserError: it holds too few classes, one without images, or one that only a later split knows.
    """
    tops = _sub_folders(folder)
    splits = splits_of([top.name for top in tops], source)
    if not tops and least_classes == 1:
        return examples_of(source, folder, Files(), [(UNASSIGNED, {folder.name: files(folder)})], 1)
    if not splits:
        return examples_of(source, folder, Files(), [(UNASSIGNED, _classes(tops))], least_classes)
    parts = [(splits[top.name], _classes(_sub_folders(top))) for top in tops]
    return examples_of(source, folder, Files(), parts, least_classes)


def files(folder: Path) -> list[str]:
    """Return every file below a folder, sorted; hidden files and what file managers leave behind are no data."""
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(parent, name) for name in names if not name.startswith(".") and name.lower() not in NOT_DATA
        ]
    return sorted(found)


def examples_of(
    source: str, root: Path, contents: Contents, parts: Iterable[tuple[int, Classes]], least_classes: int = 2
) -> Examples:
    """Return the images of each split (a position in `SPLITS`, or `UNASSIGNED`) as examples."""
    ordered = sorted(parts, key=lambda part: part[0])
    classes = tuple(sorted({name for split, members in ordered if split <= 0 for name in members}))
    if len(classes) < least_classes:
        found = f"only one class folder, {classes[0]!r}" if classes else "no class folders"
        raise UserError(f"{source}: {found} in it. A classifier needs a folder for each of at least two classes.")
    paths: list[str] = []
    labels: list[np.ndarray] = []
    splits: list[np.ndarray] = []
    for split, members in ordered:
        for name, images in sorted(members.items()):
            if name not in classes:
                raise UserError(f"{source}: class {name!r} of the {SPLITS[split]} split is missing from train/.")
            if not images and split <= 0:
                raise UserError(f"{source}: class folder {name!r} is empty. Add images to it, or remove it.")
            paths += sorted(images)
            labels.append(np.full(len(images), classes.index(name), "int32"))
            splits.append(np.full(len(images), split, "int8"))
    return Examples(source, root, paths, np.concatenate(labels), np.concatenate(splits), classes, contents=contents)


def splits_of(names: Collection[str], source: str) -> dict[str, int]:
    """Return the split that each top folder holds; none, where they are classes."""
    found = {name: SPLITS.index(SPLIT_NAMES[name.lower()]) for name in names if name.lower() in SPLIT_NAMES}
    if SPLITS.index("train") not in found.values():
        return {}
    stray = sorted(set(names) - set(found))
    if stray:
        raise UserError(f"{source}: {stray[0]!r} stands beside train/. Move it away, or into train/ if it is a class.")
    return found


def _classes(folders: Iterable[Path]) -> Classes:
    return {folder.name: files(folder) for folder in folders}


def _sub_folders(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))
