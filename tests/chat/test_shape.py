"""The dicts that templates get: roles, joined text, tool calls and tool results."""

from __future__ import annotations

import pytest

from edgellm.chat.shape import CallShape, parsed_arguments, shaped_messages, shaped_tools
from edgellm.errors import Unsupported
from edgellm.messages import ImagePart, Message, TextPart, Tool, ToolCall, ToolResult, user

CALL = Message("assistant", (ToolCall("c1", "add", '{"b": 1, "a": [2, null]}'),))


def test_text_parts_are_joined() -> None:
    assert shaped_messages([Message("user", (TextPart("a"), TextPart("b")))], CallShape()) == [
        {"role": "user", "content": "ab"}
    ]


def test_developer_is_system_and_an_empty_message_stays() -> None:
    assert shaped_messages([Message("developer", (TextPart("be"),)), Message("user")], CallShape()) == [
        {"role": "system", "content": "be"},
        {"role": "user", "content": ""},
    ]


def test_a_call_has_its_arguments_as_an_object_in_the_models_order() -> None:
    [entry] = shaped_messages([CALL], CallShape())
    assert entry["content"] == ""
    [call] = entry["tool_calls"]
    assert call == {"type": "function", "id": "c1", "function": {"name": "add", "arguments": {"b": 1, "a": [2, None]}}}
    assert list(call["function"]["arguments"]) == ["b", "a"]


def test_a_call_can_have_null_content_and_its_arguments_as_text() -> None:
    [entry] = shaped_messages([CALL], CallShape(None, True))
    assert entry["content"] is None
    assert entry["tool_calls"][0]["function"]["arguments"] == '{"b": 1, "a": [2, null]}'


def test_text_beside_a_call_is_kept_in_every_shape() -> None:
    message = Message("assistant", (TextPart("wait"), *CALL.parts))
    assert shaped_messages([message], CallShape(None))[0]["content"] == "wait"


def test_each_result_becomes_a_tool_message_with_the_name_of_its_call() -> None:
    results = Message("tool", (ToolResult("c1", "3"), ToolResult("zz", "?")))
    assert shaped_messages([CALL, results], CallShape())[1:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "3", "name": "add"},
        {"role": "tool", "tool_call_id": "zz", "content": "?"},
    ]


def test_results_inside_a_user_message_come_before_its_text() -> None:
    message = Message("user", (ToolResult("c1", "3"), TextPart("go on")))
    assert [entry["role"] for entry in shaped_messages([message], CallShape())] == ["tool", "user"]


def test_an_image_is_refused() -> None:
    with pytest.raises(Unsupported, match="text only"):
        shaped_messages([user("a"), Message("user", (ImagePart(b"", "image/png"),))], CallShape())


@pytest.mark.parametrize("text", ["", "{", "not json", "[" * 100_000])
def test_arguments_that_are_not_json_stay_text(text: str) -> None:
    assert parsed_arguments(text) == text


def test_tools() -> None:
    assert shaped_tools([]) is None
    assert shaped_tools([Tool("now", "the time")]) == [
        {
            "type": "function",
            "function": {
                "name": "now",
                "description": "the time",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]
