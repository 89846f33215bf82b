"""One suite for a client and a server: the embedded one, and TensorFlow Serving's own where its binary is there."""

import base64
import json
import random
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.serving import client, launch
from keras_transfer.versions.saved import SavedClassifier


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextmanager
def embedded(model, **options):
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    pytest.importorskip("prometheus_client")
    from keras_transfer.serving import listen
    from keras_transfer.serving.server import application

    port = free_port()
    server = uvicorn.Server(listen.config(application(model, "colours", **options), port=port))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models/colours")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def tensorflow_serving(model, configuration):
    binary = launch.binary()
    if binary is None:
        pytest.skip("tensorflow_model_server is not on the PATH")
    port = free_port()
    launch.write_configuration(configuration)
    arguments = launch.server_arguments(model, "colours", configuration, port)
    process = subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/v1/models/colours")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def wait_for(url):
    for _ in range(300):
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


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


def post(url, body):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data), timeout=30) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def b64(path):
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


@pytest.mark.essential
def test_answers_are_those_of_the_graph(server, version, photos):
    files = sorted(photos.glob("*/*"))[:20]
    expected = SavedClassifier(version.folder).predict(files)
    url = f"{server}/v1/models/colours"
    for found in (client.request(url, files), client.request(f"{url}/versions/1", files)):
        for one, other in zip(found, expected, strict=True):
            assert one["label"] == other.label
            np.testing.assert_allclose(one["probabilities"], list(other.probabilities.values()), atol=1e-5)
    bare = post(f"{url}:predict", {"instances": [b64(files[0])]})[1]["predictions"][0]
    np.testing.assert_allclose(bare["probabilities"], list(expected[0].probabilities.values()), atol=1e-5)
    columns = post(f"{url}:predict", {"inputs": {"image_bytes": [b64(files[0]), b64(files[1])]}})[1]["outputs"]
    assert columns["label"] == [expected[0].label, expected[1].label]
    features = post(f"{url}:predict", {"signature_name": "features", "instances": [b64(files[0])]})[1]
    assert len(features["predictions"][0]["embedding"]) == 16


def test_every_size_of_batch_has_run_before_the_first_request(version, monkeypatch):
    pytest.importorskip("starlette")
    from keras_transfer.serving import batching, newest_version

    sizes, run = [], SavedClassifier.run
    monkeypatch.setattr(
        SavedClassifier, "run", lambda self, key, rows: (sizes.append(len(rows)), run(self, key, rows))[1]
    )
    newest_version.NewestVersion(version.folder.parent, lambda run: batching.Batcher(run, max_batch=4)).close()
    assert sizes == [1, 2, 3, 4]


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
    status, found = post(url, {"instances": [b64(good), cut, b64(good)]})
    assert status == 200
    one, bad, other = found["predictions"]
    assert one["label"] == other["label"] == "red"
    assert bad["label"] == ""
    assert bad["error"]
    assert one["error"] == ""
    for alone in (cut, {"b64": base64.b64encode(b"junk").decode()}):
        status, found = post(url, {"instances": [alone]})
        assert status == 400
        assert set(found) == {"error"}


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
        found = list(pool.map(lambda number: client.request(url, [files[number % 12]])[0]["label"], range(96)))
    assert found == [found[number % 12] for number in range(96)]


def test_a_new_version_is_picked_up_and_measures_are_there(version, photos, tmp_path):
    model = tmp_path / "colours"
    shutil.copytree(version.folder, model / "1")
    with embedded(model) as url:
        shutil.copytree(version.folder, model / ".writing")
        (model / ".writing").rename(model / "2")
        for _ in range(200):
            state = json.loads(urllib.request.urlopen(f"{url}/v1/models/colours").read())
            if state["model_version_status"][0]["version"] == "2":
                break
            time.sleep(0.1)
        assert state["model_version_status"][0]["version"] == "2"
        assert client.request(f"{url}/v1/models/colours", [next(photos.glob("red/*"))])[0]["label"] == "red"
        measures = urllib.request.urlopen(f"{url}/metrics").read().decode()
        assert 'requests_total{status="200"} 1.0' in measures
        assert "latency_seconds_bucket" in measures


