"""Messages through the real Anthropic SDK, synchronous and asynchronous, streaming and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest

from edgellm.errors import ContextOverflow, ModelNotFound, QueueFull, Unavailable, Unsupported
from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult, assistant, system, user
from edgellm.request import Conversation, SamplingParams, SchemaFormat
from edgellm.server import stream as streams
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, wait_until

SAID = "Grüße 👋🏽 aus  dem 東京 Wald\n"
ASK: Any = [{"role": "user", "content": SAID}]
MESSAGES = "/v1/messages"
TOOL: Any = {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}}
CALLS: list[Event] = [
    Started(8, 5),
    Reasoning("h"),
    Reasoning("m"),
    Text("Look:"),
    ToolStart("call_1", "weather", part=1),
    ToolArguments('{"city":', part=1),
    ToolArguments('"Bern"}', part=1),
    ToolEnd(part=1),
    ToolStart("call_2", "time", part=2),
    ToolEnd(part=2),
    Finished("tool_calls", Usage(8, 9, 5), Timings()),
]


@pytest.fixture
def client(server: LiveServer) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server.url, api_key="none", max_retries=0, timeout=20) as client:
        yield client


def create(client: anthropic.Anthropic, **more: Any) -> Any:
    return client.messages.create(**{"model": "echo", "max_tokens": 99, "messages": ASK, **more})


def events_of(body: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each event."""
    pairs = [each.split("\n") for each in body.decode().split("\n\n") if each]
    return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in pairs]


def test_whole(client: anthropic.Anthropic) -> None:
    reply = create(client)
    assert (reply.type, reply.role, reply.model) == ("message", "assistant", "echo")
    assert reply.id.startswith("msg_")
    assert [(block.type, block.text) for block in reply.content] == [("text", SAID)]
    assert (reply.stop_reason, reply.stop_sequence) == ("end_turn", None)
    usage = reply.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (5, 2, 7)
    assert usage.cache_creation_input_tokens == 0


