import json
import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.commands import tables
from keras_transfer.network import weights
from keras_transfer.studies.recommend import Candidate, ranked
from keras_transfer.support.errors import UserError
from tests.command_line import run

QUIET = kt.Progress(quiet=True)


@pytest.fixture(scope="module")
def blind_base(tmp_path_factory):
    """A smaller base whose features know nothing of the colour of a picture, and little of anything else."""
    import keras

    inputs = keras.Input((24, 24, 3))
    x = keras.layers.Conv2D(4, 3, 2, "same", kernel_initializer=keras.initializers.Constant(1e-6), name="conv")(inputs)
    file = tmp_path_factory.mktemp("bases") / "blind.keras"
    keras.Model(inputs, keras.layers.Activation("tanh", name="squashed")(x)).save(file)
    return str(file)


def candidate(base, loss, gflops, megabytes=10):
    return Candidate(base, "imagenet", 224, gflops, megabytes, {"accuracy": 0.9, "loss": loss})


def test_bases_are_ranked_on_what_a_run_would_train_on_and_the_better_one_is_recommended(
    photos, tiny_base, blind_base, tmp_path, capsys
):
    answer = kt.recommend(photos, [blind_base, tiny_base], progress=QUIET)
    assert answer.recommended == tiny_base
    assert [each.base for each in answer.candidates] == [tiny_base, blind_base]
    assert [each.as_good for each in answer.candidates] == [True, False]
    fitted = kt.fit(photos, progress=QUIET, base=tiny_base, thaw="none", views=1, output=str(tmp_path / "m"))
    assert answer.images == fitted.metrics["data"]["train"] + fitted.metrics["data"]["validation"]
    assert answer.candidates[0].scores == fitted.metrics["phases"][0]["cross_validation"]
    assert fitted.metrics["engine"] == "cache", "the activations are there already"

    bases = ",".join((blind_base, tiny_base))
    code, out, _ = run("recommend", photos, "--bases", bases, "--json", "--quiet", capsys=capsys)
    report = json.loads(out)
    assert (code, report["recommended"]) == (0, tiny_base)
    assert report["bases"][0]["accuracy"] == answer.candidates[0].scores["accuracy"]
    assert set(report) == {"source", "images", "bases", "recommended"}


def test_the_command_that_comes_next_has_the_options_that_were_given(photos, tiny_base, blind_base, tmp_path, capsys):
    """Without them it would not read this table, or would test on other images; the default base takes no such size."""
    shutil.copytree(photos, tmp_path / "it's <odd>")
    files = sorted(tmp_path.rglob("*.png"))
    table = tmp_path / "it's <odd>" / "a table.csv"
    lines = [f'"{file.relative_to(table.parent)}",{file.parent.name}\n' for file in files]
    table.write_text("".join(["id,breed\n", *lines]))
    given = [
        "--columns",
        "path=id,label=breed",
        "--size",
        "24",
        "--split",
        "60/20/20",
        "--seed",
        "3",
        "--no-group-duplicates",
    ]
    bases = f"{blind_base},{tiny_base}"
    code, out, _ = run("recommend", table, "--bases", bases, *given, "--quiet", capsys=capsys)
    assert code == 0
    assert f"Recommended: {tiny_base}" in out.replace("\n", " ")
    _, command = out.split("Next:\n")
    _, fit, data, *options, base = shlex.split(command)
    assert (fit, data, base) == ("fit", str(table), tiny_base)
    assert sorted(options) == sorted([*given, "--base"])


def test_a_base_without_weights_does_not_cost_what_was_measured_of_the_others(
    photos, tiny_base, blind_base, monkeypatch, capsys
):
    def unavailable(*_):
        raise weights.ImageNetUnavailable("ImageNet weights of mobilenetv2 are not on this machine")

    monkeypatch.setattr(weights, "_imagenet", unavailable)
    answer = kt.recommend(photos, [blind_base, "mobilenetv2", tiny_base], progress=QUIET, size=32)
    assert [each.base for each in answer.candidates] == [tiny_base, blind_base]
    warning = " ".join(capsys.readouterr().err.split())
    told = "mobilenetv2 is left out. ImageNet weights of mobilenetv2 are not on this machine."
    assert told in warning, "what fit advises, --weights, is no option of this command"
    with pytest.raises(UserError, match="1 of 2 bases could be measured"):
        kt.recommend(photos, ["mobilenetv2", tiny_base], progress=QUIET, size=32)


