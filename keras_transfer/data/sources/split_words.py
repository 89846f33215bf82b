"""The words by which names of folders and files tell splits: `train`, `Test_Data`, `flowers-val-00001`."""

from __future__ import annotations

import re

from keras_transfer.data.examples import SPLIT_NAMES, SPLITS

# What stands next to a split's word in a name: `training_set`, `Train_Data`, `test_images`.
FILLERS = {
    *("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures"),
    *("file", "files", "folder", "split"),
}


def words(name: str) -> set[str]:
    """Return the words of a name, in lower case; `TrainData2017` has two."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.findall(r"[^\W\d_]+", spaced.lower()))


def splits_in(name: str) -> tuple[set[int], frozenset[str]]:
    """Return the splits that a name has words of, positions in `SPLITS`, and its other words but for fillers."""
    splits, rest = set(), set()
    for word in words(name):
        stem = next((word.removesuffix(end) for end in FILLERS if word.removesuffix(end) in SPLIT_NAMES), word)
        if stem in SPLIT_NAMES:
            splits.add(SPLITS.index(SPLIT_NAMES[stem]))
        elif word not in FILLERS:
            rest.add(word)
    return splits, frozenset(rest)
