"""What the folders of a data set are: splits, classes, a folder around them, or left out and named."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from keras_transfer.data.examples import SPLITS, UNASSIGNED, counted
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.sources.split_words import FILLERS, splits_in, words
from keras_transfer.data.sources.tree import Folder
from keras_transfer.support.errors import UserError
from keras_transfer.support.terminal import listed

Classes = dict[str, list[str]]  # Names of images by class.

_UNLABELLED = {"pred", "preds", "predict", "prediction", "predictions", "unlabelled", "unlabeled", "submission"}
_DOUBTFUL = {"fold", "trn", "tst", "evaluation"}  # Words of folders that are rather parts of a data set than classes.
_TRAIN_AND_VALIDATION, _VALIDATION = {0, 1}, {1}


@dataclass
class Layout:
    """What a tree of folders was taken for.

    Attributes:
        parts: Split (a position in `SPLITS`, or `UNASSIGNED`) and its classes.
        flat: Split and folder, where the folders of splits hold images without class folders.
        within: Folders in those of classes, as `cat/black/`.
        messages: What the user should know of it, in sentences.
    """

    parts: list[tuple[int, Classes]] = field(default_factory=list)
    flat: list[tuple[int, Folder]] = field(default_factory=list)
    within: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def arrange(root: Folder, source: str, purpose: Purpose) -> Layout:
    """Return the splits and classes of a tree of folders.

    Splits are told by their names (`train`, `training_set`, `seg_train`, `Train_Data`) and by holding class folders.

    Raises:
        UserError: a folder is neither split nor class.
    """
    layout = Layout()
    top = _unwrapped(root, layout)
    candidates = _split_names(top)
    inner = {name: _unwrapped_split(top.folders[name], candidates[name]) for name in candidates}
    labelled = [name for name in candidates if _is_labelled(inner[name], candidates[name])]
    labelled.sort(key=lambda name: candidates[name])
    layout.flat = flat_splits(root)
    strangers = [name for name in top.folders if name not in candidates and not words(name) & _UNLABELLED]
    if strangers and SPLITS.index("train") not in candidates.values():
        labelled = []  # `valid` beside `invalid` is a class.
    if not labelled:
        if layout.flat:
            pass
        elif top.folders or purpose is Purpose.TRAIN:
            _demand_no_splits(top, source)
            layout.parts = [(UNASSIGNED, _classes(top, layout))]
        else:
            layout.parts = [(UNASSIGNED, {root.name: root.all_files()})]
        return layout
    for name, folder in top.folders.items():
        if name in labelled:
            layout.parts.append((candidates[name], _classes(inner[name], layout)))
        elif name in candidates or words(name) & _UNLABELLED:
            count = len(folder.all_files())
            layout.messages.append(f"Left out: {name}/, {count} images without class folders.")
        else:
            raise UserError(
                f"{source}: {name!r} stands beside {labelled[0]}/. Move it away, or, if it is a class, into "
                f"{labelled[0]}/."
            )
    _demand_training(layout, candidates, labelled, source, purpose)
    _say_strays(top, layout)
    named = {name: SPLITS[candidates[name]] for name in labelled}
    names = [f"{name}/" if name == split else f"{name}/ ({split})" for name, split in named.items()]
    layout.messages.insert(0, f"{listed(names)} {'are splits' if len(names) > 1 else 'is a split'}.")
    return layout


def flat_splits(root: Folder) -> list[tuple[int, Folder]]:
    """Return split and folder of folders named like splits that all hold images without class folders, if any."""
    top = _unwrapped(root, Layout())
    candidates = _split_names(top)
    inner = [(split, _unwrapped_split(top.folders[name], split)) for name, split in candidates.items()]
    flat = len(set(candidates.values())) > 1 and not any(folder.folders for _, folder in inner)
    return inner if flat else []


def has_classes(root: Folder) -> bool:
    """Return whether a tree of folders may hold class folders, with or without splits above them."""
    top = _unwrapped(root, Layout())
    return (len(top.folders) > 1 and not flat_splits(root)) or any(folder.folders for folder in top.folders.values())


def describe(parts: Iterable[tuple[int, Classes]], classes: tuple[str, ...]) -> str:
    """Return classes and missing splits in a sentence."""
    splits = {split for split, _ in parts}
    text = f"{counted(classes)}."
    if UNASSIGNED not in splits:
        missing = [name for number, name in enumerate(SPLITS) if number not in splits]
        if missing and 0 in splits:
            text += f" The {' and the '.join(missing)} split {'is' if len(missing) == 1 else 'are'} cut from train."
    return text


def _unwrapped(root: Folder, layout: Layout) -> Folder:
    """Return the folder that holds the splits or classes: one that holds nothing but another folder names nothing."""
    top = root
    while len(top.folders) == 1 and not _split_names(top):
        (only,) = top.folders.values()
        if not only.folders:
            break
        _say_strays(top, layout)
        top = only
    if top is not root:
        layout.messages.append(f"All folders are in {top.path.removeprefix(root.path + '/')}/.")
    return top


def _unwrapped_split(folder: Folder, split: int) -> Folder:
    """Return the folder within a split's that holds the classes: `seg_train/seg_train/`, `train/images/`."""
    while len(folder.folders) == 1 and not folder.files:
        (only,) = folder.folders.values()
        neutral = words(only.name) and words(only.name) <= FILLERS
        if only.name.lower() != folder.name.lower() and not neutral and _split_of(only.name) != (split, frozenset()):
            break
        folder = only
    return folder


