"""Tools of a response beyond plain functions: in namespaces, custom ones, and those that run at OpenAI's."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from edgellm.events import Event, Finished, Started, Timings, ToolArguments, ToolEnd, ToolStart, Usage
from edgellm.messages import ToolCall, ToolResult
from edgellm.request import Conversation
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer

PATH = "/v1/responses"
SCHEMA = {"type": "object", "properties": {"id": {"type": "string"}}}
TOOLS: list[Any] = [
    {"type": "function", "name": "close", "parameters": {}},
    {
        "type": "namespace",
        "name": "agents",
        "description": "Others.",
        "tools": [
            {"type": "function", "name": "close", "parameters": SCHEMA},
            {"type": "custom", "name": "write"},
        ],
    },
    {
        "type": "custom",
        "name": "patch",
        "description": "Edit.",
        "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"},
    },
    {"type": "web_search", "external_web_access": False},
    {"type": "web_search_preview_2025_03_11"},
]


def called(name: str, *pieces: str) -> list[Event]:
    """A model that does nothing but call `name`."""
    arguments: list[Event] = [ToolArguments(piece) for piece in pieces]
    end = Finished("tool_calls", Usage(3, 4), Timings())
    return [Started(3, 0), ToolStart("call_1", name), *arguments, ToolEnd(), end]


@pytest.fixture
def client(server: LiveServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0)


def test_the_model_knows_each_by_one_name(server: LiveServer, model: EchoModel) -> None:
    reply = server.post(PATH, {"input": "hi", "tools": TOOLS}).json()
    (asked,) = model.requests
    assert [tool.name for tool in asked.tools] == ["close", "agents__close", "agents__write", "patch"]
    assert asked.tools[1].parameters == SCHEMA
    assert asked.tools[3].parameters["required"] == ["input"]
    assert asked.tools[3].description == "Edit.\n\nIts input follows this grammar:\nstart: /.+/"
    assert [warning.split(":")[0] for warning in reply["warnings"]] == [
        "The grammar of tool 'patch' is told to the model, and not enforced.",
        "Tools of type 'web_search' run at OpenAI's",
        "Tools of type 'web_search_preview_2025_03_11' run at OpenAI's",
    ]


def test_a_call_in_a_namespace(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = called("agents__close", '{"id":', '"7"}')
    (item,) = client.responses.create(model="echo", input="hi", tools=TOOLS).output
    assert item.type == "function_call"
    assert (item.namespace, item.name, item.arguments) == ("agents", "close", '{"id":"7"}')


def test_a_plain_call_has_no_namespace(server: LiveServer, model: EchoModel) -> None:
    model.reply = called("close", "{}")
    (item,) = server.post(PATH, {"input": "hi", "tools": TOOLS}).json()["output"]
    assert "namespace" not in item and item["name"] == "close"


def test_a_custom_call_streams(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = called("patch", '{"input": "a\\n', 'b"}')
    with client.responses.stream(model="echo", input="hi", tools=TOOLS) as stream:
        events = [event for event in stream if "custom" in event.type]
        (item,) = stream.get_final_response().output
    assert [event.type for event in events] == [
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
    ]
    assert item.type == "custom_tool_call"
    assert (item.name, item.input, item.call_id) == ("patch", "a\nb", "call_1")


def test_what_broke_off_is_told_as_it_is(server: LiveServer, model: EchoModel) -> None:
    model.reply = called("patch", '{"input": "a')
    assert server.post(PATH, {"input": "hi", "tools": TOOLS}).json()["output"][0]["input"] == '{"input": "a'


def test_calls_and_results_go_back(server: LiveServer, model: EchoModel) -> None:
    items = [
        {"type": "message", "role": "user", "content": "hi"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'a"b'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        {"type": "function_call", "call_id": "c2", "namespace": "agents", "name": "close", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c2", "output": "closed"},
    ]
    first = server.post(PATH, {"input": items, "tools": TOOLS})
    assert first.status == 200
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    _, call, result, other, _ = (message.parts[0] for message in asked.messages)
    assert call == ToolCall("c1", "patch", '{"input":"a\\"b"}')
    assert result == ToolResult("c1", "done")
    assert other == ToolCall("c2", "agents__close", "{}")


def test_a_custom_call_goes_on_from_what_is_kept(server: LiveServer, model: EchoModel) -> None:
    model.reply = called("patch", '{"input": "a"}')
    first = server.post(PATH, {"input": "hi", "tools": TOOLS}).json()
    model.reply = []
    output = [{"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"}]
    body = {"input": output, "previous_response_id": first["id"], "tools": TOOLS}
    assert server.post(PATH, body).status == 200
    kept = model.requests[1].input
    assert isinstance(kept, Conversation)
    assert ToolCall("call_1", "patch", json.dumps({"input": "a"}, separators=(",", ":"))) in kept.messages[1].parts


@pytest.mark.parametrize(
    ("choice", "names", "chosen"),
    [
        ({"type": "function", "name": "close"}, 4, "close"),
        ({"type": "custom", "name": "patch"}, 4, "patch"),
        ({"type": "custom", "name": "write"}, 4, "agents__write"),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "write"}]}, 1, "required"),
    ],
)
def test_a_tool_is_chosen_by_the_name_it_was_given(
    server: LiveServer, model: EchoModel, choice: Any, names: int, chosen: str
) -> None:
    assert server.post(PATH, {"input": "hi", "tools": TOOLS, "tool_choice": choice}).status == 200
    (asked,) = model.requests
    assert (len(asked.tools), asked.tool_choice) == (names, chosen)
