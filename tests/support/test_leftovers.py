import signal
import subprocess
import sys
import threading

import pytest

from keras_transfer.support import files, leftovers

pytestmark = pytest.mark.usefixtures("fresh_cache")


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
    assert leftovers.leftovers() == []
    assert leftovers.delete_leftovers() == 0
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    (left,) = leftovers.leftovers()
    assert (left.path.parent, left.bytes) == (tmp_path / place, 1000)
    assert leftovers.delete_leftovers() == 1000
    assert len(list((tmp_path / place).iterdir())) == 1
    living.send_signal(signal.SIGKILL)
    living.wait()
    assert leftovers.delete_leftovers() == 1000
    assert list((tmp_path / place).iterdir()) == []
    assert files.children(files.notes_folder()) == []


def test_the_state_of_an_interrupted_run_is_a_leftover_unless_a_run_uses_it(fresh_cache):
    lock = files.locked_folder(fresh_cache / "states" / "a")
    (fresh_cache / "states" / "a" / "weights").write_bytes(b"x" * 10)
    if files.fcntl is not None:
        assert leftovers.leftovers() == []
    lock.release()
    assert [left.bytes for left in leftovers.leftovers()] == [10]
    leftovers.delete_staging()
    assert leftovers.delete_leftovers() == 10


def test_folders_are_made_while_others_delete_leftovers(fresh_cache):
    ended = threading.Event()

    def delete():
        while not ended.is_set():
            leftovers.delete_leftovers()

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
    leftovers.delete_leftovers()
    assert (tmp_path / "photos").is_dir()
