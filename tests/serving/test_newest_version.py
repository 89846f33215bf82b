"""The version that is served: the newest that can be loaded, and what becomes of the one before."""

import gc
import json
import shutil
import time
import urllib.request
import weakref

import pytest

from keras_transfer.serving import batching, client, newest_version
from keras_transfer.versions.saved import SavedClassifier
from tests.serving.servers import embedded, wait_until


def test_every_size_of_batch_has_run_before_the_first_request(version, monkeypatch):
    pytest.importorskip("starlette")
    sizes, run = [], SavedClassifier.run
    monkeypatch.setattr(
        SavedClassifier, "run", lambda self, key, inputs: (sizes.append(len(inputs)), run(self, key, inputs))[1]
    )
    newest_version.NewestVersion(version.folder.parent, lambda run: batching.Batcher(run, max_batch=4)).close()
    assert sizes == [1, 2, 3, 4]


def test_a_new_version_is_picked_up_and_measures_are_there(version, photos, tmp_path):
    model = tmp_path / "colours"
    shutil.copytree(version.folder, model / "1")
    with embedded(model) as url:
        shutil.copytree(version.folder, model / ".writing")
        (model / ".writing").rename(model / "2")
        for _ in range(200):
            state = json.loads(urllib.request.urlopen(f"{url}/v1/models/colours").read())
            if state["model_version_status"][0]["version"] == "2":
                break
            time.sleep(0.1)
        assert state["model_version_status"][0]["version"] == "2"
        assert client.request(f"{url}/v1/models/colours", [next(photos.glob("red/*"))])[0]["label"] == "red"
        measures = urllib.request.urlopen(f"{url}/metrics").read().decode()
        assert 'requests_total{status="200"} 1.0' in measures
        assert "latency_seconds_bucket" in measures


def damaged(version, folder, kind):
    shutil.copytree(version.folder, folder)
    variables = folder / "variables" / "variables.data-00000-of-00001"
    if kind == "half the variables":
        variables.write_bytes(variables.read_bytes()[:100])
    elif kind == "no variables":
        shutil.rmtree(folder / "variables")
    elif kind == "a cut recipe":
        (folder / "assets.extra" / "recipe.json").write_text('{"base":')
    elif kind == "an empty graph":
        (folder / "saved_model.pb").write_bytes(b"")
    elif kind == "labels that are too few":
        (folder / "assets" / "labels.txt").write_text("blue\n")
    elif kind == "metrics of another kind":
        (folder / "assets.extra" / "metrics.json").write_text("[]")


@pytest.fixture
def serving(version, tmp_path, monkeypatch):
    monkeypatch.setattr(newest_version, "_POLL_SECONDS", 0.05)
    shutil.copytree(version.folder, tmp_path / "m" / "1")
    serving = newest_version.NewestVersion(tmp_path / "m", lambda run: batching.Batcher(run, max_batch=2))
    yield serving
    serving.close()


@pytest.mark.once
def test_a_broken_version_leaves_the_one_before_serving_and_is_named(version, serving, capsys):
    kinds = ["half the variables", "no variables", "a cut recipe", "an empty graph", "labels that are too few",
             "metrics of another kind"]  # fmt: skip
    (serving.model / "²").mkdir()
    (serving.model / "²" / "saved_model.pb").touch()
    for number, kind in enumerate(kinds, 2):
        damaged(version, serving.model.parent / "staging", kind)
        (serving.model.parent / "staging").rename(serving.model / str(number))
        said = []
        wait_until(lambda: said.append(capsys.readouterr().err) or f"{number} cannot be" in "".join(said))  # noqa: B023
        assert "Version 1 goes on serving." in "".join(said)
        assert serving.current.number == 1
    time.sleep(0.3)
    assert capsys.readouterr().err == ""  # Each is named once.
    # The last is made whole in its place.
    shutil.copy(version.folder / "assets.extra" / "metrics.json", serving.model / str(number) / "assets.extra")
    wait_until(lambda: serving.current.number == number)


@pytest.mark.once
def test_a_version_that_was_replaced_leaves_memory(version, serving):
    graph = weakref.ref(serving.current.classifier)
    shutil.copytree(version.folder, serving.model.parent / "staging")
    (serving.model.parent / "staging").rename(serving.model / "2")
    wait_until(lambda: serving.current.number == 2)
    wait_until(lambda: graph() is None)
    gc.collect()


@pytest.mark.once
def test_metadata_outlive_the_folder(version, tmp_path):
    shutil.copytree(version.folder, tmp_path / "m" / "1")
    with embedded(tmp_path / "m") as address:
        shutil.rmtree(tmp_path / "m")
        assert b"serving_default" in urllib.request.urlopen(f"{address}/v1/models/colours/metadata").read()
