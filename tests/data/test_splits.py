import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data import splits
from keras_transfer.data.examples import MULTI_LABEL, Examples, training_digests
from keras_transfer.support.errors import UserError


def examples(counts, given=None):
    labels = np.repeat(np.arange(len(counts)), counts).astype("int32")
    assigned = np.full(len(labels), -1, "int8") if given is None else np.asarray(given, "int8")
    paths = [f"/data/{label}/{row}.jpg" for row, label in enumerate(labels)]
    return Examples("photos", Path("/data"), paths, labels, assigned, tuple("abcdefgh"[: len(counts)]))


def test_every_class_is_dealt_out_by_the_shares():
    split = splits.assign(examples([100, 20]), (70, 15, 15), 0)
    for label, expected in ((0, [70, 15, 15]), (1, [14, 3, 3])):
        assert [int(((split.splits == k) & (split.labels == label)).sum()) for k in range(3)] == expected


def several(rows, groups=None):
    """Labels of several an image, a row of 0 and 1 each."""
    one = examples([len(rows)])
    labels = np.asarray(rows, "float32")
    return replace(one, labels=labels, classes=tuple("abcdefgh"[: labels.shape[1]]), task=MULTI_LABEL, groups=groups)


@pytest.mark.parametrize("seed", range(5))
def test_each_split_has_its_share_of_rare_labels_beside_frequent_ones(seed):
    rows = [[1, 0, 0]] * 60 + [[1, 1, 0]] * 20 + [[0, 0, 1]] * 4 + [[1, 1, 1]] * 2 + [[0, 0, 0]] * 14
    split = splits.assign(several(rows), (70, 15, 15), seed)
    for label, least, most in ((0, 11, 14), (1, 3, 4), (2, 1, 1)):
        for number in (1, 2):
            assert least <= int(split.labels[split.splits == number, label].sum()) <= most, label
    for fold in splits.folds(several(rows), 3, seed):
        assert fold.labels[fold.splits == 2].any(0).all()


def test_a_label_of_fewer_images_than_splits_is_no_obstacle():
    rows = [[1, 0]] * 20 + [[1, 1]]
    assert sorted(np.bincount(splits.assign(several(rows), (70, 15, 15), 0).splits)) == [3, 3, 15]
    together = np.arange(21) // 7  # Three groups, of which each split needs one.
    split = splits.assign(several([[1, 0]] * 7 + [[0, 1]] * 7 + [[1, 1]] * 7, together), (70, 15, 15), 0)
    assert len(set(zip(split.splits.tolist(), together.tolist(), strict=True))) == 3


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


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ([40, 10, 8], r"class 'c' has 8 images, too few for --folds 12\. Give --folds 8 or fewer\.$"),
        ([12, 3], r"class 'b' has 3 images, too few for --folds 12\. Give --folds 3\.$"),
        ([12, 2], r"class 'b' has 2 images, too few for --folds 12\. Add images to it, or remove it\.$"),
    ],
)
def test_too_many_folds_are_told_with_how_many_there_can_be(counts, told):
    with pytest.raises(UserError, match=told):
        next(splits.folds(examples(counts), 12, 0))


