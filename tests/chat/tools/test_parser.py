"""Calls come early and whole; what is none is content, word for word; thoughts are split off."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgellm.chat.tools.family import FAMILIES, family_of
from edgellm.chat.tools.parser import (
    CallArguments,
    CallBroken,
    CallEnd,
    CallStart,
    Content,
    ParserContext,
    Piece,
    Thought,
)
from edgellm.messages import Tool

WRITE = Tool("write", parameters={"type": "object", "properties": {"path": {"type": "string"}}})
PING = Tool("ping")
NAMED = {family.name: family for family in FAMILIES}
HERMES, CODER, LLAMA = NAMED["hermes"], NAMED["qwen-coder"], NAMED["llama"]


def read(text: str, family: Any = HERMES, size: int = 10**6, **options: Any) -> list[Piece]:
    parser = family.parser(ParserContext(tools=options.pop("tools", (WRITE, PING)), **options))
    pieces = [piece for start in range(0, len(text), size) for piece in parser.feed(text[start : start + size])]
    return [*pieces, *parser.finish()]


def call(name: str, arguments: str) -> list[Piece]:
    return [CallStart(name), CallArguments(arguments), CallEnd()]


def test_content_a_call_and_no_markup() -> None:
    text = 'Let me see.\n\n<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>\n'
    assert read(text) == [Content("Let me see."), *call("ping", "{}")]


def test_arguments_come_while_they_are_written() -> None:
    parser = HERMES.parser(ParserContext(tools=(WRITE,)))
    assert parser.feed('<tool_call>{"name": "write", "arguments"') == []
    assert parser.feed(': {"path": "/tm') == [CallStart("write"), CallArguments('{"path": "/tm')]
    assert parser.feed('p"}') == [CallArguments('p"}'), CallEnd()]
    assert parser.feed("}</tool_call>") + parser.finish() == []


def test_a_text_parameter_comes_while_it_is_written() -> None:
    parser = CODER.parser(ParserContext(tools=(WRITE,)))
    start = parser.feed("<tool_call>\n<function=write>\n<parameter=path>\n")
    assert start == [CallStart("write"), CallArguments('{"path": "')]
    assert parser.feed('a "b"\n') == [CallArguments('a \\"b\\"')]
    assert parser.feed("c</para") == [CallArguments("\\nc")]
    assert parser.feed("graph>") == [CallArguments("</paragraph>")]
    assert parser.feed("\n</parameter>\n</function>") == [CallArguments('"}'), CallEnd()]


def test_code_may_hold_the_closing_tag() -> None:
    text = "<function=write>\n<parameter=path>\n<a></parameter>\n</b>\n</parameter>\n</function>"
    assert read(text, CODER) == call("write", '{"path": "<a></parameter>\\n</b>"}')


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>',
        '<tool_call>{"name": 7, "arguments": {}}</tool_call>',
        "<tool_call>\nping, please\n</tool_call>",
        '<tool_call>{"name": "ping", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "ping", "arguments": {"a" 1}}</tool_call>',
        '<tool_call>{"name": "ping", "arguments": {"a": 1',
        "<tool_call>",
        "  <tool_cal",
        '{"name": "Ada", "age": 36}',
        "```json\n[1, 2]\n```\n",
    ],
)
def test_what_is_no_call_is_content_word_for_word(text: str) -> None:
    pieces = read(text, early=False)
    assert {type(piece) for piece in pieces} == {Content}
    assert "".join(piece.text for piece in pieces if isinstance(piece, Content)) == text


def test_a_call_given_early_may_break() -> None:
    text = '<tool_call>{"name": "write", "arguments": {"path": "a" oops}}</tool_call>'
    *early, broken, rest = read(text)
    assert early == [CallStart("write"), CallArguments('{"path": "a"')]
    assert isinstance(broken, CallBroken) and isinstance(rest, Content) and broken.text + rest.text == text


def test_the_end_of_the_budget_breaks_even_a_forced_call() -> None:
    pieces = read('<tool_call>{"name": "write", "arguments": {"path": "a', forced=True, early=False)
    assert pieces[-1] == CallBroken('<tool_call>{"name": "write", "arguments": {"path": "a')


@pytest.mark.parametrize(
    ("written", "arguments"),
    [
        ('{"a": True, "b": None}', {"a": True, "b": None}),
        ('{"a": "two\nlines\tand a tab"}', {"a": "two\nlines\tand a tab"}),
        (r'{"a": "\d+ \x41 \' \u00e9"}', {"a": "\\d+ A ' é"}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ("null", {}),
    ],
)
def test_nearly_json_is_put_right(written: str, arguments: object) -> None:
    pieces = read(f'<tool_call>{{"name": "ping", "arguments": {written}}}</tool_call>')
    assert json.loads("".join(piece.text for piece in pieces if isinstance(piece, CallArguments))) == arguments
    assert pieces[-1] == CallEnd()


def test_names_may_come_last_and_arguments_not_at_all() -> None:
    text = '<tool_call>{"arguments": {"path": "a"}, "name": "write"}</tool_call><tool_call>{"name": "ping"}</tool_call>'
    assert read(text) == [*call("write", '{"path": "a"}'), *call("ping", "{}")]


@pytest.mark.parametrize(
    "text",
    [
        '```json\n{"name": "ping", "arguments": {}}\n```',
        '{"name": "ping", "arguments": {}}',
        '<tools>\n{"name": "ping", "arguments": {}}\n</tools>',
        '<tool_call>\n{"name": "ping", "arguments": {}}\n',
        '<tool_call>{"type": "function", "function": {"name": "ping", "arguments": {}}}</tool_call>',
    ],
)
def test_small_models_forget_the_tags(text: str) -> None:
    assert read(text) == call("ping", "{}")


def test_bare_json_is_a_call_only_where_the_answer_begins() -> None:
    text = 'The JSON is {"name": "ping", "arguments": {}}'
    assert read(text) == [Content(text)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('{"name": "ping", "parameters": {}}', 1),
        ('<|python_tag|>{"name": "ping", "parameters": {}}; {"name": "ping", "parameters": {}}', 2),
        ("[ping(), ping()]", 2),
        ("<|python_tag|>ping.call()", 1),
        ("ping() is a function", 0),
    ],
)
def test_llama_writes_json_or_python(text: str, count: int) -> None:
    assert sum(isinstance(piece, CallEnd) for piece in read(text, LLAMA)) == count


def test_mistrals_ids_are_kept() -> None:
    old = '[TOOL_CALLS][{"name": "ping", "arguments": {}, "id": "123456789"}]'
    new = "[TOOL_CALLS]ping[CALL_ID]987654321[ARGS]{}"
    for text, id in ((old, "123456789"), (new, "987654321")):
        assert read(text, NAMED["mistral"]) == [CallStart("ping", id), CallArguments("{}"), CallEnd()]


def test_thoughts_come_first_and_without_tags() -> None:
    text = "<think>\nHm, <b>.\n</think>\n\nYes."
    assert read(text) == [Thought("Hm, <b>."), Content("Yes.")]
    assert read(text, tools=()) == [Thought("Hm, <b>."), Content("Yes.")]
    assert read("Hm.</think>Yes.", thinking_open=True) == [Thought("Hm."), Content("Yes.")]
    assert read("The tag <think> begins thoughts.") == [Content("The tag <think> begins thoughts.")]
    assert read(text, split_thinking=False) == [Content(text)]


def test_thoughts_that_never_end_are_thoughts() -> None:
    assert read("Hm, well", thinking_open=True) == [Thought("Hm, well")]


def test_a_call_ends_thoughts_where_models_forget_to() -> None:
    text = "Hm.\n<tool_call>\n<function=ping>\n</function>\n</tool_call>"
    assert read(text, CODER, thinking_open=True) == [Thought("Hm."), *call("ping", "{}")]


def test_a_call_written_in_thoughts_is_none() -> None:
    text = '<think>I could say <tool_call>{"name": "ping", "arguments": {}}</tool_call>.</think>No.'
    assert [type(piece) for piece in read(text)] == [Thought, Content]


def test_no_tools_no_calls() -> None:
    text = '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'
    assert read(text, tools=()) == read(text, parse_tools=False) == [Content(text)]


def test_harmony_has_channels() -> None:
    text = (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>I will look.<|end|>"
        "<|start|>assistant<|channel|>commentary to=functions.ping <|constrain|>json<|message|>{}<|call|>"
    )
    family = family_of("<|channel|> <|call|>")
    assert read(text, family) == [Thought("Hm."), Content("I will look."), *call("ping", "{}")]
    assert read("Plain words.", family) == [Content("Plain words.")]
    assert read("<|channel|>final<|message|>Hi.<|return|>", family) == [Content("Hi.")]


def test_markers_are_what_a_parser_looks_for() -> None:
    assert {"[TOOL_CALLS]", "[ARGS]"} <= set(NAMED["mistral"].markers)
    assert {"<think>", "</think>"} <= set(family_of("<tool_call></think>").markers)
