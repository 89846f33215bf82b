import numpy as np
import pytest

from keras_transfer.data import sources
from keras_transfer.errors import UsageError, UserError
from keras_transfer.recipe import Recipe


def load(file, text, encoding="utf-8", **options):
    file.write_text(text, encoding)
    return sources.load(str(file), Recipe(data=str(file), **options))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_and_encoding_are_found_out(tmp_path, delimiter, encoding):
    rows = [("Path", "Label", "split"), ("a b/ü.jpg", "Kälte", "train"), ("c.png", "heat", "test")] * 1
    examples = load(tmp_path / "t.csv", "\n".join(delimiter.join(row) for row in rows), encoding)
    assert examples.classes == ("Kälte", "heat")
    assert examples.paths == [str(tmp_path / "a b" / "ü.jpg"), str(tmp_path / "c.png")]
    assert examples.splits.tolist() == [0, 2]
    assert examples.task == "classification"


def test_several_labels_in_one_column_or_in_many(tmp_path):
    one = load(tmp_path / "a.csv", "path,labels\na.jpg,red|big\nb.jpg,\nc.jpg,big\n")
    many = load(tmp_path / "b.csv", "path,big,red\na.jpg,1,1\nb.jpg,0,0\nc.jpg,1,0\n")
    for examples in (one, many):
        assert (examples.task, examples.classes) == ("multi-label", ("big", "red"))
        np.testing.assert_array_equal(examples.labels, [[1, 1], [0, 0], [1, 0]])
    assert [one.label_text(row) for row in range(3)] == ["big|red", "", "big"]


def test_numbers_to_predict(tmp_path):
    examples = load(tmp_path / "t.csv", "file,target\na.jpg,1.5\nb.jpg,-2e3\n", task="regression")
    assert (examples.task, examples.classes) == ("regression", ("target",))
    np.testing.assert_array_equal(examples.labels, [[1.5], [-2000]])
    with pytest.raises(UserError, match="row 3: 'many' in column 'target' is no number"):
        load(tmp_path / "t.csv", "file,target\na.jpg,1.5\nb.jpg,many\n", task="regression")


def test_groups_of_a_column(tmp_path):
    examples = load(tmp_path / "t.csv", "path,label,Patient\na,x,7\nb,y,8\nc,x,7\n", group_by="patient")
    assert examples.groups[0] == examples.groups[2] != examples.groups[1]
    with pytest.raises(UsageError, match=r"has no column 'patien'.*Did you mean 'patient'"):
        load(tmp_path / "t.csv", "path,label,Patient\na,x,7\nb,y,8\n", group_by="patien")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("path,label\n", "has no rows"),
        ("file name,label\na,b\n", r"no column 'path'\. It has 'file name', 'label'"),
        ("path,name\na,b\nc,d\n", "no column 'label'"),
        ("path,label\na,b\nc\n", "row 3: 1 cells, where the header has 2"),
        ("path,label\na,b\n,c\n", "row 3: the path is empty"),
        ("path,label\na,b\nc,\n", "row 3: the label is empty"),
        ("path,label\na,b\nc,b\n", "every label is 'b'"),
        (
            "path,label,split\na,b,train\nc,d,tset\n",
            "row 3: split must be one of train, validation, test. Received: 'tset'",
        ),
        ("path,label,split\na,b,test\nc,d,test\n", "no row has the split 'train'"),
        ("path,label,label\na,b,c\n", "two columns have the same name"),
    ],
)
def test_what_is_wrong_is_told_with_its_row(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        load(tmp_path / "t.csv", text)


@pytest.mark.parametrize("path", ["../x.jpg", "/etc/passwd", "a/../../x.jpg"])
def test_paths_stay_in_the_folder_of_the_table(tmp_path, path):
    (tmp_path / "in").mkdir()
    text = f"path,label\n{path},b\nok/../a.jpg,c\n"
    with pytest.raises(UserError, match=r"row 2: .* lies outside .*--allow-outside"):
        load(tmp_path / "in" / "t.csv", text)
    assert len(load(tmp_path / "in" / "t.csv", text, allow_outside=True)) == 2
