import pytest

from keras_transfer.data import sources
from keras_transfer.support.errors import UserError
from tests.conftest import draw, write_photos


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
    counts = [len(examples.indices(split)) for split in ("train", "validation", "test")]
    assert counts == [12, 9 if validation else 0, 6]
    assert examples.root == tmp_path


def test_folders_of_the_same_split_are_joined(tmp_path):
    for name, count in (("train", 3), ("val", 1), ("validation", 2)):
        write_photos(tmp_path / name, count)
    examples = sources.load(str(tmp_path))
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [9, 9, 0]


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


def test_tables_beside_the_images_of_splits(tmp_path):
    for split, numbers in (("train", (0, 1, 2, 3)), ("valid", (4, 5)), ("test", (6, 7))):
        rows = ["filename, daisy, rose"] + [f"{number}.jpg, {number % 2}, {1 - number % 2}" for number in numbers]
        (tmp_path / split).mkdir()
        (tmp_path / split / "_classes.csv").write_text("\n".join(rows))
        for number in numbers:
            (tmp_path / split / f"{number}.jpg").touch()
    examples = sources.load(str(tmp_path))
    assert (examples.task, examples.classes) == ("classification", ("daisy", "rose"))
    assert [len(examples.indices(split)) for split in ("train", "validation", "test")] == [4, 2, 2]
    assert [examples.label_text(row) for row in examples.indices("test")] == ["rose", "daisy"]
    assert examples.paths[0] == str(tmp_path / "train" / "0.jpg")
    assert "train/_classes.csv" in examples.understood
    (tmp_path / "test" / "_classes.csv").unlink()
    with pytest.raises(UserError, match="test/ has no table of its labels"):
        sources.load(str(tmp_path))


def test_a_table_of_metadata_beside_images(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(4):
        (tmp_path / "images" / f"{number}.jpg").touch()
    rows = ["file_name,label"] + [f"images/{number}.jpg,{'ab'[number % 2]}" for number in range(4)]
    (tmp_path / "metadata.csv").write_text("\n".join(rows))
    examples = sources.load(str(tmp_path))
    assert examples.classes == ("a", "b")
    assert examples.paths[3] == str(tmp_path / "images" / "3.jpg")
