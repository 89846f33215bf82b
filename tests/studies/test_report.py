import re
from dataclasses import replace

import keras_transfer as kt
from keras_transfer.studies import report
from tests.command_line import run
from tests.conftest import write_photos


def test_a_version_has_a_page_of_its_run(version):
    text = version.report.read_text("utf-8")
    metrics = version.metrics
    assert re.findall("<h2>([^<(]*)", text)[:4] == ["Test", "Training", "Classes", "Confusion matrix"]
    assert f"{metrics['test']['accuracy']:.3f}</td><td>95% interval" in text
    assert metrics["reason"] in text
    assert f"seed {metrics['seed']}" in text
    for phase in metrics["phases"]:
        assert f"<td>{phase['name']}</td>" in text
    assert text.count("data:image/png;base64,") == 1, "the curves; 8 test images are too few for calibration"
    assert version._repr_html_() == text
    assert str(version.folder.parent) not in text
    assert "http" not in text


def test_pictures_lead_to_their_files_where_that_tells_no_folder_above(version, classifier, tmp_path, monkeypatch):
    photos = write_photos(tmp_path / "here" / "photos", 2, seed=77)
    (photos / "red" / "00.jpg").rename(photos / "blue" / "red.jpg")
    evaluated = classifier.evaluated(str(photos), kt.Progress(quiet=True))
    file = tmp_path / "here" / "m" / "1" / "report.html"
    for folder, link in ((tmp_path / "here", "href='../../photos/blue/red.jpg'"), (tmp_path / "here" / "m", None)):
        monkeypatch.chdir(folder)
        report.write(file, "m", version.metrics, version.history, evaluated, 10**8)
        text = file.read_text("utf-8")
        assert "blue/red.jpg</figcaption>" in text
        assert ("class='picture'" in text, link is None or link in text) == (link is not None, True)
    assert (file.parent / "../../photos/blue/red.jpg").is_file()


def test_a_notebook_shows_the_report_without_links(version, tmp_path):
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra" / "report.html").write_text("<a class='picture' href='a'><img alt='a' src='b'></a>")
    assert replace(version, folder=tmp_path)._repr_html_() == "<img alt='a' src='b'>"


def test_a_page_that_fails_costs_no_version(photos, tiny_base, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(report.plots, "curves", fail)
    result = kt.fit(photos, progress=kt.Progress(), base=tiny_base, thaw="none", views=1, output=str(tmp_path / "m"))
    assert "Writing report.html failed (no fonts): the version appears without it." in capsys.readouterr().err
    assert not result.report.exists()
    assert result._repr_html_() is None
    assert (result.folder / "saved_model.pb").is_file()


def test_random_weights_are_named_on_the_page_and_the_command_says_where_it_lies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ("--base", "mobilenet", "--weights", "random", "--size", "32", "--thaw", "none", "--views", "1")
    code, out, _ = run("fit", *options, "--output", "m", capsys=capsys)
    assert code == 0
    assert "Report:     m/1/assets.extra/report.html" in out
    assert "weights were random" in (tmp_path / "m" / "1" / "assets.extra" / "report.html").read_text("utf-8")
