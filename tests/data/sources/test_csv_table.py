import numpy as np
import pytest

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError


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


def labels_of(examples):
    return [examples.label_text(row) for row in range(len(examples))]


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


@pytest.mark.parametrize("marks", [("True", "False"), ("1", "0"), ("yes", "no")])
@pytest.mark.parametrize("heading", ["is_valid", "Is Valid", "isValid"])
def test_a_column_that_marks_validation_is_a_split(tmp_path, marks, heading):
    yes, no = marks
    text = f"path,red,tall,{heading},fold\na,1,1,{no},0\nb,0,1,{yes},1\nc,1,0,{no},0\n"
    examples = load(tmp_path / "t.csv", text)
    assert examples.classes == ("red", "tall")
    assert examples.splits.tolist() == [0, 1, 0]
    assert "Not used: 'fold'" in examples.understood
    with pytest.raises(UserError, match="row 3: 'maybe' in column 'is_valid' is neither true nor false"):
        load(tmp_path / "t.csv", f"path,label,is_valid\na,x,{no}\nb,y,maybe\n")


@pytest.mark.parametrize("name", ["test", "Validation", "train_set"])
def test_a_flag_column_named_like_a_split_is_asked_about(tmp_path, name):
    text = f"path,red,tall,{name}\na,1,0,0\nb,1,1,1\nc,0,1,0\n"
    with pytest.raises(UserError, match=f"column '{name.lower()}' of 0 and 1 either marks a split.*is_test.*--task"):
        load(tmp_path / "t.csv", text)
    assert load(tmp_path / "t.csv", text, task="multi-label").classes == ("red", "tall", name)


@pytest.mark.parametrize("name", ["folds", "kfold", "fold_id", "cv fold", "Unnamed: 0.1", "id", "subset"])
def test_a_flag_column_of_folds_or_numbers_is_no_class(tmp_path, name):
    examples = load(tmp_path / "t.csv", f"path,red,tall,{name}\na,1,0,0\nb,1,1,1\nc,0,1,0\n")
    assert examples.classes == ("red", "tall")
    assert f"Not used: '{name.lower()}'" in examples.understood


def test_columns_are_named_by_an_option(tmp_path):
    text = "id,breed,path\n1.jpg,poodle,x\n2.jpg,boxer,y\n"
    examples = load(tmp_path / "t.csv", text, columns="path=id,label=Breed")
    assert examples.paths == [str(tmp_path / "1.jpg"), str(tmp_path / "2.jpg")]
    assert labels_of(examples) == ["poodle", "boxer"]
    assert "'id' is the path, 'breed' the label" in examples.understood
    with pytest.raises(UsageError, match=r"--columns: .* has no column 'bred'\. Did you mean 'breed'"):
        load(tmp_path / "t.csv", text, columns="path=id,label=bred")
    with pytest.raises(UserError, match=r"no column 'path'.*--columns path=id,label=breed.*filename"):
        load(tmp_path / "t.csv", text.replace("path", "where"))


def test_a_table_without_header(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "b.jpg").touch()
    examples = load(tmp_path / "t.csv", "TRAIN,gs://bucket/a.jpg,x\nTEST,gs://bucket/b.jpg,y\n")
    assert (examples.splits.tolist(), labels_of(examples)) == ([0, 2], ["x", "y"])
    assert "No header" in examples.understood
    with pytest.raises(UserError, match="has no header: its first row is data"):
        load(tmp_path / "t.csv", "a.jpg,x,1\nb.jpg,y,2\n")


def test_a_table_to_measure_on_needs_no_second_class_and_no_training_rows(tmp_path):
    (tmp_path / "t.csv").write_text("path,label,split\na,tulip,test\nb,tulip,test\n")
    recipe = Recipe(data="other.csv", group_by="patient", columns="path=id")
    examples = sources.load_measured(str(tmp_path / "t.csv"), recipe, "classification")
    assert (examples.classes, examples.groups) == (("tulip",), None)


