"""What `check --csv` suggests."""

import csv
import os
import shutil
import sys

import pytest
from PIL import ImageEnhance

from keras_transfer.recipe.recipe import Recipe
from keras_transfer.studies.check.check import check
from keras_transfer.support.progress import Progress
from tests.command_line import run
from tests.conftest import draw, write_photos


def rows(data, tmp_path, **options):
    """The rows of the table, by path and problem."""
    table = tmp_path / "check.csv"
    check(Recipe(data=str(data), **options), progress=Progress(quiet=True), csv=table)
    with table.open(newline="", encoding="utf-8") as stream:
        return {(row["path"], row["problem"]): row for row in csv.DictReader(stream)}


def suggested(data, tmp_path, *problems, **options):
    """Suggestion and the same picture, by path, of rows with some problems."""
    return {
        path: (row["suggestion"], row["same_picture_as"])
        for (path, problem), row in rows(data, tmp_path, **options).items()
        if problem in problems
    }


def test_each_image_has_one_suggestion(tmp_path):
    data = write_photos(tmp_path / "photos", each=10)
    red, blue = data / "red", data / "blue"
    shutil.copy(red / "00.jpg", red / "twin.jpg")
    shutil.copy(red / "03.jpg", blue / "wrong.jpg")
    photo = draw((200, 90, 90), 5, (90, 90))
    photo.save(red / "bright-1.png")
    ImageEnhance.Brightness(photo).enhance(1.1).save(red / "bright-2.png")
    shutil.copy(red / "bright-2.png", red / "bright-3.png")
    (blue / "cut.jpg").write_bytes((red / "00.jpg").read_bytes()[:200])
    (blue / "scan.jpg").write_bytes(b"II*\0 and more of a TIFF file")
    (blue / "video.jpg").write_bytes(b"<html>")
    shutil.copy(blue / "01.png", blue / "named.jpg")
    (blue / "01.png").unlink()
    table = rows(data, tmp_path)
    assert {key: (row["suggestion"], row["same_picture_as"]) for key, row in table.items()} == {
        ("blue/cut.jpg", "Cannot be used"): ("delete", ""),
        ("blue/scan.jpg", "Cannot be used"): ("convert", ""),
        ("blue/video.jpg", "Cannot be used"): ("read the detail", ""),
        ("blue/wrong.jpg", "Label conflict"): ("look at the label", "red/03.jpg"),
        ("red/03.jpg", "Label conflict"): ("look at the label", "blue/wrong.jpg"),
        ("red/00.jpg", "Duplicate"): ("keep", ""),
        ("red/twin.jpg", "Duplicate"): ("delete", "red/00.jpg"),
        ("red/bright-2.png", "Duplicate"): ("keep", ""),
        ("red/bright-3.png", "Duplicate"): ("delete", "red/bright-2.png"),
        ("red/bright-1.png", "Near duplicate"): ("keep", ""),
        ("red/bright-2.png", "Near duplicate"): ("look at the picture", "red/bright-1.png"),
        ("red/bright-3.png", "Near duplicate"): ("delete", "red/bright-2.png"),
        ("blue/named.jpg", "Misnamed"): ("rename", ""),
    }
    assert "labelled 'blue', 'red'" in table["red/03.jpg", "Label conflict"]["detail"]


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_a_leak_under_two_labels_says_both(tmp_path):
    data = write_photos(tmp_path / "photos", each=10)
    for split in ("train", "test"):
        shutil.copytree(data, data / split, ignore=shutil.ignore_patterns("train", "test"))
    for name in ("red", "green", "blue"):
        shutil.rmtree(data / name, ignore_errors=True)
    for file in (data / "test").glob("*/*"):
        file.write_bytes(file.read_bytes() + b"another")
    shutil.copy(data / "train" / "red" / "00.jpg", data / "test" / "blue" / "copy.jpg")
    row = rows(data, tmp_path)["test/blue/copy.jpg", "Leak"]
    assert "keep them in one split" in row["detail"]
    assert "labelled 'red', 'blue' (equal byte for byte): one is wrong" in row["detail"]


def test_of_equal_pictures_a_file_and_the_copy_that_a_run_keeps_are_kept(tmp_path):
    for number, split in enumerate(("train", "test")):
        write_photos(tmp_path / "data" / split, each=10, seed=50 * number)
    train, test = tmp_path / "data" / "train" / "red", tmp_path / "data" / "test" / "red"
    shutil.copy(train / "00.jpg", test / "aa.jpg")
    (train / "aa-link.png").symlink_to(test / "01.png")
    assert suggested(tmp_path / "data", tmp_path, "Leak") == {
        "train/red/00.jpg": ("keep", ""),
        "test/red/aa.jpg": ("delete", "train/red/00.jpg"),
        "test/red/01.png": ("keep", ""),
        "train/red/aa-link.png": ("delete", "test/red/01.png"),
    }


def test_a_file_that_a_table_lists_twice_is_not_to_be_deleted(tmp_path):
    data = write_photos(tmp_path / "photos", each=4)
    listed = [f"{name}/00.jpg,{name}" for name in ("red", "blue", "green")]
    listed += [f"{name}/01.png,{name}" for name in ("red", "blue", "green")]
    (data / "t.csv").write_text("\n".join(["path,label", *listed, "red/00.jpg,red"]))
    assert suggested(data / "t.csv", tmp_path, "Duplicate") == {"red/00.jpg": ("listed twice", "red/00.jpg")}


@pytest.mark.skipif(sys.platform == "win32", reason="names")
def test_no_cell_is_a_formula_and_every_name_is_whole(tmp_path):
    names = ['=HYPERLINK("x").png', "+1.png", "-1.png", "@SUM(1).png", 'a,"b"\nc.png']
    for name in names:
        draw((9, 9, 9), 1, (20, 20)).save(tmp_path / "a.png")
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "a.png").rename(tmp_path / "photos" / name)
    (tmp_path / "photos" / os.fsdecode(b"\xe9.png")).write_bytes((tmp_path / "photos" / "+1.png").read_bytes())
    table = rows(tmp_path / "photos", tmp_path)
    paths = [path for path, problem in table if problem == "Duplicate"]
    assert sorted(paths) == sorted([*("./" + name for name in names[:4]), names[4], "\\xe9.png"])
    cells = [cell for row in table.values() for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r"))]


def test_the_command_names_the_table_and_writes_none_over_the_data(tmp_path, monkeypatch, capsys):
    write_photos(tmp_path / "photos", each=3)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("check", "photos", "--csv", "new/check.csv", capsys=capsys)
    assert (code, out.splitlines()[-1]) == (0, "Wrote new/check.csv.")
    text = (tmp_path / "new" / "check.csv").read_text("utf-8")
    assert text.splitlines()[0] == "path,problem,suggestion,same_picture_as,detail"
    assert text.splitlines()[1].startswith(",Small classes,read the detail,,")
    (tmp_path / "photos" / "labels.csv").write_text("path,label\n")
    for data, file in (("photos", "photos/labels.csv"), ("photos/labels.csv", "photos/labels.csv")):
        code, _, err = run("check", data, "--csv", file, capsys=capsys)
        assert (code, "Give another file" in err) == (2, True), err
    assert (tmp_path / "photos" / "labels.csv").read_text() == "path,label\n"
