"""OpenAI's Responses as its own SDK sees them: whole, streamed, parsed, with tools, and gone on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseFunctionToolCall
from pydantic import BaseModel

from edgellm.errors import ContextOverflow, QueueFull, Unavailable
from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult, assistant, system, user
from edgellm.request import Conversation, JsonFormat, SchemaFormat
from edgellm.server.auth import Access
from edgellm.server.key_store import KeyStore
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server, wait_until

SAID = "Grüße 👋🏽 aus  dem 東京 Wald\n"
PATH = "/v1/responses"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "name": "weather", "description": "Tells it.", "parameters": SCHEMA, "strict": True}
CALLS: list[Event] = [
    Started(8, 5),
    Reasoning("hm"),
    Reasoning(", well"),
    Text("Look:"),
    ToolStart("call_1", "weather", part=1),
    ToolArguments('{"city":', part=1),
    ToolArguments('"Bern"}', part=1),
    ToolEnd(part=1),
    ToolStart("call_2", "time", part=2),
    ToolEnd(part=2),
    Finished("tool_calls", Usage(8, 9, 5, 4), Timings()),
]


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_whole(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="echo", input=SAID)
    assert (reply.status, reply.output_text, reply.model) == ("completed", SAID, "echo")
    assert reply.id.startswith("resp_")
    assert (reply.error, reply.incomplete_details, reply.store) == (None, None, True)  # type: ignore[attr-defined]
    (item,) = reply.output
    assert item.type == "message"
    assert item.id.startswith("msg_")
    assert (item.status, item.role) == ("completed", "assistant")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (7, 7, 14)
    assert reply.usage.input_tokens_details.cached_tokens == 2


def test_an_answer_that_was_cut_is_incomplete(client: openai.OpenAI) -> None:
    reply = client.responses.create(model="echo", input=SAID, max_output_tokens=2)
    assert (reply.status, reply.output_text) == ("incomplete", "Grüße 👋🏽")
    assert reply.incomplete_details is not None
    assert reply.incomplete_details.reason == "max_output_tokens"
    assert reply.max_output_tokens == 2


def test_stream(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="echo", input="a b", stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    ids = {event.response.id for event in events if hasattr(event, "response")}
    items = {event.item_id for event in events if hasattr(event, "item_id")}
    assert (len(ids), len(items)) == (1, 1)
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == "a b"
    assert last.response.usage is not None


def test_stream_helper(client: openai.OpenAI, model: EchoModel) -> None:
    with client.responses.stream(model="echo", input=SAID) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert (text, final.output_text, final.status) == (SAID, SAID, "completed")
    model.reply = CALLS
    with client.responses.stream(model="echo", input=SAID, tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert kinds.count("response.function_call_arguments.delta") == 2
    assert [item.type for item in final.output] == ["reasoning", "message", "function_call", "function_call"]


async def test_async_client(server: LiveServer) -> None:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        assert (await client.responses.create(model="echo", input=SAID)).output_text == SAID
        stream = await client.responses.create(model="echo", input=SAID, stream=True)
        deltas = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        assert "".join(deltas) == SAID


class City(BaseModel):
    name: str


def test_parse(client: openai.OpenAI, model: EchoModel) -> None:
    reply = client.responses.parse(model="echo", input='{"name":"Bern"}', text_format=City)
    assert reply.output_parsed == City(name="Bern")
    format = model.requests[0].format
    assert isinstance(format, SchemaFormat)
    assert (format.strict, format.schema["properties"]["name"]["type"]) == (True, "string")


@pytest.mark.parametrize("streaming", [False, True])
def test_thoughts_and_calls(client: openai.OpenAI, model: EchoModel, streaming: bool) -> None:
    model.reply = CALLS
    if streaming:
        events = list(client.responses.create(model="echo", input="?", tools=[WEATHER], stream=True))
        assert events[-1].type == "response.completed"
        output, usage = events[-1].response.output, events[-1].response.usage
        assert [e.item for e in events if e.type == "response.output_item.done"] == output
        thought = "".join(e.delta for e in events if e.type == "response.reasoning_text.delta")
        arguments = [e.arguments for e in events if e.type == "response.function_call_arguments.done"]
        assert (thought, arguments) == ("hm, well", ['{"city":"Bern"}', ""])
    else:
        reply = client.responses.create(model="echo", input="?", tools=[WEATHER])
        output, usage = reply.output, reply.usage
    assert usage is not None
    assert (usage.output_tokens, usage.output_tokens_details.reasoning_tokens) == (9, 4)
    reasoning, message, first, second = output
    assert reasoning.type == "reasoning"
    assert reasoning.content is not None
    assert reasoning.content[0].text == "hm, well"
    assert message.type == "message"
    assert isinstance(first, ResponseFunctionToolCall)
    assert isinstance(second, ResponseFunctionToolCall)
    assert (first.call_id, first.name, first.arguments, first.status) == (
        "call_1",
        "weather",
        '{"city":"Bern"}',
        "completed",
    )
    assert (second.call_id, second.name) == ("call_2", "time")


def test_a_loop_with_tools(client: openai.OpenAI, model: EchoModel) -> None:
    """The client holds the conversation: it gives back what came, and the result."""
    model.reply = CALLS
    asked: Any = [{"role": "user", "content": "Weather?"}]
    reply = client.responses.create(model="echo", input=asked, tools=[WEATHER], tool_choice="required")
    asked += reply.output
    asked += [
        {"type": "function_call_output", "call_id": item.call_id, "output": "18 degrees"}
        for item in reply.output
        if item.type == "function_call"
    ]
    model.reply = []
    again = client.responses.create(model="echo", input=asked, tools=[WEATHER])
    assert again.output_text == "18 degrees"
    first, second = model.requests
    assert (first.tools, first.tool_choice) == ((Tool("weather", "Tells it.", SCHEMA, True),), "required")
    said = (ReasoningPart("hm, well"), TextPart("Look:"))
    called = (ToolCall("call_1", "weather", '{"city":"Bern"}'), ToolCall("call_2", "time", "{}"))
    results = [Message("tool", (ToolResult(id, "18 degrees"),)) for id in ("call_1", "call_2")]
    assert second.input == Conversation((user("Weather?"), Message("assistant", (*said, *called)), *results))


def test_going_on_from_an_earlier_response(client: openai.OpenAI, model: EchoModel) -> None:
    first = client.responses.create(model="echo", input="one", instructions="Be brief.")
    second = client.responses.create(model="echo", input="two", previous_response_id=first.id)
    third = client.responses.create(
        model="echo", input="three", previous_response_id=second.id, instructions="Be long."
    )
    assert third.previous_response_id == second.id
    inputs = [request.input for request in model.requests]
    said = (user("one"), assistant("one"), user("two"), assistant("two"), user("three"))
    assert inputs[0] == Conversation((system("Be brief."), user("one")))
    assert inputs[1] == Conversation(said[:3])
    assert inputs[2] == Conversation((system("Be long."), *said))
    assert client.responses.retrieve(second.id).output_text == "two"
    with pytest.raises(openai.BadRequestError, match="streamed again"):
        client.responses.retrieve(second.id, stream=True)
    items = list(client.responses.input_items.list(third.id, order="asc", limit=2))
    assert [item.type for item in items] == ["message"] * 5
    newest = client.responses.input_items.list(third.id)
    assert newest.data[0].content[0].text == "three"  # type: ignore[union-attr]
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(second.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(second.id)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="echo", input="x", previous_response_id=second.id)
    assert (caught.value.code, caught.value.param) == ("previous_response_not_found", "previous_response_id")
    # What came later has all it needs.
    assert client.responses.create(model="echo", input="four", previous_response_id=third.id).output_text == "four"


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_not_to_be_stored(client: openai.OpenAI, streaming: bool) -> None:
    reply: Any = client.responses.create(model="echo", input="a", store=False, stream=streaming)
    response = list(reply)[-1].response if streaming else reply
    assert response.status == "completed"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    kept: Any = client.responses.create(model="echo", input="a", stream=streaming)
    response = list(kept)[-1].response if streaming else kept
    assert client.responses.retrieve(response.id).output_text == "a"


def test_what_one_key_made_is_not_there_for_another(model: EchoModel, tmp_path: Path) -> None:
    keys = KeyStore(tmp_path / "keys.json")
    mine, yours = ({"authorization": f"Bearer {keys.create(name)}"} for name in ("mine", "yours"))
    with live_server(model, access=Access(keys, always=True)) as server:
        body = json.dumps({"input": "secret"}).encode()
        place = f"{PATH}/{server.ask('POST', PATH, body, mine).json()['id']}"
        on = json.dumps({"input": "?", "previous_response_id": place.rpartition("/")[2]}).encode()
        assert server.ask("GET", place, headers=yours).status == 404
        assert server.ask("GET", f"{place}/input_items", headers=yours).status == 404
        assert server.ask("DELETE", place, headers=yours).status == 404
        assert server.ask("POST", PATH, on, yours).status == 400
        assert server.ask("POST", PATH, on, mine).status == 200
        assert server.ask("GET", place, headers=mine).status == 200


def test_what_arrives(client: openai.OpenAI, model: EchoModel) -> None:
    client.responses.create(
        model="parrot",
        input=[
            {"role": "developer", "content": "Rules."},
            {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
        ],
        tools=[WEATHER, {**WEATHER, "name": "time"}],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "time"}]},
        parallel_tool_calls=False,
        reasoning={"effort": "high"},
        text={"format": {"type": "json_object"}},
        temperature=0.5,
        top_p=0.25,
        max_output_tokens=33,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        metadata={"a": "b"},
        extra_body={"seed": 7, "top_k": 5},
    )
    (request,) = model.requests
    assert request.input == Conversation((Message("developer", (TextPart("Rules."),)), user("ab")))
    assert ([tool.name for tool in request.tools], request.tool_choice) == (["time"], "required")
    assert (request.parallel_tool_calls, request.thinking, request.reasoning_effort) == (False, True, "high")
    assert (request.format, request.max_tokens, request.logprobs) == (JsonFormat(), 33, 2)
    sampling = request.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.seed) == (0.5, 0.25, 5, 7)
    client.responses.create(
        model="echo",
        input="a",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        reasoning={"effort": "none"},
    )
    assert (model.requests[1].tool_choice, model.requests[1].thinking) == ("weather", False)


@pytest.mark.parametrize("streaming", [False, True])
def test_log_probabilities(client: openai.OpenAI, streaming: bool) -> None:
    asked: Any = client.responses.create(model="echo", input="a b", top_logprobs=2, stream=streaming)
    if streaming:
        events = list(asked)
        deltas = [entry for e in events if e.type == "response.output_text.delta" for entry in e.logprobs]
        assert [entry.token for entry in deltas] == ["a", " b"]
        asked = events[-1].response
    scores = asked.output[0].content[0].logprobs
    assert [(entry.token, entry.logprob) for entry in scores] == [("a", -0.5), (" b", -0.5)]
    assert [other.token for other in scores[0].top_logprobs] == ["a0", "a1"]


def test_counting_tokens(client: openai.OpenAI) -> None:
    assert client.responses.input_tokens.count(model="echo", input="a b c").input_tokens == 3


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFull("64 requests wait already.", 2.2), 429, "queue_full"),
        (ContextOverflow("Too long.", 900, 512), 400, "context_length_exceeded"),
        (Unavailable("Later."), 503, "unavailable"),
        (RuntimeError("a bug with a secret"), 500, "internal_error"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_refusals_have_their_own_status(
    client: openai.OpenAI, model: EchoModel, error: Exception, status: int, code: str, streaming: bool
) -> None:
    model.refuse = error
    with pytest.raises(openai.APIStatusError) as caught:
        client.responses.create(model="echo", input="a", stream=streaming)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert "secret" not in str(caught.value)


def test_failure_in_mid_stream(client: openai.OpenAI, model: EchoModel) -> None:
    model.fail_after = 2
    events = list(client.responses.create(model="echo", input="a b c", stream=True))
    assert [event.type for event in events][-2:] == ["response.output_item.done", "response.failed"]
    last = events[-1]
    assert last.type == "response.failed"
    assert (last.response.status, last.response.output_text) == ("failed", "a b")
    assert last.response.error is not None
    assert (last.response.error.code, last.response.error.message) == ("server_error", "scripted")
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(last.response.id)


@pytest.mark.parametrize("streaming", [True, False])
def test_hang_up_cancels(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.delay_s = 0.01
    sock = server.begin(PATH, {"input": "word " * 5000, "stream": streaming})
    wait_until(lambda: model.open == 1)
    sock.close()
    wait_until(lambda: model.cancelled == 1 and model.open == 0)


WRONG: list[Any] = [
    {},
    {"input": []},
    {"input": 7},
    {"input": [{"role": "wizard", "content": "hi"}]},
    {"input": [{"role": "user"}]},
    {"input": [{"content": "hi"}]},
    {"input": [{"type": "function_call", "name": "a"}]},
    {"input": [{"type": "function_call_output", "call_id": "a"}]},
    {"input": [{"type": "item_reference", "id": "a"}]},
    {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
    {"input": "\ud800"},
    {"input": "a", "tools": [{"type": "funktion", "name": "a"}]},
    {"input": "a", "tools": [{"type": "namespace", "tools": [{"type": "function", "name": "a"}]}]},
    {"input": "a", "tools": [{"type": "custom"}]},
    {"input": "a", "tool_choice": {"type": "web_search"}},
    {"input": [{"type": "custom_tool_call", "call_id": "a", "name": "b"}]},
    {"input": "a", "tools": [{"type": "function"}]},
    {"input": "a", "tool_choice": {"type": "mcp"}},
    {"input": "a", "tool_choice": {"type": "function"}},
    {"input": "a", "text": {"format": {"type": "json_schema", "name": "x"}}},
    {"input": "a", "text": {"format": {"type": "json_object"}}, "response_format": {"type": "json_object"}},
    {"input": "a", "reasoning": {"effort": "extreme"}},
    {"input": "a", "max_output_tokens": 0},
    {"input": "a", "n": 2},
    {"input": "a", "background": True},
    {"input": "a", "conversation": "conv_1"},
    {"input": "a", "prompt": {"id": "pmpt_1"}},
    {"input": "a", "previous_response_id": "resp_gone"},
    {"input": "a", "truncation": "sometimes"},
    {"input": "a", "temperature": -1},
]


def test_wrong_bodies(server: LiveServer, model: EchoModel) -> None:
    for body in WRONG:
        reply = server.post(PATH, body)
        assert reply.status == 400, body
        assert set(reply.json()["error"]) >= {"message", "type", "param", "code"}
    assert model.requests == []


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_not_honoured_is_told(server: LiveServer, model: EchoModel, streaming: bool) -> None:
    model.reply = [Started(3, 0, warnings=("uniqueItems is not enforced",)), Text("[]")]
    model.reply += [Finished("stop", Usage(3, 1, 0), Timings())]
    reply = server.post(PATH, {"input": "a", "stream": streaming})
    response = json.loads(reply.body.splitlines()[-2][6:])["response"] if streaming else reply.json()
    assert response["warnings"] == ["uniqueItems is not enforced"]
