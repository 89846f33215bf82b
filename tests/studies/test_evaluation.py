import csv
import os
import re

import pytest

from keras_transfer.studies import evaluation
from keras_transfer.studies.evaluation import evaluate
from keras_transfer.support.errors import UserError
from keras_transfer.support.progress import Progress
from keras_transfer.versions import predictions
from tests.command_line import run
from tests.conftest import COLOURS, draw, write_photos

QUIET = Progress(quiet=True)


@pytest.fixture
def mislabelled(tmp_path):
    """Nine photos, a red one among the blue."""
    data = write_photos(tmp_path / "fresh", 3, seed=77)
    photo = next((data / "red").glob("*.png"))
    photo.rename(data / "blue" / "<i>.png")
    return data


def test_the_page_shows_classes_confusions_and_mistakes(classifier, mislabelled, tmp_path):
    page = tmp_path / "page.html"
    report = evaluate(classifier, str(mislabelled), page, None, QUIET)
    text = page.read_text("utf-8")
    wrong = round(report["images"] * (1 - report["accuracy"]))
    assert wrong >= 1
    assert f"<h2>Mistakes ({wrong})</h2>" in text
    assert text.count("data:image/jpeg;base64,") == wrong
    assert re.search(r"blue, taken for red \([01]\.\d\d\): blue/&lt;i&gt;\.png", text)
    assert "href='fresh/blue/%3Ci%3E.png'" in text
    assert f"{report['accuracy']:.3f}</td><td>95% interval" in text
    (matrix,) = re.findall("<h2>Confusion matrix</h2>.*", text)
    assert matrix.count("<tr>") == 1 + 3
    assert re.search("calibration error by chance</td><td class='n'>[^<]+</td><td>what a perfectly calibrated", text)
    assert "http" not in text
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["page.html"]


def test_the_command_says_where_page_and_table_lie(version, mislabelled, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ("--html", "new/page.html", "--csv", "all.csv")
    code, out, _ = run("evaluate", version.folder, mislabelled, *options, capsys=capsys)
    assert (code, out.splitlines()[-2:]) == (0, ["Wrote new/page.html.", "Wrote all.csv."])
    assert re.search("^Accuracy 0", out, re.M), "not that of the run's test"
    assert (tmp_path / "new" / "page.html").is_file()
    with (tmp_path / "all.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 9
    wrong = [row for row in rows if row["predicted"] != row["label"]]
    assert ("blue/<i>.png", "blue", "red") in [(row["path"], row["label"], row["predicted"]) for row in wrong]


@pytest.mark.parametrize("option", ["--html", "--csv"])
def test_a_file_of_another_kind_is_refused_before_the_model_is_loaded(option, version, mislabelled, capsys):
    code, out, err = run("evaluate", version.folder, mislabelled, option, "page.txt", capsys=capsys)
    assert (code, out) == (2, "")
    assert f"{option} must be a file that ends in .{option[2:]}" in err


def test_pictures_of_the_same_written_name_are_told_apart(classifier, tmp_path):
    """Bytes that are not UTF-8 are escaped, as another file's name may spell them out."""
    (tmp_path / "data" / "blue").mkdir(parents=True)
    draw(COLOURS["red"], 1).save(tmp_path / "data" / "blue" / "ros\\xe9.png")
    draw(COLOURS["green"], 2).save(tmp_path / "green.png")
    (tmp_path / "green.png").rename(os.fsdecode(os.fsencode(tmp_path / "data" / "blue") + b"/ros\xe9.png"))
    evaluate(classifier, str(tmp_path / "data"), tmp_path / "page.html", tmp_path / "all.csv", QUIET)
    text = (tmp_path / "page.html").read_text("utf-8")
    assert text.count("ros\\xe9.png</figcaption>") == 2
    assert len(set(re.findall("data:image/jpeg;base64,[^']*", text))) == 2
    assert (tmp_path / "all.csv").read_text("utf-8").count("ros\\xe9.png,blue,") == 2


def test_a_table_is_not_written_over_the_data(version, photos, tmp_path, capsys):
    table = tmp_path / "labels.csv"
    table.write_text(f"path,label\n{next((photos / 'red').iterdir())},red\n")
    before = table.read_text()
    options = ("--allow-outside", "--csv", tmp_path / "." / "labels.csv")
    code, _, err = run("evaluate", version.folder, table, *options, capsys=capsys)
    assert (code, table.read_text()) == (2, before)
    assert "labels.csv is the data itself, which would be lost. Give another file." in err


def test_a_page_that_cannot_be_written_is_an_error(classifier, mislabelled, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        evaluate(classifier, str(mislabelled), tmp_path / "file" / "page.html", None, QUIET)


def test_a_mistake_is_shown_with_the_confidence_of_the_prediction():
    """How sure the model is of the label that is wrong sorts mistakes; it is no number that anything else gives."""
    image = predictions.Tested("a.jpg", "a.jpg", "roses", "", 0.857, sureness=0.69)
    assert evaluation._caption(image) == "roses, taken for none (0.86): a.jpg"
