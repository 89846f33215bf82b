import os

import pytest

from keras_transfer.data import sources
from keras_transfer.data.contents import Files
from keras_transfer.data.sources.purpose import Purpose
from keras_transfer.support.errors import UserError
from tests.data.sources.test_layout import touch


@pytest.fixture
def classes(tmp_path):
    return touch(tmp_path / "data", ["rose", "tulip"], each=3)


def sizes(examples):
    return {name: int((examples.labels == number).sum()) for number, name in enumerate(examples.classes)}


@pytest.mark.parametrize("links", [["."], [".", "."], [".."], ["../tulip"], ["../.."]])
def test_a_link_to_a_listed_folder_is_not_followed_and_said(classes, links):
    for number, target in enumerate(links):
        (classes / "rose" / f"link{number}").symlink_to(target, target_is_directory=True)
    examples = sources.load(str(classes))
    assert sizes(examples) == {"rose": 3, "tulip": 3}
    assert "Not followed" in examples.understood
    assert f"{classes}/rose/link0" in examples.understood


def test_a_class_folder_that_is_a_link_to_another_is_said(classes):
    (classes / "pink").symlink_to("rose", target_is_directory=True)
    examples = sources.load(str(classes))
    assert sizes(examples) == {"rose": 3, "tulip": 3}
    assert f"{classes}/pink" in examples.understood


def test_links_to_photos_elsewhere_are_followed(classes, tmp_path):
    (classes / "tulip").rename(tmp_path / "elsewhere")
    (classes / "tulip").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (classes / "rose" / "0.jpg").rename(tmp_path / "moved.jpg")
    (classes / "rose" / "0.jpg").symlink_to(tmp_path / "moved.jpg")
    examples = sources.load(str(classes))
    assert sizes(examples) == {"rose": 3, "tulip": 3}
    assert "Not followed" not in examples.understood


def test_one_file_in_two_classes_is_refused_with_both_names(classes):
    (classes / "rose" / "other.jpg").symlink_to("../tulip/0.jpg")
    with pytest.raises(UserError, match=r"(rose/other|tulip/0)\.jpg and .*(rose/other|tulip/0)\.jpg are one file"):
        sources.load(str(classes))


def test_two_links_to_one_folder_elsewhere_are_refused(classes, tmp_path):
    touch(tmp_path, ["elsewhere"])
    for name in ("rose", "tulip"):
        (classes / name / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(UserError, match=r"data/(rose|tulip)/more and .*data/(rose|tulip)/more lead to one folder"):
        sources.load(str(classes))


def test_a_link_to_itself_is_a_file_that_cannot_be_read(classes):
    (classes / "rose" / "loop.jpg").symlink_to("loop.jpg")
    examples = sources.load(str(classes))
    assert sizes(examples) == {"rose": 4, "tulip": 3}
    with pytest.raises(OSError, match="Too many levels"):
        Files().read(str(classes / "rose" / "loop.jpg"))


def test_only_regular_files_are_images(classes):
    os.mkfifo(classes / "rose" / "pipe.jpg")
    (classes / "rose" / "zero.jpg").symlink_to("/dev/zero")
    examples = sources.load(str(classes))
    assert sizes(examples) == {"rose": 3, "tulip": 3}
    assert "pipe.jpg (no regular file)" in examples.understood
    for name in ("pipe.jpg", "zero.jpg"):
        with pytest.raises(OSError, match="no regular file"):
            Files().read(str(classes / "rose" / name))


def test_a_folder_that_cannot_be_read_is_named(classes, monkeypatch):
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("tulip"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"tulip' cannot be read \(Permission denied\)"):
        sources.load(str(classes))


def test_names_that_are_not_utf8(tmp_path):
    root = touch(tmp_path / "data", ["rose", "tulip"])
    os.rename(root / "rose" / "0.jpg", os.fsencode(root / "rose") + b"/ros\xe9.jpg")
    examples = sources.load(str(root))
    assert [examples.short(path) for path in examples.paths[:2]] == ["rose/1.jpg", "rose/ros\\xe9.jpg"]
    os.rename(root / "rose", os.fsencode(root) + b"/ros\xe9")
    with pytest.raises(UserError, match=r"the name of class 'ros\\xe9' holds bytes that are not UTF-8"):
        sources.load(str(root))


def test_the_current_folder_has_a_name(classes, monkeypatch):
    monkeypatch.chdir(classes / "rose")
    assert sources.load(".", purpose=Purpose.INSPECT).classes == ("rose",)


def test_models_of_this_program_in_the_folder_are_no_class(classes):
    folder = classes / "saved_models"
    touch(folder / "data-vgg16" / "1", ["assets.extra"], each=2)
    assert "saved_models" in sources.load(str(classes)).classes
    (folder / "data-vgg16" / "1" / "saved_model.pb").touch()
    examples = sources.load(str(classes))
    assert examples.classes == ("rose", "tulip")
    assert "Passed over: saved_models: 3 files." in examples.understood
