import threading

import pytest

from keras_transfer.errors import UsageError
from keras_transfer.serving import versions


def fill(folder):
    with versions.new_version(folder) as beside:
        (beside / "saved_model.pb").write_text("x")
        return versions.publish(beside)


def test_versions_are_numbered_and_the_newest_is_found(tmp_path):
    made = [fill(tmp_path / "name") for _ in range(11)]
    assert [path.name for path in made] == [str(number) for number in range(1, 12)]
    assert versions.newest(tmp_path / "name") == tmp_path / "name" / "11"
    assert versions.newest(tmp_path / "name" / "3") == tmp_path / "name" / "3"


def test_what_fails_leaves_nothing(tmp_path):
    def fail():
        with versions.new_version(tmp_path / "deep" / "name") as beside:
            (beside / "saved_model.pb").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_runs_that_finish_at_once_get_different_numbers(tmp_path):
    threads = [threading.Thread(target=fill, args=(tmp_path / "name",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(path.name) for path in (tmp_path / "name").iterdir()) == list(range(1, 9))


def test_a_folder_that_cannot_be_is_a_usage_error(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is a file"):
        versions.check_writable(tmp_path / "file" / "name")
