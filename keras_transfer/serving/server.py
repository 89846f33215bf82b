"""A small server with the REST paths of TensorFlow Serving, to write and test a client on a laptop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from keras_transfer.data.decoding import formats
from keras_transfer.data.inspection import inspector
from keras_transfer.serving import limits, rest
from keras_transfer.serving.batching import MAX_BATCH, Batcher, Closed, Full
from keras_transfer.serving.newest_version import LoadedVersion, NewestVersion

MAX_BYTES = 32 * 2**20  # Of a request's body.
_MAX_BYTES_AT_ONCE = 8 * MAX_BYTES  # Of all bodies that are being received or answered.
_MAX_DISCARDED = 8  # Times `max_bytes` that are read of a body that is refused.
_BODY_SECONDS = 60.0  # For a body to arrive in.
_PARSERS = 2  # Threads that turn bodies into calls.

Answer = tuple[int, bytes, int]  # Status, body, and how many images were classified.


def application(
    model: str | Path,
    name: str,
    max_batch: int = MAX_BATCH,
    capacity: int = 512,
    max_bytes: int = MAX_BYTES,
    cors: str | None = None,
    body_seconds: float = _BODY_SECONDS,
) -> ASGIApp:
    """Return the ASGI application that serves a model.

    Args:
        model: Folder with the versions.
        name: Of the model, in the paths.
        max_batch: Inputs a batch.
        capacity: Inputs that may wait.
        max_bytes: Of a request's body.
        cors: Origin of pages whose scripts may ask it, or `*`.
        body_seconds: For a body to arrive in.
    """
    from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_LATEST

    registry = CollectorRegistry()
    requests = Counter("requests", "Predict requests by HTTP status.", ["status"], registry=registry)
    images = Counter("images", "Images classified.", registry=registry)
    latency = Histogram("latency_seconds", "Seconds of a predict request.", registry=registry)
    serving = NewestVersion(Path(model), lambda run: Batcher(run, max_batch, capacity=capacity))
    bodies = _Bodies(max_bytes, body_seconds)

    def missing(request: HttpRequest) -> str | None:
        """Return why a path names no version that is served, or None."""
        version = request.path_params.get("version")
        if request.path_params["name"] == name and version in (None, str(serving.current.number)):
            return None
        wanted = request.path_params["name"] + (f", version {version}" if version is not None else "")
        return f"Servable not found for request: {wanted[:200]}"

    async def predict(request: HttpRequest) -> Response:
        begun = time.monotonic()
        why = missing(request)
        status, body, count = (404, rest.error(why), 0) if why else await _predict(request, serving, bodies)
        requests.labels(status).inc()
        images.inc(count)
        latency.observe(time.monotonic() - begun)
        return _json(body, status, {"connection": "close"} if status == 408 else None)

    async def not_posted(request: HttpRequest) -> Response:
        raise HTTPException(405, headers={"Allow": "POST"})

    async def not_predicted(request: HttpRequest) -> Response:
        why = missing(request)
        if why:
            return _json(rest.error(why), 404)
        # 400, as TensorFlow Serving answers where a signature is of another method.
        return _json(rest.error("The model has no signature to classify or regress. Send the request to :predict"), 400)

    async def state(request: HttpRequest) -> Response:
        why = missing(request)
        if why:
            return _json(rest.error(why), 404)
        status = {"error_code": "OK", "error_message": ""}
        version = {"version": str(serving.current.number), "state": "AVAILABLE", "status": status}
        return _json({"model_version_status": [version]})

    async def metadata(request: HttpRequest) -> Response:
        why = missing(request)
        if why:
            return _json(rest.error(why), 404)
        loaded = serving.current
        spec = {"name": name, "signature_name": "", "version": str(loaded.number)}
        return _json({"model_spec": spec, "metadata": {"signature_def": loaded.signatures}})

    async def index(request: HttpRequest) -> Response:
        path = f"/v1/models/{quote(name, safe='')}"
        calls = {"predict": f"POST {path}:predict", "metadata": f"GET {path}/metadata", "state": f"GET {path}"}
        body = {"instances": [{"b64": "the bytes of an image file, in base64"}]}
        return _json({"model": name, "version": str(serving.current.number), **calls, "body of predict": body})

    async def measures(request: HttpRequest) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        # JSON and base64 hold the interpreter's lock: more threads would parse no faster, and hold more memory.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_PARSERS, "parser"))
        yield
        await asyncio.to_thread(serving.close)

    routes = [Route("/", index)]
    for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
        routes += [
            Route(f"{path}:predict", predict, methods=["POST"]),
            Route(f"{path}:predict", not_posted),  # Or ":predict" would be taken for part of the name below.
            *(Route(f"{path}:{call}", not_predicted, methods=["POST"]) for call in ("classify", "regress")),
            Route(f"{path}/metadata", metadata),
            Route(path, state),
        ]
    routes += [Route(path, measures) for path in ("/metrics", "/monitoring/prometheus/metrics")]
    handlers: dict[Any, Any] = {404: _unknown, 405: _unknown, 500: _failed}
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    app.router.redirect_slashes = False
    if not cors:
        return app
    # Around all of it: as Starlette's own middleware, it would not see the answers to internal errors.
    return CORSMiddleware(app, (cors,), allow_methods=("GET", "POST"), allow_headers=("*",))


class _Bodies:
    """Receives bodies of requests, within limits of size, time, and memory of all of them together."""

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._max_bytes, self._seconds = max_bytes, seconds
        self._held = 0

    @contextlib.asynccontextmanager
    async def received(self, request: HttpRequest) -> AsyncIterator[bytes]:
        """Receive the body of a request, which counts until the block ends: so long it is in memory.

        Raises:
            _Refused: it is too large or too slow.
            Full: bodies of others take all the memory that there is for them.
        """
        announced = request.headers.get("content-length", "0")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > _MAX_DISCARDED * self._max_bytes:
            raise self._too_large()
        try:
            body = await asyncio.wait_for(self._read(request), self._seconds)
        except asyncio.TimeoutError as error:
            raise _Refused(408, f"The body did not arrive within {self._seconds:g} seconds") from error
        self._held += len(body)
        try:
            yield body
        finally:
            self._held -= len(body)

    async def _read(self, request: HttpRequest) -> bytes:
        """Return the body; let the rest of one that is refused arrive, or a client that still sends would see a reset
        instead of the answer.
        """
        parts: list[bytes] = []
        received, held = 0, 0
        refusal: Exception | None = None
        try:
            async for part in request.stream():
                received += len(part)
                if received > self._max_bytes:
                    refusal = self._too_large()
                elif self._held + len(part) > max(_MAX_BYTES_AT_ONCE, self._max_bytes):
                    refusal = Full()
                if refusal is None:
                    parts.append(part)
                    held += len(part)
                    self._held += len(part)
                elif received > _MAX_DISCARDED * self._max_bytes:
                    break
                else:
                    parts.clear()
                    self._held -= held
                    held = 0
        finally:
            self._held -= held
        if refusal is not None:
            raise refusal
        return b"".join(parts)

    def _too_large(self) -> _Refused:
        return _Refused(413, f"The body is larger than {self._max_bytes} bytes")


class _Refused(Exception):
    """A request that is answered with a status and a text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def _predict(request: HttpRequest, serving: NewestVersion, bodies: _Bodies) -> Answer:
    try:
        async with bodies.received(request) as body:
            try:
                return await _while_connected(request, body, serving.current)
            except Closed:  # A newer version came between.
                return await _while_connected(request, body, serving.current)
    except rest.BadRequest as error:
        return 400, rest.error(str(error)), 0
    except _Refused as error:
        return error.status, rest.error(str(error)), 0
    except ClientDisconnect:
        return 499, b"", 0
    except Full:
        return 503, rest.error("Too many requests wait; try again"), 0
    except Closed:
        return 503, rest.error("The server stops"), 0


