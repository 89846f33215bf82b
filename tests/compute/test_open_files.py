import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_transfer.compute import store
from keras_transfer.compute.store import ActivationSet
from tests.compute.conftest import batches, digests

pytestmark = pytest.mark.usefixtures("fresh_cache")


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


def open_descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def many_shards():
    """The stored activations of 100 images, in as many shards."""
    stored = ActivationSet({"base": "many"})
    for digest, batch in zip(digests(100), batches(100, size=1), strict=True):
        stored.write([digest], [batch])
    return ActivationSet({"base": "many"})


def test_open_files_are_bounded_whatever_the_number_of_shards():
    before = open_descriptors()
    stored = many_shards()
    assert stored.missing(digests(100)) == []
    for _ in range(2):
        np.testing.assert_array_equal(stored.read(digests(100), [1, 0])[0], np.arange(100))
    assert open_descriptors() - before < 80


def test_running_out_of_descriptors_is_survived():
    stored = many_shards()
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd"))) if os.path.isdir("/proc/self/fd") else 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 12, limits[1]))
    try:
        assert stored.missing(digests(100)) == []
        again = ActivationSet({"base": "many"})
        assert again.missing(digests(100)) == []
        for opened in (stored, again):
            np.testing.assert_array_equal(opened.read(digests(100), [1])[0], np.arange(100))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_more_shards_than_can_stay_open_are_kept_from_being_cleared():
    pytest.importorskip("fcntl")
    stored = many_shards()
    assert stored.missing(digests(100)) == []
    ActivationSet({"base": "a"}).write(digests(9), batches(9))
    store.clear()
    store.make_room(1000, 2000 / 1e9)
    assert [record["key"]["base"] for record in store.contents()] == ["many"]
    np.testing.assert_array_equal(stored.read(digests(100), [1])[0], np.arange(100))


def test_a_set_that_nobody_reads_any_more_is_cleared():
    stored = many_shards()
    assert stored.missing(digests(100)) == []
    del stored
    store.clear()
    assert store.contents() == []
