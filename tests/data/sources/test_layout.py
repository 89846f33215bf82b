import zipfile

import pytest

from keras_transfer.data import sources
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support.errors import UserError


def touch(root, names, each=2):
    """Make empty files `NAME/0.jpg`, ..., which is all that a listing looks at."""
    for name in names:
        for number in range(each):
            file = root / name / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    return root


def counts(examples):
    return [int((examples.splits == split).sum()) for split in range(3)]


@pytest.fixture(params=["folder", "zip"])
def load(request, tmp_path):
    """Lists a folder, as it is or packed."""

    def listing(root, purpose=Purpose.TRAIN):
        if request.param == "folder":
            return sources.load(str(root), purpose=purpose)
        with zipfile.ZipFile(tmp_path / "packed.zip", "w") as archive:
            for file in sorted(root.rglob("*")):
                if file.is_file():
                    archive.write(file, str(file.relative_to(root)))
        return sources.load(str(tmp_path / "packed.zip"), purpose=purpose)

    return listing


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("training_set", "test_set"),
        ("Train_Data", "Test_Data"),
        ("train_images", "test_images"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("trainset", "testset"),
        ("wrapper/train", "wrapper/test"),
        ("train/images", "test/images"),
        ("trainval", "test"),
        ("train_val", "holdout"),
    ],
)
def test_folders_named_like_splits_are_splits(tmp_path, load, train, test):
    root = touch(tmp_path / "data", [f"{train}/daisy", f"{train}/rose", f"{test}/daisy", f"{test}/rose"])
    examples = load(root)
    assert examples.classes == ("daisy", "rose")
    assert counts(examples) == [4, 0, 4]
    assert "are splits" in examples.understood
    assert "validation split is cut from train" in examples.understood


def test_a_split_is_named_besides_its_folder_where_that_has_another_name(tmp_path, load):
    root = touch(tmp_path / "data", ["train/daisy", "train/rose", "valid/daisy", "valid/rose"])
    assert "train/, valid/ (validation) are splits." in load(root).understood


def test_an_unlabelled_folder_beside_splits_is_left_out_and_named(tmp_path, load):
    root = touch(tmp_path / "data", ["train/daisy", "train/rose", "test", "pred/pred"])
    examples = load(root)
    assert counts(examples) == [4, 0, 0]
    assert "Left out: pred/, 2 images without class folders" in examples.understood
    assert "Left out: test/, 2 images without class folders" in examples.understood


@pytest.mark.parametrize(
    "names",
    [
        ("bus", "car", "train"),
        ("test_tube", "train_station"),
        ("invalid", "valid"),
        ("invalid/a", "valid/a"),
        ("steam_boat/2024", "steam_train/2024"),
        ("control/2024", "test/2024"),
    ],
)
def test_classes_whose_names_hold_the_word_of_a_split_are_classes(tmp_path, load, names):
    assert load(touch(tmp_path / "data", names)).classes == tuple(name.split("/")[0] for name in names)


def test_splits_without_training_images_are_refused(tmp_path, load):
    root = touch(tmp_path / "data", ["val/daisy", "val/rose", "test/daisy", "test/rose"])
    with pytest.raises(UserError, match="nothing to train on"):
        load(root)
    assert counts(load(root, Purpose.MEASURE)) == [0, 4, 4]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("test", "train_new"), "test/ and train_new/ hold folders of the same names .daisy, rose., as splits do"),
        (("test_B", "train_A"), "test_B/ and train_A/"),
        (("fold_0", "fold_1"), "fold_0/ and fold_1/"),
        (("tulip/test", "tulip/train", "other"), "tulip/test/, tulip/train/ look like splits within a class"),
    ],
)
def test_folders_that_are_rather_splits_than_classes_are_refused(tmp_path, load, names, words):
    root = touch(tmp_path / "data", [f"{name}/{below}" for name in names for below in ("daisy", "rose")])
    with pytest.raises(UserError, match=words):
        load(root)


