"""One suite for a client and a server: the embedded one, and TensorFlow Serving's own where its binary is there."""

import base64
import json
import random
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from keras_transfer.serving import client
from tests.serving.servers import b64, embedded, post, raw, tensorflow_serving


def test_a_version_of_release_0_1_0_is_served(released, photos):
    body = [{"b64": base64.b64encode((photos / "red" / f"0{number}.{suffix}").read_bytes()).decode()}
            for number, suffix in ((0, "jpg"), (1, "png"))]  # fmt: skip
    with embedded(released) as server:
        address = f"{server}/v1/models/colours:predict"
        with urllib.request.urlopen(address, json.dumps({"instances": body}).encode(), timeout=60) as response:
            answers = json.load(response)["predictions"]
    assert [answer["label"] for answer in answers] == ["red", "red"]


@pytest.fixture(scope="module", params=["embedded", "tensorflow_model_server"])
def server(request, version, tmp_path_factory):
    model = version.folder.parent
    if request.param == "embedded":
        with embedded(model) as url:
            yield url
    else:
        with tensorflow_serving(model, tmp_path_factory.mktemp("configuration")) as url:
            yield url


@pytest.mark.essential
def test_answers_are_those_of_the_graph(server, classifier, photos):
    files = sorted(photos.glob("*/*"))[:20]
    expected = classifier.predict(files)
    url = f"{server}/v1/models/colours"
    for predictions in (client.request(url, files), client.request(f"{url}/versions/1", files)):
        for served, direct in zip(predictions, expected, strict=True):
            assert served["label"] == direct.label
            np.testing.assert_allclose(served["probabilities"], list(direct.probabilities.values()), atol=1e-5)
    bare = post(f"{url}:predict", {"instances": [b64(files[0])]})[1]["predictions"][0]
    np.testing.assert_allclose(bare["probabilities"], list(expected[0].probabilities.values()), atol=1e-5)
    columns = post(f"{url}:predict", {"inputs": {"image_bytes": [b64(files[0]), b64(files[1])]}})[1]["outputs"]
    assert columns["label"] == [expected[0].label, expected[1].label]
    features = post(f"{url}:predict", {"signature_name": "features", "instances": [b64(files[0])]})[1]
    assert len(features["predictions"][0]["embedding"]) == 16


def test_state_and_metadata(server):
    state = json.loads(urllib.request.urlopen(f"{server}/v1/models/colours").read())
    assert state["model_version_status"][0]["version"] == "1"
    assert state["model_version_status"][0]["state"] == "AVAILABLE"
    metadata = json.loads(urllib.request.urlopen(f"{server}/v1/models/colours/metadata").read())
    assert metadata["model_spec"]["name"] == "colours"
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert {"serving_default", "images", "features"} <= set(signatures)
    assert set(signatures["serving_default"]["outputs"]) == {"probabilities", "label", "confidence", "error"}


def test_a_bad_file_among_others_says_so_and_alone_is_refused(server, photos):
    good = next(photos.glob("red/*.jpg"))
    url = f"{server}/v1/models/colours:predict"
    cut = {"b64": base64.b64encode(good.read_bytes()[:150]).decode()}
    status, answer = post(url, {"instances": [b64(good), cut, b64(good)]})
    assert status == 200
    first, bad, last = answer["predictions"]
    assert first["label"] == last["label"] == "red"
    assert bad["label"] == ""
    assert bad["error"]
    assert first["error"] == ""
    for alone in (cut, {"b64": base64.b64encode(b"junk").decode()}):
        status, answer = post(url, {"instances": [alone]})
        assert status == 400
        assert set(answer) == {"error"}


def test_a_bad_file_costs_the_client_no_answer_where_it_is_alone_in_a_request(server, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_MAX_FILES", 2)
    good, bad = next(photos.glob("red/*.jpg")), tmp_path / "cut.jpg"
    bad.write_bytes(good.read_bytes()[:150])
    *answers, last = client.request(f"{server}/v1/models/colours", [good, good, bad])
    assert [answer["label"] for answer in answers] == ["red", "red"]
    assert "decoded" in last["error"]
    assert client.request(f"{server}/v1/models/colours", [bad]) == [last]


@pytest.mark.parametrize("path", ["/v1/models/none:predict", "/v1/models/colours/versions/99:predict", "/v1/x"])
def test_what_is_not_there_is_not_found(server, path):
    assert post(server + path, {"instances": []})[0] == 404


def malformed(generator, content):
    kinds = [
        lambda: content[: generator.randrange(len(content))],
        lambda: generator.randbytes(generator.randrange(2000)),
        lambda: json.dumps({"instances": generator.choice([3, "x", None, {}, [], [[]], [{"b64": 5}]])}).encode(),
        lambda: json.dumps({"instances": [{"b64": base64.b64encode(generator.randbytes(300)).decode()}]}).encode(),
        lambda: b"[" * generator.randrange(1, 50_000),
        lambda: b'{"instances": [' + b'{"a": ' * generator.randrange(1, 5_000),
        lambda: b'{"instances": [{"b64": "' + b"A" * generator.randrange(1, 300_000),
    ]
    return generator.choice(kinds)()


def test_malformed_requests_are_refused_and_leave_it_serving(server, photos):
    good = next(photos.glob("red/*.jpg"))
    url = f"{server}/v1/models/colours:predict"
    generator = random.Random(0)
    whole = json.dumps({"instances": [b64(good)]}).encode()
    bodies = [malformed(generator, whole) for _ in range(300)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda body: post(url, body)[0], bodies))
    assert all(400 <= status < 500 for status in statuses)
    assert post(url, whole)[1]["predictions"][0]["label"] == "red"


@pytest.mark.essential
def test_many_clients_at_once(server, photos):
    files = sorted(photos.glob("*/*"))[:12]
    url = f"{server}/v1/models/colours"
    with ThreadPoolExecutor(16) as pool:
        labels = list(pool.map(lambda number: client.request(url, [files[number % 12]])[0]["label"], range(96)))
    assert labels == [labels[number % 12] for number in range(96)]


def test_a_large_body_and_a_full_queue_are_refused(version, photos):
    file = next(photos.glob("red/*.jpg"))
    with embedded(version.folder.parent, max_bytes=100_000, capacity=2) as url:
        address = f"{url}/v1/models/colours:predict"
        assert post(address, b"x" * 100_001)[0] == 413
        # More than a socket's buffers hold: read to its end, or the client would see a reset; but for what is endless.
        with embedded(version.folder.parent, max_bytes=2_000_000) as large:
            status, answer = post(f"{large}/v1/models/colours:predict", b"x" * 15_000_000)
            assert (status, answer["error"]) == (413, "The body is larger than 2000000 bytes")
        announced = b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
        assert raw(url, announced)[0] == 413
        body = {"instances": [b64(file)] * 2}
        with ThreadPoolExecutor(12) as pool:
            statuses = set(pool.map(lambda _: post(address, body)[0], range(48)))
        assert statuses == {200, 503}
        assert post(address, body)[0] == 200
