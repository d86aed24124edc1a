"""Tools and thoughts in OpenAI's chat dialect, by the real SDK, against events of a scripted model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from edgellm.events import Event, Finished, Reasoning, Started, Text, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import Message, ReasoningPart, TextPart, Tool, ToolCall, ToolResult, user
from edgellm.request import Conversation
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer

ASK: list[Any] = [{"role": "user", "content": "Weather?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "weather", "description": "Tells it.", "parameters": SCHEMA}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}, {"type": "function", "function": {"name": "time"}}]
CALLS: list[Event] = [
    Started(3, 0),
    Reasoning("hm"),
    Text("Look: ", part=1),
    ToolStart("call_a", "weather", part=2),
    ToolArguments('{"city": ', part=2),
    ToolArguments('"Bern"}', part=2),
    ToolEnd(part=2),
    ToolStart("call_b", "time", part=3),
    ToolArguments("{}", part=3),
    ToolEnd(part=3),
    Finished("tool_calls", Usage(3, 9, 0), Timings()),
]


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0) as made:
        yield made


def create(client: openai.OpenAI, **options: Any) -> Any:
    return client.chat.completions.create(**({"model": "echo", "messages": ASK} | options))


class Weather(BaseModel):
    city: str


def test_the_helpers_gather_calls_of_a_stream(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = CALLS
    tools: Any = [openai.pydantic_function_tool(Weather, name="weather"), TOOLS[1]]
    tools[1] = {"type": "function", "function": {"name": "time", "strict": True, "parameters": SCHEMA}}
    with client.chat.completions.stream(model="echo", messages=ASK, tools=tools) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_completion().choices[0].message
    assert kinds.count("tool_calls.function.arguments.done") == 2
    assert message.content == "Look: "
    assert message.tool_calls is not None
    assert [call.id for call in message.tool_calls] == ["call_a", "call_b"]
    assert message.tool_calls[0].function.parsed_arguments == Weather(city="Bern")
    assert model.requests[0].tools[0].strict


def test_parse_reads_the_arguments(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = [event for event in CALLS if getattr(event, "part", 0) < 3]
    tool = openai.pydantic_function_tool(Weather, name="weather")
    message = client.chat.completions.parse(model="echo", messages=ASK, tools=[tool]).choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.parsed_arguments == Weather(city="Bern")


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "function": {"name": "time"}}, "time"),
    ],
)
def test_choices(client: openai.OpenAI, model: EchoModel, choice: Any, meant: str) -> None:
    create(client, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
    asked = model.requests[0]
    assert (asked.tool_choice, asked.parallel_tool_calls) == (meant, False)
    assert asked.tools == (Tool("weather", "Tells it.", SCHEMA), Tool("time"))


def test_only_allowed_tools_are_offered(client: openai.OpenAI, model: EchoModel) -> None:
    named = [{"type": "function", "function": {"name": "time"}}]
    allowed: Any = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": named}}
    create(client, tools=TOOLS, tool_choice=allowed)
    assert (model.requests[0].tool_choice, model.requests[0].tools) == ("required", (Tool("time"),))
    with pytest.raises(openai.BadRequestError, match="weather"):
        allowed["allowed_tools"]["tools"][0]["function"]["name"] = "weather"
        create(client, tools=TOOLS[1:], tool_choice=allowed)


def test_calls_results_and_thoughts_of_earlier_turns(client: openai.OpenAI, model: EchoModel) -> None:
    call = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}
    said = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"}
    create(client, messages=[*ASK, said, {"role": "tool", "tool_call_id": "call_a", "content": "18 degrees"}])
    assert model.requests[0].input == Conversation(
        (
            user("Weather?"),
            Message("assistant", (ReasoningPart("hm"), ToolCall("call_a", "weather", '{"city": "Bern"}'))),
            Message("tool", (ToolResult("call_a", "18 degrees"),)),
        )
    )


def test_functions_of_old(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = [event for event in CALLS if getattr(event, "part", 0) < 3]
    old: Any = {"functions": [FUNCTION], "function_call": {"name": "weather"}}
    choice = create(client, **old).choices[0]
    assert (choice.finish_reason, choice.message.tool_calls) == ("function_call", None)
    assert (choice.message.function_call.name, choice.message.function_call.arguments) == (
        "weather",
        '{"city": "Bern"}',
    )
    pieces = [chunk.choices[0] for chunk in create(client, **old, stream=True)]
    told = [piece.delta.function_call for piece in pieces if piece.delta.function_call]
    assert "".join(each.arguments or "" for each in told) == '{"city": "Bern"}'
    assert (told[0].name, pieces[-1].finish_reason) == ("weather", "function_call")
    asked = model.requests[0]
    assert (asked.tool_choice, asked.parallel_tool_calls) == ("weather", False)


def test_messages_of_old(client: openai.OpenAI, model: EchoModel) -> None:
    said = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    create(client, messages=[*ASK, said, {"role": "function", "name": "weather", "content": "18 degrees"}])
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    call, result = asked.messages[1].parts[0], asked.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert result == ToolResult(call.id, "18 degrees")


def test_thoughts_have_a_field_of_their_own(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = CALLS
    assert create(client).choices[0].message.reasoning_content == "hm"
    deltas = [chunk.choices[0].delta for chunk in create(client, stream=True)]
    assert "".join(getattr(delta, "reasoning_content", None) or "" for delta in deltas) == "hm"
    assert "".join(delta.content or "" for delta in deltas) == "Look: "


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, (None, None, None)),
        ({"reasoning_effort": "none"}, (False, None, None)),
        ({"reasoning_effort": "low"}, (None, None, "low")),
        ({"reasoning_budget": 99}, (None, 99, None)),
        ({"thinking_budget_tokens": -1}, (None, None, None)),
        ({"chat_template_kwargs": {"enable_thinking": False}}, (False, None, None)),
        ({"chat_template_kwargs": {"thinking": True}}, (True, None, None)),
    ],
)
def test_the_switch_and_the_budget(server: LiveServer, model: EchoModel, given: Any, meant: Any) -> None:
    assert server.post("/v1/chat/completions", {"messages": ASK} | given).status == 200
    asked = model.requests[0]
    assert (asked.thinking, asked.reasoning_budget, asked.reasoning_effort) == meant


@pytest.mark.parametrize(
    "given",
    [
        {"tools": [{"type": "code_interpreter"}]},
        {"tools": [{"type": "function", "function": {"name": ""}}]},
        {"tools": TOOLS, "tool_choice": "maybe"},
        {"tools": TOOLS, "tool_choice": {"type": "function"}},
        {"reasoning_effort": "much"},
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}]},
    ],
)
def test_wrong_tools(server: LiveServer, model: EchoModel, given: Any) -> None:
    reply = server.post("/v1/chat/completions", {"messages": ASK} | given)
    assert reply.status == 400
    assert reply.json()["error"]["message"]
    assert model.requests == []


def test_a_text_part_beside_calls(client: openai.OpenAI, model: EchoModel) -> None:
    call: Any = {"id": "c", "type": "function", "function": {"name": "time", "arguments": {}}}
    create(client, messages=[*ASK, {"role": "assistant", "content": "Look:", "tool_calls": [call]}])
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    assert asked.messages[1] == Message("assistant", (TextPart("Look:"), ToolCall("c", "time", "{}")))
