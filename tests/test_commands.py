import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest

from keras_transfer import Recipe, commands, load_recipe
from keras_transfer.support.errors import UserError
from tests.command_line import run
from tests.conftest import REPOSITORY, write_photos


@pytest.mark.parametrize(
    "module", ["click", "keras_transfer.commands", "keras_transfer.recipe.recipe", "tensorflow", "keras.src"]
)
def test_ctrl_c_during_the_imports_is_one_line_whatever_these_make_of_it(module, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    code = f"""
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except BaseException:
                raise ImportError("initialization failed") from None

sys.meta_path.insert(0, Interrupting())
sys.argv = ["cli.py", "predict", {str(tmp_path)!r}, {__file__!r}]
runpy.run_path("cli.py", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted; nothing was written.\n")


def test_an_error_that_ctrl_c_becomes_is_no_answer(monkeypatch, capsys):
    def fail():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None

    monkeypatch.setattr("keras_transfer.network.bases.bases", fail)
    assert run("bases", capsys=capsys) == (130, "", "Interrupted; nothing was written.\n")


def test_messages_name_the_installed_program(capsys):
    assert "See: keras-transfer bases." in run("fit", "--base", "nope", capsys=capsys)[2]


def test_environment_variables_set_no_options(monkeypatch, capsys):
    monkeypatch.setenv("KERAS_TRANSFER_FIT_BASE", "nope")
    assert "there is no base" not in run("fit", "--data", "/none", capsys=capsys)[2]


def test_a_run_is_repeated_by_its_recipe_and_options_that_are_given_win(released, photos, monkeypatch, capsys):
    recipes = []

    def fit(recipe, *_):
        recipes.append(recipe)
        raise UserError("as far as this")

    monkeypatch.setattr("keras_transfer.run.fit", fit)
    for source in (released, released / "1", released / "1" / "assets.extra" / "recipe.json"):
        run("fit", photos, "--recipe", source, "--seed", 3, "--base", "vgg16", "--size", 32, "--strict", capsys=capsys)
    assert recipes[0] == recipes[1] == recipes[2]
    kept = load_recipe(released)
    assert (kept.head_solver, kept.views, kept.size) == ("lbfgs", 1, 24)
    assert recipes[0] == kept.replace(data=str(photos), seed=3, base="vgg16", size=32, strict=True)
    assert "There is no model at '/none'" in run("fit", "--recipe", "/none", capsys=capsys)[2]


def test_a_flag_of_a_recipe_can_be_switched_off_again(tmp_path, monkeypatch, capsys):
    recipes = []

    def fit(recipe, *_):
        recipes.append(recipe)
        raise UserError("as far as this")

    monkeypatch.setattr("keras_transfer.run.fit", fit)
    flags = [field.name for field in dataclasses.fields(Recipe) if field.metadata.get("kind") == "flag"]
    file = tmp_path / "recipe.json"
    file.write_text(Recipe(**dict.fromkeys(flags, True)).to_json())
    options = [name.replace("_", "-") for name in flags]
    run("fit", "--recipe", file, capsys=capsys)
    run("fit", *(f"--{name}" for name in options), capsys=capsys)
    run("fit", "--recipe", file, *(f"--no-{name}" for name in options), capsys=capsys)
    assert [[getattr(recipe, name) for name in flags] for recipe in recipes] == [
        [value] * len(flags) for value in (True, True, False)
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fit", "--base", "vg16"), "Did you mean 'vgg16'"),
        (("fit", "--thaw", "blok5"), "Did you mean 'block5'"),
        (("fit", "--pooling", "sum"), "--pooling must be one of"),
        (("fit", "--data", "/none"), "there is no"),
        (("fit", "--no-such"), "No such option"),
        (("fit", "--lr", "1"), "Did you mean '--head-lr' or '--fine-tune-lr'"),
        (("fit", "--learning-rate=1"), "Did you mean '--head-lr' or '--fine-tune-lr'"),
        (("fit", "--epochs", "3"), "Did you mean '--head-epochs' or '--fine-tune-epochs'"),
        (("fit", "--bse", "vgg16"), "No such option '--bse'. Did you mean '--base'"),
        (("fit", "a/", "--data", "b/"), "The data is given twice"),
        (("features", "a/", "--data", "b/", "-o", "f.npz"), "The data is given twice"),
        (("fit", "/none"), "there is no"),
        (("fits",), "Did you mean 'fit'"),
        (("train", "--data", "photos"), "Did you mean 'fit'"),
        (("trian",), "Did you mean 'fit'"),
        (("evaluate", "/none"), "There is no model"),
        (("fit", "--teacher", "/none"), "There is no model at '/none'"),
        (("predict", "/none"), "Missing argument"),
        (("predict", "/none", "none.jpg"), "names no file"),
    ],
)
def test_a_wrong_option_is_one_line_and_code_two(arguments, words, capsys):
    code, out, err = run(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("fit", "--data", "/none"),
        ("fit", "--teacher", "/none"),
        ("features", "--data", "/none", "-o", "features.npz"),
        ("check", "/none"),
        ("export", "/none", "--format", "onnx", "--precision", "bfloat16"),
        ("serve", "/none"),
        ("evaluate", "/none", "/none"),
    ],
)
def test_an_option_error_does_not_import_tensorflow(arguments):
    code = (
        "import sys\nfrom keras_transfer.commands import main\n"
        f"try:\n    main({list(arguments)})\nexcept SystemExit as stop:\n    assert stop.code == 2\n"
        "assert 'tensorflow' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True).returncode == 0


def test_what_a_model_waits_for_has_a_line(version, photos, monkeypatch, capsys):
    monkeypatch.setattr("keras_transfer.support.progress._WORTH_A_LINE", 0.0)
    err = run("predict", version.folder, photos / "red" / "00.jpg", capsys=capsys)[2]
    assert [line.split(",")[0] for line in err.splitlines()][:2] == ["Importing TensorFlow", "Loading the model"]


@pytest.mark.essential
def test_a_whole_session_on_the_terminal(photos, tiny_base, tmp_path, capsys):
    model = tmp_path / "models" / "colours"
    code, out, err = run(
        "fit", "--base", tiny_base, "--data", photos, "--output", model, "--thaw", 1, "--fine-tune-epochs", 1,
        "--views", 2, capsys=capsys,
    )  # fmt: skip
    assert code == 0
    assert "3 classes, 30 / 6 / 6 images to train / validate / test, seed 0." in err
    assert "fine-tune 1/1  loss " in err
    assert "Test accuracy" in out
    assert "95% interval" in out
    assert str(model / "1") in out

    code, out, _ = run("evaluate", model, "--data", photos, "--json", capsys=capsys)
    assert code == 0
    report = json.loads(out)
    assert {"accuracy", "accuracy_interval", "macro_f1", "loss"} <= set(report)
    assert (report["model"], report["source"]) == (str(model / "1"), str(photos))
    assert report["warnings"][0] == "Only 6 images tested: the score says little."
    assert run("evaluate", model, capsys=capsys)[0] == 0

    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no image")
    code, out, _ = run("predict", model, photos / "red", broken, "--json", capsys=capsys)
    answer = json.loads(out)
    assert code == 1
    assert len(answer["predictions"]) == 15
    assert answer["model"] == str(model / "1")
    assert set(answer["predictions"][0]) == {"path", "label", "confidence", "probabilities"}
    assert set(answer["predictions"][-1]) == {"path", "error"}

    images = [photos / "red" / "00.jpg", tmp_path / "missing.jpg", broken, photos / "blue" / "00.jpg"]
    code, out, err = run("predict", model, *images, "--quiet", capsys=capsys)
    assert code == 1
    assert [line.split()[-1] == "-" for line in out.splitlines()[1:]] == [False, True, True, False]
    assert err.splitlines() == [
        f"{images[1]}: cannot be read (No such file or directory)",
        f"{broken}: is not a JPEG, PNG, GIF, BMP or WebP image",
    ]

    code, out, _ = run("predict", model, photos / "*" / "00.jpg", "--csv", capsys=capsys)
    assert code == 0
    assert out.splitlines()[0] == "path,label,confidence,blue,green,red,error"
    assert len(out.splitlines()) == 4
    code, out, _ = run("predict", model, photos / "red" / "00.jpg", capsys=capsys)
    assert out.splitlines()[0].split() == ["path", "label", "confidence"]


def test_evaluate_reads_a_table_as_it_is_told(version, photos, tmp_path, capsys):
    (tmp_path / "t.csv").write_text(f"id,colour\n{photos / 'red' / '00.jpg'},red\n{photos / 'blue' / '01.png'},blue\n")
    columns = ("--columns", "path=id,label=colour")
    assert "Name the columns, as --columns" in run("evaluate", version.folder, tmp_path / "t.csv", capsys=capsys)[2]
    assert (
        "--allow-outside permits it" in run("evaluate", version.folder, tmp_path / "t.csv", *columns, capsys=capsys)[2]
    )
    out = run("evaluate", version.folder, tmp_path / "t.csv", *columns, "--allow-outside", "--json", capsys=capsys)[1]
    report = json.loads(out)
    assert report["images"] + report["excluded_as_seen"] == 2


@pytest.mark.parametrize("arguments", [("evaluate",), ("export", "--format", "keras")])
def test_empty_data_is_not_what_the_model_was_fitted_on(version, arguments, capsys):
    code, out, err = run(arguments[0], version.folder, *arguments[1:], "--data", "", capsys=capsys)
    assert (code, out, err.splitlines()[-1]) == (2, "", "Error: --data must not be empty.")


@pytest.mark.parametrize("command", ["fit", "check", "evaluate", "features"])
def test_what_a_refusal_of_a_table_names_is_an_option_of_each_command_that_reads_one(command, capsys):
    text = run(command, "--help", capsys=capsys)[1]
    for option in ("--columns", "--encoding", "--allow-outside", "--tfds-dir"):
        assert f"  {option} " in text


def test_work_that_fails_is_one_line_and_code_one(tmp_path, capsys):
    write_photos(tmp_path / "data", 2)
    code, _, err = run("fit", "--data", tmp_path / "data", "--output", tmp_path / "m", capsys=capsys)
    words = "class 'blue' has 2 images, too few for 3 splits. Add images to it, or remove it."
    assert code == 1
    assert err.splitlines()[1:] == [f"Error: {tmp_path / 'data'}: {words}"]


def test_json_has_no_number_that_parsers_refuse(released, monkeypatch, capsys):
    def refuse(constant):
        raise AssertionError(constant)

    file = released / "1" / "assets.extra" / "metrics.json"
    metrics = json.loads(file.read_text("utf-8")) | {"test": {"images": 0, "rejected": [], "r2": None}}
    file.write_text(json.dumps(metrics), "utf-8")
    record = json.loads(run("models", released, "--json", capsys=capsys)[1], parse_constant=refuse)[0]
    assert record["score"] == ["", None]
    assert run("models", released, capsys=capsys)[1].splitlines()[1].split()[1] == "-"
    answers = [{"label": "", "confidence": float("nan"), "error": "cannot be decoded"}]
    monkeypatch.setattr("keras_transfer.serving.client.request", lambda *_: answers)
    out = run("request", "grpc://localhost:8500/x", file, "--json", capsys=capsys)[1]
    assert json.loads(out, parse_constant=refuse)["predictions"][0]["confidence"] is None


def test_bases_lists_the_table(capsys):
    code, out, _ = run("bases", "--json", capsys=capsys)
    assert code == 0
    rows = {row["name"]: row for row in json.loads(out)}
    assert rows["vgg16"]["parameters"] == 14714688
    assert "resnet50" in run("bases", capsys=capsys)[1]


def test_cache_is_shown_and_cleared(fresh_cache, capsys):
    assert "No activations" in run("cache", capsys=capsys)[1]
    assert json.loads(run("cache", "--json", capsys=capsys)[1]) == []
    assert json.loads(run("cache", "--clear", "--json", capsys=capsys)[1]) == {"freed_bytes": 0}


def test_tensorflow_still_talks_while_it_is_imported(tmp_path):
    """When this fails, `keras_transfer/support/logs.py` is no longer needed. Records are listed by TensorFlow."""
    from tests.data.sources.test_tfrecord import write_labelled

    shard = write_labelled(tmp_path / "a.tfrecord", (0,), (1,))
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    said = [
        subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=REPOSITORY, capture_output=True, text=True
        ).stderr
        for code in (
            "import tensorflow as tf; tf.config.list_physical_devices()",
            f"from keras_transfer.data import sources; sources.load({shard!r})",
        )
    ]
    assert said[1] == ""
    if not said[0]:
        pytest.skip("this TensorFlow says nothing on this machine")


def test_a_request_takes_folders_and_globs(photos, monkeypatch, capsys):
    from keras_transfer.serving import client

    monkeypatch.setattr(client, "request", lambda url, files: [{"label": "red", "confidence": 1.0} for _ in files])
    commands.main(
        ["request", "http://localhost:8501/v1/models/x", str(photos / "red"), str(photos / "blue/*.png"), "--json"]
    )
    paths = [record["path"] for record in json.loads(capsys.readouterr().out)["predictions"]]
    assert paths == sorted(map(str, (photos / "red").iterdir())) + sorted(map(str, (photos / "blue").glob("*.png")))
