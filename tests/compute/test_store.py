import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import ml_dtypes
import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.compute.store import ActivationSet
from keras_transfer.support.errors import UserError

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


@pytest.mark.skipif(not hasattr(os, "preadv"), reason="reads share the position of a file")
def test_threads_read_their_own_rows(monkeypatch):
    """Reads overlap, as those of the training and the validation pipeline do where the disk is slow."""
    ActivationSet({"base": "a"}).write(digests(8), batches(8))
    seek = os.lseek
    monkeypatch.setattr(os, "lseek", lambda *position: [seek(*position), time.sleep(0.01)][0])
    stored = ActivationSet({"base": "a"})
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda row: stored.read([digests(8)[row]], [0])[0][0, 0], [*range(8)] * 4))
    assert rows == [*range(8)] * 4


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


DAMAGES = {
    "a changed bit": lambda shard: flip_a_bit(shard / "0.npy"),
    "a changed digest": lambda shard: flip_a_bit(shard / "digests.npy"),
    "a changed manifest": lambda shard: (shard / "shard.json").write_text(
        (shard / "shard.json").read_text().replace('"images": 9', '"images": 8')
    ),
    "a cut tensor": lambda shard: os.truncate(shard / "0.npy", 150),
    "an empty tensor": lambda shard: os.truncate(shard / "1.npy", 0),
    "empty digests": lambda shard: os.truncate(shard / "digests.npy", 0),
    "an empty manifest": lambda shard: os.truncate(shard / "shard.json", 0),
    "no tensor": lambda shard: (shard / "0.npy").unlink(),
    "no digests": lambda shard: (shard / "digests.npy").unlink(),
    "a folder in place of a tensor": lambda shard: [(shard / "0.npy").unlink(), (shard / "0.npy").mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_named_and_computed_anew(damage):
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    DAMAGES[damage](shard)
    for _ in range(2):  # A run that ends before it has written the images again leaves them missing.
        stored = ActivationSet({"base": "a"})
        assert stored.missing(digests(9)) == list(range(9))
    assert not shard.exists()
    stored.write(digests(9), batches(9))
    again = ActivationSet({"base": "a"})
    assert again.missing(digests(9)) == []
    assert again.damaged == []
    np.testing.assert_array_equal(again.read(digests(9), [1])[0], np.arange(9))


def test_what_was_damaged_is_said():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    flip_a_bit(shard / "0.npy")
    stored = ActivationSet({"base": "a"})
    stored.missing(digests(9))
    assert stored.damaged == [f"{shard}: 0.npy differs from its checksum"]


def test_of_a_damaged_shard_what_others_hold_is_kept():
    runs = [ActivationSet({"base": "a"}) for _ in range(2)]
    for run in runs:
        run.write(digests(9), batches(9))
    flip_a_bit(sorted(runs[0].folder.glob("shard-*"))[1] / "0.npy")
    stored = ActivationSet({"base": "a"})
    assert stored.missing(digests(9)) == []
    assert len(stored.damaged) == 1
    np.testing.assert_array_equal(stored.read(digests(9), [1])[0], np.arange(9))


def test_only_the_shards_that_are_needed_are_verified():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    stored.write(digests(9, start=9), batches(9))
    flip_a_bit(sorted(stored.folder.glob("shard-*"))[1] / "0.npy")
    stored = ActivationSet({"base": "a"})
    assert stored.missing(digests(9)) == []
    assert stored.damaged == []
    assert stored.missing(digests(18)) == list(range(9, 18))


def open_descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


@pytest.fixture
def descriptors_before():
    return open_descriptors()


@pytest.fixture
def many_shards(monkeypatch):
    """The stored activations of 100 images, in as many shards."""
    monkeypatch.setattr(store, "_FEWEST_ROWS", 1)
    monkeypatch.setattr(store, "_MOST_SHARDS", 100)
    ActivationSet({"base": "many"}).write(digests(100), batches(100))
    return ActivationSet({"base": "many"})


def test_open_files_are_bounded_whatever_the_number_of_shards(descriptors_before, many_shards):
    assert many_shards.missing(digests(100)) == []
    for _ in range(2):
        np.testing.assert_array_equal(many_shards.read(digests(100), [1, 0])[0], np.arange(100))
    assert open_descriptors() - descriptors_before < 80


def test_running_out_of_descriptors_is_survived(many_shards):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd"))) if os.path.isdir("/proc/self/fd") else 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 12, limits[1]))
    try:
        assert many_shards.missing(digests(100)) == []
        again = ActivationSet({"base": "many"})
        assert again.missing(digests(100)) == []
        for stored in (many_shards, again):
            np.testing.assert_array_equal(stored.read(digests(100), [1])[0], np.arange(100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_what_is_read_can_be_cleared_meanwhile():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(50), batches(50))
    reader = ActivationSet({"base": "a"})
    assert reader.missing(digests(50)) == []
    assert store.clear() > 0
    assert store.contents() == []
    for opened in (stored, reader):
        assert opened.missing(digests(50)) == []
        np.testing.assert_array_equal(opened.read(digests(50), [1])[0], np.arange(50))


def test_more_shards_than_can_stay_open_are_kept_from_being_cleared(many_shards):
    pytest.importorskip("fcntl")
    assert many_shards.missing(digests(100)) == []
    ActivationSet({"base": "a"}).write(digests(9), batches(9))
    store.clear()
    store.room(1000, 2000 / 1e9)
    assert [record["key"]["base"] for record in store.contents()] == ["many"]
    np.testing.assert_array_equal(many_shards.read(digests(100), [1])[0], np.arange(100))


def test_a_set_that_nobody_reads_any_more_is_cleared(many_shards):
    assert many_shards.missing(digests(100)) == []
    many_shards._shards, many_shards._where = [], {}
    store.clear()
    assert store.contents() == []


def test_clearing_while_others_write_and_read_does_no_harm(monkeypatch):
    monkeypatch.setattr(store, "_FEWEST_ROWS", 20)
    ended = threading.Event()

    def clear():
        while not ended.is_set():
            store.clear()

    def fit(number):
        for _ in range(3):
            stored = ActivationSet({"base": "a"})
            missing = stored.missing(digests(200))
            stored.write([digests(200)[row] for row in missing], slowly(missing))
            rows = np.random.default_rng(number).permutation(200)
            np.testing.assert_array_equal(stored.read([digests(200)[row] for row in rows], [1])[0], rows)

    def slowly(missing):
        for start in range(0, len(missing), 7):
            time.sleep(0.001)
            rows = np.array(missing[start : start + 7], "float32")
            yield [np.tile(rows[:, None], (1, 3)), rows]

    with ThreadPoolExecutor(4) as pool:
        clearing = pool.submit(clear)
        try:
            list(pool.map(fit, range(3)))
        finally:
            ended.set()
        clearing.result()


def test_a_shard_that_was_cut_is_never_read_as_if_whole():
    stored = ActivationSet({"base": "a"})
    stored.write(digests(9), batches(9))
    (shard,) = stored.folder.glob("shard-*")
    os.truncate(shard / "0.npy", 150)
    for cut in (stored, ActivationSet({"base": "a"})):
        with pytest.raises(UserError, match="deleted or changed"):
            cut.read(digests(9), [0])


def test_fewer_activations_than_images_are_not_stored():
    stored = ActivationSet({"base": "a"})
    with pytest.raises(ValueError, match="9"):
        stored.write(digests(9), batches(8))
    assert ActivationSet({"base": "a"}).missing(digests(9)) == list(range(9))
