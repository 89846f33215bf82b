import re

import keras_transfer as kt
from keras_transfer.studies import report
from tests.command_line import run


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


def test_a_page_that_fails_costs_no_version(photos, tiny_base, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(report.plots, "curves", fail)
    result = kt.fit(photos, kt.Progress(), base=tiny_base, thaw="none", views=1, output=str(tmp_path / "m"))
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
