import pytest

from keras_transfer.data import sources
from keras_transfer.recipe.recipe import Recipe
from keras_transfer.support.errors import UsageError, UserError
from tests.data.sources.tables import labels_of, load


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_delimiter_and_encoding_are_found_out(tmp_path, delimiter, encoding):
    rows = [("Path", "Label", "split"), ("a b/ü.jpg", "Kälte", "train"), ("c.png", "heat", "test")] * 1
    examples = load(tmp_path / "t.csv", "\n".join(delimiter.join(row) for row in rows), encoding)
    assert examples.classes == ("Kälte", "heat")
    assert examples.paths == [str(tmp_path / "a b" / "ü.jpg"), str(tmp_path / "c.png")]
    assert examples.splits.tolist() == [0, 2]
    assert examples.task == "classification"


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
