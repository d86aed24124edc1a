"""Foreign hosts and origins, odd content types and huge bodies never reach a route."""

from __future__ import annotations

import http.client
import json
import socket

import pytest

from edgellm.server.guard import MAX_BODY
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, wait_until

BODY = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:11435", "[::1]", "[::1]:80"])
def test_own_hosts(server: LiveServer, host: str) -> None:
    assert server.ask("GET", "/health", headers={"host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "localhost:x", "localhost@e", "::1"],
)
def test_foreign_hosts(server: LiveServer, model: EchoModel, host: str) -> None:
    reply = server.ask("POST", CHAT, BODY, {"host": host})
    assert (reply.status, reply.json()["error"]["code"]) == (403, "foreign_host")
    assert model.requests == []


@pytest.mark.parametrize("hosts", [b"", b"host: evil.example\r\nhost: localhost\r\n"])
def test_none_or_two_hosts(server: LiveServer, hosts: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(b"GET /v1/models HTTP/1.0\r\n" + hosts + b"\r\n")
        assert b"403" in sock.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1"])
def test_foreign_origins(server: LiveServer, model: EchoModel, origin: str) -> None:
    reply = server.ask("POST", CHAT, BODY, {"origin": origin})
    assert (reply.status, reply.json()["error"]["code"]) == (403, "foreign_origin")
    assert model.requests == []


def test_own_origin_and_no_cors_headers(server: LiveServer) -> None:
    reply = server.ask("POST", CHAT, BODY, {"origin": server.url})
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert server.ask("OPTIONS", CHAT, headers={"origin": server.url}).status == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_only_json(server: LiveServer, kind: str) -> None:
    reply = server.ask("POST", CHAT, BODY, {"content-type": kind})
    assert (reply.status, reply.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", None])
def test_what_curl_sends_to_ollamas_dialect(server: LiveServer, kind: str | None) -> None:
    body = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}], "stream": False}).encode()
    assert curled(server, "/api/chat", body, kind) == 200
    assert curled(server, "/api/chat", b"model=echo&x=%7B%22a%22%3A1%7D", kind) == 400


@pytest.mark.parametrize(
    ("kind", "header", "value"),
    [
        ("text/plain", "accept", "*/*"),
        ("multipart/form-data", "accept", "*/*"),
        ("application/x-www-form-urlencoded", "referer", "http://evil.example/"),
        ("application/x-www-form-urlencoded", "sec-fetch-site", "cross-site"),
        ("application/x-www-form-urlencoded", "cookie", "a=b"),
        (None, "sec-fetch-mode", "no-cors"),
    ],
)
def test_nothing_that_a_page_can_send_passes_for_curl(
    server: LiveServer, model: EchoModel, kind: str | None, header: str, value: str
) -> None:
    assert curled(server, "/api/chat", BODY, kind, {header: value}) == 415
    assert curled(server, "/api/chat", BODY, kind, {"origin": "http://evil.example"}) == 403
    assert curled(server, CHAT, BODY, kind) == 415
    assert model.requests == []


def curled(server: LiveServer, path: str, body: bytes, kind: str | None, more: dict[str, str] | None = None) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("POST", path, body, ({"content-type": kind} if kind else {}) | (more or {}))
        return connection.getresponse().status
    finally:
        connection.close()


def test_json_with_a_charset(server: LiveServer) -> None:
    assert server.ask("POST", CHAT, BODY, {"content-type": "Application/JSON; charset=utf-8"}).status == 200


def test_a_declared_body_too_large(server: LiveServer) -> None:
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {MAX_BODY + 1}"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head.encode() + b"\r\n\r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "body_too_large"


def test_a_chunked_body_too_large(server: LiveServer, model: EchoModel) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    piece = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head.encode() + b"transfer-encoding: chunked\r\n\r\n")
        for _ in range(MAX_BODY // (1 << 20)):
            sock.sendall(piece)
        sock.sendall(b"1\r\n \r\n")
        answer = http.client.HTTPResponse(sock)
        answer.begin()
        assert answer.status == 413
        assert json.loads(answer.read())["error"]["code"] == "body_too_large"
    assert model.requests == []


def test_a_hang_up_in_the_body(server: LiveServer, model: EchoModel) -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(head.encode())
        wait_until(lambda: server.server.server_state.tasks)
    wait_until(lambda: not server.server.server_state.tasks)
    assert model.requests == []
