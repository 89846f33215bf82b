"""The embedded server under connections that are slow, too many or ended, and its own end."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from keras_transfer import commands
from keras_transfer.support.errors import UserError
from keras_transfer.versions.saved import SavedClassifier
from tests.conftest import REPOSITORY
from tests.serving.servers import b64, embedded, free_port, post, raw, wait_until

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("prometheus_client")

from keras_transfer.serving import listen, server

pytestmark = pytest.mark.once  # Of sockets, whatever the versions of TensorFlow and Keras.
PREDICT = "/v1/models/colours:predict"


@pytest.fixture
def slow(monkeypatch):
    """The sizes of the batches that were run; once it holds one, each takes 0.3 s more."""
    run, sizes = SavedClassifier.run, []

    def slowly(self, key, inputs):
        if sizes:
            sizes.append(len(inputs))
            time.sleep(0.3)
        return run(self, key, inputs)

    monkeypatch.setattr(SavedClassifier, "run", slowly)
    return sizes


def test_what_nobody_waits_for_is_stopped(version, photos, slow):
    body = json.dumps({"instances": [b64(next(photos.glob("red/*.jpg")))] * 128}).encode()
    with embedded(version.folder.parent) as address:
        host, port = address.removeprefix("http://").split(":")
        slow.append(0)
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\n" % PREDICT.encode())
            connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
            wait_until(lambda: sum(slow))
        time.sleep(1.2)
        assert sum(slow) <= 64


def test_the_end_under_load_takes_no_longer_than_the_drain(version, photos, slow, monkeypatch):
    monkeypatch.setattr(listen, "_DRAIN_SECONDS", 1)
    body = {"instances": [b64(next(photos.glob("red/*.jpg")))] * 32}
    with embedded(version.folder.parent) as address:
        slow.append(0)

        def ask():
            with contextlib.suppress(OSError, ValueError):
                post(address + PREDICT, body)

        for _ in range(16):
            threading.Thread(target=ask, daemon=True).start()
        wait_until(lambda: sum(slow))
        begun = time.monotonic()
    assert time.monotonic() - begun < 4


def test_slow_connections_make_room_for_others_and_are_closed(version, photos, monkeypatch):
    monkeypatch.setattr(listen, "_MAX_CONNECTIONS", 20)
    monkeypatch.setattr(listen, "HEAD_SECONDS", 1.0)
    with embedded(version.folder.parent, body_seconds=1.0) as address:
        host, port = address.removeprefix("http://").split(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(60)]
        for connection in slow[:30]:
            with contextlib.suppress(OSError):  # It has made room already.
                connection.sendall(b"POST %s HTTP/1.1\r\nContent-Le" % PREDICT.encode())
        begun = time.monotonic()
        assert post(address + PREDICT, {"instances": [b64(next(photos.glob("red/*.jpg")))]})[0] == 200
        assert time.monotonic() - begun < 5
        slow[-1].settimeout(5)
        assert slow[-1].recv(1) == b""
        for connection in slow:
            connection.close()
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{" % PREDICT.encode()
        assert raw(address, head)[0] == 408


def test_a_port_that_is_taken_is_one_line(version, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as caught:
            commands.main(["serve", str(version.folder.parent), "--embedded", "--port", port])
    error = capsys.readouterr().err
    assert caught.value.code == 1
    assert error.startswith(f"Error: 127.0.0.1:{port} cannot be listened on")
    assert error.count("\n") == 1


@pytest.mark.parametrize("host", ["no-host.invalid", "192.0.2.1"])
def test_an_address_that_is_not_of_this_machine_is_one_line(host):
    with pytest.raises(UserError, match="Give another --host"), listen.bound(host, free_port()):
        pass


def test_bodies_count_until_they_are_answered(version, photos, monkeypatch):
    run, begun, goes_on = SavedClassifier.run, threading.Event(), threading.Event()

    def held_up(self, key, inputs):
        begun.set()
        goes_on.wait(60)
        return run(self, key, inputs)

    goes_on.set()
    monkeypatch.setattr(SavedClassifier, "run", held_up)
    monkeypatch.setattr(server, "_MAX_BYTES_AT_ONCE", 100_000)
    body = json.dumps({"instances": [b64(next(photos.glob("red/*.jpg")))]}).encode()
    body += b" " * (60_000 - len(body))
    with embedded(version.folder.parent, max_bytes=80_000) as address, ThreadPoolExecutor(1) as pool:
        begun.clear()
        goes_on.clear()
        first = pool.submit(post, address + PREDICT, body)
        assert begun.wait(60)
        assert post(address + PREDICT, body)[0] == 503
        goes_on.set()
        assert first.result()[0] == 200
        assert post(address + PREDICT, body)[0] == 200


def test_ctrl_c_ends_it_quietly(version):

    arguments = [
        sys.executable,
        "cli.py",
        "serve",
        str(version.folder.parent),
        "--embedded",
        "--port",
        str(free_port()),
    ]
    process = subprocess.Popen(arguments, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    assert process.stderr.readline().startswith("Serving ")
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20)[1] == ""
    assert process.returncode == 0


def test_a_port_that_was_taken_meanwhile_is_one_line():
    with socket.socket() as faster, listen.bound("127.0.0.1", port := free_port()) as slower:
        faster.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        faster.bind(("127.0.0.1", port))
        faster.listen()
        with pytest.raises(UserError, match=f"127.0.0.1:{port} cannot be listened on"):
            listen.run(None, slower, lambda: None)
