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

MOST_ROWS = 128
INPUTS = {"serving_default": "image_bytes", "features": "image_bytes", "images": "images"}


_FORM = '{"instances": [{"b64": "..."}]} with the file in base64'


class BadRequest(Exception):
    """A request that cannot be answered; the text goes to the client."""


@dataclass(frozen=True)
class Request:
    """A predict call.

    Attributes:
        signature: Name of the signature.
        rows: Encoded files, or pixels, float32 `[H, W, 3]` each.
        columnar: Whether it came as `inputs`, and the answer goes as `outputs`.
    """

    signature: str
    rows: list[Any]
    columnar: bool


def parse(body: bytes, size: int, max_rows: int = MOST_ROWS) -> Request:
    """Return the call that a JSON body makes.

    Args:
        body: `{"instances": [...]}` or `{"inputs": ...}`; files as `{"b64": "..."}`, bare or by the input's name.
        size: Side of pictures that come as pixels, px.
        max_rows: Files or pictures that one call may bring.

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
    given = call["inputs"] if columnar else call["instances"]
    if columnar and isinstance(given, dict) and set(given) == {name}:
        given = given[name]
    elif not columnar and isinstance(given, list):
        given = [row[name] if isinstance(row, dict) and set(row) == {name} else row for row in given]
    if not isinstance(given, list) or not given:
        raise BadRequest(f"{'inputs' if columnar else 'instances'} must be a list of at least one {name}")
    if len(given) > max_rows:
        raise BadRequest(f"{len(given)} {name} are more than {max_rows}. Send fewer at a time")
    read = _file if name == "image_bytes" else lambda row: _pixels(row, size)
    return Request(signature, [read(row) for row in given], columnar)


def answer(request: Request, outputs: dict[str, np.ndarray]) -> bytes:
    """Return the JSON body of an answer, `{"predictions": [...]}` or `{"outputs": {...}}`."""
    listed = {name: _plain(values) for name, values in sorted(outputs.items())}
    if request.columnar:
        return json.dumps({"outputs": next(iter(listed.values())) if len(listed) == 1 else listed}).encode()
    if len(listed) == 1:
        return json.dumps({"predictions": next(iter(listed.values()))}).encode()
    rows = [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
    return json.dumps({"predictions": rows}).encode()


def error(text: str) -> bytes:
    """Return the JSON body of a refusal."""
    return json.dumps({"error": text}).encode()


def _json_object(body: bytes) -> dict[str, Any]:
    kind = formats.image_format(body[:16])
    if kind:
        raise BadRequest(f"The body is a {kind} file, not JSON. Send {_FORM}")
    try:
        call = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"JSON Parse error: {str(error)[:120]}. Send {_FORM}") from error
    if not isinstance(call, dict):
        raise BadRequest("JSON value is not an object")
    return call


def _plain(values: np.ndarray) -> list[Any]:
    """Return values as JSON has them, which knows no NaN: null."""
    if values.dtype == object:
        return [value.decode("utf-8", "replace") for value in values]
    if np.isfinite(values).all():
        return values.tolist()
    plain = values.astype(object)
    plain[~np.isfinite(values)] = None
    return plain.tolist()


def _file(row: Any) -> bytes:
    if not isinstance(row, dict) or set(row) != {"b64"} or not isinstance(row["b64"], str):
        raise BadRequest('A file must be given as {"b64": "..."}')
    try:
        return base64.b64decode(row["b64"], validate=True)
    except (binascii.Error, ValueError) as wrong:
        raise BadRequest(f"Unable to base64 decode{_hint(row['b64'])}") from wrong


def _hint(text: str) -> str:
    if text.startswith("data:"):
        return ": leave out what stands before the comma (data:...;base64,)"
    if "-" in text or "_" in text:
        return ": it is of the URL-safe kind; use + and / for - and _"
    if any(letter.isspace() for letter in text):
        return ": it is broken into lines; write it as one (base64 -w0)"
    return ""


def _pixels(row: Any, size: int) -> np.ndarray:
    try:
        pixels = np.asarray(row, "float32")
    except (ValueError, TypeError, OverflowError) as wrong:
        raise BadRequest("Pixels must be numbers, nested as [height][width][3]") from wrong
    if pixels.shape != (size, size, 3):
        raise BadRequest(f"Pixels must be [{size}, {size}, 3]. Received: {list(pixels.shape)}")
    why = in_memory.why_not_pixels(pixels)
    if why:
        raise BadRequest(why)
    return pixels
