"""Whatever is sent, the answer is in OpenAI's shape: malformed bodies give 4xx, never 5xx and never a traceback."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from edgellm.model import ModelStatus
from edgellm.server import status
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, Reply

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
HI = [{"role": "user", "content": "hi"}]
BEGUN = [*HI, {"role": "assistant", "content": "h"}]


def check_shape(reply: Reply) -> dict[str, Any]:
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    error = reply.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert isinstance(error["message"], str)
    assert error["message"]
    assert "Traceback" not in error["message"]
    assert len(error["message"]) < 2000
    return dict(error)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {}, "messages"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": "hi"}, "messages"),
        (CHAT, {"messages": [{"role": "wizard", "content": "hi"}]}, "messages.0.role"),
        (CHAT, {"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        (CHAT, {"messages": [{"role": "user"}]}, None),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, None),
        (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, None),
        (CHAT, {"messages": HI, "temperature": "hot"}, "temperature"),
        (CHAT, {"messages": HI, "temperature": -1}, None),
        (CHAT, {"messages": HI, "top_p": 0}, None),
        (CHAT, {"messages": HI, "stream": "yes"}, "stream"),
        (CHAT, {"messages": HI, "n": 0}, "n"),
        (CHAT, {"messages": HI, "n": 1000}, "n"),
        (CHAT, {"messages": HI, "max_tokens": 0}, None),
        (CHAT, {"messages": HI, "max_tokens": -5}, "max_tokens"),
        (CHAT, {"messages": HI, "max_tokens": 1e400}, None),
        (CHAT, {"messages": HI, "max_tokens": 10**40}, None),
        (CHAT, {"messages": HI, "stop": ["x"] * 17}, "stop"),
        (CHAT, {"messages": HI, "top_logprobs": 2}, None),
        (CHAT, {"messages": HI, "logprobs": True, "top_logprobs": 99}, "top_logprobs"),
        (CHAT, {"messages": HI, "logit_bias": {"cat": 1}}, None),
        (CHAT, {"messages": HI, "logit_bias": {"1": "much"}}, None),
        (CHAT, {"messages": HI, "logit_bias": [[1]]}, None),
        (CHAT, {"messages": HI, "logit_bias": [[0.5, 1]]}, None),
        (CHAT, {"messages": HI, "continue_final_message": True}, None),
        (CHAT, {"messages": BEGUN, "continue_final_message": True, "add_generation_prompt": True}, None),
        (CHAT, {"messages": HI, "priority": "urgent"}, "priority"),
        (CHAT, {"messages": HI, "response_format": {"type": "yaml"}}, "response_format.type"),
        (CHAT, {"messages": HI, "response_format": {"type": "json_schema"}}, None),
        (CHAT, {"messages": HI, "tools": [{"type": "magic"}]}, "tools.0.type"),
        (CHAT, {"messages": [{"role": "user", "content": "\ud800"}]}, None),
        (CHAT, {"messages": HI, "user": "\udfff"}, None),
        (TEXT, {}, "prompt"),
        (TEXT, {"prompt": []}, None),
        (TEXT, {"prompt": [[]]}, None),
        (TEXT, {"prompt": [1, "a"]}, None),
        (TEXT, {"prompt": [-1]}, None),
        (TEXT, {"prompt": "a", "n": 3, "best_of": 2}, None),
        (TEXT, {"prompt": "a", "echo": True, "logprobs": 1}, None),
        (TEXT, {"prompt": [1], "echo": True, "logprobs": 1}, None),
        (TEXT, {"prompt": [1], "suffix": "b"}, None),
        (TEXT, {"prompt": ["a"] * 100, "n": 100}, None),
    ],
)
def test_wrong_bodies(server: LiveServer, model: EchoModel, path: str, body: Any, param: str | None) -> None:
    reply = server.post(path, body)
    assert reply.status == 400
    error = check_shape(reply)
    assert error["type"] == "invalid_request_error"
    if param is not None:
        assert error["param"] == param
    assert model.requests == []


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"[" * 200_000, b'{"a":' * 5000, b"1" * 9999]
)
def test_what_is_not_json(server: LiveServer, raw: bytes) -> None:
    reply = server.ask("POST", CHAT, raw)
    assert reply.status == 400
    check_shape(reply)


@pytest.mark.parametrize(
    ("method", "path", "status_code"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/docs", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", CHAT, 405),
        ("DELETE", "/v1/models/echo", 405),
        ("PUT", TEXT, 405),
    ],
)
def test_wrong_paths_and_methods(server: LiveServer, method: str, path: str, status_code: int) -> None:
    reply = server.ask(method, path, b"{}" if method == "POST" else None)
    assert reply.status == status_code
    check_shape(reply)


def test_unknown_fields_are_ignored(server: LiveServer) -> None:
    extra = {"cache_prompt": True, "timings_per_token": False, "user": "me", "metadata": {"a": "b"}, "zzz": [1, {}]}
    assert server.post(CHAT, {"messages": HI, **extra}).status == 200


def test_every_field_may_be_null(server: LiveServer) -> None:
    fields = (
        "model",
        "temperature",
        "stop",
        "n",
        "max_tokens",
        "stream",
        "stream_options",
        "logprobs",
        "tools",
        "seed",
    )
    assert server.post(CHAT, {"messages": HI, **dict.fromkeys(fields)}).status == 200


SEEDS: list[tuple[str, dict[str, Any]]] = [
    (
        CHAT,
        {
            "model": "echo",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "be"}]},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
                {"role": "tool", "tool_call_id": "1", "content": "4"},
                {"role": "user", "content": "hi"},
            ],
            "temperature": 0.5,
            "top_k": 3,
            "logit_bias": {"5": 1.5},
            "stop": ["a", "b"],
            "stream": False,
            "stream_options": {"include_usage": True},
            "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "logprobs": True,
            "top_logprobs": 3,
        },
    ),
    (TEXT, {"prompt": ["a", "b"], "n": 2, "logprobs": 2, "max_tokens": 5, "seed": 3, "suffix": None, "echo": False}),
]
JUNK: list[Any] = [
    None,
    True,
    -1,
    2**63,
    10**30,
    1.5,
    float("nan"),
    float("-inf"),
    "",
    "x",
    "\udead",
    "\0",
    [],
    [[]],
    [None],
    {},
    {"a": {}},
    {"type": "text"},
    [[1], "a", 2.0],
]


def mutate(value: Any, dice: random.Random) -> Any:
    """`value` with one of its places, somewhere, replaced by junk."""
    if isinstance(value, dict | list) and value and dice.random() < 0.85:
        copy = dict(value) if isinstance(value, dict) else list(value)
        key = dice.choice(list(copy) if isinstance(copy, dict) else range(len(copy)))
        copy[key] = mutate(copy[key], dice)  # type: ignore[index]
        return copy
    return dice.choice(JUNK)


def damage(raw: bytes, dice: random.Random) -> bytes:
    """`raw` cut short, or with bytes flipped."""
    if dice.random() < 0.5:
        return raw[: dice.randrange(len(raw))]
    data = bytearray(raw)
    for _ in range(dice.randrange(1, 6)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_bodies(server: LiveServer, model: EchoModel, seed: int) -> None:
    dice = random.Random(seed)
    refused = tries = 0
    while refused < 75:
        tries += 1
        assert tries < 1000
        path, body = dice.choice(SEEDS)
        raw = json.dumps(mutate(mutate(body, dice), dice)).encode()
        reply = server.ask("POST", path, damage(raw, dice) if dice.random() < 0.3 else raw)
        assert reply.status in (200, 400, 404), (raw, reply.body)
        if reply.status != 200:
            refused += 1
            check_shape(reply)
    assert model.open == 0


def test_health(server: LiveServer, model: EchoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    body = server.ask("GET", "/health").json()
    assert body["status"] == "ok"
    assert body["models"]["echo"]["running"] == 0

    async def stuck() -> ModelStatus:
        import asyncio

        await asyncio.Event().wait()
        return ModelStatus()

    monkeypatch.setattr(model, "status", stuck)
    monkeypatch.setattr(status, "STATUS_S", 0.05)
    reply = server.ask("GET", "/health")
    assert reply.status == 503
    assert reply.headers["retry-after"] == "1"
    check_shape(reply)


def test_openapi_document_names_the_bodies(server: LiveServer) -> None:
    document = server.ask("GET", "/openapi.json").json()
    assert "ChatBody" in document["components"]["schemas"]
    assert "post" in document["paths"][CHAT]
