import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data import audit, sources
from keras_transfer.data.contents import Zipped
from keras_transfer.errors import UserError
from keras_transfer.progress import Progress
from tests.conftest import draw, write_photos


def pack(file, folder, below="", extra=()):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(Path(folder).rglob("*")):
            archive.write(path, f"{below}{path.relative_to(folder)}")
        for name, content in extra:
            archive.writestr(name, content)
    return str(file)


def test_class_folders(photos):
    examples = sources.load(str(photos))
    assert examples.classes == ("blue", "green", "red")
    assert len(examples) == 42
    assert set(examples.splits) == {-1}
    assert all(examples.classes[label] in path for path, label in zip(examples.paths, examples.labels, strict=True))


@pytest.mark.parametrize("validation", ["val", "validation", None])
def test_split_folders(tmp_path, validation):
    write_photos(tmp_path / "train", 4)
    write_photos(tmp_path / "test", 2)
    if validation:
        write_photos(tmp_path / validation, 3)
    examples = sources.load(str(tmp_path))
    counts = [len(examples.rows(split)) for split in ("train", "validation", "test")]
    assert counts == [12, 9 if validation else 0, 6]
    assert examples.root == tmp_path


def test_folders_of_the_same_split_are_joined(tmp_path):
    for name, count in (("train", 3), ("val", 1), ("validation", 2)):
        write_photos(tmp_path / name, count)
    examples = sources.load(str(tmp_path))
    assert [len(examples.rows(split)) for split in ("train", "validation", "test")] == [9, 9, 0]


def test_odd_names_hidden_files_links_and_nested_folders(tmp_path):
    data = write_photos(tmp_path / "data", 2)
    (data / "blue" / ".DS_Store").write_text("x")
    (data / "blue" / "Thumbs.db").write_text("x")
    (data / ".git").mkdir()
    deep = data / "blue" / "vacances d'été" / "ça"
    deep.mkdir(parents=True)
    draw((0, 0, 255), 1).save(deep / "ünï cødé.PNG")
    (data / "red" / "linked.jpg").symlink_to(data / "red" / "00.jpg")
    examples = sources.load(str(data))
    names = [path.rpartition("/")[2] for path in examples.paths]
    assert len(names) == 8
    assert "ünï cødé.PNG" in names
    assert "linked.jpg" in names


def test_folders_that_do_not_belong_together_are_said(tmp_path):
    write_photos(tmp_path / "train", 2)
    write_photos(tmp_path / "test", 2)
    (tmp_path / "test" / "purple").mkdir()
    with pytest.raises(UserError, match="class 'purple'"):
        sources.load(str(tmp_path))
    (tmp_path / "test" / "purple").rmdir()
    (tmp_path / "cats").mkdir()
    with pytest.raises(UserError, match="'cats' stands beside train/"):
        sources.load(str(tmp_path))


@pytest.mark.parametrize("below", ["", "photos/", "some/where/"])
def test_an_archive_is_read_like_the_folder_it_was_made_of(tmp_path, below):
    folder = write_photos(tmp_path / "data", 4)
    extra = [("photos/LICENSE.txt", "x"), ("__MACOSX/photos/red/._00.jpg", "x"), (f"{below}red/.DS_Store", "x")]
    packed = sources.load(pack(tmp_path / "data.zip", folder, below, extra if below == "photos/" else ()))
    plain = sources.load(str(folder))
    assert packed.classes == plain.classes
    assert packed.labels.tolist() == plain.labels.tolist()
    assert [packed.contents.read(name) for name in packed.paths] == [Path(name).read_bytes() for name in plain.paths]
    assert packed.short(packed.paths[0]) == f"{below}{plain.short(plain.paths[0])}"


def test_split_folders_in_an_archive(tmp_path):
    write_photos(tmp_path / "data" / "train", 4)
    write_photos(tmp_path / "data" / "Test", 2)
    examples = sources.load(pack(tmp_path / "data.zip", tmp_path / "data", "set/"))
    assert [len(examples.rows(split)) for split in ("train", "validation", "test")] == [12, 0, 6]
    with pytest.raises(UserError, match="'other' stands beside train/"):
        sources.load(pack(tmp_path / "b.zip", tmp_path / "data", "set/", [("set/other/1.jpg", "x")]))
    with pytest.raises(UserError, match="class 'other' of the test split is missing from train/"):
        sources.load(pack(tmp_path / "c.zip", tmp_path / "data", "set/", [("set/Test/other/1.jpg", "x")]))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([("../../evil.jpg", "x")], "'../../evil.jpg' leads out of the archive"),
        ([("/etc/passwd", "x")], "leads out of the archive"),
        ([("red/1.jpg", "x"), ("red/2.jpg", "x")], "only one class folder, 'red'"),
        ([("1.jpg", "x")], "no class folders in it"),
        ([], "there is no file in it"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, extra, message):
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match=message):
        sources.load(pack(tmp_path / "a.zip", tmp_path / "none", "", extra))
    (tmp_path / "b.zip").write_text("hello")
    with pytest.raises(UserError, match=r"cannot be read as a \.zip file"):
        sources.load(str(tmp_path / "b.zip"))


def test_a_damaged_member_and_a_bomb_are_left_out_with_the_reason(tmp_path):
    folder = write_photos(tmp_path / "data", 2)
    file = Path(pack(tmp_path / "a.zip", folder))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("red/bomb.jpg", bytes(2**28 + 1))
    content = bytearray(file.read_bytes())
    photo = (folder / "blue" / "00.jpg").read_bytes()
    content[content.index(photo) + 100] ^= 255
    file.write_bytes(content)
    examples = sources.load(str(file))
    _, faults = audit.read(examples, Progress(quiet=True))
    assert {examples.short(examples.paths[row]): why.split("(")[0] for row, why in faults.items()} == {
        "blue/00.jpg": "cannot be read ",
        "red/bomb.jpg": "cannot be read ",
    }
    assert np.unique(examples.labels).tolist() == [0, 1, 2]
    with pytest.raises(OSError, match="268,435,457 bytes when unpacked"):
        Zipped(str(file)).read(f"{file}/red/bomb.jpg")


def test_other_archives_are_to_be_unpacked(tmp_path):
    (tmp_path / "flower_photos.tgz").write_bytes(b"")
    with pytest.raises(UserError, match=r"unpack .*tar -xf flower_photos.tgz"):
        sources.load(str(tmp_path / "flower_photos.tgz"))
