"""Labelled images from the records of TFRecord files."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data import framing
from keras_transfer.data.contents import Contents, Records
from keras_transfer.data.device_files import is_device_file, is_device_folder
from keras_transfer.data.examples import SPLITS, UNASSIGNED, Examples
from keras_transfer.data.sources import labels
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.data.sources.split_words import splits_in
from keras_transfer.data.sources.tree import walk
from keras_transfer.support.errors import UserError
from keras_transfer.support.files import children
from keras_transfer.support.terminal import listed

_IMAGE_KEYS = ("image/encoded", "image", "image_raw", "encoded")
_LABEL_KEYS = ("image/class/text", "image/class/label", "label")
# Ends of names of files that describe a shard, as `a.tfrecord.index`.
_NO_SHARDS = (".index", ".idx", ".json", ".txt", ".md", ".crc")


def shards_of(source: str) -> list[Path]:
    """Return the TFRecord files that a path, folder or glob names, sorted; none if it names something else.

    Where one lies in a folder itself, those in the folders below it count too.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        names = children(path)
        if any(map(_is_shard, names)):
            names = [Path(file) for file in walk(path).root.all_files()]
    else:
        names = [path] if path.is_file() else [Path(name) for name in glob.glob(str(path), recursive=True)]
    return sorted(name for name in names if _is_shard(name))


def is_named_like_a_shard(name: str) -> bool:
    """Return whether a file may be a TFRecord file, by its name."""
    return ".tfrec" in name.lower() and not name.lower().endswith(_NO_SHARDS) and not is_device_file(name)


def _is_shard(path: Path) -> bool:
    return is_named_like_a_shard(path.name) and not path.is_dir()


def load(shards: Sequence[Path], source: str, purpose: Purpose = Purpose.TRAIN) -> Examples:
    """List the records of TFRecord shards, `image/encoded` with `image/class/text` or `image/class/label`.

    A shard whose name, or that of its folder, has the word train, validation or test in it belongs to that split.
    Labels that are numbers are named by a `labels.txt` with the shards, where there is one.

    Raises:
        UserError: a record is damaged, or lacks an image, or its label is not understood; or shards beside those of a
            split belong to none.
    """
    root = Path(os.path.commonpath([shard.parent for shard in shards]))
    names = [os.path.relpath(shard, root) for shard in shards]
    table, splits, key = Table(), _splits_of(names, root, source, purpose), ""
    empty = []
    for shard, name, split in zip(shards, names, splits, strict=True):
        before = table.count
        for offset, record in framed(shard):
            features = parse(record, f"{shard}@{offset}")
            key = key or next((name for name in _IMAGE_KEYS if name in features), "")
            held = [name for name in _LABEL_KEYS if name in features]
            if key not in features or not held:
                raise UserError(
                    f"{shard}: a record has no {'label' if key in features else 'image'}. It has "
                    f"{', '.join(sorted(features)) or 'no features'}; needed are image/encoded and image/class/label."
                )
            # Some converters always write a text, if only an empty one.
            cells = (cell_of(features[name], f"{shard}@{offset}: {name}") for name in held)
            table.add(f"{shard}@{offset}", next((cell for cell in cells if cell), ()), split)
        if table.count == before:
            empty.append(name)
    examples = table.examples(source, root, Records(key), _names_beside(shards[0], root), purpose)
    named = [f"{name} ({SPLITS[split]})" for name, split in zip(names, splits, strict=True) if split >= 0]
    others = _other_folders(Path(source).expanduser(), shards)
    messages = (
        examples.understood,
        f"By their names: {listed(named)}." if named else "",
        f"Without a record: {listed(empty)}." if empty else "",
        f"Not read, for TFRecord files lie beside: {listed(others)}." if others else "",
    )
    return examples.explained(" ".join(filter(None, messages)))


def _other_folders(folder: Path, shards: Sequence[Path]) -> list[str]:
    """Return the folders in one of shards that hold none."""
    holding = {parent for shard in shards for parent in shard.parents}
    return [
        f"{child.name}/"
        for child in (children(folder) if folder.is_dir() else ())
        if child.is_dir() and not is_device_folder(child.name) and child not in holding
    ]