def test_a_table_to_measure_on_has_headings_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "own.csv").write_text("id,breed\na,tulip\nb,rose\n")
    (tmp_path / "usual.csv").write_text("path,label\na,tulip\n")
    recipe = Recipe(data=str(tmp_path / "own.csv"), columns="path=id,label=breed")
    monkeypatch.chdir(tmp_path)
    for source, columns in (("own.csv", None), ("usual.csv", None), ("usual.csv", "path=path,label=label")):
        assert "tulip" in sources.load_measured(source, recipe, "classification", columns=columns).classes
    (tmp_path / "own.csv").rename("other.csv")
    with pytest.raises(UserError, match=r"no column 'path'.*--columns path=id"):
        sources.load_measured("other.csv", recipe, "classification")
    assert len(sources.load_measured("other.csv", recipe, "classification", columns="path=id,label=breed")) == 2


def test_a_models_own_table_is_measured_in_its_groups_if_it_still_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe(data=str(tmp_path / "t.csv"), group_by="Patient")
    table = "path,label,patient\na.jpg,red,7\nb.jpg,red,7\nc.jpg,blue,8\n"
    for name in ("t.csv", "other.csv"):
        (tmp_path / name).write_text(table)
    assert sources.load_measured("t.csv", recipe, "classification").groups.tolist() == [0, 0, 1]
    assert sources.load_measured("other.csv", recipe, "classification").groups is None
    (tmp_path / "t.csv").write_text(table.replace("patient", "comment"))
    assert sources.load_measured("t.csv", recipe, "classification").groups is None


def test_an_image_with_two_labels_is_refused_with_both_rows(tmp_path):
    with pytest.raises(UserError, match=r"t\.csv, row 4: a\.jpg is 'dog' here and 'cat' in row 2"):
        load(tmp_path / "t.csv", "filename,class,xmin\na.jpg,cat,1\nb.jpg,dog,5\na.jpg,dog,3\n")
    with pytest.raises(
        UserError, match=r"row 4: \./a\.jpg is 'dog' here and 'cat' in row 2\. Give it one row; several"
    ):
        load(tmp_path / "t.csv", "path,label\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\n")
    assert len(load(tmp_path / "t.csv", "filename,class,xmin\na.jpg,cat,1\nb.jpg,dog,5\na.jpg,cat,3\n")) == 3
    advice = r"Each image has one row, its labels separated by \|\.$"
    with pytest.raises(UserError, match=rf"row 4: img/a\.jpg is 'big' here and 'big\|red' in row 2\. {advice}"):
        load(tmp_path / "t.csv", "path,labels\nimg/a.jpg,red|big\nb.jpg,big\nimg/a.jpg,big\n")
    with pytest.raises(UserError, match=r"in row 2\. Each image has one row\.$"):
        load(tmp_path / "t.csv", "path,red,big\na.jpg,1,1\nb.jpg,0,1\na.jpg,0,1\n")
    measured = "path,target\na.jpg,1.5\nb.jpg,2\na.jpg,1.7\n"  # Twice.
    assert len(load(tmp_path / "t.csv", measured, task="regression")) == 3


def test_composed_and_decomposed_labels_are_one_class(tmp_path):
    text = "path,label\na.jpg,ros\u00e9\nb.jpg,rose\u0301\nc.jpg,tulip\n"
    assert load(tmp_path / "t.csv", text).classes == ("ros\u00e9", "tulip")
    several = load(tmp_path / "t.csv", text.replace("label\n", "labels\n").replace("tulip", "tulip|rose\u0301"))
    assert several.classes == ("ros\u00e9", "tulip")
    assert several.labels.tolist() == [[1, 0], [1, 0], [1, 1]]


def test_rows_that_name_an_image_again_are_counted(tmp_path):
    text = "path,label\na.jpg,x\nb.jpg,y\na.jpg,x\na.jpg,x\n"
    assert "2 rows name an image again" in load(tmp_path / "t.csv", text).understood
