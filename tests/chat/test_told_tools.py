"""Tools, calls and results in plain words: nothing is lost, and what is told can be read again."""

from __future__ import annotations

import json

from edgellm.chat.told_tools import told_calls, told_tools
from edgellm.chat.tools.family import family_of
from edgellm.chat.tools.parser import CallArguments, CallStart, ParserContext
from edgellm.messages import Message, TextPart, Tool, ToolCall, ToolResult, assistant, system, user

FAMILY = family_of("")
TOOLS = (Tool("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}}), Tool("time"))
CALLS = (ToolCall("1", "add", '{"a": 1}'), ToolCall("2", "time", ""))


def test_a_call_as_it_is_told_is_a_call_as_it_is_read() -> None:
    (told,) = told_calls([Message("assistant", (TextPart("Look:"), *CALLS))], FAMILY.syntax)
    parser = FAMILY.parser(ParserContext(tools=TOOLS))
    pieces = [*parser.feed(told.text), *parser.finish()]
    assert [piece.name for piece in pieces if isinstance(piece, CallStart)] == ["add", "time"]
    arguments = "".join(piece.text for piece in pieces if isinstance(piece, CallArguments))
    assert arguments == '{"a": 1}{}'


def test_results_are_one_turn_with_the_words_behind_them() -> None:
    said = [
        user("?"),
        Message("assistant", CALLS),
        Message("tool", (ToolResult("1", "one"),)),
        Message("tool", (ToolResult("2", "two"),)),
        user("And?"),
    ]
    told = told_calls(said, FAMILY.syntax)
    assert [message.role for message in told] == ["user", "assistant", "user"]
    assert [word in told[2].text for word in ("one", "two", "And?")] == [True] * 3


def test_what_has_no_calls_is_left_as_it_is() -> None:
    said = (system("Be brief."), user("a"), user("b"), assistant("c"))
    assert told_calls(said, FAMILY.syntax) == said


def test_every_tool_is_described_in_a_line() -> None:
    (told, *_) = told_tools([system("Be brief."), user("?")], TOOLS, FAMILY.syntax)
    described = told.text.partition("<tools>\n")[2].partition("\n</tools>")[0].split("\n")
    assert [json.loads(line)["function"]["name"] for line in described] == ["add", "time"]
    assert told.role == "system"


def test_a_conversation_of_the_assistants_alone_gets_a_system_message() -> None:
    told = told_tools([assistant("Hello.")], TOOLS, FAMILY.syntax)
    assert [message.role for message in told] == ["system", "assistant"]
