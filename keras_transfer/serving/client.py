"""A client of TensorFlow Serving, or of the embedded server: REST, and gRPC where tensorflow-serving-api is there."""

from __future__ import annotations

import base64
import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keras_transfer.serving import limits
from keras_transfer.support.errors import UsageError, UserError
from keras_transfer.support.logs import import_tensorflow

# Of a request, besides what `limits` says of pixels; the embedded server takes 32 MiB of JSON.
_MAX_FILES, _MAX_BYTES = 32, 20_000_000

_Ask = Callable[[Sequence[bytes]], list[dict[str, Any]]]


def request(url: str, files: Sequence[str | Path], seconds: float = 60.0) -> list[dict[str, Any]]:
    """Return the model's prediction for each image file: a dictionary of its outputs, or of its `error` alone.

    Args:
        url: `http://HOST:PORT/v1/models/NAME`, or `grpc://HOST:PORT/NAME`, each with `/versions/N` if need be.
        files: Image files, sent in requests of up to 32, fewer of large ones.
        seconds: How long to wait for each.

    Raises:
        UsageError: the address is neither, or gRPC's package is missing.
        UserError: no file can be read (one of several that cannot has an `error`), or the server refuses or does not
            answer.
    """
    server = _address(url)
    ask = partial(_grpc if server.scheme == "grpc" else _rest, url, server, seconds=seconds)
    predictions: list[dict[str, Any]] = []
    count = 0
    for contents in _together(map(_read, files)):
        readable = [content for content in contents if isinstance(content, bytes)]
        answers = map(_answer, _asked(ask, readable) if readable else ())
        predictions += [next(answers) if isinstance(content, bytes) else {"error": content} for content in contents]
        count += len(readable)
    if files and not count:
        raise UserError(f"{files[0]} {predictions[0]['error']}.")
    return predictions


class _Refused(UserError):
    """The server answers, but not what it was sent."""


class _TooLarge(UserError):
    """The server takes no request of that size, for the reason given alone."""


def _asked(ask: _Ask, contents: Sequence[bytes]) -> list[dict[str, Any]]:
    """Return what a server answers to files, in smaller requests where one is too large; each of them that is too large
    itself or cannot be decoded has an `error`.
    """
    try:
        return ask(contents)
    except _TooLarge as error:
        if len(contents) == 1:
            return [{"error": f"is too large to be sent ({error})"}]
        middle = len(contents) // 2
        return [*_asked(ask, contents[:middle]), *_asked(ask, contents[middle:])]
    except _Refused:
        if len(contents) > 1:
            raise
        # A request of one file that cannot be decoded fails as a whole; of several, that file has an error of its own.
        return ask([*contents, b""])[:1]


def _together(contents: Iterable[bytes | str]) -> Iterator[list[bytes | str]]:
    """Yield files, or why they cannot be read, as many at a time as a request may have; at least one."""
    batch: list[bytes | str] = []
    size = pixels = 0
    for content in contents:
        sent = content if isinstance(content, bytes) else b""
        own_size, own_pixels = len(sent), limits.announced_pixels(sent)
        too_large = size + own_size > _MAX_BYTES or pixels + own_pixels > limits.MAX_PIXELS
        if batch and (len(batch) == _MAX_FILES or too_large):
            yield batch
            batch, size, pixels = [], 0, 0
        batch.append(content)
        size, pixels = size + own_size, pixels + own_pixels
    if batch:
        yield batch


