"""Sound bodies of Anthropic's and Ollama's with something in them exchanged: an answer or a 4xx, never a 5xx."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer

TEXT = {"type": "text", "text": "hi"}
BODIES: dict[str, Any] = {
    "/v1/messages": {
        "model": "echo",
        "max_tokens": 9,
        "system": [TEXT],
        "messages": [
            {"role": "user", "content": [TEXT]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "b", "input": {"c": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [TEXT]}, TEXT]},
        ],
        "stop_sequences": ["x"],
        "temperature": 1,
        "top_k": 3,
        "tools": [{"name": "b", "input_schema": {}}],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    },
    "/v1/messages/count_tokens": {"model": "echo", "system": "a", "messages": [{"role": "user", "content": [TEXT]}]},
    "/api/chat": {
        "model": "echo",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "b", "arguments": {"c": 1}}}]},
            {"role": "tool", "content": "x", "tool_name": "b"},
        ],
        "options": {"temperature": 0.5, "top_k": 3, "seed": 7, "num_predict": 9, "num_ctx": 9, "stop": ["x"]},
        "format": {"type": "object"},
        "keep_alive": "5m",
        "think": True,
    },
    "/api/generate": {"model": "echo", "prompt": "hi", "options": {"min_p": 0.1}, "raw": True, "stream": False},
    "/api/show": {"model": "echo"},
}
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, -(2**63), 1e308, "", "é\u0000", "\ud800", "auto", "x" * 5000),
    *([], [[]], {}, {"type": "text"}, [None], [{}], {"a": {"b": []}}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything in `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def changed(body: Any, rng: random.Random) -> Any:
    """`body` with one thing exchanged, left out or doubled."""
    body = copy.deepcopy(body)
    *above, key = rng.choice([place for place in places(body) if place])
    holder = body
    for step in above:
        holder = holder[step]
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        case _:
            holder[key] = rng.choice(ODD)
    return body


@pytest.mark.parametrize("path", BODIES)
def test_odd_bodies(server: LiveServer, path: str) -> None:
    rng = random.Random(path)  # the same bodies each time
    assert server.post(path, BODIES[path]).status == 200
    for _ in range(150):
        body = changed(BODIES[path], rng)
        body = changed(body, rng) if rng.random() < 0.5 and len(places(body)) > 1 else body
        reply = server.post(path, body)
        assert reply.status in (200, 400, 404), json.dumps(body)[:2000]
        if reply.status != 200:
            error = reply.json()["error"]
            assert error if path.startswith("/api/") else error["message"], json.dumps(body)[:2000]


@pytest.mark.parametrize("path", BODIES)
def test_what_is_not_json(server: LiveServer, model: EchoModel, path: str) -> None:
    for raw in (b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 5000):
        reply = server.ask("POST", path, raw)
        assert reply.status == 400
        assert reply.json()["error"]
    assert model.requests == []
