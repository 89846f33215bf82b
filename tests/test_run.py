import csv
import json
import os
import signal
from functools import partial

import pytest
import tensorflow as tf

import keras_transfer as kt
from keras_transfer import run
from keras_transfer.commands import tables
from keras_transfer.data.inspection import inspector
from keras_transfer.support import stopping
from keras_transfer.support.errors import UsageError
from keras_transfer.support.paths import cache_folder
from tests.conftest import draw, write_photos
from tests.data.decoding.files import png_chunk

QUIET = kt.Progress(quiet=True)


def test_the_records_say_what_was_done(version):
    folder = version.folder / "assets.extra"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == json.loads(json.dumps(version.metrics))
    assert {"base", "weights", "method", "seed", "data", "phases", "validation", "test", "seconds"} <= set(metrics)
    assert metrics["data"]["train"] + metrics["data"]["validation"] + metrics["data"]["test"] == 42
    # A solved head that fine-tuning did not improve is solved again on more images.
    solved_again = ["refit"] * (not metrics["phases"][1]["best_epoch"])
    assert [phase["name"] for phase in metrics["phases"]] == ["head", "fine-tune", *solved_again]
    assert {"total", "data", "features", "head", "fine-tune", "export"} <= set(metrics["seconds"])
    recipe = kt.Recipe.from_json(folder / "recipe.json")
    assert recipe == version.recipe
    with (folder / "splits.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 42
    test = {row["path"]: row["label"] for row in rows if row["split"] == "test"}
    with (folder / "predictions.csv").open() as stream:
        predictions = list(csv.DictReader(stream))
    assert {row["path"]: row["label"] for row in predictions} == test
    right = [row["predicted"] == row["label"] for row in predictions]
    assert sum(right) / len(right) == metrics["test"]["accuracy"]
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in predictions)
    assert json.loads((folder / "environment.json").read_text())["packages"]["keras"]
    with (folder / "history.csv").open() as stream:
        assert [row["epoch"] for row in csv.DictReader(stream) if row["phase"] == "fine-tune"] == ["1", "2"]


def test_the_same_seed_gives_the_same_model_and_the_next_version(photos, tiny_base, tmp_path):
    folder = str(tmp_path / "m")
    recipe = kt.Recipe(base=tiny_base, data=str(photos), output=folder, fine_tune_epochs=1, views=2, seed=3)
    one, other = kt.fit(recipe, progress=QUIET), kt.fit(recipe, progress=QUIET)
    assert [result.folder.name for result in (one, other)] == ["1", "2"]
    assert one.metrics["test"] == other.metrics["test"]
    assert one.metrics["phases"][1]["validation"] == other.metrics["phases"][1]["validation"]
    assert other.metrics["engine"] == "cache"


def test_a_policy_of_the_callers_own_is_left_alone(photos, tiny_base, tmp_path):
    import keras

    recipe = kt.Recipe(base=tiny_base, data=str(photos), output=str(tmp_path / "m"), precision="bfloat16", thaw="none")
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        result = kt.fit(recipe.replace(dense="8", head_epochs=1, views=1), progress=QUIET, resume=True)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy(before)
    assert result.metrics["precision"] == "bfloat16"
    served = keras.models.load_model(result.folder / "assets.extra" / "model.keras", compile=False)
    dense = next(layer for model in served.layers if model.name == "head" for layer in model.layers[1:])
    assert (dense.name, dense.compute_dtype) == ("dense_1", "float32")
    assert not list((cache_folder() / "states").iterdir()), "what was kept for --resume is deleted at the end"


@pytest.mark.once
def test_random_weights_are_named(photos, tmp_path):
    recipe = kt.Recipe(base="mobilenet", weights="random", data=str(photos), size=32, output=str(tmp_path), thaw="none")
    assert kt.fit(recipe.replace(views=1), progress=QUIET).metrics["weights"] == "random"


@pytest.mark.parametrize("fault", ["junk", "cut off", "few", "weights"])
def test_work_that_fails_leaves_nothing_behind(tiny_base, tmp_path, fault):
    data = write_photos(tmp_path / "data", 2 if fault == "few" else 4)
    if fault == "junk":
        (data / "red" / "x.jpg").write_text("no image")
    if fault == "cut off":
        broken = data / "red" / "00.jpg"
        broken.write_bytes(broken.read_bytes()[:200])
    if fault == "weights":
        (tmp_path / "w.h5").write_bytes(b"junk")
    options = {"base": "mobilenet", "size": 32, "weights": str(tmp_path / "w.h5")} if fault == "weights" else {}
    options["strict"] = fault in ("junk", "cut off")
    recipe = kt.Recipe(**{"base": tiny_base, "data": str(data), "output": str(tmp_path / "out" / "m")} | options)
    with pytest.raises(kt.UserError) as caught:
        kt.fit(recipe, progress=QUIET)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def no_image_is_read(*_, **__):
    raise AssertionError


