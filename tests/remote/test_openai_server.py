"""A server that speaks OpenAI's dialect as a `Model`: our own, and ones that misbehave."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from edgellm.errors import EdgeLLMError, ModelNotFound, QueueFull, RequestError, Unavailable, Unsupported
from edgellm.events import Event, Finished, Reasoning, Started, Text
from edgellm.model import Model
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import GREEDY, Prompt, ask
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import live_server

Respond = Callable[[http.server.BaseHTTPRequestHandler, bytes], None]


async def collect(model: Model, text: str = "hello there", **options: object) -> list[Event]:
    return [event async for event in model.stream(ask(text, **options))]


@contextmanager
def stranger(respond: Respond) -> Iterator[str]:
    """A server that answers POST by `respond` and knows one model; its address."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply(self, 200, json.dumps({"data": [{"id": "strange"}]}))

        def do_POST(self) -> None:
            respond(self, self.rfile.read(int(self.headers["content-length"])))

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def reply(to: http.server.BaseHTTPRequestHandler, status: int, body: str) -> None:
    to.send_response(status)
    to.send_header("content-length", str(len(body.encode())))
    to.end_headers()
    to.wfile.write(body.encode())


def chunks(*bodies: object) -> str:
    return "".join(f"data: {body if isinstance(body, str) else json.dumps(body)}\n\n" for body in bodies)


async def test_our_own_server_is_one() -> None:
    with live_server(EchoModel()) as live:
        for url in (live.url, live.url + "/v1/"):
            model = OpenAIServer(url)
            events = await collect(model, sampling=GREEDY, max_tokens=50)
            await model.aclose()
            assert model.info.name == "echo"
            assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
            assert "hello there" in "".join(event.text for event in events if isinstance(event, Text))
            assert events[-1].usage.completion_tokens > 0


async def test_what_it_sends_is_what_was_asked() -> None:
    seen: list[dict[str, object]] = []

    def respond(to: http.server.BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append({**json.loads(body), "key": to.headers["authorization"]})
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
        delta = {"choices": [{"delta": {"reasoning_content": "hm"}}]}
        text = {"choices": [{"delta": {"content": "hi"}, "finish_reason": "length"}]}
        reply(to, 200, chunks(delta, text, {"choices": [], "usage": usage}, "[DONE]"))

    with stranger(respond) as url:
        model = OpenAIServer(url, api_key="secret")
        events = await collect(model, sampling=GREEDY, max_tokens=5, stop=("x",))
        await model.aclose()
    assert [type(event) for event in events] == [Started, Reasoning, Text, Finished]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.usage.prompt_tokens, finished.timings.prompt_n) == ("length", 9, 5)
    assert seen[0]["key"] == "Bearer secret"
    assert (seen[0]["model"], seen[0]["temperature"], seen[0]["max_tokens"]) == ("strange", 0.0, 5)
    assert seen[0]["messages"] == [{"role": "user", "content": "hello there"}]


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (400, '{"error": {"message": "no such thing"}}', RequestError, "no such thing"),
        (401, '{"error": "bad key"}', RequestError, "API key"),
        (404, '{"detail": "not found"}', ModelNotFound, "not found"),
        (429, "", QueueFull, "429"),
        (500, "<html>oops</html>", EdgeLLMError, "without a reason"),
        (503, '{"error": {"message": "Loading model"}}', Unavailable, "Loading model"),
    ],
)
async def test_refusals_become_our_errors(status: int, body: str, error: type[EdgeLLMError], words: str) -> None:
    with stranger(lambda to, _: reply(to, status, body)) as url:
        model = OpenAIServer(url)
        with pytest.raises(error, match=words):
            await collect(model)
        await model.aclose()


@pytest.mark.parametrize("body", [chunks({"error": {"message": "it broke"}}), "data: {not json\n\n"])
async def test_an_answer_that_breaks_off_is_said(body: str) -> None:
    with stranger(lambda to, _: reply(to, 200, body)) as url:
        model = OpenAIServer(url)
        with pytest.raises(Unavailable, match="broke"):
            await collect(model)
        await model.aclose()


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        model = OpenAIServer(f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable, match="Check that the server runs"):
            await model.start()
    with pytest.raises(RequestError, match="http://HOST:PORT"):
        await OpenAIServer("localhost:8080").start()


async def test_what_the_dialect_cannot_say_is_refused() -> None:
    with stranger(lambda to, _: reply(to, 200, "")) as url:
        model = OpenAIServer(url)
        with pytest.raises(Unsupported):
            await collect(model, n=2)
        with pytest.raises(Unsupported):
            await model.tokenize(Prompt("x"))
        await model.aclose()
        await model.aclose()
