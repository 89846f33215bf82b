import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.compute.store import ActivationSet
from keras_transfer.data.sources import digits
from keras_transfer.support import paths
from keras_transfer.support.errors import UsageError
from tests.command_line import run

DIGESTS = [number.to_bytes(16, "big") for number in range(3)]


@pytest.fixture(params=["a file", "a device", "no home"])
def unwritable(request, tmp_path, monkeypatch):
    """A cache folder that cannot be made, for a superuser either."""
    (tmp_path / "file").write_text("")
    cache = {"a file": str(tmp_path / "file" / "cache"), "a device": os.devnull + "/cache", "no home": "~/cache"}
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", cache[request.param])
    monkeypatch.setattr(paths, "_temporary", {})
    monkeypatch.chdir(tmp_path)
    if request.param == "no home":
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_without_a_cache_folder_a_temporary_one_is_used_with_one_warning(unwritable, tmp_path, capsys):
    ActivationSet({"base": "a"}).write(DIGESTS, [[np.arange(3, dtype="float32")]])
    again = ActivationSet({"base": "a"})
    assert again.missing(DIGESTS) == []
    np.testing.assert_array_equal(again.read(DIGESTS, [0])[0], np.arange(3))
    assert store.shortage(10, 1) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert ("No home folder is known" if os.environ["KERAS_TRANSFER_CACHE"][0] == "~" else "cannot be written") in line
    assert "KERAS_TRANSFER_CACHE names another folder" in line
    assert not (tmp_path / "~").exists()


def test_the_digits_need_no_cache_folder(monkeypatch, capsys):
    few = SimpleNamespace(images=np.zeros((10, 8, 8)), target=range(10))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", SimpleNamespace(load_digits=lambda: few))
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", os.devnull + "/cache")
    monkeypatch.setattr(paths, "_temporary", {})
    assert digits._folder() == digits._folder()
    assert len(list(digits._folder().iterdir())) == 10
    assert capsys.readouterr().err.count("Warning") == 1


def test_what_a_cache_that_is_read_only_holds_is_used(tmp_path, fresh_cache, monkeypatch, capsys):
    ActivationSet({"base": "a"}).write(DIGESTS[:2], [[np.arange(2, dtype="float32")]])

    def refused(**options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(paths, "_temporary", {})
    monkeypatch.setattr(paths.tempfile, "TemporaryFile", refused)
    shared = ActivationSet({"base": "a"})
    assert shared.missing(DIGESTS) == [2]
    shared.write(DIGESTS[2:], [[np.array([2], "float32")]])
    assert "(Read-only file system)" in capsys.readouterr().err
    for stored in (shared, ActivationSet({"base": "a"})):
        assert stored.missing(DIGESTS) == []
        np.testing.assert_array_equal(stored.read(DIGESTS, [0])[0], np.arange(3))
    assert len(list(fresh_cache.rglob("shard-*"))) == 1


def test_a_temporary_cache_goes_with_the_process():
    program = "from keras_transfer.support.paths import writable_cache_folder; print(writable_cache_folder())"
    environment = {**os.environ, "KERAS_TRANSFER_CACHE": os.devnull + "/cache"}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert not os.path.exists(ended.stdout.strip())


def refuse(dir):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def test_a_folder_that_nobody_can_write_to_is_refused_whoever_asks(monkeypatch, tmp_path):
    """Also a superuser, whom rights do not stop, and on a disk that is mounted to be read only."""
    paths.demand_writable(tmp_path / "models" / "name", "--output")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--output: .*file is a file"):
        paths.demand_writable(tmp_path / "file" / "name", "--output")
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(UsageError, match=r"--output: .* cannot be written to \(Read-only file system\)"):
        paths.demand_writable(tmp_path / "models" / "name", "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "ending"),
    [
        (["check", "photos", "--html", "page"], ".html"),
        (["check", "photos", "--html", "folder.html"], ".html"),
        (["features", "photos", "-o", "features.npy"], ".npz"),
        (["export", "model", "--format", "onnx", "-o", "model"], ".onnx"),
    ],
)
def test_a_file_of_another_ending_and_a_folder_are_refused(arguments, ending, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.html").mkdir()
    code, _, errors = run(*arguments, capsys=capsys)
    assert (code, f"must be a file that ends in {ending}" in errors) == (2, True), errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "photos", "--html", "page.html"],
        ["check", "photos", "--convert", "copies"],
        ["features", "photos", "-o", "features.npz"],
        ["export", "model", "--format", "litert", "-o", "model.tflite"],
        ["fit", "photos", "-o", "model"],
    ],
)
def test_output_that_cannot_be_written_is_refused_before_the_work(arguments, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    code, _, errors = run(*arguments, capsys=capsys)
    assert (code, "cannot be written to (Read-only file system)" in errors) == (2, True), errors


def test_a_model_goes_to_no_folder_whose_name_is_not_utf8(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    code, _, errors = run("fit", "photos", "-o", os.fsdecode(b"mod\xe9le"), capsys=capsys)
    assert (code, errors.count("\n")) == (2, 1)
    assert "--output: 'mod\\xe9le' holds bytes that are not UTF-8" in errors
    paths.demand_utf8(tmp_path / "modèle", "--output")


@pytest.mark.parametrize("output", ["photos/models/a", "photos", "photos/red", "link/a"])
def test_results_within_the_folder_of_the_images_would_be_a_class(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "red").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    with pytest.raises(UsageError, match=f"--output: {output} lies in the folder of the images"):
        paths.demand_outside(Path(output), "photos/", "--output")
    for elsewhere in ("models", "photos2/a", "saved_models/photos"):
        paths.demand_outside(Path(elsewhere), "photos/", "--output")


def test_files_of_results_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert paths.page_and_table("~/a.html", "~/a.csv") == (tmp_path / "a.html", tmp_path / "a.csv")
