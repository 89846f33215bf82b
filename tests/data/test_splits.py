import csv
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data import splits
from keras_transfer.data.examples import Examples, training_digests
from keras_transfer.errors import UserError


def examples(counts, given=None):
    labels = np.repeat(np.arange(len(counts)), counts).astype("int32")
    assigned = np.full(len(labels), -1, "int8") if given is None else np.asarray(given, "int8")
    paths = [f"/data/{label}/{row}.jpg" for row, label in enumerate(labels)]
    return Examples("photos", Path("/data"), paths, labels, assigned, tuple("abcdefgh"[: len(counts)]))


def test_every_class_is_dealt_out_by_the_shares():
    split = splits.assign(examples([100, 20]), (70, 15, 15), 0)
    for label, expected in ((0, [70, 15, 15]), (1, [14, 3, 3])):
        assert [int(((split.splits == k) & (split.labels == label)).sum()) for k in range(3)] == expected


def test_the_seed_decides():
    one, same, other = (splits.assign(examples([50, 50]), (70, 15, 15), seed).splits for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_each_split_has_an_image_of_each_class_even_of_three():
    split = splits.assign(examples([3, 3]), (98, 1, 1), 0)
    assert sorted(split.splits[split.labels == 0]) == [0, 1, 2]


def test_given_splits_stay_and_missing_ones_are_carved_from_train():
    given = [0] * 20 + [2] * 5 + [0] * 20 + [2] * 5
    split = splits.assign(examples([25, 25], given), (70, 15, 15), 0)
    np.testing.assert_array_equal(split.splits == 2, np.asarray(given) == 2)
    assert [int((split.splits == k).sum()) for k in range(3)] == [32, 8, 10]
    complete = [0, 1, 2, 0, 1, 2]
    np.testing.assert_array_equal(splits.assign(examples([3, 3], complete), (70, 15, 15), 0).splits, complete)


def test_a_class_too_small_to_split_is_named():
    with pytest.raises(UserError, match="class 'b' has 2 images, too few for 3 splits"):
        splits.assign(examples([10, 2]), (70, 15, 15), 0)


def test_the_record_tells_what_training_saw(tmp_path):
    split = splits.assign(examples([4, 4]), (50, 25, 25), 0)
    digests = [bytes([row] * 16) for row in range(8)]
    split.write_csv(tmp_path / "splits.csv", digests)
    with (tmp_path / "splits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows[:2]] == ["0/0.jpg", "0/1.jpg"]
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    seen = training_digests(tmp_path / "splits.csv")
    assert seen == {digest for digest, number in zip(digests, split.splits, strict=True) if number != 2}
