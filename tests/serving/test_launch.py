import os
import shutil
import tempfile
from pathlib import Path

import pytest

from keras_transfer import commands
from keras_transfer.serving import launch


def test_the_docker_line_names_everything_a_server_needs(tmp_path):
    line = launch.docker_line(tmp_path / "my model", "photos", tmp_path / "c", 8501)
    assert f"'{tmp_path}/my model:/models/photos:ro'" in line
    assert "-p 127.0.0.1:8501:8501 -p 127.0.0.1:8500:8500" in line
    assert "--model_base_path=/models/photos" in line
    assert "--batching_parameters_file=/configuration/batching.txt" in line


def test_batches_of_tensorflow_serving_are_filled_up_as_the_embedded_servers_are(tmp_path):
    batching, _ = launch.write_configuration(tmp_path)
    lines = batching.read_text().splitlines()
    sizes = [line.split(": ")[1] for line in lines if line.startswith("allowed_batch_sizes")]
    # TensorFlow Serving wants them to rise, up to the largest batch.
    assert sizes == sorted(sizes, key=int)
    assert f"max_batch_size {{ value: {sizes[-1]} }}" in lines


def test_without_a_server_the_line_is_printed(version, capsys, monkeypatch):
    monkeypatch.setattr(launch, "binary", lambda: None)
    with pytest.raises(SystemExit) as caught:
        commands.main(["serve", str(version.folder.parent)])
    assert caught.value.code == 1  # Nothing serves.
    said = capsys.readouterr()
    assert said.out.startswith("docker run --rm")
    assert "--embedded" in said.err


def test_the_configuration_needs_no_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", os.devnull + "/cache")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = launch.configuration()
    assert folder.parent == tmp_path
    assert sorted(file.name for file in folder.iterdir()) == ["batching.txt", "monitoring.txt"]


def test_with_a_server_it_is_started(version, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "binary", lambda: "/usr/bin/tensorflow_model_server")
    monkeypatch.setattr("os.execv", lambda path, arguments: started.append((path, arguments)))
    commands.main(["serve", str(version.folder.parent), "--name", "c", "--port", "9001"])
    ((path, arguments),) = started
    assert path == arguments[0] == "/usr/bin/tensorflow_model_server"
    assert {"--model_name=c", "--rest_api_port=9001", "--port=9000"} <= set(arguments)
    assert f"--model_base_path={Path(version.folder.parent).resolve()}" in arguments


@pytest.mark.parametrize("inside", [False, True])
def test_the_working_folder_is_served_under_its_name(version, tmp_path, monkeypatch, capsys, inside):
    folder = shutil.copytree(version.folder, tmp_path / "colours" / "1")
    monkeypatch.chdir(folder if inside else folder.parent)
    monkeypatch.setattr(launch, "binary", lambda: None)
    with pytest.raises(SystemExit):
        commands.main(["serve", "."])
    line = capsys.readouterr().out
    assert "--model_name=colours " in line
    assert f"{tmp_path}/colours:/models/colours:ro" in line
    with pytest.raises(SystemExit) as exit:
        commands.main(["serve", ".", "--name", "a/b"])
    assert exit.value.code == 2


def test_an_older_version_is_not_taken_for_the_newest(version, tmp_path, capsys):
    for number in ("1", "2"):
        shutil.copytree(version.folder, tmp_path / "colours" / number)
    with pytest.raises(SystemExit) as caught:
        commands.main(["serve", str(tmp_path / "colours" / "1"), "--embedded"])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "newest version, here 2" in said
    assert "colours-1/1, and serve that" in " ".join(said.split())
