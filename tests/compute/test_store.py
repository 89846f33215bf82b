import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.compute.store import ActivationSet

pytestmark = pytest.mark.usefixtures("fresh_cache")


def digests(count, start=0):
    return [number.to_bytes(16, "big") for number in range(start, start + count)]


def batches(count, dtype="float32", size=7):
    rows = np.arange(count, dtype="float32")
    return [
        [np.tile(rows[start : start + size, None], (1, 3)).astype(dtype), rows[start : start + size]]
        for start in range(0, count, size)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_what_is_written_is_read_in_any_order_and_by_a_later_run(dtype):
    ActivationSet({"base": "a"}).write(digests(50), batches(50, dtype))
    again = ActivationSet({"base": "a"})
    assert again.missing(digests(50)) == []
    first, second = again.read([digests(50)[row] for row in (49, 0, 7)], [0, 1])
    assert first.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(first.astype("float32")[:, 2], [49, 0, 7])
    np.testing.assert_array_equal(second, [49, 0, 7])


def test_only_what_is_missing_is_asked_for_and_equal_images_once():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(3), batches(3))
    assert stored.missing([*digests(5), *digests(5)]) == [3, 4]
    assert ActivationSet({"base": "b"}).missing(digests(2)) == [0, 1]


def test_the_files_are_plain_numpy():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    np.testing.assert_array_equal(np.load(shard / "0.npy", mmap_mode="r")[:, 0], np.arange(9))


def test_a_run_that_dies_leaves_its_finished_shards_and_no_half_ones(monkeypatch):
    monkeypatch.setattr(store, "_FEWEST_ROWS", 10)

    def dying():
        yield from batches(30)[:4]
        raise KeyboardInterrupt

    stored = ActivationSet({"base": "a"})
    with pytest.raises(KeyboardInterrupt):
        stored.write(digests(30), dying())
    again = ActivationSet({"base": "a"})
    assert again.missing(digests(30)) == list(range(20, 30))
    np.testing.assert_array_equal(again.read(digests(20), [1])[0], np.arange(20))
    assert not list(again.folder.glob(".writing-*"))


def test_two_runs_may_write_at_once():
    sets = [ActivationSet({"base": "a"}) for _ in range(2)]
    threads = [threading.Thread(target=one.write, args=(digests(200), batches(200))) for one in sets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in [*sets, ActivationSet({"base": "a"})]:
        np.testing.assert_array_equal(one.read(digests(200), [1])[0], np.arange(200))


def test_the_least_recently_used_goes_first_and_open_sets_stay_readable():
    old, new = ActivationSet({"base": "old"}), ActivationSet({"base": "new"})
    old.write(digests(1000), batches(1000))
    new.write(digests(1000), batches(1000))
    shard = next(old.folder.glob("shard-*"))
    import os

    os.utime(shard / "used", (1, 1))
    assert store.room(10_000, 50_000 / 1e9) is None
    assert ActivationSet({"base": "old"}).missing(digests(1)) == [0]
    assert ActivationSet({"base": "new"}).missing(digests(1)) == []
    assert old.read(digests(1), [1])[0][0] == 0


def test_no_room_says_why():
    assert "--cache-limit is 1 GB" in store.room(2_000_000_000, 1)
    assert "free" in store.room(10**17, 10**9)


def test_contents_and_clear():
    ActivationSet({"base": "a", "size": 32}).write(digests(5), batches(5))
    (record,) = store.contents()
    assert (record["key"]["base"], record["images"]) == ("a", 5)
    assert store.clear() == record["bytes"]
    assert store.contents() == []


class SlowFile(io.FileIO):
    """A file on a disk that takes its time to find a place."""

    def seek(self, *position):
        place = super().seek(*position)
        time.sleep(0.01)
        return place


def test_threads_read_their_own_rows(monkeypatch):
    """Reads overlap, as those of the training and the validation pipeline do where the disk is slow."""
    ActivationSet({"base": "a"}).write(digests(8), batches(8))
    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: SlowFile(path, mode))
    stored = ActivationSet({"base": "a"})
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda row: stored.read([digests(8)[row]], [0])[0][0, 0], [*range(8)] * 4))
    assert rows == [*range(8)] * 4


def test_a_shard_that_was_cut_is_never_read_as_if_whole():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    file = shard / "0.npy"
    file.write_bytes(file.read_bytes()[:-4])
    stored = ActivationSet({"base": "a"})
    with pytest.raises(OSError, match="has shrunk"):
        stored.read(digests(9), [0])
