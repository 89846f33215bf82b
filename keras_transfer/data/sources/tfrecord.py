"""Labelled images from the records of TFRecord files."""

from __future__ import annotations

import glob
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_transfer.data.contents import Contents, Records
from keras_transfer.data.examples import SPLIT_NAMES, SPLITS, UNASSIGNED, Examples
from keras_transfer.errors import UserError

_IMAGE_KEYS = ("image/encoded", "image", "image_raw", "encoded")
_LABEL_KEYS = ("image/class/text", "image/class/label", "label")
_FRAME = 12  # Bytes before a record: its length and that length's checksum; four more follow it.


def shards_of(source: str) -> list[Path]:
    """Return the TFRecord files that a path, folder or glob names, sorted; none if it names something else."""
    path = Path(source).expanduser()
    names = path.iterdir() if path.is_dir() else [path] if path.is_file() else map(Path, glob.glob(str(path)))
    return sorted(name for name in names if ".tfrecord" in name.name or ".tfrec" in name.name)


def load(shards: Sequence[Path], source: str) -> Examples:
    """List the records of TFRecord shards, `image/encoded` with `image/class/text` or `image/class/label`.

    A shard whose name has the word train, validation or test in it belongs to that split. Labels that are numbers are
    named by `labels.txt` beside the shards, where there is one.

    Raises:
        UserError: a shard is cut off, or a record lacks an image or a label.
    """
    from tensorflow.train import Example

    names, labels, splits, key = [], [], [], ""
    for shard in shards:
        split = _split_in(shard.name)
        for offset, record in framed(shard):
            features = Example.FromString(record).features.feature
            key = key or next((name for name in _IMAGE_KEYS if name in features), "")
            label = next((name for name in _LABEL_KEYS if name in features), None)
            if key not in features or label is None:
                raise UserError(
                    f"{shard}: a record has no {'label' if key in features else 'image'}. It has "
                    f"{', '.join(sorted(features)) or 'no features'}; needed are image/encoded and image/class/label."
                )
            names.append(f"{shard}@{offset}")
            labels.append(value(features[label]))
            splits.append(split)
    given = SPLITS.index("train") in splits
    assigned = np.asarray(splits if given else [UNASSIGNED] * len(splits), "int8")
    return examples_of(source, shards[0].parent, names, labels, assigned, Records(key), _names_beside(shards[0]))


def examples_of(
    source: str,
    root: Path,
    names: list[str],
    labels: list[str | int],
    splits: np.ndarray,
    contents: Contents,
    class_names: Sequence[str] | None,
) -> Examples:
    """Return records as examples; those with a negative label are unlabelled and left out."""
    labelled = [row for row, label in enumerate(labels) if not (isinstance(label, int) and label < 0)]
    names, labels, splits = [names[row] for row in labelled], [labels[row] for row in labelled], splits[labelled]
    if not labels:
        raise UserError(f"{source} holds no labelled records.")
    if all(isinstance(label, int) for label in labels) and class_names:
        outside = [label for label in labels if int(label) >= len(class_names)]
        if outside:
            raise UserError(f"{source}: label {outside[0]} has no name among the {len(class_names)} given.")
        classes = tuple(class_names)
        values = np.asarray(labels, "int32")
        present = np.unique(values)
        classes, values = tuple(classes[k] for k in present), np.searchsorted(present, values).astype("int32")
    else:
        distinct, values = np.unique(np.asarray(labels), return_inverse=True)
        classes = tuple(map(str, distinct))
    if len(classes) < 2:
        raise UserError(f"{source}: every label is {classes[0]!r}. A classifier needs at least two classes.")
    return Examples(source, root, names, values.astype("int32"), splits, classes, contents=contents)


def framed(shard: Path) -> Iterator[tuple[int, bytes]]:
    """Yield where each record of a TFRecord file begins, and its bytes."""
    size = shard.stat().st_size
    with shard.open("rb") as stream:
        offset = 0
        while offset < size:
            head = stream.read(_FRAME)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == _FRAME else size
            if offset + _FRAME + length + 4 > size:
                raise UserError(f"{shard} is cut off, or no (uncompressed) TFRecord file. Copy it again.")
            yield offset, stream.read(length)
            stream.seek(4, 1)
            offset += _FRAME + length + 4


def parse(record: bytes) -> Any:
    """Return the features of a serialised `tf.train.Example` by name."""
    from tensorflow.train import Example

    return Example.FromString(record).features.feature


def value(feature: Any) -> str | int:
    """Return the label that a feature holds; -1 for none."""
    if feature.bytes_list.value:
        return feature.bytes_list.value[0].decode("utf-8", "replace")
    return int(feature.int64_list.value[0]) if feature.int64_list.value else -1


def _split_in(name: str) -> int:
    words = [SPLIT_NAMES[word] for word in re.split(r"[^a-z]+", name.lower()) if word in SPLIT_NAMES]
    return SPLITS.index(words[0]) if words else UNASSIGNED


def _names_beside(shard: Path) -> list[str] | None:
    file = shard.parent / "labels.txt"
    return file.read_text("utf-8").splitlines() if file.is_file() else None