def _answer(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return the outputs without `error`, which is empty for an image that could be decoded; else it alone."""
    error = outputs.get("error")
    return {"error": error} if error else {name: value for name, value in outputs.items() if name != "error"}


def _read(file: str | Path) -> bytes | str:
    """Return the bytes of a file, or why it cannot be read."""
    try:
        return Path(file).read_bytes()
    except OSError as error:
        return f"cannot be read ({error.strerror})"


@dataclass(frozen=True)
class _Address:
    """Where a model is served.

    Attributes:
        scheme: `http`, `https` or `grpc`.
        host: With its port, in ASCII.
        path: Percent-encoded, as it is sent.
    """

    scheme: str
    host: str
    path: str

    @property
    def model(self) -> str:
        """The model's name and, after `/versions/`, its version."""
        return urllib.parse.unquote(self.path).strip("/").removeprefix("v1/models/")

    @property
    def version(self) -> str:
        """The version, or an empty string."""
        return self.model.partition("/versions/")[2]


def _address(url: str) -> _Address:
    """Return the parts of an address, whose path may hold any character of a model's name.

    Raises:
        UsageError: it is none.
    """
    scheme, mark, rest = url.partition("://")
    host, _, path = rest.partition("/")
    try:
        parts = urllib.parse.urlsplit(f"http://{host}")
        name = (parts.hostname or "").encode("idna" if not host.isascii() else "ascii").decode()
        valid = bool(mark and path.strip("/")) and scheme in ("http", "https", "grpc") and parts.username is None
        if not valid or not re.fullmatch(r"[0-9a-z.:_-]{1,253}", name) or parts.port == 0:
            raise ValueError
        if max(map(len, name.split("."))) > 63:
            raise ValueError
        port = f":{parts.port}" if parts.port else ""
        # What is percent-encoded already stays as it is.
        quoted = re.sub("%(?![0-9A-Fa-f]{2})", "%25", urllib.parse.quote(path, safe="/%:@!$&'()*+,;=~"))
        address = _Address(scheme, (f"[{name}]" if ":" in name else name) + port, f"/{quoted}")
        if address.version and not (address.version.isascii() and address.version.isdigit()) and scheme == "grpc":
            raise ValueError
    except (ValueError, UnicodeError) as error:
        allowed = "http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME, each with /versions/NUMBER if need be"
        raise UsageError(f"MODEL_URL must be {allowed}. Received: {url[:200]!r}.") from error
    return address


def _rest(url: str, server: _Address, contents: Sequence[bytes], seconds: float) -> list[dict[str, Any]]:
    instances = [{"image_bytes": {"b64": base64.b64encode(content).decode()}} for content in contents]
    body = json.dumps({"instances": instances}).encode()
    address = f"{server.scheme}://{server.host}{server.path.rstrip('/').removesuffix(':predict')}:predict"
    call = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=seconds) as response:
            # TensorFlow Serving writes NaN, which JSON does not know, for a file that cannot be decoded.
            predictions = json.loads(response.read(), parse_constant=lambda _: None)["predictions"]
        if not isinstance(predictions, list) or len(predictions) != len(contents):
            raise ValueError
        return [value if isinstance(value, dict) else {"value": value} for value in predictions]
    except urllib.error.HTTPError as error:
        reason = _reason(error.read())
        if error.code == 413:
            raise _TooLarge(reason) from error
        kind = _Refused if error.code == 400 else UserError
        raise kind(f"{url} answers {error.code}: {reason}") from error
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise UserError(f"{url} does not answer ({getattr(error, 'reason', error)}). Is the server running?") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{url} does not answer as TensorFlow Serving does.") from error


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _grpc(url: str, server: _Address, contents: Sequence[bytes], seconds: float) -> list[dict[str, Any]]:
    if find_spec("tensorflow_serving") is not None:
        import_tensorflow()  # The package would, and let TensorFlow write its notes.
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UsageError("gRPC needs another package: pip install tensorflow-serving-api.") from error
    import tensorflow as tf

    name, version = server.model.partition("/versions/")[0], server.version
    call = predict_pb2.PredictRequest()
    call.model_spec.name, call.model_spec.signature_name = name, "serving_default"
    if version:
        call.model_spec.version.value = int(version)
    call.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(contents), tf.string))
    with grpc.insecure_channel(server.host) as channel:
        try:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            outputs = stub.Predict(call, timeout=seconds).outputs
        except grpc.RpcError as error:
            kind = _Refused if error.code() is grpc.StatusCode.INVALID_ARGUMENT else UserError
            raise kind(f"{url} refuses or does not answer: {error.code().name}, {error.details()}.") from error
    arrays = {key: tf.make_ndarray(tensor) for key, tensor in outputs.items()}
    columns = {
        key: [value.decode() for value in values] if values.dtype == object else values.tolist()
        for key, values in arrays.items()
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