def test_a_base_that_was_trained_on_these_images_is_not_recommended_by_scores_on_them(
    photos, version, blind_base, capsys
):
    """It knows these images: 0.5 better than any other on them, and by nothing on others."""
    own = str(version.folder / "assets.extra" / "model.keras")
    code, out, err = run("recommend", photos, "--bases", f"{own},{blind_base}", capsys=capsys)
    assert code == 0
    out, err = (" ".join(text.split()) for text in (out, err))
    assert f"{own} was trained on 36 of the 36 images that bases are compared on, so its scores are too good" in err
    assert f"Recommended: {blind_base}, the only one that was not trained on these images." in out
    assert "trained on 36" in out
    code, out, _ = run("recommend", photos, "--bases", f"{own},{blind_base}", "--json", "--quiet", capsys=capsys)
    assert {base["base"]: base["trained_on"] for base in json.loads(out)["bases"]} == {own: 36, blind_base: 0}


def test_where_all_bases_were_trained_on_the_images_none_is_recommended():
    losses = np.random.default_rng(0).uniform(0, 1, 40)
    seen = [(replace(candidate(name, losses.mean(), 1.0), trained_on=3), losses) for name in ("a", "b")]
    answer = ranked("photos", seen)
    assert answer.recommended is None
    assert not any(each.as_good for each in answer.candidates)
    shown = tables.recommendation(answer, width=200)
    assert "None is recommended: all were trained on some of these images" in shown
    assert "Next:" not in shown


def test_bases_that_are_the_same_are_as_good():
    losses = np.random.default_rng(0).uniform(0, 1, 40)
    twins = [
        (candidate(name, losses.mean(), gflops), losses.copy()) for name, gflops in (("heavy", 2.0), ("light", 1.0))
    ]
    answer = ranked("photos", twins)
    assert all(each.as_good for each in answer.candidates)
    assert answer.recommended == "light"
    assert repr(answer) == "<Recommendation photos: light, of 2 bases>"


def test_of_bases_that_are_alike_the_least_costly_is_recommended():
    generator = np.random.default_rng(0)
    losses = generator.uniform(0, 1, 400)
    heavy, light = candidate("heavy", losses.mean(), 8.0), candidate("light", losses.mean() + 0.005, 0.6)
    worse = candidate("worse", losses.mean() + 0.2, 0.1)
    noise = generator.normal(0, 0.3, 400)
    noise += 0.005 - noise.mean()
    answer = ranked("photos", [(light, losses + noise), (worse, losses + 0.2), (heavy, losses)])
    assert [each.base for each in answer.candidates] == ["heavy", "light", "worse"]
    assert [each.as_good for each in answer.candidates] == [True, True, False]
    assert answer.recommended == "light"
    assert "light, the least costly of the 2 whose losses" in tables.recommendation(answer, width=200)
    assert ["light", "recommended"] in [
        line.split()[:2] for line in tables.recommendation(answer, width=200).splitlines()
    ]
    unknown = candidate("own", losses.mean() + 0.005, None, megabytes=2)
    assert ranked("photos", [(heavy, losses), (unknown, losses + noise)]).recommended == "own"


@pytest.mark.parametrize(
    ("bases", "message"),
    [
        ("mobilenetv2,MobileNet-V2", "mobilenetv2 is the only base given: name two or more"),
        ("mobilenetv2,resnet51", "no base 'resnet51'. Did you mean 'resnet50'"),
        (
            "mobilenetv2,,resnet50",
            "--bases must be names or files, separated by commas. Received: 'mobilenetv2,,resnet50'",
        ),
        ("", "--bases must be names or files, separated by commas. Received: ''"),
        ("mobilenetv2,nowhere.keras", "there is no file 'nowhere.keras'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_images_are_read(bases, message, photos, capsys):
    code, out, err = run("recommend", photos, "--bases", bases, capsys=capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert "classes" not in err


def test_a_base_of_unknown_cost_that_is_worse_does_not_change_why_another_is_recommended():
    generator = np.random.default_rng(0)
    losses = generator.uniform(0, 1, 400)
    alike = losses + generator.permutation(np.repeat([-0.1, 0.1], 200))
    heavy, light = candidate("heavy", losses.mean(), 8.0), candidate("light", alike.mean(), 0.6)
    own = candidate("own", losses.mean() + 0.2, None)
    answer = ranked("photos", [(heavy, losses), (light, alike), (own, losses + 0.2)])
    assert "Recommended: light, the least costly of the 2 whose losses" in tables.recommendation(answer, width=200)
    assert max(map(len, tables.recommendation(answer, width=80).splitlines())) <= 80
    alone = ranked("photos", [(heavy, losses), (own, losses + 0.2)])
    assert "Recommended: heavy, the one of the least loss, by more than chance" in tables.recommendation(
        alone, width=200
    )


def test_a_file_that_is_named_twice_is_one_base(photos, tiny_base):
    folder, name = os.path.split(tiny_base)
    with pytest.raises(kt.UsageError, match="is the only base given"):
        kt.recommend(photos, [Path(tiny_base), f"{folder}/./{name}"], progress=QUIET)
