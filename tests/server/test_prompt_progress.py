"""How far a prompt is, told in the streams of whoever asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgellm.events import Finished, Progress, Started, Text, Timings, Usage
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import ask
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer

ANSWER = [
    Started(prompt_tokens=90, cached_tokens=10),
    Progress(done=40, total=90),
    Progress(done=40, total=90),
    Text("yes"),
    Progress(done=60, total=90),  # of a sequence that made room in between, and is computed again
    Finished("stop", Usage(90, 1, 10), Timings()),
]
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/completions", {"prompt": "hi"}),
    ("/completion", {"prompt": "hi"}),
    ("/v1/responses", {"input": "hi"}),
]


def chunks(body: bytes) -> list[Any]:
    lines = [line for line in body.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line[6:]) for line in lines]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_each_step_is_told_once(server: LiveServer, model: EchoModel, path: str, body: dict[str, Any]) -> None:
    model.reply = list(ANSWER)
    found = chunks(server.post(path, body | {"stream": True, "return_progress": True}).body)
    told = [chunk["prompt_progress"] for chunk in found if "prompt_progress" in chunk]
    assert [(each["processed"], each["cache"], each["total"]) for each in told] == [
        (10, 10, 90),
        (40, 10, 90),
        (90, 10, 90),
    ]
    assert all(each["time_ms"] >= 0 for each in told)
    words = [index for index, chunk in enumerate(found) if "yes" in json.dumps(chunk)]
    assert max(index for index, chunk in enumerate(found) if "prompt_progress" in chunk) < words[0]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_nothing_is_told_unasked(server: LiveServer, model: EchoModel, path: str, body: dict[str, Any]) -> None:
    model.reply = list(ANSWER)
    assert b"prompt_progress" not in server.post(path, body | {"stream": True}).body


async def test_our_own_client_hears_of_it(server: LiveServer, model: EchoModel) -> None:
    model.reply = list(ANSWER)
    client = OpenAIServer(server.url)
    events = [event async for event in client.stream(ask("hi"))]
    await client.aclose()
    assert isinstance(events[0], Started)
    assert [event.done for event in events if isinstance(event, Progress)] == [10, 40, 90]
