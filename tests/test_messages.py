"""Tests of `edgellm.messages`."""

import msgspec
import pytest

from edgellm import messages
from edgellm.messages import ImagePart, Message, Part, ReasoningPart, TextPart, Tool, ToolCall, ToolResult

PARTS = [
    TextPart("grüße 🌍\x00"),
    ReasoningPart("hm"),
    ImagePart(b"\x89PNG\x00\xff", "image/png"),
    ToolCall("1", "add", '{"a": 1'),
    ToolResult("1", "3"),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json], ids=["msgpack", "json"])
def test_parts_survive_a_process_boundary(part, codec) -> None:
    assert codec.decode(codec.encode(part), type=Part) == part


def test_every_part_is_tried_above() -> None:
    assert {type(part) for part in PARTS} == set(Part.__args__)


def test_messages_and_tools_survive_too() -> None:
    message = Message("assistant", tuple(PARTS))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message) == message
    tool = Tool("add", "adds", {"type": "object", "properties": {"a": {"type": "integer"}}})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(tool), type=Tool) == tool


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"role": "narrator"}', type=Message)


def test_text_is_what_was_said() -> None:
    assert Message("user", tuple(PARTS)).text == "grüße 🌍\x003"
    assert Message("user").text == ""


def test_short_forms() -> None:
    assert messages.system("be brief") == Message("system", (TextPart("be brief"),))
    assert messages.user("hello") == Message("user", (TextPart("hello"),))
    assert messages.assistant("hi") == Message("assistant", (TextPart("hi"),))
