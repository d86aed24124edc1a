"""Guard: no control token stays whole in anything a message or a tool brings."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.chat.guard import Guard
from edgellm.messages import ImagePart, Message, Tool, ToolCall, ToolResult, user

MARK = "\ue0ec"
GUARD = Guard(["<e>", "aXa"], MARK)


def test_a_control_token_is_broken_after_its_first_character() -> None:
    assert GUARD.text("hi <e>!") == f"hi <{MARK}e>!"
    assert GUARD.text("plain < e >") == "plain < e >"


def test_overlapping_ones_are_all_broken() -> None:
    assert GUARD.text("aXaXa").split(MARK) == ["a", "Xa", "Xa"]


def test_one_character_cannot_be_broken() -> None:
    assert Guard(["x", ""], MARK).text("xx") == "xx"


def test_every_part_of_a_message_is_guarded() -> None:
    message = Message("assistant", (ToolCall("<e>", "<e>", '{"<e>": ["<e>", 1]}'), ToolResult("<e>", "<e>")))
    [guarded] = GUARD.messages([message])
    assert "<e>" not in str(guarded)
    assert guarded.role == "assistant"


def test_arguments_that_spell_it_in_escapes_are_guarded_too() -> None:
    message = Message("assistant", (ToolCall("1", "f", '{"a": "\\u003ce>"}'),))
    [guarded] = GUARD.messages([message])
    assert isinstance(guarded.parts[0], ToolCall)
    assert guarded.parts[0].arguments == f'{{"a": "<{MARK}e>"}}'


@pytest.mark.parametrize("arguments", ['{"a":1.0, "b": "x"}', "broken {", '"text"', ""])
def test_arguments_without_one_stay_as_they_are(arguments: str) -> None:
    message = Message("assistant", (ToolCall("1", "f", arguments),))
    assert GUARD.messages([message]) == (message,)


def test_arguments_that_are_not_json_are_guarded_as_text() -> None:
    [guarded] = GUARD.messages([Message("assistant", (ToolCall("1", "f", "{<e>"),))])
    assert guarded.parts == (ToolCall("1", "f", f"{{<{MARK}e>"),)


def test_images_pass() -> None:
    message = Message("user", (ImagePart(b"<e>", "image/png"),))
    assert GUARD.messages([message]) == (message,)


def test_tools_are_guarded_down_to_their_schemas() -> None:
    parameters: dict[str, Any] = {"type": "object", "properties": {"<e>": {"enum": ["<e>", None, 1.5]}}}
    [tool] = GUARD.tools([Tool("t<e>", "<e>", parameters)])
    assert "<e>" not in str(tool)
    assert tool.parameters["properties"][f"<{MARK}e>"]["enum"] == [f"<{MARK}e>", None, 1.5]


@given(st.lists(st.text("ab<>", min_size=2, max_size=4), max_size=3), st.text("ab<>"))
def test_none_is_left_whole_and_nothing_else_changes(controls: list[str], text: str) -> None:
    guard = Guard(controls, MARK)
    pieces = guard.text(text).split(MARK)
    assert "".join(pieces) == text
    assert not any(control in piece for control in controls for piece in pieces)
    assert guard.messages([user(text)]) == (user(guard.text(text)),)
