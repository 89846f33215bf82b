import threading
import time

import numpy as np
import pytest

from keras_transfer.serving.batching import Batcher, Closed, Full, allowed_sizes


def test_requests_that_wait_together_pass_together():
    batches, gate = [], threading.Event()

    def run(key, rows):
        gate.wait(5)
        batches.append((key, [row[0] for row in rows]))
        return {"twice": np.array(rows)[:, 0] * 2}

    batcher = Batcher(run, max_batch=4, max_wait=0.01)
    first = batcher.submit("a", [[0]])
    time.sleep(0.1)  # The first is on its own; the others find it running.
    others = [batcher.submit("a", [[number]]) for number in range(1, 6)] + [batcher.submit("b", [[7]])]
    gate.set()
    assert first.result(5)["twice"].tolist() == [0]
    assert [other.result(5)["twice"].tolist() for other in others] == [[2], [4], [6], [8], [10], [14]]
    assert batches == [("a", [0]), ("a", [1, 2, 3, 4]), ("a", [5]), ("b", [7])]
    batcher.close()


def test_a_request_larger_than_a_batch_passes_in_parts():
    sizes = []

    def run(key, rows):
        sizes.append(len(rows))
        return {"same": np.array(rows)}

    batcher = Batcher(run, max_batch=4)
    rows = [str(number) for number in range(10)]
    assert batcher.submit("a", rows).result(5)["same"].tolist() == rows
    assert sizes == [4, 4, 2]
    batcher.close()


def test_batches_are_filled_up_to_a_few_sizes_and_each_row_gets_its_own_answer():
    batches = []

    def run(key, rows):
        batches.append(list(rows))
        return {"length": np.array([len(row) for row in rows])}

    batcher = Batcher(run, max_batch=10)
    assert batcher.sizes == allowed_sizes(10) == [1, 2, 3, 4, 6, 8, 10]
    assert allowed_sizes(1) == [1]
    assert allowed_sizes(32) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    rows = [b"x" * number for number in (9, 2, 7, 5, 8)]
    assert batcher.submit("a", rows).result(5)["length"].tolist() == [9, 2, 7, 5, 8]
    assert batches == [[*rows, b"xx"]]
    batcher.close()


def test_a_full_queue_refuses_and_a_failure_fails_its_batch_alone():
    gate = threading.Event()

    def run(key, rows):
        gate.wait(5)
        if rows == ["bad"]:
            raise ValueError("no")
        return {"same": np.array(rows)}

    batcher = Batcher(run, max_batch=1, capacity=3)
    waiting = [batcher.submit("a", [row]) for row in ("good", "bad", "fine")]
    with pytest.raises(Full):
        batcher.submit("a", ["more"])
    gate.set()
    assert waiting[0].result(5)["same"].tolist() == ["good"]
    with pytest.raises(ValueError, match="no"):
        waiting[1].result(5)
    assert waiting[2].result(5)["same"].tolist() == ["fine"]
    deadline = time.monotonic() + 5
    while batcher.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    assert batcher.waiting == 0
    assert batcher.submit("a", ["again"]).result(5)["same"].tolist() == ["again"]
    batcher.close()


def test_a_client_that_left_takes_no_neighbour_along():
    gate = threading.Event()

    def run(key, rows):
        gate.wait(5)
        return {"same": np.array(rows)}

    batcher = Batcher(run, max_batch=4, capacity=3)
    batcher.submit("a", ["first"])
    time.sleep(0.1)
    left, stayed = batcher.submit("a", ["left"]), batcher.submit("a", ["stayed"])
    assert left.cancel()
    gate.set()
    assert stayed.result(5)["same"].tolist() == ["stayed"]
    batcher.close()
    assert batcher.waiting == 0


def test_a_closed_batcher_answers_what_waits_and_refuses_the_rest_at_once():
    gate = threading.Event()

    def run(key, rows):
        gate.wait(5)
        return {"same": np.array(rows)}

    batcher = Batcher(run)
    waiting = batcher.submit("a", ["waiting"])
    closing = threading.Thread(target=batcher.close)
    closing.start()
    time.sleep(0.1)
    with pytest.raises(Closed):
        batcher.submit("a", ["late"])
    gate.set()
    closing.join(5)
    assert waiting.result(5)["same"].tolist() == ["waiting"]


def test_a_large_request_that_is_cancelled_ends_with_its_present_batch():
    gate, sizes = threading.Event(), []

    def run(key, rows):
        sizes.append(len(rows))
        gate.wait(5)
        return {"same": np.array(rows)}

    batcher = Batcher(run, max_batch=2)
    request = batcher.submit("a", ["row"] * 10)
    while not sizes:
        time.sleep(0.01)
    assert request.cancel()
    gate.set()
    assert batcher.submit("a", ["after"]).result(5)["same"].tolist() == ["after"]
    batcher.close()
    assert sizes == [2, 1]


def test_files_of_more_pixels_than_may_wait_are_refused():
    gate = threading.Event()

    def run(key, rows):
        gate.wait(5)
        return {"same": np.array(rows)}

    batcher = Batcher(run, max_pixels=100)
    first = batcher.submit("a", ["large"], pixels=1000)  # Alone it is taken.
    with pytest.raises(Full):
        batcher.submit("a", ["small"], pixels=1)
    gate.set()
    first.result(5)
    while batcher.waiting:
        time.sleep(0.01)
    assert batcher.submit("a", ["small"], pixels=1).result(5)
    batcher.close()
