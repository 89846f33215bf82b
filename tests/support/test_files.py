import errno
import os
from pathlib import Path

import pytest

from keras_transfer.support import files, leftovers
from keras_transfer.support.errors import UserError

pytestmark = pytest.mark.usefixtures("fresh_cache")


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_files_and_folders_get_the_rights_that_the_umask_gives(tmp_path, umask):
    with files.whole(tmp_path / "a.txt") as staging:
        staging.write_text("a")
    with files.whole_folder(tmp_path / "folder") as staging:
        (staging / "b.txt").write_text("b")
    assert mode(tmp_path / "a.txt") == mode(tmp_path / "folder" / "b.txt") == 0o666 & ~umask
    assert mode(tmp_path / "folder") == 0o777 & ~umask


@pytest.fixture
def output(tmp_path):
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def fail(file, error):
    file.write_text("half")
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_fails_leaves_what_was_there(output, error):
    (output / "a.txt").write_text("before")
    with pytest.raises(error), files.whole(output / "a.txt") as staging:
        fail(staging, error)
    with pytest.raises(error), files.whole_folder(output / "folder") as staging:
        fail(staging / "b.txt", error)
    assert [path.name for path in output.iterdir()] == ["a.txt"]
    assert (output / "a.txt").read_text() == "before"
    assert leftovers.leftovers() == []


def test_nothing_is_seen_of_a_file_before_it_is_whole(output):
    with files.whole(output / "a.txt") as staging:
        staging.write_text("a")
        assert staging.name == "a.txt"
        assert not (output / "a.txt").exists()
    assert [path.name for path in output.iterdir()] == ["a.txt"]


def test_a_file_that_the_user_asked_for_and_cannot_be_written_is_one_line(output):
    (output / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.csv cannot be written \("), files.output_file(output / "file" / "a.csv"):
        pass
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(UserError, match=r"a\.csv cannot be written \(No space left on device\)\.$"),
        files.output_file(output / "a.csv") as staging,
    ):
        fail(staging, full)
    assert [path.name for path in output.iterdir()] == ["file"]


def test_what_belongs_to_a_file_has_its_place_before_it(output, monkeypatch):
    replaced, replace = [], os.replace

    def noted(part, target):
        replace(part, target)
        replaced.append(target.name)

    monkeypatch.setattr(files.os, "replace", noted)
    with files.whole(output / "a.xml") as staging:
        for name in ("z.bin", "a.xml", "a.bin"):
            staging.with_name(name).write_text(name)
    assert sorted(replaced) == ["a.bin", "a.xml", "z.bin"]
    assert replaced[-1] == "a.xml"
    assert {path.name: path.read_text() for path in output.iterdir()} == {name: name for name in replaced}


def test_a_folder_that_nothing_was_written_into_is_not_made(output):
    with files.whole_folder(output / "folder"):
        pass
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("cache", ["file/cache", "/dev/null/cache"])
def test_without_a_cache_folder_files_are_written(tmp_path, monkeypatch, cache):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / cache))
    with files.whole(tmp_path / "a.txt") as staging:
        staging.write_text("a")
    assert (tmp_path / "a.txt").read_text() == "a"
    assert leftovers.leftovers() == []


@pytest.mark.parametrize("make", [files.locked_folder, lambda folder: files._made(folder)[1]])
def test_a_folder_that_another_deletes_while_it_is_made_is_made_again(make, tmp_path, monkeypatch):
    """Python's `mkdir` says that it exists where it did, and is gone a moment later."""
    errors, mkdir = [FileExistsError(), FileExistsError()], Path.mkdir

    def deleted_meanwhile(self, *arguments, **options):
        if self.name == "set" and errors:
            raise errors.pop()
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", deleted_meanwhile)
    make(tmp_path / "set").release()
    assert (tmp_path / "set").is_dir()
