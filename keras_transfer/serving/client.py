"""A client of TensorFlow Serving, or of the embedded server: REST, and gRPC where tensorflow-serving-api is there."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_transfer.errors import UsageError, UserError


def request(url: str, files: Sequence[str | Path], seconds: float = 60.0) -> list[dict[str, Any]]:
    """Return the model's answer for each image file, a dictionary of its outputs.

    Args:
        url: `http://HOST:PORT/v1/models/NAME`, or `grpc://HOST:PORT/NAME`, each with `/versions/N` if need be.
        files: Image files, sent in one request.
        seconds: How long to wait.

    Raises:
        UsageError: the address is of neither form, or gRPC's package is missing.
        UserError: a file cannot be read, or the server refuses or does not answer.
    """
    contents = []
    for file in files:
        try:
            contents.append(Path(file).read_bytes())
        except OSError as error:
            raise UserError(f"{file} cannot be read ({error.strerror}).") from error
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme in ("http", "https"):
        return _rest(url, contents, seconds)
    if scheme == "grpc":
        return _grpc(url, contents, seconds)
    raise UsageError(f"MODEL_URL must be http://HOST:PORT/v1/models/NAME or grpc://HOST:PORT/NAME. Received: {url!r}.")


def _rest(url: str, contents: Sequence[bytes], seconds: float) -> list[dict[str, Any]]:
    rows = [{"image_bytes": {"b64": base64.b64encode(content).decode()}} for content in contents]
    body = json.dumps({"instances": rows}).encode()
    address = url.rstrip("/").removesuffix(":predict") + ":predict"
    call = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=seconds) as response:
            return json.loads(response.read())["predictions"]
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} answers {error.code}: {_told(error.read())}") from error
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"{url} does not answer ({reason}). Is the server running?") from error
    except (ValueError, KeyError) as error:
        raise UserError(f"{url} does not answer as TensorFlow Serving does.") from error


def _told(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _grpc(url: str, contents: Sequence[bytes], seconds: float) -> list[dict[str, Any]]:
    try:
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UsageError("gRPC needs a package more: pip install tensorflow-serving-api.") from error
    import tensorflow as tf

    parts = urllib.parse.urlsplit(url)
    name, _, version = parts.path.strip("/").removeprefix("v1/models/").partition("/versions/")
    call = predict_pb2.PredictRequest()
    call.model_spec.name, call.model_spec.signature_name = name, "serving_default"
    if version:
        call.model_spec.version.value = int(version)
    call.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(contents), tf.string))
    with grpc.insecure_channel(parts.netloc) as channel:
        try:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            outputs = stub.Predict(call, timeout=seconds).outputs
        except grpc.RpcError as error:
            raise UserError(f"{url} refuses or does not answer: {error.code().name}, {error.details()}.") from error
    arrays = {key: tf.make_ndarray(tensor) for key, tensor in outputs.items()}
    plain = {
        key: [value.decode() for value in values] if values.dtype == object else values.tolist()
        for key, values in arrays.items()
    }
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]
