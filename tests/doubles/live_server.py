"""`live_server`: the real HTTP server around a `Model` double, on a free port, in a thread of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from edgellm.model import Model
from edgellm.server.app import create_app
from edgellm.server.models import Models, OneModel
from edgellm.server.serve import Server, configure, listen


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class LiveServer:
    port: int
    server: Server

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, body, given | (headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> Reply:
        return self.ask("POST", path, json.dumps(body).encode())

    def begin(self, path: str, body: Any) -> socket.socket:
        """Send a request and leave the answer to the caller, who may hang up."""
        data = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        sock.sendall(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        return sock


@contextmanager
def live_server(
    model: Model,
    aliases: tuple[str, ...] = (),
    *,
    models: Models | None = None,
    protocol: type[asyncio.Protocol] | None = None,
    **options: Any,
) -> Iterator[LiveServer]:
    """Serves `model`, or `models` instead of it. `options` are those of `create_app`."""
    listener = listen("127.0.0.1", 0)
    server = Server(configure(create_app(models or OneModel(model, aliases), **options)))
    server.config.http = protocol or server.config.http
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    server.config.timeout_graceful_shutdown = 1
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield LiveServer(listener.getsockname()[1], server)
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def wait_until(predicate: Callable[[], object], timeout_s: float = 10.0) -> None:
    """Return once `predicate` holds; fail the test if it does not in time."""
    end = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
