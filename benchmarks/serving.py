"""What serving costs beyond the network: the graph from bytes, and the embedded server, against bare TensorFlow."""

from __future__ import annotations

import base64
import json
import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.results import spread

_CLIENTS = 16


def graph(model: str, files: Sequence[Path], batch: int, rounds: int) -> list[float]:
    """Return, for each round, the seconds of the served graph over those of bare decode, resize and `model(x)`."""
    import keras
    import tensorflow as tf

    from keras_transfer.versions.saved import SavedClassifier

    classifier = SavedClassifier(model)
    network = keras.models.load_model(classifier.folder / "assets.extra" / "model.keras", compile=False)
    size = classifier.size

    def bare(content: tf.Tensor) -> tf.Tensor:
        return tf.image.resize(tf.io.decode_image(content, channels=3, expand_animations=False), (size, size))

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def plain(contents: tf.Tensor) -> tf.Tensor:
        images = tf.map_fn(bare, contents, fn_output_signature=tf.float32)
        return network(tf.ensure_shape(images, (None, size, size, 3)), training=False)

    contents = [file.read_bytes() for file in files]
    batches = [contents[start : start + batch] for start in range(0, len(contents) - batch + 1, batch)]
    served: Callable[[list[bytes]], Any] = partial(classifier.run, "serving_default")

    def seconds(call: Callable[[list[bytes]], Any]) -> float:
        begun = time.monotonic()
        for one in batches:
            call(one)
        return time.monotonic() - begun

    calls: tuple[Callable[[list[bytes]], Any], ...] = (served, lambda one: plain(tf.constant(one)))
    for call in calls:
        seconds(call)
    return [seconds(calls[0]) / seconds(calls[1]) for _ in range(rounds)]


@contextmanager
def server(model: str) -> Iterator[tuple[str, int]]:
    """Yield the address of an embedded server in a process of its own, and the process's number."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "cli.py", "serve", model, "--name", "m", "--embedded", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/v1/models/m"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url).read()
                break
            except OSError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def clients(model: str, files: Sequence[Path], rounds: int) -> list[float]:
    """Return, for each round, images a second of 16 parallel clients over those of the graph's own batches of 32."""
    from keras_transfer.versions.saved import SavedClassifier

    classifier = SavedClassifier(model)
    contents = [file.read_bytes() for file in files]
    bodies = [json.dumps({"instances": [{"b64": base64.b64encode(one).decode()}]}).encode() for one in contents]
    found = []
    with server(model) as (url, _), ThreadPoolExecutor(_CLIENTS) as pool:
        for _ in range(rounds + 1):
            begun = time.monotonic()
            list(pool.map(lambda body: post(url, body), bodies))
            asked = time.monotonic() - begun
            begun = time.monotonic()
            for start in range(0, len(contents), 32):
                classifier.run("serving_default", contents[start : start + 32])
            found.append((time.monotonic() - begun) / asked)
    return found[1:]


def malformed(model: str, file: Path, count: int) -> dict[str, Any]:
    """Send malformed requests and return the statuses, and the server's memory (MB) after each tenth."""
    whole = json.dumps({"instances": [{"b64": base64.b64encode(file.read_bytes()).decode()}]}).encode()
    generator = random.Random(0)
    statuses: dict[int, int] = {}
    memory = []
    with server(model) as (url, process), ThreadPoolExecutor(_CLIENTS) as pool:
        for _ in range(10):
            bodies = [_broken(generator, whole) for _ in range(count // 10)]
            for status in pool.map(lambda body: post(url, body), bodies):
                statuses[status] = statuses.get(status, 0) + 1
            memory.append(_resident(process))
        still = post(url, whole)
    return {"statuses": statuses, "MB": memory, "a good request": still}


def post(url: str, body: bytes) -> int:
    """Return the HTTP status of a predict request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{url}:predict", body), timeout=60) as response:
            response.read()
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code
    except (urllib.error.URLError, ConnectionError):
        return 0


def _broken(generator: random.Random, whole: bytes) -> bytes:
    kinds = (
        lambda: whole[: generator.randrange(len(whole))],
        lambda: generator.randbytes(generator.randrange(5000)),
        lambda: json.dumps({"instances": generator.choice([3, "x", None, {}, [], [[]], [{"b64": 5}]])}).encode(),
        lambda: json.dumps({"instances": [{"b64": base64.b64encode(generator.randbytes(3000)).decode()}]}).encode(),
        lambda: b"[" * generator.randrange(1, 200_000),
        lambda: b'{"instances": [' + b'{"a": ' * generator.randrange(1, 20_000),
        lambda: b"x" * generator.randrange(1, 2_000_000),
        lambda: _cut_photo(generator, whole),
    )
    return generator.choice(kinds)()


def _cut_photo(generator: random.Random, whole: bytes) -> bytes:
    """A photo that begins as one and is cut off, so that it gets as far as the graph."""
    content = base64.b64decode(json.loads(whole)["instances"][0]["b64"])
    cut = content[: generator.randrange(20, len(content) // 2)]
    return json.dumps({"instances": [{"b64": base64.b64encode(cut).decode()}]}).encode()


def _resident(process: int) -> float:
    pages = int(Path(f"/proc/{process}/statm").read_text("utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def report(model: str, files: Sequence[Path], rounds: int, broken: int) -> list[str]:
    """Return the table of `python -m benchmarks serving`."""

    faults = malformed(model, files[0], broken)
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(faults["statuses"].items()))
    rows = [
        ("served graph / bare decode, resize and network, batch 1", spread(graph(model, files, 1, rounds))),
        ("the same, batch 32", spread(graph(model, files, 32, rounds))),
        (f"embedded server, {_CLIENTS} clients / the graph's own batches of 32", spread(clients(model, files, rounds))),
        (f"{broken} malformed requests, by status", statuses),
        ("its memory, MB, after each tenth of them", ", ".join(f"{size:.0f}" for size in faults["MB"])),
        ("a good request after them", str(faults["a good request"])),
    ]
    return ["| | median (least to most) |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