def _split_names(folder: Folder) -> dict[str, int]:
    """Return the folders within one that are named like splits."""
    named = {name: word for name in folder.folders if (word := _split_of(name)) is not None}
    plain = {name: split for name, (split, rest) in named.items() if not rest}
    for name, (split, rest) in named.items():
        # `seg_train` is a split beside `seg_test`; `train_station` is none beside `test_tube`.
        if rest and any(rest == words and split != sibling for sibling, words in named.values()):
            plain[name] = split
    return plain


def _split_of(name: str) -> tuple[int, frozenset[str]] | None:
    """Return the split that a name has the word of, and its other words; `train_val` is to train."""
    splits, rest = splits_in(name)
    return (min(splits), rest) if len(splits) == 1 or splits == _TRAIN_AND_VALIDATION else None


def _classes(folder: Folder, layout: Layout) -> Classes:
    _say_strays(folder, layout)
    layout.within += [f"{name}/{below}/" for name, inner in folder.folders.items() for below in inner.folders]
    return {name: inner.all_files() for name, inner in folder.folders.items()}


def _say_strays(folder: Folder, layout: Layout) -> None:
    if folder.files and folder.folders:
        first = folder.files[0].rpartition("/")[2]
        count = len(folder.files)
        what = f"{first}, which lies" if count == 1 else f"{first} and {count - 1} more files, which lie"
        layout.messages.append(f"Left out: {what} in {folder.name}/, in no class folder.")


def _is_labelled(folder: Folder, split: int) -> bool:
    """Return whether the folder of a split has class folders; to test or validate on, there must be images in them."""
    return bool(folder.folders) and (split == 0 or bool(folder.all_files()))


def _demand_no_splits(top: Folder, source: str) -> None:
    """Refuse folders of classes that hold splits, or that are rather splits themselves."""
    for name, folder in top.folders.items():
        below = _split_names(folder)
        if len(set(below.values())) > 1:
            first = next(iter(below))
            raise UserError(
                f"{source}: {listed([f'{name}/{split}/' for split in below])} look like splits within a class. Put the "
                f"splits above the classes, as {first}/{name}/."
            )
    doubtful = [name for name in top.folders if splits_in(name)[0] - _VALIDATION or words(name) & _DOUBTFUL]
    for first, second in itertools.combinations(doubtful, 2):
        shared = [name for name in top.folders[first].folders if name in top.folders[second].folders]
        if shared:
            raise UserError(
                f"{source}: {first}/ and {second}/ hold folders of the same names ({listed(shared, 4)}), as splits do. "
                f"Call them train/, validation/ and test/; if they are classes, rename {first}/."
            )


def _demand_training(
    layout: Layout, candidates: dict[str, int], labelled: list[str], source: str, purpose: Purpose
) -> None:
    train = SPLITS.index("train")
    if purpose is Purpose.MEASURE or train in {split for split, _ in layout.parts}:
        return
    flat = next((name for name, split in candidates.items() if split == train), None)
    if flat is not None:
        raise UserError(f"{source}: {flat}/ holds no class folders, as {labelled[0]}/ does: nothing can be trained on.")
    look = "look like splits" if len(labelled) > 1 else "looks like a split"
    raise UserError(
        f"{source}: there is nothing to train on. {listed([name + '/' for name in labelled])} {look}; "
        "name the folder to train on train/, or give a folder of classes."
    )
