"""The port that the embedded server listens on, and how much of the machine its connections may hold."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import warnings
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from keras_transfer.serving import rest
from keras_transfer.support.errors import UserError

HEAD_SECONDS = 10.0  # For the head of a request to arrive in.
_DRAIN_SECONDS = 10  # For requests that came before the end.
_MAX_CONNECTIONS = 512


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and does not listen yet.

    Raises:
        UserError: the port is taken, or the address is not this machine's.
    """
    try:
        family, type_, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound_socket = socket.socket(family, type_, protocol)
        try:
            bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound_socket.bind(address)
        except OSError:
            bound_socket.close()
            raise
    except OSError as error:
        raise _taken(host, port, error) from error
    return bound_socket


def _taken(host: str, port: int, error: OSError) -> UserError:
    remedy = "Give another --port."
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        remedy = "Give another --host: an address of this machine, or 0.0.0.0 for all of them."
    return UserError(f"{host}:{port} cannot be listened on ({error.strerror}). {remedy}")


def address(host: str, port: int, name: str) -> str:
    """Return the address of a model as it is to be typed."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/v1/models/{quote(name, safe='')}"


def config(application: Any, **options: Any) -> uvicorn.Config:
    """Return the configuration of a server of an application: HTTP only, within limits."""
    return uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        backlog=max(max_connections() // 4, 1),
        log_level="error",
        timeout_graceful_shutdown=_DRAIN_SECONDS,
        **options,
    )


def run(application: Any, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM, answering what came before it, but for no longer than a few seconds.

    Args:
        application: ASGI.
        listening: A bound socket.
        ready: Called once connections are accepted.

    Raises:
        UserError: another server, which was bound to the port too, listens on it already.
    """
    server = uvicorn.Server(config(application))
    try:
        listening.listen(server.config.backlog)
    except OSError as error:
        host, port = listening.getsockname()[:2]
        raise _taken(host, port, error) from error
    # Where Ctrl-C comes before uvicorn listens to it.
    warnings.filterwarnings("ignore", "coroutine 'Server.serve' was never awaited", RuntimeWarning)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it anew when all is closed.
        ready()
        server.run(sockets=[listening])


def max_connections() -> int:
    """Return how many connections are held: half of the descriptors that the process may open, or 512."""
    try:
        import resource
    except ImportError:  # Windows.
        return _MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else max(min(_MAX_CONNECTIONS, soft // 2), 1)


class Connection(H11Protocol):
    """HTTP/1.1 whose refusals are JSON, with a limit on the time that a head takes, and on connections: above it,
    the one that has waited longest for the rest of its request makes room.
    """

    _since = 0.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and wait for its first request."""
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > max_connections():
            waiting = [
                connection
                for connection in self.connections
                if isinstance(connection, Connection) and connection.incomplete
            ]
            min(waiting, key=lambda connection: connection._since, default=self).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take a part of a request; whatever cannot be read as one is refused."""
        try:
            super().data_received(data)
        except (ValueError, h11.ProtocolError):
            self.send_400_response("Invalid HTTP request received.")

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_head()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP, as JSON, and close."""
        body = rest.error(f"Malformed request: {msg}")
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        with contextlib.suppress(h11.LocalProtocolError):  # A response has begun already.
            for event in (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    @property
    def incomplete(self) -> bool:
        """Whether a request, or the rest of one, is still to come."""
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    def _await_head(self) -> None:
        self._since = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def _head_late(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()
