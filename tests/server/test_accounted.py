"""Every request leaves one record and one line of figures; deadlines end with 504, or in the stream."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgellm.errors import QueueFull
from edgellm.server.traffic import Traffic
from edgellm.telemetry import log
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"


@pytest.fixture
def traffic() -> Traffic:
    return Traffic()


@pytest.fixture
def watched(model: EchoModel, traffic: Traffic) -> Iterator[LiveServer]:
    with live_server(model, traffic=traffic) as live:
        yield live


@pytest.mark.parametrize("stream", [False, True])
def test_a_record_of_figures(watched: LiveServer, traffic: Traffic, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "one two three four"}], "max_tokens": 3, "stream": stream}
    assert watched.ask("POST", CHAT, json.dumps(body).encode(), {"x-request-id": "mine"}).status == 200
    wait_until(lambda: traffic.lately)
    (record,) = traffic.lately
    assert (record.id, record.route, record.status, record.model) == ("mine", CHAT, 200, "echo")
    assert (record.prompt_tokens, record.cached_tokens, record.completion_tokens) == (4, 2, 3)
    assert record.first is not None and record.begin <= record.first <= record.end
    assert traffic.active == {} and traffic.requests == {(CHAT, 200): 1}


def test_routes_are_few_whatever_is_asked(watched: LiveServer, traffic: Traffic) -> None:
    for path in ("/a", "/b/c", "/v1/models/x", "/v1/models/y%2F..%2Fz", "/%00"):
        assert watched.ask("GET", path).status == 404
    wait_until(lambda: sum(traffic.requests.values()) == 5)
    assert set(traffic.requests) == {("other", 404), ("/v1/models/{name:path}", 404)}


def test_those_who_leave_and_those_who_are_refused(watched: LiveServer, model: EchoModel, traffic: Traffic) -> None:
    model.hold = True
    watched.begin(TEXT, {"prompt": "x"}).close()
    wait_until(lambda: traffic.requests == {(TEXT, 499): 1})
    model.hold, model.refuse = False, QueueFull("Full.", 7)
    assert watched.post(TEXT, {"prompt": "x"}).status == 429
    wait_until(lambda: traffic.requests[TEXT, 429] == 1)
    assert traffic.active == {}


def test_the_log_has_figures_and_never_words(model: EchoModel, tmp_path: Path) -> None:
    file = tmp_path / "server.log"
    log.configure("info", file=file)
    try:
        with live_server(model) as server:
            server.post(TEXT, {"prompt": "my secret words", "user": "my secret name"})
            server.ask("GET", "/secret/address")
            wait_until(lambda: file.read_text().count("\n") == 2)
        first, second = (json.loads(line) for line in file.read_text().splitlines())
    finally:
        log.configure(stream=io.StringIO())
    assert (first["event"], first["route"], first["status"], first["model"]) == ("request", TEXT, 200, "echo")
    assert (first["prompt_tokens"], first["completion_tokens"]) == (3, 3)
    assert first["id"].startswith("req_") and first["ms"] >= first["first_token_ms"] >= 0
    assert second["route"] == "other"
    assert "secret" not in file.read_text()


@pytest.mark.parametrize("seconds", ["soon", "", "0", "-1", "nan", "inf", "1e9"])
def test_deadlines_that_make_no_sense(watched: LiveServer, model: EchoModel, seconds: str) -> None:
    reply = watched.ask("POST", TEXT, b'{"prompt": "x"}', {"x-request-timeout": seconds})
    assert reply.status == 400 and "x-request-timeout" in reply.json()["error"]["message"]
    assert model.requests == []


@pytest.mark.parametrize(("path", "status"), [(TEXT, 504), ("/api/generate", 504)])
def test_a_deadline_before_the_first_word(watched: LiveServer, model: EchoModel, path: str, status: int) -> None:
    model.hold = True
    for stream in (False, True):
        body = json.dumps({"model": "echo", "prompt": "x", "stream": stream}).encode()
        assert watched.ask("POST", path, body, {"x-request-timeout": "0.1"}).status == status
    wait_until(lambda: model.cancelled == 2 and model.open == 0)
    assert all(request.deadline_s is not None and request.deadline_s <= 0.1 for request in model.requests)


def test_a_deadline_in_a_stream(watched: LiveServer, model: EchoModel) -> None:
    model.delay_s = 0.05
    body = json.dumps({"prompt": "word " * 100, "stream": True}).encode()
    reply = watched.ask("POST", TEXT, body, {"x-request-timeout": "0.4"})
    assert reply.status == 200 and b"word" in reply.body
    assert json.loads(reply.body.strip().split(b"data: ")[-1])["error"]["code"] == "deadline_exceeded"
    wait_until(lambda: model.open == 0)


def test_a_request_may_only_shorten_the_servers_own_deadline(model: EchoModel) -> None:
    model.hold = True
    with live_server(model, deadline_s=0.1) as server:
        assert server.post(TEXT, {"prompt": "x"}).status == 504
        assert server.ask("POST", TEXT, b'{"prompt": "x"}', {"x-request-timeout": "60"}).status == 504


def test_enough_time_changes_nothing(watched: LiveServer) -> None:
    reply = watched.ask("POST", TEXT, b'{"prompt": "a b"}', {"x-request-timeout": "60"})
    assert reply.json()["choices"][0]["text"] == "a b"
