import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.compute.store import ActivationSet
from tests.compute.conftest import batches, digests

pytestmark = pytest.mark.usefixtures("fresh_cache")


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


def test_a_run_that_dies_leaves_its_finished_shards_and_no_half_ones():
    def dying():
        yield from batches(3000, size=700)[:4]
        raise KeyboardInterrupt

    stored = ActivationSet({"base": "a"})
    with pytest.raises(KeyboardInterrupt):
        stored.write(digests(3000), dying())
    again = ActivationSet({"base": "a"})
    missing = again.missing(digests(3000))
    done = missing[0]
    assert 1000 < done < 2800
    assert missing == list(range(done, 3000))
    np.testing.assert_array_equal(again.read(digests(done), [1])[0], np.arange(done))
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
    store.make_room(10_000, 50_000 / 1e9)
    assert ActivationSet({"base": "old"}).missing(digests(1)) == [0]
    assert ActivationSet({"base": "new"}).missing(digests(1)) == []
    assert old.read(digests(1), [1])[0][0] == 0


def test_no_room_says_why(monkeypatch):
    assert "--cache-limit is 1 GB" in store.shortage(2_000_000_000, 1)
    assert "free" in store.shortage(10**17, 10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2_300_000))
    assert store.shortage(5_000_000, 1).endswith(" has 2.3 MB free")
    assert [store.size_text(size) for size in (40_000_000, 100_000_000)] == ["40.0 MB", "0.1 GB"]


def test_contents_and_clear():
    ActivationSet({"base": "a", "size": 32}).write(digests(5), batches(5))
    (record,) = store.contents()
    assert (record["key"]["base"], record["images"]) == ("a", 5)
    assert store.clear() == record["bytes"]
    assert store.contents() == []


def test_contents_are_in_the_order_of_their_use():
    for name in "bca":
        ActivationSet({"base": name}).write(digests(1), batches(1))
    for record in store.contents():
        for used in Path(record["path"]).glob("shard-*/used"):
            os.utime(used, (ord(record["key"]["base"]),) * 2)
    assert [record["key"]["base"] for record in store.contents()] == ["c", "b", "a"]


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


def test_clearing_while_others_write_and_read_does_no_harm():
    ended = threading.Event()

    def clear():
        while not ended.is_set():
            store.clear()

    def fit(number):
        for _ in range(3):
            stored = ActivationSet({"base": "a"})
            missing = stored.missing(digests(200))
            for start in range(0, len(missing), 20):
                part = missing[start : start + 20]
                stored.write([digests(200)[row] for row in part], slowly(part))
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


def test_fewer_activations_than_images_are_not_stored():
    stored = ActivationSet({"base": "a"})
    with pytest.raises(ValueError, match="9"):
        stored.write(digests(9), batches(8))
    assert ActivationSet({"base": "a"}).missing(digests(9)) == list(range(9))