def test_event_sequence(server: LiveServer) -> None:
    reply = server.post(MESSAGES, {"messages": ASK, "max_tokens": 2, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = events_of(reply.body)
    assert all(name == data["type"] for name, data in events)
    assert [name for name, _ in events] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start = events[0][1]["message"]
    assert (start["content"], start["stop_reason"]) == ([], None)
    assert (start["usage"]["input_tokens"], start["usage"]["cache_read_input_tokens"]) == (5, 2)
    assert events[1][1] == {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    assert events[3][1]["delta"] == {"type": "text_delta", "text": "Grüße"}
    assert events[6][1]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert events[6][1]["usage"]["output_tokens"] == 2


def test_stream_helper(client: anthropic.Anthropic) -> None:
    with client.messages.stream(model="parrot", max_tokens=99, messages=ASK) as stream:
        assert "".join(stream.text_stream) == SAID
        final = stream.get_final_message()
    assert final.content[0].text == SAID
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 7)


async def test_async_client(server: LiveServer) -> None:
    async with anthropic.AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as client:
        whole = await client.messages.create(model="echo", max_tokens=99, messages=ASK)
        assert whole.content[0].text == SAID
        async with client.messages.stream(model="echo", max_tokens=99, messages=ASK) as stream:
            assert "".join([text async for text in stream.text_stream]) == SAID
            assert (await stream.get_final_message()).stop_reason == "end_turn"


@pytest.mark.parametrize("streaming", [False, True])
def test_thinking_and_tool_use(client: anthropic.Anthropic, model: EchoModel, streaming: bool) -> None:
    model.reply = CALLS
    if streaming:
        with client.messages.stream(model="echo", max_tokens=99, messages=ASK) as stream:
            reply: Any = stream.get_final_message()
    else:
        reply = create(client)
    thinking, text, first, second = reply.content
    assert (thinking.type, thinking.thinking, thinking.signature) == ("thinking", "hm", "")
    assert text.text == "Look:"
    assert (first.type, first.id, first.name, first.input) == ("tool_use", "call_1", "weather", {"city": "Bern"})
    assert (second.id, second.name, second.input) == ("call_2", "time", {})
    assert reply.stop_reason == "tool_use"
    assert (reply.usage.input_tokens, reply.usage.cache_read_input_tokens) == (3, 5)


def test_blocks_are_numbered_and_closed(server: LiveServer, model: EchoModel) -> None:
    model.reply = CALLS
    events = events_of(server.post(MESSAGES, {"messages": ASK, "max_tokens": 9, "stream": True}).body)
    bounds = [(name[14:], data["index"]) for name, data in events if name in BOUNDS]
    assert bounds == [(edge, index) for index in range(4) for edge in ("start", "stop")]
    assert [name for name, _ in events].count("ping") == 1


BOUNDS = ("content_block_start", "content_block_stop")


def test_a_call_that_was_cut_off_is_text(client: anthropic.Anthropic, model: EchoModel) -> None:
    cut = Finished("length", Usage(3, 2, 0), Timings())
    model.reply = [Started(3, 0), ToolStart("c", "weather"), ToolArguments('{"ci'), cut]
    reply = create(client)
    assert [(block.type, block.text) for block in reply.content] == [("text", '{"ci')]
    assert reply.stop_reason == "max_tokens"


def test_stop_sequence(client: anthropic.Anthropic, model: EchoModel) -> None:
    model.reply = [Started(3, 0), Text("a"), Finished("stop", Usage(3, 2, 0), Timings(), stop="END")]
    reply = create(client, stop_sequences=["END", ""])
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", "END")
    assert model.requests[0].stop == ("END",)


def test_an_answer_without_a_word(client: anthropic.Anthropic, model: EchoModel) -> None:
    model.reply = [Started(3, 0), Finished("stop", Usage(3, 1, 0), Timings())]
    assert create(client).content == []
    with client.messages.stream(model="echo", max_tokens=9, messages=ASK) as stream:
        assert stream.get_final_message().content == []


def test_what_arrives(client: anthropic.Anthropic, model: EchoModel) -> None:
    blocks: Any = [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief.", "cache_control": None}]
    create(
        client,
        system=blocks,
        extra_body={"temperature": 0, "top_p": 0.5, "top_k": 7},  # this SDK has no arguments for them
        tools=[TOOL],
        tool_choice={"type": "any"},
        thinking={"type": "disabled"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "me"},
    )
    (asked,) = model.requests
    assert asked.input == Conversation((system("Be brief."), user(SAID)))
    assert asked.sampling == SamplingParams(temperature=0.0, top_p=0.5, top_k=7)
    assert (asked.max_tokens, asked.n, asked.tool_choice) == (99, 1, "required")
    assert asked.tools == (Tool("weather", "Tells it.", {"type": "object"}),)
    assert (asked.template_args, asked.thinking) == ({}, False)
    assert asked.format == SchemaFormat({"type": "object"}, strict=True)


@pytest.mark.parametrize(
    ("choice", "meant"),
    [({"type": "auto"}, "auto"), ({"type": "none"}, "none"), ({"type": "tool", "name": "weather"}, "weather")],
)
def test_tool_choice(server: LiveServer, model: EchoModel, choice: Any, meant: str) -> None:
    assert server.post(MESSAGES, {"messages": ASK, "max_tokens": 9, "tool_choice": choice}).status == 200
    assert model.requests[0].tool_choice == meant


def test_a_conversation_with_tools(client: anthropic.Anthropic, model: EchoModel) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    call = {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Bern"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "18 degrees"}]}
    messages = [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Look:"}, call]},
        {"role": "user", "content": [result, {"type": "text", "text": "Well?"}]},
    ]
    create(client, messages=messages)
    assert model.requests[0].input == Conversation(
        (
            user("Weather?"),
            Message(
                "assistant", (ReasoningPart("hm"), TextPart("Look:"), ToolCall("c1", "weather", '{"city":"Bern"}'))
            ),
            Message("tool", (ToolResult("c1", "18 degrees"),)),
            user("Well?"),
        )
    )


def test_a_begun_answer_is_gone_on_with(client: anthropic.Anthropic, model: EchoModel) -> None:
    create(client, messages=[*ASK, {"role": "assistant", "content": "Once"}])
    assert model.requests[0].input == Conversation((user(SAID), assistant("Once")), continue_last=True)


def test_models_are_listed_in_this_dialect_too(client: anthropic.Anthropic) -> None:
    (listed,) = client.models.list()
    assert (listed.id, listed.type, listed.display_name) == ("echo", "model", "echo")
    assert listed.created_at.timestamp() == 1
    assert client.models.retrieve("echo").type == "model"


def test_count_tokens(client: anthropic.Anthropic, model: EchoModel) -> None:
    assert client.messages.count_tokens(model="echo", messages=ASK).input_tokens == 6
    assert model.requests == []
    assert client.messages.count_tokens(model="echo", messages=ASK, tools=[TOOL]).input_tokens == 7


def test_thinking_and_single_calls(client: anthropic.Anthropic, model: EchoModel) -> None:
    create(
        client,
        tools=[TOOL],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024},
        output_config={"effort": "max"},
    )
    create(client, thinking={"type": "adaptive"}, tools=[TOOL], tool_choice={"type": "none"})
    first, second = model.requests
    assert (first.tool_choice, first.parallel_tool_calls) == ("auto", False)
    assert (first.thinking, first.reasoning_budget, first.reasoning_effort) == (True, 1024, "xhigh")
    assert (second.thinking, second.reasoning_budget, second.tools) == (True, None, ())


def test_a_failed_tool_says_so(client: anthropic.Anthropic, model: EchoModel) -> None:
    call = {"type": "tool_use", "id": "c1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "no such city", "is_error": True}
    create(client, messages=[*ASK, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}])
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    assert asked.messages[-1] == Message("tool", (ToolResult("c1", "Error: no such city"),))


@pytest.mark.parametrize(
    ("error", "expected", "kind"),
    [
        (QueueFull("64 requests wait already.", 2.2), anthropic.RateLimitError, "rate_limit_error"),
        (ContextOverflow("Too long.", 900, 512), anthropic.BadRequestError, "invalid_request_error"),
        (Unsupported("No tools yet."), anthropic.BadRequestError, "invalid_request_error"),
        (ModelNotFound("Gone."), anthropic.NotFoundError, "not_found_error"),
        (Unavailable("Later."), anthropic.OverloadedError, "overloaded_error"),
        (RuntimeError("a bug with a secret"), anthropic.InternalServerError, "api_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_have_their_own_status(
    client: anthropic.Anthropic,
    model: EchoModel,
    error: Exception,
    expected: type[anthropic.APIStatusError],
    kind: str,
    stream: bool,
) -> None:
    model.refuse = error
    with pytest.raises(expected) as caught:
        create(client, stream=stream)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    assert body["request_id"] == caught.value.response.headers["x-request-id"]
    assert "secret" not in str(body)
    if isinstance(error, QueueFull):
        assert caught.value.response.headers["retry-after"] == "3"
    if isinstance(error, ContextOverflow):
        assert "900" in body["error"]["message"]
        assert "512" in body["error"]["message"]


def test_failure_in_mid_stream(client: anthropic.Anthropic, model: EchoModel) -> None:
    model.fail_after = 2
    seen = []
    with (
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(model="echo", max_tokens=99, messages=ASK) as stream,
    ):
        for text in stream.text_stream:
            seen.append(text)
    assert seen == ["Grüße", " 👋🏽"]
    assert caught.value.body["error"] == {"type": "api_error", "message": "scripted"}


def test_silence_is_filled_with_pings(server: LiveServer, model: EchoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.02)
    model.silence_s = 0.3
    events = events_of(server.post(MESSAGES, {"messages": ASK, "max_tokens": 9, "stream": True}).body)
    assert [name for name, _ in events[:3]] == ["message_start", "ping", "ping"]
    assert events[-1][0] == "message_stop"


@pytest.mark.parametrize("streaming", [True, False])
def test_hang_up_cancels(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.delay_s = 0.01
    body = {"messages": [{"role": "user", "content": "word " * 5000}], "max_tokens": 9999, "stream": streaming}
    sock = server.begin(MESSAGES, body)
    wait_until(lambda: model.open == 1)
    sock.close()
    wait_until(lambda: model.cancelled == 1 and model.open == 0)
    assert model.finished == 0


def of(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}], "max_tokens": 9}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"messages": ASK},
        {"messages": [], "max_tokens": 9},
        {"messages": "hi", "max_tokens": 9},
        {"messages": ASK, "max_tokens": 0},
        {"messages": ASK, "max_tokens": 10**40},
        {"messages": ASK, "max_tokens": 9, "temperature": -1},
        {"messages": ASK, "max_tokens": 9, "temperature": "hot"},
        {"messages": ASK, "max_tokens": 9, "system": 7},
        {"messages": ASK, "max_tokens": 9, "system": [{"type": "image"}]},
        {"messages": ASK, "max_tokens": 9, "stop_sequences": "END"},
        {"messages": ASK, "max_tokens": 9, "tools": [{"name": ""}]},
        {"messages": ASK, "max_tokens": 9, "tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"messages": ASK, "max_tokens": 9, "tool_choice": {"type": "tool"}},
        {"messages": ASK, "max_tokens": 9, "tool_choice": "auto"},
        {"messages": ASK, "max_tokens": 9, "thinking": {"type": "hard"}},
        {"messages": ASK, "max_tokens": 9, "output_config": {"format": {"type": "json_schema"}}},
        {"messages": [{"role": "user", "content": "\ud800"}], "max_tokens": 9},
        of({"type": "text"}),
        of({"type": "document"}),
        of({"type": "image"}),
        of({"type": "image", "source": {"type": "url", "url": "http://example.org/a.png"}}),
        of({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!!"}}),
        of({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "é"}}),
        of({"type": "tool_use", "id": "a", "name": "b", "input": {}}),
        of({"type": "tool_use", "id": "a", "name": "b", "input": {}}, role="assistant"),
        of({"type": "tool_use", "id": "a", "input": {}}, role="assistant"),
        of({"type": "tool_result", "content": "x"}),
        of({"type": "tool_result", "tool_use_id": "a"}, role="assistant"),
        of({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "search_result"}]}),
        of(role="assistant"),
        of("word", role="wizard"),
    ],
)
def test_wrong_bodies(server: LiveServer, model: EchoModel, body: Any) -> None:
    reply = server.post(MESSAGES, body)
    assert reply.status == 400
    error = reply.json()
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert error["error"]["message"]
    assert model.requests == []


def test_errors_before_any_routing_are_in_its_words_too(server: LiveServer) -> None:
    foreign = server.ask("POST", MESSAGES, b"{}", {"origin": "http://evil.example"})
    assert (foreign.status, foreign.json()["error"]["type"]) == (403, "permission_error")
    wrong = server.ask("GET", MESSAGES)
    assert (wrong.status, wrong.json()["error"]["type"]) == (405, "invalid_request_error")
    missing = server.post(MESSAGES + "/batches", {})
    assert (missing.status, missing.json()["error"]["type"]) == (404, "not_found_error")
