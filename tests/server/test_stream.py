"""Hang-ups cancel the model's work, silence is filled with comments, and a stopping server says goodbye."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from edgellm.events import Event, Started, Text
from edgellm.server import outbox, stream
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

LONG = {"messages": [{"role": "user", "content": "word " * 5000}]}
PATHS = [
    ("/v1/chat/completions", LONG),
    ("/v1/completions", {"prompt": "word " * 5000, "max_tokens": -1}),
    ("/v1/completions", {"prompt": ["word " * 5000] * 3, "max_tokens": -1}),
]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(("path", "body"), PATHS)
def test_hang_up_while_it_decodes(
    server: LiveServer, model: EchoModel, path: str, body: dict[str, object], streaming: bool
) -> None:
    model.delay_s = 0.01
    sock = server.begin(path, {**body, "stream": streaming})
    if streaming:
        assert b"200 OK" in sock.recv(4096)
    expected = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
    wait_until(lambda: model.open == expected)
    sock.close()
    wait_until(lambda: model.cancelled == expected and model.open == 0)
    assert model.finished == 0


@pytest.mark.parametrize("streaming", [True, False])
def test_hang_up_before_the_first_event(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.hold = True
    sock = server.begin("/v1/chat/completions", {**LONG, "stream": streaming})
    wait_until(lambda: model.open == 1)
    sock.close()
    wait_until(lambda: model.cancelled == 1 and model.open == 0)
    model.hold = False
    assert server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}).status == 200


def test_a_reader_that_stands_still_pauses_its_stream(server: LiveServer, model: EchoModel) -> None:
    text = " ".join(["x" * 4000] * 20000)
    sock = server.begin("/v1/completions", {"prompt": text[:20_000_000], "stream": True, "max_tokens": -1})
    wait_until(lambda: model.open == 1)
    assert server.post("/v1/completions", {"prompt": "others go on"}).json()["choices"][0]["text"] == "others go on"
    assert model.open == 1
    sock.close()
    wait_until(lambda: model.open == 0)
    assert model.cancelled == 1


def test_silence_is_filled_with_comments(server: LiveServer, model: EchoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "PING_S", 0.02)
    model.silence_s = 0.3
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "stream": True})
    parts = reply.body.split(b"\n\n")
    assert parts[1] == b": ping"
    assert b'"content":"hi"' in reply.body
    assert parts[-2] == b"data: [DONE]"


@pytest.mark.parametrize("streaming", [True, False])
def test_a_stopping_server_ends_what_runs(streaming: bool) -> None:
    model = EchoModel()
    model.delay_s = 0.05
    with live_server(model) as server:
        sock = server.begin("/v1/chat/completions", {**LONG, "stream": streaming})
        wait_until(lambda: model.open == 1)
        server.server.should_exit = True
        answer = _read_all(sock)
    assert b"shutting down" in answer
    assert b"unavailable" in answer
    assert (b"503" in answer.split(b"\r\n")[0]) is not streaming
    assert (model.cancelled, model.open) == (1, 0)


def _read_all(sock: socket.socket) -> bytes:
    data = b""
    with sock:
        while piece := sock.recv(65536):
            data += piece
    return data


class _Plain:
    """Chunks that are the text itself."""

    def chunk(self, event: Event) -> bytes:
        return event.text.encode() if isinstance(event, Text) else b""

    def end(self) -> bytes:
        return b"END"


async def _run(events: AsyncIterator[Event], pause: asyncio.Event | None = None) -> list[bytes]:
    """The bodies an `EventStream` of `events` sends to a socket that is slow until `pause` is set."""
    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    async def send(message: dict[str, object]) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])  # type: ignore[arg-type]
            if pause is not None:
                await pause.wait()

    await stream.EventStream(events, _Plain())({}, receive, send)  # type: ignore[arg-type]
    return sent


async def test_events_that_pile_up_leave_in_one_write() -> None:
    async def events() -> AsyncIterator[Event]:
        yield Started(1, 0)
        for word in "abcdef":
            yield Text(word)

    assert await _run(events()) == [b"abcdefEND", b""]


async def test_the_model_waits_for_a_full_outbox() -> None:
    given = 0
    pause = asyncio.Event()

    async def events() -> AsyncIterator[Event]:
        nonlocal given
        for _ in range(1000):
            given += 1
            yield Text("x" * 1024)

    task = asyncio.create_task(_run(events(), pause))
    for _ in range(2000):
        await asyncio.sleep(0)
    assert given <= 2 * outbox.ROOM // 1024 + 2
    pause.set()
    assert b"".join(await task) == b"x" * 1024 * 1000 + b"END"


async def test_no_task_stays_behind(server: LiveServer) -> None:
    async def events() -> AsyncIterator[Event]:
        yield Started(1, 0)
        yield Text("a")

    before = asyncio.all_tasks()
    await _run(events())
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


def test_a_model_without_any_event_is_an_error(server: LiveServer, model: EchoModel) -> None:
    async def nothing(request: object) -> AsyncIterator[Event]:
        return
        yield

    model.stream = nothing  # type: ignore[method-assign]
    reply = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "stream": True})
    assert reply.status == 500
    assert json.loads(reply.body)["error"]["type"] == "server_error"
