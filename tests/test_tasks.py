"""Every task, from its table to what is served."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import keras_transfer as kt
from keras_transfer import commands
from keras_transfer.support.numerals import number_text
from keras_transfer.versions import folders, phases

QUIET = kt.Progress(quiet=True)


def write_table(folder, header, row):
    """Pictures whose brightness and colour tell everything that is asked about them."""
    generator = np.random.default_rng(0)
    lines = [header]
    for number in range(72):
        red, light = bool(generator.integers(2)), float(generator.uniform(20, 180))
        pixels = np.clip(light + generator.normal(0, 6, (32, 32, 3)) + np.array([60 if red else 0, 0, 0]), 0, 255)
        Image.fromarray(pixels.astype("uint8")).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{row(red, light, number)}")
    (folder / "table.csv").write_text("\n".join(lines))
    return str(folder / "table.csv")


def fitted(data, tiny_base, tmp_path, **options):
    recipe = kt.Recipe(
        base=tiny_base,
        data=data,
        output=str(tmp_path / "m"),
        thaw="middle_conv",
        fine_tune_epochs=2,
        views=1,
        **options,
    )
    return kt.fit(recipe, progress=QUIET)


def test_several_labels_an_image(tmp_path, tiny_base, capsys):
    data = write_table(
        tmp_path, "path,labels", lambda red, light, _: "|".join(["red"] * red + ["bright"] * (light > 100))
    )
    result = fitted(data, tiny_base, tmp_path)
    assert result.metrics["task"] == "multi-label"
    assert result.metrics["test"]["macro_f1"] > 0.7
    assert {"mean_average_precision", "exact_match", "micro_f1"} <= set(result.metrics["test"])
    precision = result.metrics["test"]["mean_average_precision"]
    assert f", mean_average_precision {precision:.3f} on " in repr(result)
    assert folders.listing(tmp_path / "m")[0].score == ("mean_average_precision", precision)
    model = kt.load(result.folder)
    predictions = model.predict([str(tmp_path / f"{number}.png") for number in range(8)])
    for prediction in predictions:
        sure = [name for name, share in prediction.probabilities.items() if share >= 0.5]
        assert prediction.label == "|".join(sure)
    served = model.run("images", np.full((1, model.size, model.size, 3), 500.0))
    assert served["label"].tolist() == [b""]
    assert np.isnan(served["probabilities"]).all()
    again = model.evaluate(data)
    assert again["macro_f1"] == pytest.approx(result.metrics["test"]["macro_f1"])
    commands.main(["evaluate", str(result.folder), "--quiet", "--html", str(tmp_path / "page.html")])
    assert "Mean average precision" in capsys.readouterr().out
    assert set(folders.training_counts(result.folder)) == {"bright", "red"}
    assert min(folders.training_counts(result.folder).values()) > 5
    (tmp_path / "part.csv").write_text("path,labels\nnew.png,red\n")
    Image.new("RGB", (32, 32), (200, 80, 80)).save(tmp_path / "new.png")
    commands.main(["evaluate", str(result.folder), str(tmp_path / "part.csv")])
    assert "it has none of bright: absent from all images" in " ".join(capsys.readouterr().err.split())
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "<h2>Classes</h2>" in page
    assert "most often taken for" not in page


def test_numbers(tmp_path, tiny_base, capsys):
    data = write_table(tmp_path, "path,lumens", lambda red, light, _: f"{100_000 + 5000 * light:.1f}")
    data_file = tmp_path / "table.csv"
    data_file.write_text(data_file.read_text().replace("lumens", "target"))
    result = fitted(data, tiny_base, tmp_path, task="regression")
    test = result.metrics["test"]
    assert test["r2"] > 0.8
    assert test["mean_absolute_error"] < 80_000
    assert test["root_mean_squared_error"] >= test["mean_absolute_error"]
    assert "loss" not in test, "that of training is of standardised numbers"
    assert result.metrics["phases"][0]["solver"] == "ridge"
    assert "in units of the variance of the numbers to train on" in result.report.read_text("utf-8")
    assert not re.search("Newton|smoothing|calibrat", result.report.read_text("utf-8"))
    model = kt.load(result.folder)
    no_pixels = np.full((1, model.size, model.size, 3), 500.0)
    np.testing.assert_array_equal(model.run("images", no_pixels)["value"], [np.nan])
    predictions = (result.folder / "assets.extra" / "predictions.csv").read_text().splitlines()
    errors = [abs(float(row.split(",")[1]) - float(row.split(",")[2])) for row in predictions[1:]]
    assert sum(errors) / len(errors) == pytest.approx(test["mean_absolute_error"], rel=1e-5)
    commands.main(["predict", str(result.folder), str(tmp_path / "0.png"), "--json"])
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    truth = float(data_file.read_text().splitlines()[1].split(",")[1])
    assert abs(prediction["value"] - truth) < 400_000
    commands.main(["predict", str(result.folder), str(tmp_path / "0.png")])
    assert "value" in capsys.readouterr().out
    commands.main(["evaluate", str(result.folder), "--html", str(tmp_path / "page.html")])
    page, number = (tmp_path / "page.html").read_text("utf-8"), test["mean_absolute_error"]
    assert "<h2>Largest errors</h2>" in page
    mean = folders.training_mean(result.folder)
    baseline = np.abs([float(row.split(",")[1]) - mean for row in predictions[1:]]).mean()
    for text in (page, result.report.read_text("utf-8")):
        score = f"<td>mean absolute error</td><td class='n'>{number_text(number, 4)}</td>"
        assert f"{score}<td>always answering the training mean: {number_text(baseline, 4)}</td>" in text
        assert re.search("<h2>Predicted and actual</h2>.*<img class='plot'", text)
    assert f", off by {number_text(max(errors), 4)}: " in page
    assert "numbers (target), " in result.report.read_text("utf-8")
    (tmp_path / "one.csv").write_text("path,target\nnew.png,200000\n")
    Image.new("RGB", (32, 32), (90, 80, 80)).save(tmp_path / "new.png")
    commands.main(["evaluate", str(result.folder), str(tmp_path / "one.csv"), "--html", str(tmp_path / "page.html")])
    assert "<td>r2</td><td class='n'>-</td>" in (tmp_path / "page.html").read_text("utf-8")
    capsys.readouterr()
    # Numbers that leave the range of float16.
    commands.main(["export", str(result.folder), "--format", "keras", "--precision", "float16", "--json"])
    report = json.loads(capsys.readouterr().out)
    assert report["agreement"] is None
    assert report["largest_difference"] < 10_000
    commands.main(["export", str(result.folder), "--format", "litert", "--precision", "float16", "--json"])
    out, err = capsys.readouterr()
    assert json.loads(out)["largest_difference"] > test["root_mean_squared_error"]
    assert "differ from the SavedModel's" in err


def test_folds_report_mean_and_spread(tmp_path, tiny_base):
    data = write_table(tmp_path, "path,label,scene", lambda red, _, number: f"{'red' if red else 'grey'},{number // 3}")
    result = fitted(data, tiny_base, tmp_path, folds=3, group_by="scene", class_weights="balanced")
    folds = result.metrics["folds"]
    each = [report["accuracy"] for report in folds["each"]]
    assert (folds["count"], len(each)) == (3, 3)
    assert folds["mean"]["accuracy"] == pytest.approx(np.mean(each))
    assert folds["standard_deviation"]["accuracy"] == pytest.approx(np.std(each, ddof=1))
    assert sum(report["images"] for report in folds["each"]) == 72
    assert folds["mean"]["accuracy"] > 0.8
    (told,) = phases.folds(result.metrics)
    assert told.startswith(f"3 folds: test accuracy {folds['mean']['accuracy']:.3f}, standard deviation ")
    assert f"\n\n{told}\n" in (result.folder / "assets.extra" / "README.md").read_text("utf-8")
    assert f"<p>{told}</p>" in result.report.read_text("utf-8")


def test_wherever_a_score_is_told_so_is_what_makes_it_doubtful(tmp_path, tiny_base, capsys):
    def row(red, _, number):
        return f"{'rare' if number in (0, 3, 6) else 'red' if red else 'grey'},{number // 3}"

    result = fitted(write_table(tmp_path, "path,label,scene", row), tiny_base, tmp_path, group_by="scene")
    test = result.metrics["test"]
    commands.main(["evaluate", str(result.folder), "--json", "--html", str(tmp_path / "page.html")])
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["groups"]) == (test["images"], test["groups"])
    told = " ".join(report["warnings"])
    assert f"The {test['images']} images tested are in {test['groups']} groups of related ones: intervals take" in told
    assert "Fewer than 5 training images of rare: add some." in told
    card = (result.folder / "assets.extra" / "README.md").read_text("utf-8")
    assert "\n\n" + "\n\n".join(report["warnings"]) + "\n\n" in card
    for page in (result.report, tmp_path / "page.html"):
        assert "".join(f"<p>{line}</p>" for line in report["warnings"]) in page.read_text("utf-8")


def test_weights_need_classes(tmp_path, tiny_base):
    data = write_table(tmp_path, "path,target", lambda red, light, _: f"{light:.1f}")
    with pytest.raises(kt.UsageError, match="--class-weights"):
        fitted(data, tiny_base, tmp_path, task="regression", class_weights="balanced")
