from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data.examples import Examples
from keras_transfer.data.inspection.findings import findings, near_links
from keras_transfer.data.inspection.inspector import Inspection
from keras_transfer.recipe.recipe import Recipe

pytestmark = pytest.mark.quick


def findings_of(inspections, classes=("a", "b"), labels=None, task="classification", **options):
    count = len(inspections)
    labels = np.arange(count, dtype="int32") % 2 if labels is None else labels
    paths = [f"{index}.png" for index in range(count)]
    digests = [index.to_bytes(16, "big") for index in range(count)]
    splits = np.full(count, -1, "int8")
    examples = Examples("photos", Path(), paths, labels, splits, classes, digests=digests, task=task)
    return {finding.kind: finding for finding in findings(examples, inspections, Recipe(**options))}


def of_size(height, width, **more):
    return Inspection(b"", None, b"", height, width, **more)


def test_much_that_is_cropped_is_told_with_numbers():
    wide = [of_size(240, 960)] * 6 + [of_size(400, 400)] * 4 + [of_size(0, 0)]
    assert findings_of(wide)["crop"].detail == (
        "--resize crop cuts away half or more of 60% of the pictures (the median picture loses 75% of its area): "
        "--resize squash or --resize pad shows them whole"
    )
    assert "crop" not in findings_of(wide, resize="pad")
    assert "crop" not in findings_of([of_size(300, 400)] * 9 + [of_size(100, 400)])
    assert "crop" not in findings_of([])


def test_values_that_do_not_fill_their_bits_are_told_with_the_factor_that_does():
    dark = findings_of([of_size(8, 8, peak=4095), of_size(8, 8), of_size(8, 8, peak=900)])["dark-16-bit"]
    assert dark.paths == ["0.png", "2.png"]
    assert dark.detail == (
        "2 pictures of 16 bits hold values up to 4,095 only (12 bits): of 256 grey levels 16 are left. "
        "Multiply the values by 16 and write them again"
    )
    assert "dark-16-bit" not in findings_of([of_size(8, 8, peak=4095), of_size(8, 8, peak=65_000)])


def test_a_class_of_which_nothing_can_be_used_is_no_imbalance():
    pictures = [of_size(40, 40)] * 24
    assert "imbalance" not in findings_of(pictures, ("a", "b", "annotations"))
    assert findings_of(pictures, ("a", "b", "annotations"))["few"].detail.startswith(
        "fewer than 10 images of 'annotations'"
    )


def test_a_turned_copy_may_have_another_label_and_an_upright_one_not():
    generator = np.random.default_rng(0)
    upright, other = generator.random((2, 16, 16)) < 0.5

    def looking(bits, digest):
        packed = np.packbits(bits.ravel()).tobytes()
        return Inspection(digest, None, hash=packed, height=40, width=40, contrast=40.0)

    turned = [looking(upright, b"0"), looking(upright.T, b"1"), looking(other, b"2")]
    listed = findings_of(turned)
    assert listed["near-duplicate"].paths == ["0.png", "1.png"]
    assert listed["near-duplicate"].detail.startswith("2 pictures: mirrored, turned or cropped, perceptual hashes")
    assert "label-conflict" not in listed
    equal = [looking(upright, b"0"), looking(upright, b"1"), looking(other, b"2")]
    assert findings_of(equal)["label-conflict"].detail.startswith("labelled 'a', 'b' (perceptual hashes")


def test_copies_with_other_numbers_are_conflicts_unless_measuring_makes_as_much():
    """Equal files are told by their digests, alike ones by their hashes: both numbers stand there."""
    looks = np.random.default_rng(0).integers(0, 256, (4, 32), "uint8")
    seen = [Inspection(b"", None, hash=looks[n].tobytes(), height=40, width=40, contrast=40.0) for n in (0, 0, 1, 2, 3)]
    targets = np.array([[10], [90], [20], [50], [70]], "float32")
    conflict = findings_of(seen, ("age",), targets, "regression")["label-conflict"]
    assert conflict.paths == ["0.png", "1.png"]
    assert conflict.detail.startswith("with the targets 10 and 90 (perceptual hashes")
    targets[1] = 10.5
    assert "label-conflict" not in findings_of(seen, ("age",), targets, "regression")


def test_pictures_with_little_to_compare_are_like_no_other():
    look = {"hash": bytes(32), "contrast": 40.0}
    whole = Inspection(b"a", None, height=40, width=40, **look)
    flat = Inspection(b"b", None, height=40, width=40, hash=bytes(32), contrast=1.0)
    tiny = Inspection(b"c", None, height=8, width=40, **look)
    assert near_links([whole, flat, whole, tiny, tiny, Inspection(b"d", "is empty")]).tolist() == [[0, 2, 0, 0]]
    assert near_links([flat, flat]).shape == (0, 4)


def test_one_label_that_some_images_lack_tells_them_apart():
    pictures, labels = [of_size(40, 40)] * 20, np.ones((20, 1), "float32")
    assert "one-class" in findings_of(pictures, ("red",), labels, "multi-label")
    labels[:8] = 0
    assert "one-class" not in findings_of(pictures, ("red",), labels, "multi-label")