def test_a_split_without_images_is_none(tmp_path):
    root = touch(tmp_path / "data", ["train/daisy", "train/rose"])
    for name in ("daisy", "rose"):
        (root / "test" / name).mkdir(parents=True)
    understood = sources.load(str(root)).understood
    assert "Left out: test/, 0 images" in understood
    assert "The validation and the test split are cut from train." in understood


def test_splits_without_class_folders_are_refused(tmp_path, load):
    root = touch(tmp_path / "data", ["train", "test"])
    with pytest.raises(UserError, match="look like splits, but hold images without class folders"):
        load(root)
    (root / "labels.csv").touch()
    with pytest.raises(UserError, match=r"--data .*labels\.csv"):
        sources.load(str(root))


def test_a_folder_around_the_classes_is_seen_through(tmp_path, load):
    examples = load(touch(tmp_path / "data", ["archive/photos/daisy", "archive/photos/rose"]))
    assert examples.classes == ("daisy", "rose")
    assert "All folders are in archive/photos/" in examples.understood


def test_folders_in_a_class_are_part_of_it_and_that_is_said(tmp_path, load):
    examples = load(touch(tmp_path / "data", ["animals/cat", "animals/dog", "plants/fern"]))
    assert examples.classes == ("animals", "plants")
    assert "Folders in a class are part of it: animals/cat/, animals/dog/, plants/fern/." in examples.understood


def test_files_in_no_class_folder_are_named(tmp_path, load):
    root = touch(tmp_path / "data", ["daisy", "rose"])
    (root / "stray.jpg").touch()
    examples = load(root)
    assert len(examples) == 4
    assert "Left out: stray.jpg" in examples.understood


def test_classes_that_are_whole_numbers_are_in_their_order(tmp_path, load):
    assert load(touch(tmp_path / "data", ["10", "9", "1"])).classes == ("1", "9", "10")


def test_composed_and_decomposed_names_are_one_class(tmp_path, load):
    root = touch(tmp_path / "data", ["train/ros\u00e9", "train/tulip", "test/rose\u0301", "test/tulip"])
    examples = load(root)
    assert examples.classes == ("ros\u00e9", "tulip")
    assert counts(examples) == [4, 0, 4]


def test_one_class_can_be_measured_but_not_learnt(tmp_path, load):
    root = touch(tmp_path / "data", ["tulip"])
    with pytest.raises(UserError, match="only one class folder, 'tulip'"):
        load(root)
    assert load(root, Purpose.MEASURE).classes == ("tulip",)
    (root / "tulip").rename(root / "moved")
    (root / "test").mkdir()
    (root / "moved").rename(root / "test" / "tulip")
    assert load(root, Purpose.MEASURE).classes == ("tulip",)


def test_what_devices_leave_behind_is_passed_over_and_counted(tmp_path, load):
    root = touch(
        tmp_path / "data", ["daisy", "rose", "daisy/@eaDir/0.jpg", "rose/@__thumb", "#recycle", "__MACOSX/rose"]
    )
    touch(root, ["daisy/.ipynb_checkpoints", ".thumbnails"])
    for name in ("Thumbs.db", "0.jpg@SynoEAStream", "0.jpg.xmp", "1.XMP", "1.aae", "0.jpg:Zone.Identifier"):
        (root / "daisy" / name).touch()
    examples = load(root)
    assert (len(examples), examples.classes) == (4, ("daisy", "rose"))
    assert "@eaDir: 2 files" in examples.understood
    assert "#recycle: 2 files" in examples.understood
    assert ".xmp: 2 files" in examples.understood


@pytest.mark.parametrize(
    "sign", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\x07"]
)
def test_a_class_name_that_would_break_a_list_of_names_is_refused(tmp_path, load, sign):
    root = touch(tmp_path / "data", [f"common{sign}daisy", "rose"])
    with pytest.raises(UserError, match=r"the name of class 'common\\.*daisy' holds a line break or control character"):
        load(root)
