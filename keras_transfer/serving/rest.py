"""The REST form of TensorFlow Serving's predict call, as https://www.tensorflow.org/tfx/serving/api_rest has it."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_transfer.data.decoding import formats
from keras_transfer.versions import in_memory

MAX_INPUTS = 128
INPUTS = {"serving_default": "image_bytes", "features": "image_bytes", "images": "images"}


_FORM = '{"instances": [{"b64": "..."}]} with the file in base64'


class BadRequest(Exception):
    """A request that cannot be answered; the text goes to the client."""


@dataclass(frozen=True)
class Request:
    """A predict call.

    Attributes:
        signature: Name of the signature.
        inputs: Encoded files, or pixels, float32 `[H, W, 3]` each.
        columnar: Whether it came under the key `inputs`, and the answer goes under `outputs`.
    """

    signature: str
    inputs: list[Any]
    columnar: bool


def parse(body: bytes, size: int, max_inputs: int = MAX_INPUTS) -> Request:
    """Return the call that a JSON body makes.

    Args:
        body: `{"instances": [...]}` or `{"inputs": ...}`; files as `{"b64": "..."}`, bare or by the input's name.
        size: Side of pictures that come as pixels, px.
        max_inputs: Files or pictures that one call may bring.

    Raises:
        BadRequest: saying what is wrong.
    """
    call = _json_object(body)
    signature = call.get("signature_name", "serving_default")
    if not isinstance(signature, str) or signature not in INPUTS:
        raise BadRequest(f"Serving signature name: {str(signature)[:80]!r} not found in signature def")
    if ("instances" in call) == ("inputs" in call):
        raise BadRequest("Missing 'inputs' or 'instances' key, or both are given")
    name, columnar = INPUTS[signature], "inputs" in call
    instances = call["inputs"] if columnar else call["instances"]
    if columnar and isinstance(instances, dict) and set(instances) == {name}:
        instances = instances[name]
    elif not columnar and isinstance(instances, list):
        instances = [each[name] if isinstance(each, dict) and set(each) == {name} else each for each in instances]
    if not isinstance(instances, list) or not instances:
        raise BadRequest(f"{'inputs' if columnar else 'instances'} must be a list of at least one {name}")
    if len(instances) > max_inputs:
        raise BadRequest(f"{len(instances)} {name} are more than {max_inputs}. Send fewer at a time")
    read = _file if name == "image_bytes" else lambda value: _pixels(value, size)
    return Request(signature, [read(value) for value in instances], columnar)


def body(request: Request, outputs: dict[str, np.ndarray]) -> bytes:
    """Return the JSON body of an answer, `{"predictions": [...]}` or `{"outputs": {...}}`."""
    listed = {name: _json_values(values) for name, values in sorted(outputs.items())}
    if request.columnar:
        return json.dumps({"outputs": next(iter(listed.values())) if len(listed) == 1 else listed}).encode()
    if len(listed) == 1:
        return json.dumps({"predictions": next(iter(listed.values()))}).encode()
    predictions = [dict(zip(listed, values, strict=True)) for values in zip(*listed.values(), strict=True)]
    return json.dumps({"predictions": predictions}).encode()


def error(text: str) -> bytes:
    """Return the JSON body of a refusal."""
    return json.dumps({"error": text}).encode()


def _json_object(body: bytes) -> dict[str, Any]:
    image_format = formats.image_format(body[: formats.HEAD])
    if image_format:
        raise BadRequest(f"The body is a {image_format} file, not JSON. Send {_FORM}")
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"JSON Parse error: {str(error)[:120]}. Send {_FORM}") from error
    if not isinstance(call, dict):
        raise BadRequest("JSON value is not an object")
    return call


def _json_values(values: np.ndarray) -> list[Any]:
    """Return values as JSON has them, which knows no NaN: null."""
    if values.dtype == object:
        return [value.decode("utf-8", "replace") for value in values]
    if np.isfinite(values).all():
        return values.tolist()
    with_nulls = values.astype(object)
    with_nulls[~np.isfinite(values)] = None
    return with_nulls.tolist()


def _file(value: Any) -> bytes:
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        raise BadRequest('A file must be given as {"b64": "..."}')
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise BadRequest(f"Unable to base64 decode{_hint(value['b64'])}") from wrong


def _hint(text: str) -> str:
    if text.startswith("data:"):
        return ": leave out what stands before the comma (data:...;base64,)"
    if "-" in text or "_" in text:
        return ": it is URL-safe base64; use + and / for - and _"
    if any(letter.isspace() for letter in text):
        return ": it is broken into lines; write it as one (base64 -w0)"
    return ""


def _pixels(value: Any, size: int) -> np.ndarray:
    try:
        pixels = np.asarray(value, "float32")
    except (ValueError, TypeError, OverflowError) as wrong:
        raise BadRequest("Pixels must be numbers, nested as [height][width][3]") from wrong
    if pixels.shape != (size, size, 3):
        raise BadRequest(f"Pixels must be [{size}, {size}, 3]. Received: {list(pixels.shape)}")
    why = in_memory.why_not_pixels(pixels)
    if why:
        raise BadRequest(why)
    return pixels