def test_weights_that_do_not_fit_are_refused_before_images_are_read(photos, tiny_base, tmp_path, monkeypatch):
    monkeypatch.setattr(inspector, "inspect", no_image_is_read)
    with pytest.raises(kt.UserError, match="does not fit mobilenet"):
        kt.fit(str(photos), progress=QUIET, base="mobilenet", size=32, weights=tiny_base, output=str(tmp_path))


def test_without_a_network_only_the_sample_goes_on(monkeypatch, photos, tmp_path, capsys):
    import keras

    def refuse(weights=None, **options):
        if weights == "imagenet":
            address = "https://storage.googleapis.com/x/mobilenet_1_0_224_tf_no_top.h5"
            raise Exception(f"URL fetch failure on {address}: None -- [Errno -3] Temporary failure")
        return real(weights=weights, **options)

    real = keras.applications.MobileNet
    monkeypatch.setattr(keras.applications, "MobileNet", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    own = kt.Recipe(base="mobilenet", data=str(photos), size=32, output=str(tmp_path / "own"))
    with monkeypatch.context() as patch:
        patch.setattr(inspector, "inspect", no_image_is_read)
        for command in (kt.fit, kt.features, partial(kt.check, labels=True)):
            with pytest.raises(kt.UserError, match="mobilenet_1_0_224_tf_no_top"):
                command(own, progress=QUIET)
    sample = own.replace(data="digits", thaw="none", views=1, output=str(tmp_path / "sample"))
    result = kt.fit(sample, progress=QUIET)
    assert result.metrics["weights"] == "random"
    assert "RANDOM WEIGHTS" in capsys.readouterr().err


def test_outputs_are_named_after_data_and_base():
    assert str(run.output_folder(kt.Recipe(base="VGG16"))) == "saved_models/digits-vgg16"
    assert str(run.output_folder(kt.Recipe(base="vgg16", data="a/photos/"))) == "saved_models/photos-vgg16"
    assert str(run.output_folder(kt.Recipe(output="x/y"))) == "x/y"


@pytest.mark.once
def test_real_weights_beat_chance_and_random_weights_on_real_photos(shared_data, tmp_path):
    (weights,) = (shared_data / "weights").glob("mobilenet*.h5")
    accuracies = []
    for given in (str(weights), "random"):
        recipe = kt.Recipe(
            base="mobilenet", weights=given, data=str(shared_data / "flowers"), size=128, thaw="none", views=1,
            output=str(tmp_path / "m"),
        )  # fmt: skip
        accuracies.append(kt.fit(recipe, progress=QUIET).metrics["test"]["accuracy"])
    assert accuracies[0] > 0.75
    assert accuracies[0] > accuracies[1] + 0.2


def test_a_png_that_only_tensorflow_opens_does_not_cost_the_run(tiny_base, tmp_path, capsys):
    """Its text has a wrong checksum, at which Pillow stops."""
    for name, colour in (("blue", (30, 60, 200)), ("red", (210, 50, 40))):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(8):
            file = tmp_path / "data" / name / f"{number}.png"
            draw(colour, number).save(file)
            content = file.read_bytes()
            text = png_chunk(b"tEXt", b"Software\0scanner")[:-4] + b"\0\0\0\1"
            file.write_bytes(content[:33] + text + content[33:])
    recipe = kt.Recipe(base=tiny_base, data=str(tmp_path / "data"), output=str(tmp_path / "m"), thaw="none", views=1)
    result = kt.fit(recipe, progress=QUIET)
    assert (result.folder / "assets.extra" / "tf_serving_warmup_requests").stat().st_size > 1000
    assert "failed" not in capsys.readouterr().err


@pytest.mark.once
def test_what_fails_after_training_does_not_cost_the_network(tiny_base, tmp_path, capsys, monkeypatch):
    from keras_transfer.training import transfer
    from keras_transfer.versions import card, folders

    data = write_photos(tmp_path / "data", 12)
    train = transfer.train

    def train_then_lose_photos(*args):
        trained = train(*args)
        for file in data.glob("*/*"):
            file.unlink()
        return trained

    def fail(*args):
        raise KeyError("data")

    monkeypatch.setattr(transfer, "train", train_then_lose_photos)
    monkeypatch.setattr(card, "text", fail)
    monkeypatch.setattr(folders, "prune", fail)
    recipe = kt.Recipe(base=tiny_base, data=str(data), output=str(tmp_path / "m"), thaw="none", views=1, keep=1)
    result = kt.fit(recipe, progress=QUIET)
    warnings = capsys.readouterr().err
    assert "The test failed" in warnings
    assert "Writing warm-up requests failed (none of the training images can be read any more)" in warnings
    assert "Writing the model card failed ('data'): the version appears without it." in warnings
    assert "Deleting older versions failed ('data'): they stay." in warnings
    assert {"recipe.json", "metrics.json", "splits.csv", "model.keras"} <= {
        file.name for file in (result.folder / "assets.extra").iterdir()
    }
    assert "The version was not tested." in tables.run(result.metrics, result.recipe, str(result.folder), {})
    photo = draw((210, 50, 40), 99)
    photo.save(tmp_path / "a.png")
    assert kt.load(result.folder).predict([tmp_path / "a.png"])[0].label == "red"


class Stopping(kt.Progress):
    """Sends a signal when something is said, and keeps what is."""

    def __init__(self, after="fine-tune 1/"):
        super().__init__(quiet=True)
        self.after, self.lines = after, []

    def say(self, text):
        self.lines.append(text)
        if text.startswith(self.after):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_in_fine_tuning_says_how_to_go_on_and_one_goes_on(photos, tiny_base, tmp_path, fresh_cache):
    options = {"output": str(tmp_path / "m"), "thaw": "1", "fine_tune_epochs": 3, "views": 2, "dense": "8"}
    options |= {"head_epochs": 1, "fine_tune_lr": 1e-4}
    with pytest.raises(stopping.Stopped, match=r"^Stopped; go on with the same command and --resume\.$") as stopped:
        kt.fit(str(photos), progress=Stopping(), base=tiny_base, **options)
    assert stopped.value.exit_code == 130
    assert not (tmp_path / "m").exists()
    goes_on = Stopping()
    result = kt.fit(f"{photos}/.", progress=goes_on, resume=True, base=tiny_base, **options)
    assert any(line.startswith("fine-tune: goes on after epoch 1 of 3") for line in goes_on.lines)
    assert result.metrics["phases"][1]["epochs"] == 3
    assert not list((cache_folder() / "states").iterdir())


def test_folds_that_ended_are_not_trained_again(photos, tiny_base, tmp_path, fresh_cache):
    options = {"method": "frozen", "dense": "8", "head_epochs": 2, "folds": 3, "views": 1}
    whole = kt.fit(str(photos), progress=QUIET, base=tiny_base, output=str(tmp_path / "whole"), **options)
    options["output"] = str(tmp_path / "m")
    anew = Stopping("Fold 3 of 3")
    with pytest.raises(stopping.Stopped, match=r"^Stopped; go on with the same command and --resume\.$"):
        kt.fit(str(photos), progress=anew, resume=True, base=tiny_base, **options)
    assert sum(line.startswith("Nothing to go on from: ") for line in anew.lines) == 1
    goes_on = Stopping()
    result = kt.fit(str(photos), progress=goes_on, resume=True, base=tiny_base, **options)
    assert goes_on.lines.count("head: had ended before the run was interrupted.") == 2
    assert not any(line.startswith("Nothing to go on from: ") for line in goes_on.lines)
    assert result.metrics["folds"] == whole.metrics["folds"]
    assert not list((cache_folder() / "states").iterdir())
    with pytest.raises(stopping.Stopped, match=r"^Stopped; the same command begins with the folds anew\.$"):
        kt.fit(str(photos), progress=Stopping("Fold 3 of 3"), base=tiny_base, **options)


def test_ctrl_c_after_training_loses_no_training(photos, tiny_base, tmp_path, fresh_cache, monkeypatch):
    options = {"output": str(tmp_path / "m"), "method": "frozen", "dense": "8", "head_epochs": 2}
    with monkeypatch.context() as patch:
        patch.setattr(run, "_write", lambda *arguments: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(stopping.Stopped, match="go on with the same command and --resume") as stopped:
            kt.fit(str(photos), progress=QUIET, base=tiny_base, **options)
    assert stopped.value.exit_code == 143
    goes_on = Stopping()
    kt.fit(str(photos), progress=goes_on, resume=True, base=tiny_base, **options)
    assert "head: had ended before the run was interrupted." in goes_on.lines


def test_a_version_that_cannot_be_written_loses_no_training(photos, tiny_base, tmp_path, fresh_cache, monkeypatch):
    options = {"output": str(tmp_path / "m"), "method": "frozen", "dense": "8", "head_epochs": 2}

    def limited(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "{{function_node Save}} part; File too large [Op:SaveV2]")

    with monkeypatch.context() as patch:
        patch.setattr(tf.saved_model, "save", limited)
        with pytest.raises(kt.UserError) as told:
            kt.fit(str(photos), progress=QUIET, base=tiny_base, **options)
    assert str(told.value) == (
        f"--output: {tmp_path / 'm'} cannot be written to (File too large). What was trained is kept: go on "
        "with the same command and --resume."
    )
    goes_on = Stopping()
    kt.fit(str(photos), progress=goes_on, resume=True, base=tiny_base, **options)
    assert "head: had ended before the run was interrupted." in goes_on.lines


@pytest.mark.once
def test_the_working_folder_gives_a_model_its_name(photos, tiny_base, tmp_path, monkeypatch):
    (tmp_path / "colours").mkdir()
    monkeypatch.chdir(tmp_path / "colours")
    result = kt.fit(str(photos), progress=QUIET, base=tiny_base, output=".", method="frozen", views=1)
    assert (result.folder / "assets.extra" / "README.md").read_text().startswith("# colours\n")


def test_minutes_and_resume_exclude_each_other(tiny_base):
    with pytest.raises(UsageError, match="--minutes counts from the start of a command"):
        kt.fit(kt.Recipe(base=tiny_base, minutes=5), progress=QUIET, resume=True)