def test_a_large_body_and_a_full_queue_are_refused(version, photos):
    file = next(photos.glob("red/*.jpg"))
    with embedded(version.folder.parent, max_bytes=100_000, capacity=2) as url:
        address = f"{url}/v1/models/colours:predict"
        assert post(address, b"x" * 100_001)[0] == 413
        body = {"instances": [b64(file)] * 2}
        with ThreadPoolExecutor(12) as pool:
            statuses = set(pool.map(lambda _: post(address, body)[0], range(48)))
        assert statuses == {200, 503}
        assert post(address, body)[0] == 200


def test_the_client_says_what_is_wrong(version, photos, tmp_path):
    with pytest.raises(kt.UserError, match="does not answer"):
        client.request(f"http://127.0.0.1:{free_port()}/v1/models/x", [next(photos.glob("red/*"))])
    with pytest.raises(kt.UserError, match="cannot be read"):
        client.request("http://127.0.0.1/v1/models/x", [tmp_path / "none.jpg"])
    with pytest.raises(kt.UsageError, match="MODEL_URL"):
        client.request("localhost:8501", [next(photos.glob("red/*"))])


@pytest.mark.parametrize(
    "address",
    [
        "http://", "http:///v1/models/photos", "http://127.0.0.1:PORT/v1/models/photos", "127.0.0.1:9/v1/models/photos",
        "http://127.0.0.1:99999/v1/models/photos", "http://[::1/v1/models/photos", "http://127.0.0.1:9", "grpc://",
        "http://user name@127.0.0.1:9/v1/models/photos", f"http://{'a' * 300}.invalid/v1/models/photos",
        "grpc://127.0.0.1:9/photos/versions/last", "grpc://127.0.0.1:PORT/photos", "http://a b/v1/models/photos",
    ],
)  # fmt: skip
def test_what_is_no_address_is_a_usage_error(address, photos):
    with pytest.raises(kt.UsageError, match="MODEL_URL must be http://HOST:PORT/v1/models/NAME"):
        client.request(address, [next(photos.glob("red/*"))])


def test_any_name_of_a_model_is_asked_as_serve_prints_it_or_as_it_is_typed(photos):
    pytest.importorskip("uvicorn")
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from keras_transfer.serving.listen import address

    paths = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            paths.append(urllib.parse.unquote(self.path))
            rows = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
            body = b'{"predictions": [%s]}' % b",".join([b'{"label": "red", "confidence": NaN}'] * len(rows))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    names = ["été à la mer", "写真", "a#b", "a?b", "100%25", "50%", "photos:predict", "it's"]
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"127.0.0.1:{server.server_port}"
        file = next(photos.glob("red/*"))
        for name in names:
            client.request(address("127.0.0.1", server.server_port, name), [file])
        assert paths == [f"/v1/models/{name}:predict" for name in names]
        paths.clear()
        for name in ("été à la mer", "写真", "a#b", "a?b", "50%"):
            client.request(f"http://{host}/v1/models/{name}", [file])
        assert paths == [f"/v1/models/{name}:predict" for name in ("été à la mer", "写真", "a#b", "a?b", "50%")]
        paths.clear()
        answers = client.request(f"http://{host}/v1/models/x", [file] * 70)
        assert (len(answers), len(paths), answers[0]["confidence"]) == (70, 3, None)
        server.shutdown()


def test_grpc(version, photos):
    """The client against a server that takes `PredictRequest` as TensorFlow Serving does."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    graph = tf.saved_model.load(str(version.folder)).signatures["serving_default"]

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert (request.model_spec.name, request.model_spec.signature_name) == ("colours", "serving_default")
            inputs = tf.constant(tf.make_ndarray(request.inputs["image_bytes"]))
            found = predict_pb2.PredictResponse()
            for name, values in graph(image_bytes=inputs).items():
                found.outputs[name].CopyFrom(tf.make_tensor_proto(values.numpy()))
            return found

    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    files = sorted(photos.glob("*/*"))[:5]
    found = client.request(f"grpc://127.0.0.1:{port}/colours", files)
    expected = SavedClassifier(version.folder).predict(files)
    assert [one["label"] for one in found] == [other.label for other in expected]
    server.stop(None)
    with pytest.raises(kt.UserError, match="UNAVAILABLE"):
        client.request(f"grpc://127.0.0.1:{port}/colours", files[:1], seconds=5)
