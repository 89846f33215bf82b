import io
import json
import threading
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

import keras_transfer as kt
from keras_transfer.serving import client, limits
from tests.serving.servers import free_port


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
def test_what_is_no_address_is_refused(address, photos):
    with pytest.raises(kt.UsageError, match="MODEL_URL must be http://HOST:PORT/v1/models/NAME"):
        client.request(address, [next(photos.glob("red/*"))])


def test_any_name_of_a_model_can_be_in_an_address(photos):
    pytest.importorskip("uvicorn")
    from http.server import BaseHTTPRequestHandler, HTTPServer

    from keras_transfer.serving.listen import address

    paths = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            paths.append(urllib.parse.unquote(self.path))
            instances = json.loads(self.rfile.read(int(self.headers["content-length"])))["instances"]
            body = b'{"predictions": [%s]}' % b",".join(
                [b'{"label": "red", "confidence": NaN, "error": ""}'] * len(instances)
            )
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
        predictions = client.request(f"http://{host}/v1/models/x", ["none.jpg", file])
        assert predictions[0] == {"error": "cannot be read (No such file or directory)"}
        assert predictions[1] == {"label": "red", "confidence": None}
        paths.clear()
        predictions = client.request(f"http://{host}/v1/models/x", [file] * 70)
        assert (len(predictions), len(paths), predictions[0]["confidence"]) == (70, 3, None)
        server.shutdown()


def test_grpc(classifier, photos, tmp_path):
    """The client against a server that takes `PredictRequest` as TensorFlow Serving does."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("tensorflow_serving")
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert (request.model_spec.name, request.model_spec.signature_name) == ("colours", "serving_default")
            contents = tf.make_ndarray(request.inputs["image_bytes"]).tolist()
            response = predict_pb2.PredictResponse()
            try:
                outputs = classifier.run("serving_default", contents)
            except tf.errors.InvalidArgumentError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
            for name, values in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
            return response

    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    files = sorted(photos.glob("*/*"))[:5]
    predictions = client.request(f"grpc://127.0.0.1:{port}/colours", files)
    expected = [prediction.label for prediction in classifier.predict(files)]
    assert [prediction["label"] for prediction in predictions] == expected
    (tmp_path / "cut.jpg").write_bytes(files[0].read_bytes()[:150])
    (prediction,) = client.request(f"grpc://127.0.0.1:{port}/colours", [tmp_path / "cut.jpg"])
    assert "decoded" in prediction["error"]
    server.stop(None)
    with pytest.raises(kt.UserError, match="UNAVAILABLE"):
        client.request(f"grpc://127.0.0.1:{port}/colours", files[:1], seconds=5)


@pytest.mark.parametrize(
    ("side", "filling", "counts"),
    [(10, 0, [32, 8]), (3000, 0, [22, 18]), (10, 8_000_000, [2, 2, 1])],
)
def test_a_request_has_no_more_than_the_embedded_server_takes(tmp_path, monkeypatch, side, filling, counts):
    stream = io.BytesIO()
    Image.new("1", (side, side)).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue() + bytes(filling))
    sent = []

    def answer(url, server, contents, seconds):
        assert limits.announced_pixels(contents[0]) == side * side
        sent.append(len(contents))
        return [{"label": "red"}] * len(contents)

    monkeypatch.setattr(client, "_rest", answer)
    files = [tmp_path / "a.png"] * sum(counts)
    assert len(client.request("http://127.0.0.1:1/v1/models/m", files)) == len(files)
    assert sent == counts


def test_a_file_that_is_too_large_for_the_server_costs_no_other_its_answer(photos, tmp_path, monkeypatch):
    from http.server import BaseHTTPRequestHandler, HTTPServer

    file, large = next(photos.glob("red/*")), tmp_path / "large.png"
    large.write_bytes(file.read_bytes() + bytes(50_000))

    class Server(BaseHTTPRequestHandler):
        def do_POST(self):
            content = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(413 if len(content) > 50_000 else 200)
            self.end_headers()
            answers = [{"label": "red"}] * len(json.loads(content)["instances"])
            self.wfile.write(json.dumps({"predictions": answers, "error": "more than 50 kB"}).encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        answers = client.request(f"http://127.0.0.1:{server.server_port}/v1/models/x", [file, file, large, file, file])
        server.shutdown()
    good, bad = {"label": "red"}, {"error": "is too large to be sent (more than 50 kB)"}
    assert answers == [good, good, bad, good, good]
