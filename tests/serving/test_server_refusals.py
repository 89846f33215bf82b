"""What the embedded server refuses, how it says so, and who may ask."""

import base64
import http.client
import json
import struct
import time
import urllib.request
import zlib

import numpy as np
import pytest

from keras_transfer.serving import rest
from keras_transfer.serving.batching import Batcher, Full
from tests.command_line import run
from tests.serving.servers import b64, embedded, post, raw

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")


pytestmark = pytest.mark.once  # Of sockets, whatever the versions of TensorFlow and Keras.
PREDICT = "/v1/models/colours:predict"


@pytest.fixture(scope="module")
def url(version):
    with embedded(version.folder.parent, cors="https://photos.example") as address:
        yield address


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def png(width, height):
    """A PNG of one colour, which is small whatever its size."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    pixels = zlib.compress((b"\0" + b"\0" * ((width + 7) // 8)) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def encoded(content):
    return {"b64": base64.b64encode(content).decode()}


def test_a_bad_file_of_several_is_null_in_json(url, photos):
    good = next(photos.glob("red/*.jpg"))
    body = json.dumps({"instances": [b64(good), encoded(good.read_bytes()[:150]), b64(good)]}).encode()
    answer = urllib.request.urlopen(url + PREDICT, body).read()
    first, bad, last = json.loads(answer, parse_constant=refuse)["predictions"]
    assert first["label"] == last["label"] == "red"
    assert bad["error"]
    assert bad["confidence"] is None
    assert bad["probabilities"] == [None, None, None]


@pytest.mark.parametrize("value", [float("nan"), 0.5, -0.7, 1e9, 10**400])
def test_numbers_that_are_no_pixels_are_refused(url, value):
    body = {"signature_name": "images", "instances": [np.full((24, 24, 3), value, object).tolist()]}
    status, answer = post(url + PREDICT, body)
    assert status == 400
    assert "ixels must be" in answer["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xff\xd8\xff\xe0JFIF", "The body is a JPEG file"),
        (b'--form\r\nContent-Disposition: form-data; name="file"', '{"instances":'),
        (b'{"instances": [{"b64": "_-8="}]}', "URL-safe"),
        (b'{"instances": [{"b64": "data:image/png;base64,AAAA"}]}', "before the comma"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON"),
        (b'{"instances": [{"b64": "iVBORw0KGgo="}]}', "cannot be decoded"),
    ],
)
def test_a_refusal_says_what_to_do(url, body, words):
    status, answer = post(url + PREDICT, body)
    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/models/colours/versions/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"9" * 5000),
        b"GET /v1/models/colours/versions/\xc2\xb2 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/models/none HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /v1/models/colours/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" % (PREDICT.encode(), b"9" * 5000),
        b"POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % PREDICT.encode(),
    ],
)
def test_what_is_no_request_gets_a_refusal_in_json(url, request_):
    status, body = raw(url, request_)
    assert 400 <= status < 500
    assert set(json.loads(body)) == {"error"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"), [("GET", PREDICT, {"POST"}), ("POST", "/metrics", {"GET", "HEAD"})]
)
def test_a_request_of_another_method_says_which_is_meant(url, method, path, allowed):
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    assert (answer.status, set(answer.headers["Allow"].split(", "))) == (405, allowed)
    hint = " or ".join(sorted(allowed))
    assert json.loads(answer.read()) == {"error": f"Malformed request: {method} {path}; send it by {hint}"}


@pytest.mark.parametrize("call", ["classify", "regress"])
def test_a_call_of_a_signature_that_no_model_has_says_which_is_meant(url, call):
    body = {"examples": [{"image": {"b64": ""}}]}
    for path in ("colours", "colours/versions/1"):
        status, answer = post(f"{url}/v1/models/{path}:{call}", body)
        assert (status, answer["error"].partition(". ")[2]) == (400, "Send the request to :predict")
    assert post(f"{url}/v1/models/others:{call}", body)[0] == 404


def test_a_request_of_many_instances_or_pixels_is_refused_at_once(url, photos):
    begun = time.monotonic()
    status, answer = post(url + PREDICT, {"instances": [encoded(b"")] * 10_000})
    assert (status, "more than 128" in answer["error"]) == (400, True)
    huge = encoded(png(9000, 9000))
    status, answer = post(url + PREDICT, {"instances": [huge] * 3})
    assert (status, "243,000,000 pixels" in answer["error"]) == (400, True)
    assert time.monotonic() - begun < 5
    assert post(url + PREDICT, {"instances": [b64(next(photos.glob("red/*")))]})[0] == 200


def test_scripts_of_one_origin_may_ask_and_the_root_says_what_is_served(url):
    call = urllib.request.Request(url, headers={"Origin": "https://photos.example"})
    with urllib.request.urlopen(call) as answer:
        assert answer.headers["access-control-allow-origin"] == "https://photos.example"
        index = json.loads(answer.read())
    assert (index["model"], index["version"]) == ("colours", "1")
    assert index["predict"] == f"POST {PREDICT}"


def from_page(url, path, method="GET", body=None, origin="https://photos.example", **headers):
    """Return status, allowed origin and body of the answer that a script of a page would get."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    call = urllib.request.Request(url + path, body, {"Origin": origin, **names}, method=method)
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            return answer.status, answer.headers["access-control-allow-origin"], answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["access-control-allow-origin"], error.read()


def test_a_page_may_post_json(url):
    asked = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    assert from_page(url, PREDICT, "OPTIONS", **asked)[:2] == (200, "https://photos.example")
    assert from_page(url, PREDICT, "OPTIONS", origin="https://strange.example", **asked)[:2] == (400, None)


def refuse_all(*_):
    raise Full


def fail(*_):
    raise RuntimeError


def test_a_page_may_read_refusals_and_errors(url, photos, monkeypatch):
    body = json.dumps({"instances": [b64(next(photos.glob("red/*")))]}).encode()
    answers = [from_page(url, PREDICT, "POST", b"{"), from_page(url, "/none"), from_page(url, PREDICT)]
    monkeypatch.setattr(rest, "body", fail)
    answers.append(from_page(url, PREDICT, "POST", body))
    monkeypatch.setattr(Batcher, "submit", refuse_all)
    answers.append(from_page(url, PREDICT, "POST", body))
    assert [status for status, _, _ in answers] == [400, 404, 405, 500, 503]
    assert {origin for _, origin, _ in answers} == {"https://photos.example"}
    assert all(set(json.loads(text)) == {"error"} for _, _, text in answers)


@pytest.mark.parametrize(
    "origin",
    ["", "photos.example", "https://photos.example/", "https://Photos.example", "https://photos.example:443", "null",
     "https://a.example,https://b.example"],
)  # fmt: skip
def test_an_origin_that_no_browser_sends_is_refused(origin, capsys):
    code, _, errors = run("serve", "nowhere", "--embedded", "--cors", origin, capsys=capsys)
    assert (code, f"Received: {origin!r}." in errors) == (2, True)


@pytest.mark.parametrize("origin", ["*", "http://localhost:8000", "https://[::1]:8000", "chrome-extension://abc"])
def test_an_origin_is_taken(origin, capsys):
    assert "there is no model" in run("serve", "nowhere", "--embedded", "--cors", origin, capsys=capsys)[2].lower()


@pytest.mark.parametrize("option", ["--host", "--cors"])
def test_what_is_for_the_embedded_server_is_refused_without_it(version, option, capsys):
    code, _, errors = run("serve", version.folder.parent, option, "http://127.0.0.1", capsys=capsys)
    assert (code, f"{option} is for --embedded" in errors) == (2, True)