async def _while_connected(request: HttpRequest, body: bytes, loaded: LoadedVersion) -> Answer:
    """Return the answer; raise `ClientDisconnect`, and stop the work, as soon as nobody waits for it."""
    work = asyncio.ensure_future(_answer(body, loaded))
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()
        del work, gone  # Its failure knows this frame, and what was parsed; in a circle, they would stay for long.


async def _disconnected(request: HttpRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _answer(body: bytes, loaded: LoadedVersion) -> Answer:
    """Return the answer of one version; raise `BadRequest`, `Full`, or `Closed` if it answers no more."""
    classifier = loaded.classifier
    # Base64 and JSON of megabytes would stop every other connection.
    call, announced = await asyncio.to_thread(_parse, body, classifier.size)
    limits.check_pixels(announced, classifier.max_pixels)
    alone = call.inputs[0] if len(call.inputs) == 1 and isinstance(call.inputs[0], bytes) else None
    # What is no image at all, as its first bytes tell, need not wait for a batch.
    why = formats.fault(alone[: formats.HEAD]) if alone is not None else None
    if why is None:
        outputs = await asyncio.wrap_future(loaded.batcher.submit(call.signature, call.inputs, announced))
        if alone is None or not outputs["error"][0]:
            return 200, await asyncio.to_thread(rest.body, call, outputs), len(call.inputs)
        why = _reason(alone, classifier.max_pixels)
    return 400, rest.error(f"image_bytes[0] {why}"), 0


def _parse(body: bytes, size: int) -> tuple[rest.Request, int]:
    call = rest.parse(body, size)
    return call, limits.pixels(call)


def _reason(content: bytes, max_pixels: int) -> str:
    try:
        return inspector.reason(content, max_pixels)
    except Exception:  # Pillow, which reads the header for the message, fails in many ways on files of malice.
        return formats.DAMAGED


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(body, status, headers, media_type="application/json")


async def _unknown(request: HttpRequest, error: Any) -> Response:
    allowed = sorted((error.headers or {}).get("Allow", "").split(", "))
    hint = f"; send it by {' or '.join(allowed)}" if any(allowed) else ""
    text = f"Malformed request: {request.method} {request.url.path[:200]}{hint}"
    return _json(rest.error(text), error.status_code, error.headers)


async def _failed(request: HttpRequest, error: Exception) -> Response:
    return _json(rest.error(f"Internal error: {type(error).__name__}"), 500)
