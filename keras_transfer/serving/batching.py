"""Dynamic batching: requests that wait at the same time pass the graph together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Outputs = dict[str, np.ndarray]

MOST_PIXELS = 400_000_000  # Of files that wait; a processor decodes about 100 million a second.
LARGEST = 32  # Rows a batch, of this server and of TensorFlow Serving alike.


class Full(Exception):
    """More rows, or files of more pixels, wait than the queue may hold."""


class Closed(Exception):
    """The batcher takes no more requests."""


@dataclass
class _Waiting:
    key: str
    rows: Sequence[Any]
    pixels: int
    future: Future[Outputs] = field(default_factory=Future)


class Batcher:
    """Gathers rows of the same signature into batches, and gives each request its part of the answer.

    Batches are filled up to a few sizes, as by TensorFlow Serving's `allowed_batch_sizes`: what is compiled for each
    size stays in memory. A request whose future is cancelled is not run, or only to the end of its present batch.

    Args:
        run: Signature and rows to outputs, one row each. It is called by one thread at a time.
        largest: Rows a batch.
        patience: Seconds that the first row of a batch waits for others.
        room: Rows that may wait; a request that would exceed it is refused.
        max_pixels: Pixels, by the headers of files, that may wait.
    """

    def __init__(
        self,
        run: Callable[[str, list[Any]], Outputs],
        largest: int = LARGEST,
        patience: float = 0.005,
        room: int = 512,
        max_pixels: int = MOST_PIXELS,
    ) -> None:
        self.sizes = allowed_sizes(largest)
        self._largest = largest
        self._run, self._patience, self._room, self._max_pixels = run, patience, room, max_pixels
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._rows = self._pixels = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True, name="batcher")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Rows that wait or are being answered."""
        return self._rows

    def submit(self, key: str, rows: Sequence[Any], pixels: int = 0) -> Future[Outputs]:
        """Return the future outputs of a request; raise `Full` if there is no room for its rows, or `Closed`.

        Args:
            key: Signature.
            rows: Of its input.
            pixels: That decoding them takes.
        """
        request = _Waiting(key, rows, pixels)
        with self._lock:
            if self._closed:
                raise Closed
            over = self._rows + len(rows) > self._room or self._pixels + pixels > self._max_pixels
            if self._rows and over:
                raise Full
            self._rows += len(rows)
            self._pixels += pixels
            self._queue.put(request)
        return request.future

    def close(self) -> None:
        """Answer what waits, and stop."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        held: _Waiting | None = None
        open_ = True
        while open_ or held is not None:
            first = held or self._queue.get()
            held = None
            if first is None:
                return
            batch, count = [first], len(first.rows)
            until = time.monotonic() + self._patience
            while count < self._largest and open_:
                try:
                    # What waits already is taken even when time is up.
                    following = self._queue.get(timeout=max(until - time.monotonic(), 0.0))
                except queue.Empty:
                    break
                if following is None:
                    open_ = False
                elif following.key != first.key or count + len(following.rows) > self._largest:
                    held = following
                    break
                else:
                    batch.append(following)
                    count += len(following.rows)
            self._answer(batch)

    def _answer(self, waited: list[_Waiting]) -> None:
        batch = [request for request in waited if not request.future.cancelled()]
        rows = [row for request in batch for row in request.rows]
        try:
            parts = []
            # A request larger than a batch passes in parts.
            for start in range(0, len(rows), self._largest):
                if all(request.future.cancelled() for request in batch):
                    return
                parts.append(self._filled(batch[0].key, rows[start : start + self._largest]))
            outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
            start = 0
            for request in batch:
                end = start + len(request.rows)
                if request.future.set_running_or_notify_cancel():
                    request.future.set_result({name: values[start:end] for name, values in outputs.items()})
                start = end
        except Exception as error:  # Whatever it is, the clients are told, and the next batch is answered.
            for request in batch:
                if not request.future.done() and request.future.set_running_or_notify_cancel():
                    request.future.set_exception(error)
        finally:
            with self._lock:
                self._rows -= sum(len(request.rows) for request in waited)
                self._pixels -= sum(request.pixels for request in waited)

    def _filled(self, key: str, rows: list[Any]) -> Outputs:
        """Run rows with copies of the shortest, so that their number is one of `sizes`, and return their outputs."""
        size = next(size for size in self.sizes if size >= len(rows))
        outputs = self._run(key, rows + [min(rows, key=len)] * (size - len(rows)))
        return {name: values[: len(rows)] for name, values in outputs.items()}


def allowed_sizes(largest: int) -> list[int]:
    """Return the numbers of rows that a batch is filled up to: powers of two, half as many again, and the largest."""
    numbers = {times * 2**power // 2 for times in (2, 3) for power in range(largest.bit_length())}
    return [size for size in sorted(numbers) if size < largest] + [largest]
