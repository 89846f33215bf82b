import multiprocessing
import sys

import pytest

from keras_transfer.support import forks
from keras_transfer.support.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")


def _refusal(queue):
    try:
        forks.check()
    except UserError as error:
        queue.put(str(error))
    else:
        queue.put("")


def in_a_forked_worker():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    worker = context.Process(target=_refusal, args=(queue,))
    worker.start()
    worker.join()
    return queue.get()


def test_a_fork_of_a_process_that_computed_is_refused(monkeypatch):
    monkeypatch.setattr(forks, "_process", None)
    forks.check()
    assert "get_context('spawn')" in in_a_forked_worker()
    forks.check()


def test_a_fork_before_anything_was_computed_may_compute(monkeypatch):
    monkeypatch.setattr(forks, "_process", None)
    assert in_a_forked_worker() == ""
