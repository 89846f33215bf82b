import base64
import json

import numpy as np
import pytest

from keras_transfer.serving import rest

B64 = {"b64": base64.b64encode(b"content").decode()}


@pytest.mark.parametrize(
    ("call", "columnar"),
    [
        ({"instances": [B64, B64]}, False),
        ({"instances": [{"image_bytes": B64}, {"image_bytes": B64}]}, False),
        ({"inputs": [B64, B64]}, True),
        ({"inputs": {"image_bytes": [B64, B64]}, "signature_name": "serving_default"}, True),
    ],
)
def test_the_forms_of_a_call(call, columnar):
    request = rest.parse(json.dumps(call).encode(), 24)
    assert request == rest.Request("serving_default", [b"content", b"content"], columnar)


def test_pixels():
    pixels = np.arange(4 * 4 * 3).reshape(4, 4, 3)
    call = {"instances": [pixels.tolist()], "signature_name": "images"}
    np.testing.assert_array_equal(rest.parse(json.dumps(call).encode(), 4).inputs[0], pixels)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"3", b"\xff\xfe", b"{}", b'{"instances": []}', b'{"instances": 3}', b'{"instances": [3]}',
        b'{"instances": [{"b64": 3}]}', b'{"instances": [{"b64": "?"}]}', b'{"instances": [{"image_bytes": {}}]}',
        b'{"instances": [{"b64": ""}], "inputs": [{"b64": ""}]}',
        b'{"signature_name": "x", "instances": [{"b64": ""}]}',
        b'{"signature_name": [1], "instances": [{"b64": ""}]}', b'{"inputs": {"a": 1}}', b"[" * 200_000,
        b'{"instances": ' + b'{"a":' * 50_000, b'{"signature_name": "images", "instances": [[[1, 2, 3]]]}',
        b'{"signature_name": "images", "instances": [[["a"]]]}',
        b'{"signature_name": "images", "instances": [[1, [2]]]}',
    ],
)  # fmt: skip
def test_what_is_no_call_is_refused(body):
    with pytest.raises(rest.BadRequest):
        rest.parse(body, 24)


@pytest.mark.parametrize("body", [b"--boundary\r\nContent-Disposition: form-data", b"image=abc", b""])
def test_what_is_no_json_is_told_the_form_of_a_call(body):
    with pytest.raises(rest.BadRequest, match=r"Send .*instances.*b64"):
        rest.parse(body, 24)


def test_answers_in_both_forms():
    outputs = {"label": np.array([b"a", b"b"], object), "probabilities": np.array([[0.5, 0.5], [np.nan, 1]], "float32")}
    rows = json.loads(rest.body(rest.Request("serving_default", [], False), outputs))["predictions"]
    assert rows[0] == {"label": "a", "probabilities": [0.5, 0.5]}
    columns = json.loads(rest.body(rest.Request("serving_default", [], True), outputs))["outputs"]
    assert columns["label"] == ["a", "b"]
    alone = {"embedding": np.array([[1.0]], "float32")}
    assert json.loads(rest.body(rest.Request("features", [], False), alone)) == {"predictions": [[1.0]]}
