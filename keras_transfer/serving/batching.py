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

MAX_WAITING_PIXELS = 400_000_000  # Of files that wait; a processor decodes about 100 million a second.
MAX_BATCH = 32  # Inputs a batch, of this server and of TensorFlow Serving alike.


class Full(Exception):
    """More inputs, or files of more pixels, wait than the queue may hold."""


class Closed(Exception):
    """The batcher takes no more requests."""


@dataclass
class _Waiting:
    key: str
    inputs: Sequence[Any]
    pixels: int
    future: Future[Outputs] = field(default_factory=Future)


class Batcher:
    """Gathers the inputs of requests of the same signature into batches, and gives each request its outputs.

    Batches are filled up to a few sizes, as by TensorFlow Serving's `allowed_batch_sizes`: what is compiled for each
    size stays in memory. A request whose future is cancelled is not run, or only to the end of its present batch.

    Args:
        run: Signature and inputs to outputs, with an entry for each input. It is called by one thread at a time.
        max_batch: Inputs a batch.
        max_wait: Seconds that the first input of a batch waits for more.
        capacity: Inputs that may wait; a request that would exceed it is refused.
        max_pixels: Pixels, by the headers of files, that may wait.
    """

    def __init__(
        self,
        run: Callable[[str, list[Any]], Outputs],
        max_batch: int = MAX_BATCH,
        max_wait: float = 0.005,
        capacity: int = 512,
        max_pixels: int = MAX_WAITING_PIXELS,
    ) -> None:
        self.sizes = allowed_sizes(max_batch)
        self._max_batch = max_batch
        self._run, self._max_wait, self._capacity, self._max_pixels = run, max_wait, capacity, max_pixels
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._inputs = self._pixels = 0
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True, name="batcher")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Inputs that wait or are being run."""
        return self._inputs

    def submit(self, key: str, inputs: Sequence[Any], pixels: int = 0) -> Future[Outputs]:
        """Return the future outputs of a request; raise `Full` if too many wait, or `Closed`.

        Args:
            key: Signature.
            inputs: Bytes of image files, or pixels.
            pixels: That decoding them takes.
        """
        request = _Waiting(key, inputs, pixels)
        with self._lock:
            if self._closed:
                raise Closed
            over = self._inputs + len(inputs) > self._capacity or self._pixels + pixels > self._max_pixels
            if self._inputs and over:
                raise Full
            self._inputs += len(inputs)
            self._pixels += pixels
            self._queue.put(request)
        return request.future

    def close(self) -> None:
        """Run what waits, and stop."""
        with self._lock:
            self._closed = True
            self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        next_first: _Waiting | None = None  # It did not fit into the batch before.
        open_ = True
        while open_ or next_first is not None:
            first = next_first or self._queue.get()
            next_first = None
            if first is None:
                return
            batch, count = [first], len(first.inputs)
            until = time.monotonic() + self._max_wait
            while count < self._max_batch and open_:
                try:
                    # What waits already is taken even when time is up.
                    following = self._queue.get(timeout=max(until - time.monotonic(), 0.0))
                except queue.Empty:
                    break
                if following is None:
                    open_ = False
                elif following.key != first.key or count + len(following.inputs) > self._max_batch:
                    next_first = following
                    break
                else:
                    batch.append(following)
                    count += len(following.inputs)
            self._run_batch(batch)

    def _run_batch(self, waited: list[_Waiting]) -> None:
        batch = [request for request in waited if not request.future.cancelled()]
        inputs = [content for request in batch for content in request.inputs]
        try:
            parts = []
            # A request larger than a batch passes in parts.
            for start in range(0, len(inputs), self._max_batch):
                if all(request.future.cancelled() for request in batch):
                    return
                parts.append(self._filled(batch[0].key, inputs[start : start + self._max_batch]))
            outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
            start = 0
            for request in batch:
                end = start + len(request.inputs)
                if request.future.set_running_or_notify_cancel():
                    request.future.set_result({name: values[start:end] for name, values in outputs.items()})
                start = end
        except Exception as error:  # Whatever it is, the clients are told, and the next batch is run.
            for request in batch:
                if not request.future.done() and request.future.set_running_or_notify_cancel():
                    request.future.set_exception(error)
        finally:
            with self._lock:
                self._inputs -= sum(len(request.inputs) for request in waited)
                self._pixels -= sum(request.pixels for request in waited)

    def _filled(self, key: str, inputs: list[Any]) -> Outputs:
        """Run inputs with copies of the shortest, so that their number is one of `sizes`, and return their outputs."""
        size = next(size for size in self.sizes if size >= len(inputs))
        outputs = self._run(key, inputs + [min(inputs, key=len)] * (size - len(inputs)))
        return {name: values[: len(inputs)] for name, values in outputs.items()}


def allowed_sizes(max_batch: int) -> list[int]:
    """Return the numbers of inputs that a batch is filled up to: powers of two, half as many again, and the largest."""
    numbers = {times * 2**power // 2 for times in (2, 3) for power in range(max_batch.bit_length())}
    return [size for size in sorted(numbers) if size < max_batch] + [max_batch]
