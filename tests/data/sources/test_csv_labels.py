import numpy as np
import pytest

from keras_transfer.support.errors import UserError
from tests.data.sources.tables import labels_of, load


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


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("many", "Write one, as 1234.5, or delete the row"),
        ("", "Fill it in, or delete the row"),
        ("1406,36", "Write it with a decimal point and nothing between thousands, as 1234.5"),
        ("1.406,36", "Write it with a decimal point"),
        ("-1 406", "Write it with a decimal point"),
    ],
)
def test_what_is_no_number_says_what_to_write(cell, remedy, tmp_path):
    with pytest.raises(UserError, match=rf"row 3: '{cell}' in column 'target' is no number\. {remedy}"):
        load(tmp_path / "t.csv", f"file;target\na.jpg;1.5\nb.jpg;{cell}\n", task="regression")


@pytest.mark.parametrize(
    "ones", [("1", "0"), ("1.0", "0.0"), ("1.00", "0"), (" 1", " 0"), ("True", "False"), ("true", "0"), ("yes", "No")]
)
def test_flags_are_told_whatever_their_spelling(tmp_path, ones):
    yes, no = ones
    examples = load(tmp_path / "t.csv", f",path,red,tall\n0,a,{yes},{yes}\n1,b,{no},{yes}\n0,c,{yes},{no}\n")
    assert (examples.task, examples.classes) == ("multi-label", ("red", "tall"))
    assert labels_of(examples) == ["red|tall", "tall", "red"]


def test_flags_of_which_every_row_has_one_are_classes(tmp_path):
    text = "filename, b, a, 10\nx, 1, 0, 0\ny, 0, 1, 0\nz, 0, 0, 1\n"
    examples = load(tmp_path / "t.csv", text)
    assert (examples.task, labels_of(examples)) == ("classification", ["b", "a", "10"])
    assert load(tmp_path / "t.csv", text, task="multi-label").task == "multi-label"


def test_headings_that_name_classes_keep_their_spelling(tmp_path):
    several = load(tmp_path / "t.csv", "Path,Red,BMW 3er\na,1,1\nb,0,1\n")
    assert (several.task, several.classes) == ("multi-label", ("Red", "BMW 3er"))
    single = load(tmp_path / "t.csv", "Path,Red,BMW 3er\na,1,0\nb,0,1\n")
    assert (single.task, labels_of(single)) == ("classification", ["Red", "BMW 3er"])
    numbers = load(tmp_path / "t.csv", "Path,Target\na,1.5\nb,2.5\n", task="regression")
    assert numbers.classes == ("Target",)


@pytest.mark.parametrize("odd", ["", "-1", "2", "?"])
def test_an_odd_cell_among_flags_is_named(tmp_path, odd):
    with pytest.raises(
        UserError, match=rf"t\.csv, row 4: '{odd.replace('?', '.')}' in column 'tall' is neither 0 nor 1"
    ):
        load(tmp_path / "t.csv", f"path,red,round,tall\na,1,0,1\nb,0,1,1\nc,1,1,{odd}\nd,1,0,0\n")


@pytest.mark.parametrize("name", ["label", "class", "category", "target", "value", "labels"])
def test_a_flag_column_named_like_a_label_is_asked_about(tmp_path, name):
    text = f"path,red,{name}\na,1,0\nb,1,1\nc,0,1\n"
    with pytest.raises(UserError, match=f"column '{name}' of 0 and 1 is either.*--task classification.*--task multi"):
        load(tmp_path / "t.csv", text)
    assert load(tmp_path / "t.csv", text, task="multi-label").classes == ("red", name)
    assert load(tmp_path / "t.csv", text, task="classification").classes == ("0", "1")


@pytest.mark.parametrize(
    "cells",
    [
        ("red|tall", "tall"),
        ("red,tall", "tall"),
        ("red;tall", "tall"),
        ("red, tall", "tall"),
        ("['red', 'tall']", "['tall']"),
        ("{'red', 'tall'}", "{'tall'}"),
        ("('red', 'tall')", "('tall',)"),
        ('[""red"", ""tall""]', '[""tall""]'),
    ],
)
def test_separators_of_labels(tmp_path, cells):
    examples = load(tmp_path / "t.csv", f'path,labels\na.jpg,"{cells[0]}"\nb.jpg,"{cells[1]}"\n')
    assert (examples.task, labels_of(examples)) == ("multi-label", ["red|tall", "tall"])


@pytest.mark.parametrize("cell", ["red tall", "red/tall", "[red, tall]", "{red,tall}", "['red' 'tall']"])
def test_labels_with_an_unclear_separator_are_named(tmp_path, cell):
    with pytest.raises(UserError, match=r"row 3: .* in column 'tags' is (one label or several|no list)"):
        load(tmp_path / "t.csv", f'image_name,tags\na.jpg,red\nb.jpg,"{cell}"\n')


def test_a_label_made_of_others_is_asked_about(tmp_path):
    text = "path,labels\na,red|tall\nb,red\nc,tall\nd,red+tall\n"
    with pytest.raises(UserError, match=r"row 5: 'red\+tall' in column 'labels' is one label or several"):
        load(tmp_path / "t.csv", text)
    assert load(tmp_path / "t.csv", text, task="multi-label").classes == ("red", "red+tall", "tall")
    for cell in ("red/tall", "['red', 'tall']"):
        with pytest.raises(UserError, match=r"row 2: .* in column 'label' may be several labels"):
            load(tmp_path / "t.csv", f'path,label\na,"{cell}"\nb,red\nc,tall\n')


def test_several_labels_under_the_heading_of_one_are_asked_about(tmp_path):
    text = "path,label\na,red|tall\nb,red|round\nc,round\n"
    with pytest.raises(UserError, match=r"row 3: 'red\|round' in column 'label' may be several labels"):
        load(tmp_path / "t.csv", text)
    assert len(load(tmp_path / "t.csv", text, task="classification").classes) == 3
    assert load(tmp_path / "t.csv", 'path,label\na,red|pink\nb,"Smith, J."\n').classes == ("Smith, J.", "red|pink")


def test_numbers_are_classes_only_where_they_are_few_and_whole(tmp_path):
    assert load(tmp_path / "t.csv", "path,label\na,10\nb,9\nc,1\n").classes == ("1", "9", "10")
    with pytest.raises(UserError, match=r"column 'label' holds 2 different numbers.*--task regression"):
        load(tmp_path / "t.csv", "path,label\na,1.5\nb,2.5\n")
    rows = "".join(f"{number}.jpg,{number * 3}\n" for number in range(40))
    with pytest.raises(UserError, match="--task regression"):
        load(tmp_path / "t.csv", f"path,label\n{rows}")
