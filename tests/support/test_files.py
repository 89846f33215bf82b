import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keras_transfer.support import files

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
    assert files.leftovers() == []


def test_nothing_is_seen_of_a_file_before_it_is_whole(output):
    with files.whole(output / "a.txt") as staging:
        staging.write_text("a")
        assert staging.name == "a.txt"
        assert not (output / "a.txt").exists()
    assert [path.name for path in output.iterdir()] == ["a.txt"]


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


_KILLED = """
import os, signal, sys
from pathlib import Path
from keras_transfer.support import files
with files.staging_folder(Path(sys.argv[1])) as staging:
    (staging / "half").write_bytes(b"x" * 1000)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writing():
    """Start processes that fill a staging folder in a folder until they are killed."""
    started = []

    def start(folder):
        command = [sys.executable, "-c", _KILLED, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform == "win32", reason="locks")
@pytest.mark.parametrize("place", ["output", "fresh-cache/activations/a"])
def test_what_a_killed_process_left_is_listed_and_deleted_and_what_others_write_is_not(tmp_path, writing, place):
    dying, living = (writing(tmp_path / place) for _ in range(2))
    assert files.leftovers() == []
    assert files.delete_leftovers() == 0
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    (left,) = files.leftovers()
    assert (left.path.parent, left.bytes) == (tmp_path / place, 1000)
    assert files.delete_leftovers() == 1000
    assert len(list((tmp_path / place).iterdir())) == 1
    living.send_signal(signal.SIGKILL)
    living.wait()
    assert files.delete_leftovers() == 1000
    assert list((tmp_path / place).iterdir()) == []
    assert files.children(tmp_path / "fresh-cache" / "staging") == []


def test_the_state_of_an_interrupted_run_is_a_leftover_unless_a_run_uses_it(fresh_cache):
    lock = files.locked_folder(fresh_cache / "states" / "a")
    (fresh_cache / "states" / "a" / "weights").write_bytes(b"x" * 10)
    if files.fcntl is not None:
        assert files.leftovers() == []
    lock.release()
    assert [left.bytes for left in files.leftovers()] == [10]
    files.delete_staging()
    assert files.delete_leftovers() == 10


def test_folders_are_made_while_others_delete_leftovers(fresh_cache):
    ended = threading.Event()

    def delete():
        while not ended.is_set():
            files.delete_leftovers()

    deleting = threading.Thread(target=delete)
    deleting.start()
    try:
        for number in range(100):
            with files.whole(fresh_cache / f"{number}.txt") as staging:
                staging.write_text("a")
    finally:
        ended.set()
        deleting.join()
    assert len(list(fresh_cache.glob("*.txt"))) == 100


def test_a_note_can_make_nothing_else_be_deleted(fresh_cache, tmp_path):
    (tmp_path / "photos").mkdir()
    (fresh_cache / "staging").mkdir(parents=True)
    (fresh_cache / "staging" / "a").write_text(str(tmp_path / "photos"))
    files.delete_leftovers()
    assert (tmp_path / "photos").is_dir()


@pytest.mark.parametrize("cache", ["file/cache", "/dev/null/cache"])
def test_without_a_cache_folder_files_are_written(tmp_path, monkeypatch, cache):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / cache))
    with files.whole(tmp_path / "a.txt") as staging:
        staging.write_text("a")
    assert (tmp_path / "a.txt").read_text() == "a"
    assert files.leftovers() == []


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
