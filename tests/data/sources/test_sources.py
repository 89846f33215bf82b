import os

import pytest

from keras_transfer.data import sources
from keras_transfer.support.errors import UsageError, UserError


def test_the_digits_are_written_once_and_whole():
    one, again = sources.load("digits"), sources.load("digits")
    assert (len(one), len(one.classes)) == (1797, 10)
    assert list(one.paths) == list(again.paths)


def test_a_source_that_is_none_is_said(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        sources.load(str(tmp_path / "none"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="is neither a folder nor"):
        sources.load(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no class folders"):
        sources.load(str(tmp_path / "empty"))
    (tmp_path / "empty" / "only").mkdir()
    with pytest.raises(UserError, match="only one class folder, 'only'"):
        sources.load(str(tmp_path / "empty"))
    (tmp_path / "empty" / "other").mkdir()
    with pytest.raises(UserError, match="class folder 'only' is empty"):
        sources.load(str(tmp_path / "empty"))


def test_what_predict_takes_is_expanded(photos):
    assert len(sources.expand([str(photos)])) == 42
    assert len(sources.expand([str(photos / "*" / "*.png")])) == 15
    assert sources.expand([str(photos / "red" / "00.jpg")]) == [str(photos / "red" / "00.jpg")]
    with pytest.raises(UsageError, match="names no file"):
        sources.expand([str(photos / "*.gif")])


def test_other_archives_are_to_be_unpacked(tmp_path):
    (tmp_path / "flower_photos.tgz").write_bytes(b"")
    with pytest.raises(UserError, match=r"unpack .*tar -xf flower_photos.tgz"):
        sources.load(str(tmp_path / "flower_photos.tgz"))


def test_a_file_of_json_or_a_pipe_is_said(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(UsageError, match=r"is JSON, which is not read\. Export a CSV file"):
        sources.load(str(tmp_path / "a.json"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="neither a folder nor a regular file"):
        sources.load(str(tmp_path / "pipe"))
