import os

import pytest

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UserError


def load(folder, cells, **options):
    rows = [f'"{cell}",{"xy"[cell != cells[0]]}' for cell in cells]
    (folder / "t.csv").write_text("\n".join(["path,label", *rows]))
    examples = sources.load(str(folder / "t.csv"), Recipe(data=str(folder / "t.csv"), **options))
    return [os.path.relpath(path, folder) for path in examples.paths], examples.understood


@pytest.fixture
def folder(tmp_path):
    for name in ("train/a.jpg", "train/b.PNG", "train/c.jpeg", "upload/1/d.jpg", "upload/1/e.jpg"):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path / "in"


def test_a_missing_extension_and_folder_are_looked_for_and_told(folder):
    (folder / "train" / "b.PNG").rename(folder / "train" / "b.png")
    paths, understood = load(folder, ["a", "b", "c"])
    assert paths == ["train/a.jpg", "train/b.png", "train/c.jpeg"]
    assert "'a' is read as 'train/a.jpg'" in understood


@pytest.mark.parametrize(
    "prefix", ["/data/upload/1/", "gs://bucket/upload/1/", "C:\\\\tool\\\\upload\\\\1\\\\", "https://host/x/"]
)
def test_the_folders_of_a_server_are_left_out_and_that_is_told(folder, prefix):
    paths, understood = load(folder, [prefix.replace("\\\\", "\\") + name for name in ("d.jpg", "e.jpg")])
    assert paths == ["upload/1/d.jpg", "upload/1/e.jpg"]
    assert "is read as 'upload/1/d.jpg'" in understood


def test_files_in_two_folders_are_refused(folder):
    (folder / "test").mkdir()
    (folder / "test" / "a.jpg").touch()
    with pytest.raises(UserError, match="'a' is in test/ and in train/"):
        load(folder, ["a", "a"])


def test_paths_that_are_there_are_not_looked_for(folder):
    paths, understood = load(folder, ["train/a.jpg", "d.jpg"])
    assert paths == ["train/a.jpg", "d.jpg"]
    assert "is read as" not in understood


def test_a_path_that_begins_with_a_backslash_does_not_lead_out(folder):
    paths, understood = load(folder, ["\\train\\a.jpg", "\\train\\c.jpeg"])
    assert paths == ["train/a.jpg", "train/c.jpeg"]
    assert "'\\train\\a.jpg' is read as 'train/a.jpg'" in understood
    with pytest.raises(UserError, match=r"row 3: .* lies outside"):
        load(folder, ["train/a.jpg", "\\etc\\passwd"])
    with pytest.raises(UserError, match=r"row 3: .* lies outside"):
        load(folder, ["train/a.jpg", "..\\secret.jpg"])


def test_addresses_of_which_nothing_is_there_are_named(folder):
    with pytest.raises(UserError, match=r"row 2: 'https://host/f\.jpg' is an address, .*Download the images"):
        load(folder, ["https://host/f.jpg", "https://host/g.jpg"])


def test_absolute_paths_within_the_folder_of_the_table(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder, target_is_directory=True)
    for place in (folder, tmp_path / "link"):
        paths, _ = load(place, [str(folder / "train" / "a.jpg"), str(folder / "upload" / "1" / "d.jpg")])
        assert [os.path.basename(path) for path in paths] == ["a.jpg", "d.jpg"]


def test_rows_that_are_not_found_like_the_first_ones_stay_inside(folder):
    cells = [
        "/data/upload/1/d.jpg",
        "/etc/passwd",
        "/data/upload/1/e.jpg",
        "/data/upload/1/e.jpg",
        "/data/upload/1/gone.jpg",
    ]
    paths, _ = load(folder, [*cells[:1] * 20, *cells])
    assert paths[20:] == ["upload/1/d.jpg", "passwd", "upload/1/e.jpg", "upload/1/e.jpg", "upload/1/gone.jpg"]
