"""Clients that dawdle over a head or a body, send heads without end, or open too many connections, are sent away."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from edgellm.server import guard
from edgellm.server.connection import MAX_HEAD, limited
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = b'{"prompt": "a b c"}'


@pytest.fixture
def hasty(model: EchoModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    monkeypatch.setattr(guard, "BODY_S", 0.4)
    with live_server(model, protocol=limited(3, head_s=0.3)) as live:
        yield live


def connected(server: LiveServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def dribbled(sock: socket.socket, data: bytes, pause_s: float = 0.05) -> bytes:
    """Send byte after byte until the other side has had enough; what it said."""
    sock.settimeout(pause_s)
    said = b""
    for byte in data:
        try:
            sock.sendall(bytes([byte]))
            piece = sock.recv(4096)
            if not piece:
                return said + b"<closed>"
            said += piece
        except TimeoutError:
            continue
        except OSError:
            return said + b"<closed>"
    return said


@pytest.mark.parametrize("sent", [b"", b"P", HEAD])
def test_a_head_that_does_not_end(hasty: LiveServer, sent: bytes) -> None:
    with connected(hasty) as sock:
        sock.sendall(sent)
        assert sock.recv(100) == b""


def test_a_head_that_dribbles(hasty: LiveServer) -> None:
    with connected(hasty) as sock:
        assert dribbled(sock, HEAD) == b"<closed>"


def test_a_second_head_that_dribbles(hasty: LiveServer, model: EchoModel) -> None:
    with connected(hasty) as sock:
        sock.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(BODY) + BODY)
        first = http.client.HTTPResponse(sock)
        first.begin()
        assert first.status == 200 and first.read()
        time.sleep(0.5)  # longer than a head may take: between requests a connection may rest
        assert dribbled(sock, HEAD).endswith(b"<closed>")
    assert len(model.requests) == 1


def test_a_head_without_end(hasty: LiveServer) -> None:
    with connected(hasty) as sock:
        sock.sendall(HEAD)
        with pytest.raises(OSError):
            for _ in range(4 * MAX_HEAD // 1000):
                sock.sendall(b"x: %b\r\n" % (b"y" * 1000))
                time.sleep(0.001)
            assert sock.recv(10) == b""
            raise ConnectionError("closed in good order")


@pytest.mark.parametrize("length", [b"content-length: 19", b"transfer-encoding: chunked"])
def test_a_body_that_dribbles(hasty: LiveServer, model: EchoModel, length: bytes) -> None:
    with connected(hasty) as sock:
        sock.sendall(HEAD + length + b"\r\n\r\n" + (b"13\r\n" if b"chunked" in length else b""))
        said = dribbled(sock, BODY[:-1], pause_s=0.1)
    assert said.startswith(b"HTTP/1.1 408 ") and b"request_timeout" in said
    assert model.requests == []


def test_an_answer_may_take_longer_than_a_body(hasty: LiveServer, model: EchoModel) -> None:
    model.silence_s = 0.8
    assert hasty.ask("POST", "/v1/completions", BODY).status == 200


def test_one_connection_too_many(hasty: LiveServer) -> None:
    held = [hasty.begin("/v1/completions", {"prompt": "x"}) for _ in range(3)]
    try:
        wait_until(lambda: len(hasty.server.server_state.connections) == 3)
        reply = hasty.ask("GET", "/ready")
        assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        assert "Too many connections" in reply.json()["error"]["message"]
    finally:
        for sock in held:
            sock.close()
    wait_until(lambda: hasty.ask("GET", "/ready").status == 200)
