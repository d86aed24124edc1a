"""Truncation is off unless it is asked for, drops whole turns from the oldest on, and says what it dropped."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.messages import Message, TextPart, ToolCall, ToolResult, assistant, system, user
from edgellm.request import ChatRequest, Conversation, Prompt
from edgellm.server.truncation import NOTHING, fitted
from tests.doubles.context_model import ContextModel
from tests.doubles.live_server import LiveServer, live_server

WORDS = "word " * 100
TALK = [system("Rules."), user(WORDS), assistant(WORDS), user(WORDS), assistant(WORDS), user("last")]


def asked(*messages: Message, **options: Any) -> ChatRequest:
    return ChatRequest(input=Conversation(messages), **options)


def model(context: int) -> ContextModel:
    return ContextModel(context=context)


async def test_what_fits_is_left_alone() -> None:
    request = asked(*TALK)
    assert await fitted(model(4096), request) == (request, NOTHING)


async def test_whole_turns_go_the_oldest_first() -> None:
    request, dropped = await fitted(model(500), asked(*TALK))
    assert request.input == Conversation((TALK[0], *TALK[3:]))
    assert (dropped.messages, dropped.tokens) == (2, 200)
    assert dropped.headers() == {"x-edgellm-truncated": "messages=2, tokens=200"}


async def test_a_longer_answer_needs_more_room() -> None:
    request, _ = await fitted(model(500), asked(*TALK, max_tokens=240))
    assert request.input == Conversation((TALK[0], *TALK[3:]))
    request, _ = await fitted(model(400), asked(*TALK, max_tokens=240))
    assert request.input == Conversation((TALK[0], TALK[5]))


async def test_calls_go_with_their_results_and_the_question_stays() -> None:
    rounds = [
        message
        for i in range(4)
        for message in (
            Message("assistant", (TextPart(WORDS), ToolCall(str(i), "f", "{}"))),
            Message("tool", (ToolResult(str(i), WORDS),)),
        )
    ]
    request, dropped = await fitted(model(600), asked(*TALK[:5], user("ask"), *rounds))
    assert request.input == Conversation((TALK[0], user("ask"), *rounds[4:]))
    assert dropped.messages == 8


async def test_the_last_turn_stays_though_it_does_not_fit() -> None:
    request, dropped = await fitted(model(90), asked(user("a"), assistant("b"), user(WORDS)))
    assert (request.input, dropped.messages) == (Conversation((user(WORDS),)), 2)
    alone = asked(user(WORDS))
    assert await fitted(model(90), alone) == (alone, NOTHING)
    prompt = ChatRequest(input=Prompt(WORDS))
    assert await fitted(model(90), prompt) == (prompt, NOTHING)


roles = st.lists(st.sampled_from(["user", "assistant", "tool"]), max_size=12)


@settings(max_examples=200)
@given(roles, st.integers(0, 3), st.integers(1, 30), st.data())
def test_any_conversation(spoken: list[Any], heads: int, context: int, data: Any) -> None:
    """What is left is a sequence of the messages, with all instructions; it fits, or nothing more could go."""
    sizes = [data.draw(st.integers(1, 5)) for _ in spoken]
    bodies = [Message(role, (TextPart("w " * size),)) for role, size in zip(spoken, sizes, strict=True)]
    messages = [*(system(f"s{i}") for i in range(heads)), *bodies]
    request, dropped = asyncio.run(fitted(model(context), asked(*messages, max_tokens=1)))
    assert isinstance(request.input, Conversation)
    left = request.input.messages
    rest = iter(messages)
    assert all(any(message is each for each in rest) for message in left)
    assert list(left[:heads]) == messages[:heads]
    assert len(left) == len(messages) - dropped.messages
    if "user" in spoken:
        last = max(i for i, role in enumerate(spoken) if role == "user")
        assert any(message is bodies[last] for message in left)
    if dropped.messages == 0 and sum(role == "user" for role in spoken[1:]):
        assert sum(len(message.text.split()) for message in messages) <= max(context - 1, context - context // 2)


LONG = [{"role": "user", "content": WORDS}, {"role": "assistant", "content": WORDS}, {"role": "user", "content": "hi"}]
BODIES: dict[str, Any] = {
    "/v1/chat/completions": {"messages": LONG},
    "/v1/messages": {"messages": LONG, "max_tokens": 20},
    "/v1/responses": {"input": LONG},
    "/api/chat": {"messages": LONG},
}


@pytest.fixture
def small() -> Iterator[tuple[LiveServer, ContextModel]]:
    double = model(100)
    with live_server(double) as server:
        yield server, double


@pytest.mark.parametrize("streaming", [False, True])
def test_every_dialect_tells(small: tuple[LiveServer, ContextModel], streaming: bool) -> None:
    server, double = small
    for path, body in BODIES.items():
        data = json.dumps(body | {"stream": streaming}).encode()
        reply = server.ask("POST", path, data, {"X-Edgellm-Truncation": "auto"})
        assert (reply.status, reply.headers["x-edgellm-truncated"]) == (200, "messages=2, tokens=200"), path
        assert double.asked[-1].input == Conversation((user("hi"),)), path
        reply = server.ask("POST", path, data)
        assert reply.status == 200
        assert "x-edgellm-truncated" not in reply.headers
        assert len(double.asked[-1].input.messages) == 3  # type: ignore[union-attr]
        assert server.ask("POST", path, data, {"X-Edgellm-Truncation": "maybe"}).status == 400


def test_responses_have_a_field_for_it(small: tuple[LiveServer, ContextModel]) -> None:
    server, double = small
    body = server.post("/v1/responses", {"input": LONG, "truncation": "auto"}).json()
    assert (body["truncation"], body["truncated"]) == ("auto", {"messages": 2, "tokens": 200})
    header = {"X-Edgellm-Truncation": "auto"}
    data = json.dumps({"input": LONG, "truncation": "disabled"}).encode()
    assert "truncated" not in server.ask("POST", "/v1/responses", data, header).json()
    assert len(double.asked[-1].input.messages) == 3  # type: ignore[union-attr]
