"""A tree of folders and image files, on a disk or in an archive, without what devices and programs leave behind."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from keras_transfer.data.device_files import is_device_file, is_device_folder, kind_of_device_file
from keras_transfer.data.examples import composed
from keras_transfer.support.errors import UserError
from keras_transfer.support.paths import SAVED_MODELS
from keras_transfer.support.terminal import listed


@dataclass
class Folder:
    """A folder.

    Attributes:
        name: In composed Unicode (NFC), as classes and splits are compared.
        path: Where it is, for messages.
        files: What lies in it directly: the names that the contents of the images read.
        folders: Those in it, by name.
    """

    name: str
    path: str
    files: list[str] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)

    def folder(self, name: str) -> Folder:
        """Return the folder of a name in it, made if need be."""
        return self.folders.setdefault(composed(name), Folder(composed(name), f"{self.path}/{name}"))

    def all_files(self) -> list[str]:
        """Return the files in it and below it, sorted."""
        files, below = [], [self]
        while below:
            folder = below.pop()
            files += folder.files
            below += folder.folders.values()
        return sorted(files)


@dataclass
class Tree:
    """Folders and files, and what was passed over.

    Attributes:
        root: The topmost folder.
        passed_over: Number of files by the name of the device's folder, or the kind of file.
        links: Links to folders that were not followed, since they lead to a folder that is listed already.
        doubled: Two links to one folder elsewhere, if there are any: whose it is, nobody can tell.
        linked_files: Files that are links, with what they lead to.
    """

    root: Folder
    passed_over: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    doubled: tuple[str, str] | None = None
    linked_files: dict[str, str] = field(default_factory=dict)

    def messages(self) -> list[str]:
        """Return what the user should know of what was passed over."""
        messages = []
        if self.passed_over:
            counted = [f"{name}: {count} file{'s' * (count != 1)}" for name, count in self.passed_over.items()]
            messages.append(f"Passed over: {listed(counted)}.")
        if self.links:
            more = f" and {len(self.links) - 1} more" if len(self.links) > 1 else ""
            messages.append(
                f"Not followed, for it leads to a folder that is listed already: the link {self.links[0]}{more}."
            )
        return messages


def walk(path: Path) -> Tree:
    """Return the tree below a folder. Every folder is visited once, whatever links lead to it.

    Links to folders elsewhere are followed, those to a folder of this tree or above it are not.

    Raises:
        UserError: a folder cannot be read.
    """
    tree = Tree(Folder(path.name or path.resolve().name or "images", str(path)))
    visited = {_identity(place) for place in (path, *Path(os.path.realpath(path)).parents)}
    links: list[tuple[Folder, os.DirEntry[str]]] = []
    _walk(tree, [(tree.root, str(path))], visited, links)
    followed: dict[tuple[int, int], str] = {}
    while links:  # After the folders themselves: a photo belongs to the class in whose folder it lies.
        parent, entry = links.pop(0)
        target = _identity(entry.path)
        if target in visited:
            tree.links.append(entry.path)
            if target in followed:
                tree.doubled = followed[target], entry.path
            continue
        followed[target] = entry.path
        visited.add(target)
        _walk(tree, [(parent.folder(entry.name), entry.path)], visited, links)
    return tree


def _walk(
    tree: Tree,
    waiting: list[tuple[Folder, str]],
    visited: set[tuple[int, int]],
    links: list[tuple[Folder, os.DirEntry[str]]],
) -> None:
    while waiting:
        folder, path = waiting.pop()
        for entry in _entries(path):
            if _is_folder(entry):
                if is_device_folder(entry.name) or _holds_models(entry):
                    _pass_over(tree, entry)
                elif entry.is_symlink():
                    links.append((folder, entry))
                elif _identity(entry.path) in visited:
                    tree.links.append(entry.path)
                else:
                    visited.add(_identity(entry.path))
                    waiting.append((folder.folder(entry.name), entry.path))
            elif is_device_file(entry.name):
                if not entry.name.startswith("."):
                    tree.passed_over[kind_of_device_file(entry.name)] += 1
            elif _is_special(entry):
                tree.passed_over[f"{entry.path} (no regular file)"] += 1
            else:
                folder.files.append(entry.path)
                if entry.is_symlink():
                    tree.linked_files[entry.path] = os.path.realpath(entry.path)


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"The folder {path!r} cannot be read ({error.strerror}).") from error


def _holds_models(entry: os.DirEntry[str]) -> bool:
    """Return whether a folder is where this program writes models, as it is after `fit .`."""
    return entry.name == SAVED_MODELS and any(Path(entry.path).glob("*/*/saved_model.pb"))


def _pass_over(tree: Tree, entry: os.DirEntry[str]) -> None:
    """Count the files of a device's folder; hidden ones are not worth a word."""
    count = sum(len(names) for _, _, names in os.walk(entry.path))
    if count and not entry.name.startswith("."):
        tree.passed_over[entry.name] += count


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a device, a pipe or a socket; a link to nothing or to itself is none."""
    try:
        return not entry.is_file() and not stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link that leads to itself.
        return False


def _identity(path: str | Path) -> tuple[int, int]:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"The folder {str(path)!r} cannot be read ({error.strerror}).") from error
    return status.st_dev, status.st_ino


def of_names(name: str, members: dict[str, str]) -> Tree:
    """Return the tree of the files in an archive.

    Args:
        name: Of the archive.
        members: Names of images by their paths in it, with `/` between folders.
    """
    tree = Tree(Folder(name, name))
    for path, image in members.items():
        parts = [part for part in path.split("/") if part not in ("", ".")]
        device = next((part for part in parts[:-1] if is_device_folder(part)), None)
        if device is not None:
            if not device.startswith("."):
                tree.passed_over[device] += 1
        elif is_device_file(parts[-1]):
            if not parts[-1].startswith("."):
                tree.passed_over[kind_of_device_file(parts[-1])] += 1
        else:
            folder = tree.root
            for part in parts[:-1]:
                folder = folder.folder(part)
            folder.files.append(image)
    return tree


def same_file_twice(tree: Tree, labelled: Iterator[tuple[str, str]]) -> tuple[str, str] | None:
    """Return two names under different labels that lead to the same file, if there are any.

    Args:
        tree: Whose files.
        labelled: Name and label of each.
    """
    if not tree.linked_files:
        return None
    folders: dict[str, str] = {}
    first: dict[str, tuple[str, str]] = {}
    for name, label in labelled:
        parent, base = os.path.split(name)
        if parent not in folders:
            folders[parent] = os.path.realpath(parent)
        target = tree.linked_files.get(name) or os.path.join(folders[parent], base)
        earlier = first.setdefault(target, (name, label))
        if earlier[1] != label:
            return earlier[0], name
    return None
