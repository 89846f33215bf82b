import pytest

from keras_transfer.data.inspection import copies


def sets(names):
    groups = copies.by_name(names)
    if groups is None:
        return []
    together = {}
    for name, group in zip(names, groups, strict=True):
        together.setdefault(int(group), []).append(name)
    return [members for members in together.values() if len(members) > 1]


@pytest.mark.parametrize(
    "names",
    [
        ["a/1_jpg.rf.0123abc.jpg", "a/1_jpg.rf.deadbeef.jpg"],
        [f"a/x_original_1.jpg_0a1b2c3d-0000-1111-2222-0123456789a{digit}.jpg" for digit in "bc"],
        ["a/1.jpg", "a/1_flip.jpg", "a/1-rot90.png", "a/1_aug_12.jpg", "a/1_hflip_bright.jpg"],
        ["a/1.jpg", "a/thumbs/1.jpg"],
        ["a/1.jpg", "a/_thumbnails/1.jpg"],
        ["z.zip/a/1.jpg", "z.zip/a/1_thumb.jpg"],
        ["a/1.jpg", "a/1-150x150.jpg", "a/1-300x200.jpg", "a/1_small.jpg", "a/tn_1.jpg", "a/thumb-1.jpg"],
    ],
)  # fmt: skip
def test_copies_of_one_photo_are_told_by_their_names(names):
    assert sets([*names, "a/2_jpg.rf.0123abc.jpg", "b/1_jpg.rf.0123abc.jpg", "a/3.jpg"]) == [names]


def test_names_that_only_look_like_copies_are_left_alone():
    assert (
        sets(["a/cat_crop_001.jpg", "a/cat_crop_002.jpg", "a/1.jpg", "a/1.png", "a/flower (1).jpg", "thumbs/1.jpg"])
        == []
    )


def test_they_are_described_with_an_example():
    names = ["a/1_jpg.rf.01.jpg", "a/1_jpg.rf.02.jpg", "a/3.jpg"]
    said = copies.describe(copies.by_name(names), names)
    assert (
        said
        == "2 images are copies of 1 photos by their names, as 1_jpg.rf.02.jpg: copies of one photo stay in one split."
    )
