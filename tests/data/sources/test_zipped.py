import zipfile
from pathlib import Path

import numpy as np
import pytest

from keras_transfer.data import sources
from keras_transfer.data.contents import Zipped
from keras_transfer.data.inspection import inspector
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from tests.conftest import draw, write_photos


def pack(file, folder, below="", extra=()):
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(Path(folder).rglob("*")):
            archive.write(path, f"{below}{path.relative_to(folder)}")
        for name, content in extra:
            archive.writestr(name, content)
    return str(file)


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
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [12, 0, 6]
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
    _, faults = inspector.with_digests(examples, Progress(quiet=True))
    assert {examples.short(examples.paths[row]): why.split("(")[0] for row, why in faults.items()} == {
        "blue/00.jpg": "cannot be read ",
        "red/bomb.jpg": "cannot be read ",
    }
    assert np.unique(examples.labels).tolist() == [0, 1, 2]
    with pytest.raises(OSError, match="268,435,457 bytes when unpacked"):
        Zipped(str(file)).read(f"{file}/red/bomb.jpg")


def renamed(file, names):
    """Write an archive whose members have given bytes as names, without the flag for UTF-8."""
    with zipfile.ZipFile(file, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr("QXZ"[number] * len(name), f"content {number}")
    content = file.read_bytes()
    for number, name in enumerate(names):
        content = content.replace(b"QXZ"[number : number + 1] * len(name), name)
    file.write_bytes(content)
    return str(file)


def test_names_in_utf8_without_the_flag_that_says_so(tmp_path):
    source = renamed(tmp_path / "a.zip", ["ros\u00e9/0.jpg".encode(), "m\u00fc\u00dfig/1.jpg".encode()])
    examples = sources.load(source)
    assert examples.classes == ("m\u00fc\u00dfig", "ros\u00e9")
    assert [examples.contents.read(path) for path in examples.paths] == [b"content 1", b"content 0"]


@pytest.mark.parametrize("encoding", ["cp932", "gbk", "cp866"])
def test_names_in_another_encoding_are_refused(tmp_path, encoding):
    name = {"cp932": "\u30d0\u30e9", "gbk": "\u73ab\u7470", "cp866": "\u0440\u043e\u0437\u0430"}[encoding]
    source = renamed(tmp_path / "a.zip", [f"{name}/0.jpg".encode(encoding), b"tulip/1.jpg"])
    with pytest.raises(UserError, match=r"the name '\\x[^\\].*' is not in UTF-8\. Unpack it with its .* \(unzip -O"):
        sources.load(source)


def test_backslashes_between_folders(tmp_path):
    source = renamed(tmp_path / "a.zip", [b"photos\\rose\\0.jpg", b"photos\\tulip\\1.jpg"])
    examples = sources.load(source)
    assert examples.classes == ("rose", "tulip")
    assert examples.contents.read(examples.paths[1]) == b"content 1"


def test_backslashes_in_an_archive_of_windows_beside_a_folder_with_a_slash(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("photos/", "photos\\rose\\0.jpg", "photos\\tulip\\1.jpg"):
            member = zipfile.ZipInfo(name)
            member.create_system = 0
            archive.writestr(member, "")
    assert sources.load(str(tmp_path / "a.zip")).classes == ("rose", "tulip")


@pytest.mark.parametrize("compression", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_damaged_member_stops_nothing_else_whatever_its_compression(tmp_path, compression):
    noise = np.random.default_rng(0).bytes(5000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        for name in ("red/0.jpg", "red/1.jpg", "blue/0.jpg"):
            archive.writestr(name, noise)
    content = bytearray((tmp_path / "a.zip").read_bytes())
    at = content.index(b"red/0.jpg") + len("red/0.jpg")
    content[at : at + 400] = bytes(400)
    (tmp_path / "a.zip").write_bytes(content)
    examples = sources.load(str(tmp_path / "a.zip"))
    assert len(examples) == 3
    with pytest.raises(OSError, match=r"."):
        examples.contents.read(f"{tmp_path}/a.zip/red/0.jpg")
    assert examples.contents.read(f"{tmp_path}/a.zip/red/1.jpg") == noise


@pytest.mark.parametrize("cell", ["{}", "./images/{}", "C:\\photos\\{}"])
def test_a_table_in_an_archive_labels_the_images_beside_it(tmp_path, cell):
    folder, rows = tmp_path / "data" / "images", ["path,label"]
    folder.mkdir(parents=True)
    for number in range(6):
        name = f"{number}.jpg"
        draw((200, 40, 40), number).save(folder / name)
        rows.append(f"{cell.format(name)},{'ab'[number % 2]}")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(rows))
    examples = sources.load(pack(tmp_path / "data.zip", tmp_path / "data", "set/", [("__MACOSX/._labels.csv", "x")]))
    assert examples.classes == ("a", "b")
    assert examples.labels.tolist() == [0, 1] * 3
    assert [examples.contents.read(name) for name in examples.paths] == [
        (folder / f"{number}.jpg").read_bytes() for number in range(6)
    ]
    assert examples.understood.startswith("Labels are in set/labels.csv. Column 'path' is the path")


def test_tables_of_splits_in_an_archive_are_read_as_beside_folders(tmp_path):
    for split in ("train", "valid"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for number in range(2):
            (tmp_path / "data" / split / f"{number}.jpg").write_text("x")
        (tmp_path / "data" / split / "_classes.csv").write_text("filename, red, blue\n0.jpg, 1, 0\n1.jpg, 0, 1\n")
    packed, plain = sources.load(pack(tmp_path / "data.zip", tmp_path / "data")), sources.load(str(tmp_path / "data"))
    assert packed.splits.tolist() == plain.splits.tolist() == [0, 0, 1, 1]
    assert packed.labels.tolist() == plain.labels.tolist()
    assert [packed.short(name) for name in packed.paths] == [plain.short(name) for name in plain.paths]


def test_class_folders_count_where_a_table_lies_beside_them(tmp_path):
    archive = pack(tmp_path / "data.zip", write_photos(tmp_path / "data", 2), extra=[("notes.csv", "a,b\n1,2\n")])
    assert sources.load(archive).classes == ("blue", "green", "red")


def test_of_two_tables_in_an_archive_none_is_guessed(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as writer:
        for name in ("a.csv", "b.csv"):
            writer.writestr(name, "path,label\n0.jpg,x\n1.jpg,y\n")
    with pytest.raises(UserError, match=r"no class folders in it, and 2 tables: a\.csv, b\.csv\. Unpack it"):
        sources.load(str(archive))


def test_an_archive_that_took_the_place_of_another_is_read(tmp_path):
    """As in a notebook, whose process has read the first."""
    folder = write_photos(tmp_path / "data", 2)
    before = sources.load(pack(tmp_path / "data.zip", folder))
    (folder / "red").rename(folder / "yellow")
    after = sources.load(pack(tmp_path / "data.zip", folder))
    assert set(before.classes) - set(after.classes) == {"red"}
    assert set(after.classes) - set(before.classes) == {"yellow"}