@dataclass
class Table:
    """The records of a source, as they are listed.

    Attributes:
        names: Of the images, as their contents read them.
        cells: What is written beside each.
        splits: Index into `SPLITS`, or -1.
        unlabelled: Records that were left out, for they have no label.
    """

    names: list[str] = field(default_factory=list)
    cells: list[labels.Cell] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    unlabelled: int = 0

    @property
    def count(self) -> int:
        """Records that were listed or left out."""
        return len(self.names) + self.unlabelled

    def add(self, name: str, cell: labels.Cell, split: int) -> None:
        """List a record; one without a label is counted only."""
        if not cell:
            self.unlabelled += 1
            return
        self.names.append(name)
        self.cells.append(cell)
        self.splits.append(split)

    def examples(
        self, source: str, root: Path, contents: Contents, class_names: Sequence[str] | None, purpose: Purpose
    ) -> Examples:
        """Return the records as examples.

        Raises:
            UserError: none has a label, or their labels are not understood, or are all the same.
        """
        if not self.names:
            raise UserError(f"{source} holds no labelled records.")
        meaning = labels.interpret(self.cells, class_names, self.names, source)
        purpose.demand_classes(meaning.classes, source)
        messages = [meaning.described(source)]
        if self.unlabelled:
            records = "1 record has" if self.unlabelled == 1 else f"{self.unlabelled} records have"
            messages.append(f"{source}: {records} no label and {'is' if self.unlabelled == 1 else 'are'} left out.")
        return Examples(
            source,
            root,
            self.names,
            meaning.values,
            np.asarray(self.splits, "int8"),
            meaning.classes,
            meaning.task,
            contents,
            understood=" ".join(messages),
        )


def framed(shard: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record of a TFRecord file begins, and its bytes.

    Raises:
        UserError: naming the first record that is cut off, or whose checksum differs.
    """
    try:
        yield from framing.records(shard)
    except framing.DamagedRecord as error:
        whole = "" if error.offset else " Is it an (uncompressed) TFRecord file?"
        raise UserError(f"{error}. Copy the file again.{whole}") from error


def parse(record: bytes, place: str) -> Any:
    """Return the features of a serialised `tf.train.Example` by name.

    Raises:
        UserError: it is none.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.train import Example

    try:
        return Example.FromString(record).features.feature
    except DecodeError as error:
        raise UserError(f"{place}: the record is no tf.train.Example. Such records are needed.") from error


def cell_of(feature: Any, place: str) -> labels.Cell:
    """Return the labels that a feature holds; nothing for an empty text or a negative number.

    Raises:
        UserError: a number is not whole, or a text is not UTF-8.
    """
    try:
        texts = tuple(text.decode("utf-8") for text in feature.bytes_list.value if text)
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: the text {error.object!r} is not UTF-8. Write the records anew.") from error
    if texts:
        return texts
    try:
        numbers = [labels.whole(value) for value in (*feature.int64_list.value, *feature.float_list.value)]
    except (ValueError, OverflowError) as error:
        raise UserError(f"{place}: {error}. Labels are whole numbers or texts.") from error
    return tuple(number for number in numbers if number >= 0)


def _splits_of(names: Sequence[str], root: Path, source: str, purpose: Purpose) -> list[int]:
    """Return the split of each shard, an index into `SPLITS`, by the words in its name; -1 if none has such a word.

    Raises:
        UserError: a name has words of two splits, or none beside others that have; or there is nothing to train on.
    """
    words = [{SPLITS[split] for split in splits_in(name)[0]} for name in names]
    if not any(words):
        return [UNASSIGNED] * len(names)
    for name, named in zip(names, words, strict=True):
        if len(named) != 1:
            has = f"has words of {' and '.join(sorted(named))}" if named else "names no split, as others do"
            raise UserError(
                f"{root / name}: its name {has}. Put one of {', '.join(SPLITS)} in it, or take the file away."
            )
    distinct = {word for named in words for word in named}
    if len(distinct) == 1 and (purpose is Purpose.MEASURE or distinct != {"train"}):
        return [UNASSIGNED] * len(names)  # Only these were asked for.
    if "train" not in distinct and purpose is not Purpose.MEASURE:
        raise UserError(
            f"{source}: no shard is to train on; names have the words {', '.join(sorted(distinct))}. Put train into "
            "the names of those to train on."
        )
    return [SPLITS.index(next(iter(named))) for named in words]


def _names_beside(shard: Path, root: Path) -> list[str] | None:
    """Return the lines of the `labels.txt` in a shard's folder, or in that of all; TF-Slim wrote `0:daisy`."""
    file = next(filter(Path.is_file, (shard.parent / "labels.txt", root / "labels.txt")), None)
    if file is None:
        return None
    try:
        names = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text ({error}). Save it anew, one class a line.") from error
    slim = [f"{number}:" for number in range(len(names))]
    if all(map(str.startswith, names, slim)):
        return list(map(str.removeprefix, names, slim))
    return names
