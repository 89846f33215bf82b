import pytest

from keras_transfer.support import paths
from keras_transfer.support.errors import UsageError


@pytest.fixture
def no_home(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("a file, as /dev/null is")
    monkeypatch.delenv("KERAS_TRANSFER_CACHE", raising=False)
    monkeypatch.setattr(paths.platformdirs, "user_cache_dir", lambda *_, **__: str(tmp_path / "home" / "cache"))
    paths._passing_folder.cache_clear()


def test_without_a_home_a_folder_of_its_own_is_used_and_told_once(no_home, tmp_path, capsys):
    folder = paths.cache_folder()
    (folder / "file").write_text("")
    assert folder == paths.cache_folder()
    assert not folder.is_relative_to(tmp_path / "home")
    assert capsys.readouterr().err.count("KERAS_TRANSFER_CACHE names another folder") == 1


def test_no_folder_is_called_after_an_unknown_home(no_home, monkeypatch):
    monkeypatch.setattr(paths.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/keras_transfer")
    assert "~" not in str(paths.cache_folder())


def test_a_cache_folder_that_was_asked_for_is_not_replaced(no_home, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_TRANSFER_CACHE", str(tmp_path / "home" / "cache"))
    with pytest.raises(UsageError, match=r"KERAS_TRANSFER_CACHE: .* cannot be written to"):
        paths.cache_folder()


def test_a_folder_that_is_not_there_yet_is_writable(tmp_path):
    assert paths.writable(tmp_path / "new" / "newer")
