"""A small server with the REST paths of TensorFlow Serving, to write and test a client on a laptop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from keras_transfer import versions
from keras_transfer.data import audit
from keras_transfer.data.decoding import formats
from keras_transfer.errors import UserError
from keras_transfer.serving import rest
from keras_transfer.serving.batching import LARGEST, Batcher, Closed, Full, Outputs
from keras_transfer.serving.saved import SavedClassifier

MOST_BYTES = 32 * 2**20  # Of a request's body.
_POLL_SECONDS = 1.0
_PARSERS = 2  # Threads that turn bodies into calls.


@dataclass(frozen=True)
class Loaded:
    """A version that answers.

    Attributes:
        version: Its number.
        classifier: Its graph.
        batcher: In front of it.
    """

    version: int
    classifier: SavedClassifier
    batcher: Batcher


class Serving:
    """The newest version of a model, replaced when a newer one appears; requests in flight end on the old one.

    Args:
        model: Folder with the versions.
        batcher: Makes a batcher of a function from signature and rows to outputs.
    """

    def __init__(self, model: Path, batcher: Callable[[Callable[[str, list[Any]], Outputs]], Batcher]) -> None:
        self.model, self._batcher = model, batcher
        self._stopped = threading.Event()
        self.current = self._load(versions.newest(model))
        self._watcher = threading.Thread(target=self._watch, daemon=True, name="versions")
        self._watcher.start()

    def _load(self, folder: Path) -> Loaded:
        classifier = SavedClassifier(folder)
        batcher = self._batcher(classifier.run)
        # What TensorFlow prepares for each size, and the memory that it takes, are there before requests are.
        for count in batcher.sizes:
            batcher.submit("serving_default", [b""] * count).result()
        return Loaded(int(folder.name), classifier, batcher)

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                folder = versions.newest(self.model)
                if int(folder.name) != self.current.version:
                    old, self.current = self.current, self._load(folder)
                    old.batcher.close()
            except (UserError, OSError, tf.errors.OpError):
                continue  # The version that serves goes on serving.

    def close(self) -> None:
        """Answer what waits, and stop."""
        self._stopped.set()
        self._watcher.join()
        self.current.batcher.close()


def application(
    model: str | Path, name: str, largest: int = LARGEST, room: int = 512, most_bytes: int = MOST_BYTES
) -> Starlette:
    """Return the ASGI application that serves a model.

    Args:
        model: Folder with the versions.
        name: Of the model, in the paths.
        largest: Rows a batch.
        room: Rows that may wait.
        most_bytes: Of a request's body.
    """
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    requests = Counter("requests", "Predict requests by HTTP status.", ["status"], registry=registry)
    images = Counter("images", "Images answered.", registry=registry)
    latency = Histogram("latency_seconds", "Seconds of a predict request.", registry=registry)
    serving = Serving(Path(model), lambda run: Batcher(run, largest, room=room))

    def found(request: HttpRequest) -> str | None:
        version = request.path_params.get("version")
        if request.path_params["name"] != name or (version is not None and int(version) != serving.current.version):
            asked = request.path_params["name"] + (f", version {version}" if version is not None else "")
            return f"Servable not found for request: {asked}"
        return None

    async def predict(request: HttpRequest) -> Response:
        begun = time.monotonic()
        status, body, count = await _predict(request, serving, found(request), most_bytes)
        requests.labels(status).inc()
        images.inc(count)
        latency.observe(time.monotonic() - begun)
        return _json(body, status)

    async def state(request: HttpRequest) -> Response:
        missing = found(request)
        if missing:
            return _json(rest.error(missing), 404)
        status = {"error_code": "OK", "error_message": ""}
        return _json(
            {
                "model_version_status": [
                    {"version": str(serving.current.version), "state": "AVAILABLE", "status": status}
                ]
            }
        )

    async def metadata(request: HttpRequest) -> Response:
        missing = found(request)
        if missing:
            return _json(rest.error(missing), 404)
        loaded = serving.current
        spec = {"name": name, "signature_name": "", "version": str(loaded.version)}
        return _json({"model_spec": spec, "metadata": {"signature_def": _signatures(loaded.classifier.folder)}})

    async def measures(request: HttpRequest) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # JSON and base64 hold the interpreter's lock: more threads would parse no faster, and hold more memory.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_PARSERS, "parser"))
        yield
        await asyncio.to_thread(serving.close)

    routes = []
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version:int}"):
        routes += [
            Route(f"{path}:predict", predict, methods=["POST"]),
            Route(f"{path}/metadata", metadata),
            Route(path, state),
        ]
    routes += [Route(path, measures) for path in ("/metrics", "/monitoring/prometheus/metrics")]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: _unknown, 405: _unknown, 500: _failed})


async def _predict(
    request: HttpRequest, serving: Serving, missing: str | None, most_bytes: int
) -> tuple[int, bytes, int]:
    """Return status, body, and how many images were answered."""
    if missing:
        return 404, rest.error(missing), 0
    try:
        body = await _body(request, most_bytes)
        if body is None:
            return 413, rest.error(f"The body is larger than {most_bytes} bytes"), 0
        try:
            return await _answer(body, serving.current)
        except Closed:  # A newer version came between.
            return await _answer(body, serving.current)
    except rest.BadRequest as error:
        return 400, rest.error(str(error)), 0
    except ClientDisconnect:
        return 499, b"", 0
    except Full:
        return 503, rest.error("Too many requests wait; try again"), 0
    except Closed:
        return 503, rest.error("The server stops"), 0


async def _answer(body: bytes, loaded: Loaded) -> tuple[int, bytes, int]:
    """Return the answer of one version; raise `BadRequest`, `Full`, or `Closed` if it answers no more."""
    # Base64 and JSON of megabytes would stop every other connection.
    call = await asyncio.to_thread(rest.parse, body, loaded.classifier.size)
    _refuse_junk(call)
    outputs = await asyncio.wrap_future(loaded.batcher.submit(call.signature, call.rows))
    if len(call.rows) == 1 and "error" in outputs and outputs["error"][0]:
        why = audit.reason_of(call.rows[0], loaded.classifier.max_pixels)
        return 400, rest.error(f"image_bytes[0] {why}"), 0
    return 200, await asyncio.to_thread(rest.answer, call, outputs), len(call.rows)


def _refuse_junk(call: rest.Request) -> None:
    """Raise `BadRequest` if the only file of a call is none, as its first bytes tell; it need not wait for a batch."""
    if len(call.rows) == 1 and isinstance(call.rows[0], bytes):
        why = formats.fault(call.rows[0][:16])
        if why:
            raise rest.BadRequest(f"image_bytes[0] {why}")


async def _body(request: HttpRequest, most: int) -> bytes | None:
    """Return the body, or None if it is too large, of which then no more is kept."""
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            return None
        parts.append(part)
    return b"".join(parts)


def _json(content: Any, status: int = 200) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(body, status, media_type="application/json")


async def _unknown(request: HttpRequest, error: Any) -> Response:
    return _json(rest.error(f"Malformed request: {request.method} {request.url.path}"), error.status_code)


async def _failed(request: HttpRequest, error: Exception) -> Response:
    return _json(rest.error(f"Internal error: {type(error).__name__}"), 500)


def _signatures(folder: Path) -> dict[str, Any]:
    from google.protobuf import json_format
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = saved.meta_graphs[0].signature_def
    shown = {
        name: json_format.MessageToDict(signature, preserving_proto_field_name=True)
        for name, signature in signatures.items()
        if not name.startswith("__")
    }
    return {"signature_def": shown}


def serve(model: str | Path, name: str, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM, answering what came before it."""
    import uvicorn

    uvicorn.run(application(model, name), host=host, port=port, log_level="warning", timeout_graceful_shutdown=10)