def test_the_record_tells_what_training_saw(tmp_path):
    split = splits.assign(examples([4, 4]), (50, 25, 25), 0)
    digests = [bytes([row] * 16) for row in range(8)]
    replace(split, digests=digests).write_csv(tmp_path / "splits.csv")
    with (tmp_path / "splits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows[:2]] == ["0/0.jpg", "0/1.jpg"]
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    seen = training_digests(tmp_path)
    assert seen == {digest for digest, number in zip(digests, split.splits, strict=True) if number != 2}


def test_groups_stay_together_and_the_shares_nearly_hold():
    one = examples([60, 60])
    groups = np.arange(120) // 4
    grouped = splits.assign(replace(one, groups=groups), (70, 15, 15), 0)
    for group in np.unique(groups):
        assert len(set(grouped.splits[groups == group])) == 1
    for label in (0, 1):
        counts = np.bincount(grouped.splits[grouped.labels == label], minlength=3)
        np.testing.assert_allclose(counts, [42, 9, 9], atol=4)
        assert counts.min() > 0


def test_two_groups_are_too_few_for_three_splits():
    one = examples([12, 12])
    groups = np.concatenate([np.arange(12) // 6, 100 + np.arange(12)])
    with pytest.raises(UserError, match=r"class 'a' has 12 images in 2 groups .* too few for 3 splits"):
        splits.assign(replace(one, groups=groups), (70, 15, 15), 0)


def test_each_fold_tests_every_image_once():
    folds = list(splits.folds(examples([20, 11]), 4, 0))
    tested = np.sum([fold.splits == 2 for fold in folds], axis=0)
    assert (tested == 1).all()
    for fold in folds:
        assert set(fold.splits) == {0, 1, 2}
        for label in (0, 1):
            assert set(fold.splits[fold.labels == label]) == {0, 1, 2}


def test_numbers_are_dealt_out_by_their_quantiles():
    values = np.random.default_rng(0).normal(size=(200, 1)).astype("float32")
    one = replace(examples([200]), labels=values, classes=("target",), task="regression")
    split = splits.assign(one, (70, 15, 15), 0)
    means = [values[split.splits == k].mean() for k in range(3)]
    assert np.ptp(means) < 0.35
    assert np.bincount(split.splits).tolist() == pytest.approx([140, 30, 30], abs=3)


@pytest.mark.parametrize("patients", [3, 10, 12, 14])
def test_numbers_of_few_groups_are_dealt_out_by_fewer_quantiles(patients):
    groups = np.repeat(np.arange(patients), 10)
    values = (groups + np.random.default_rng(0).random(len(groups)))[:, None].astype("float32")
    one = replace(examples([len(groups)]), labels=values, classes=("age",), task="regression", groups=groups)
    split = splits.assign(one, (70, 15, 15), 0)
    assert set(split.splits) == {0, 1, 2}
    assert all(len(set(split.splits[groups == group])) == 1 for group in range(patients))


def test_numbers_most_of_which_are_equal_are_dealt_out():
    generator = np.random.default_rng(0)
    for seed in range(30):
        values = np.where(generator.random((100, 1)) < 0.78, 0, generator.random((100, 1))).astype("float32")
        one = replace(examples([100]), labels=values, classes=("damage",), task="regression")
        assert set(splits.assign(one, (70, 15, 15), seed).splits) == {0, 1, 2}


def test_groups_with_images_of_several_classes_stay_together():
    patients = np.tile(np.arange(12).repeat(2), 2)
    split = splits.assign(replace(examples([24, 24]), groups=patients), (70, 15, 15), 0)
    for patient in range(12):
        assert len(set(split.splits[patients == patient])) == 1
    for label in (0, 1):
        assert [int(((split.splits == k) & (split.labels == label)).sum()) for k in range(3)] == [16, 4, 4]


@pytest.mark.parametrize("seed", range(3))
def test_groups_of_one_and_of_several_classes_mix(seed):
    one = examples([40, 40, 9])
    groups = np.random.default_rng(seed).integers(0, 60, len(one))
    split = splits.assign(replace(one, groups=groups), (70, 15, 15), seed)
    for group in np.unique(groups):
        assert len(set(split.splits[groups == group])) == 1
    counts = np.array([[((split.splits == k) & (split.labels == label)).sum() for k in range(3)] for label in range(3)])
    assert counts.min() > 0
    np.testing.assert_allclose(counts.sum(0), [62, 13, 13], atol=5)


def test_two_groups_of_all_classes_are_too_few():
    with pytest.raises(UserError, match=r"class 'a' has 6 images in 2 groups .* too few for 3 splits"):
        splits.assign(replace(examples([6, 6]), groups=np.tile([0, 1], 6)), (70, 15, 15), 0)
