"""The grammar of tool calls takes every call a family writes for these tools, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from llguidance import LLMatcher

from edgellm.backends.fake import ByteVocabulary
from edgellm.chat.grammar import grammar_source
from edgellm.chat.tool_grammar import CallSyntax, control_of, tool_grammar
from edgellm.engine.grammar import Grammar, GrammarTokens
from edgellm.errors import RequestError
from edgellm.messages import Tool

TOKENS = GrammarTokens(ByteVocabulary())
WEATHER = Tool(
    "get_weather",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"}},
        "required": ["city"],
    },
)
PING = Tool("ping")
ANYTHING = Tool("note", parameters={"type": "object", "properties": {"data": {}, "tags": {"type": "array"}}})
TOOLS = (WEATHER, PING, ANYTHING)

HERMES = CallSyntax(before='<tool_call>\n{"name": "{name}", "arguments": ', after="}\n</tool_call>")
CODER = CallSyntax(
    before="<tool_call>\n<function={name}>\n", after="</function>\n</tool_call>", between="\n", arguments="xml"
)
PYTHON = CallSyntax(opening="[", closing="]", before="{name}(", after=")", between=", ", arguments="python")
MISTRAL = CallSyntax(
    opening="<|im_start|>[",
    closing="]",
    before='{"name": "{name}", "arguments": ',
    after="}",
    between=", ",
    controls=("<|im_start|>", "[NOT_HERE]"),
)


def accepts(text: str, choice: str, syntax: CallSyntax, **options: Any) -> bool:
    """Whether all of it is taken and may end there."""
    format = tool_grammar(TOOLS, choice, syntax, control=control_of(ByteVocabulary()), **options)
    grammar = Grammar(grammar_source(format).text, TOKENS)
    ids = ByteVocabulary().tokenize(text, special=bool(syntax.controls), add_bos=False)
    matcher = LLMatcher(TOKENS.tokenizer, grammar_source(format).text)
    assert not matcher.is_error() and grammar.start(()) is not None
    return matcher.try_consume_tokens(ids) == len(ids) and matcher.is_accepting()


PARIS = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>'
PINGED = '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'


@pytest.mark.parametrize("text", [PARIS, PINGED, f"{PARIS}\n{PINGED}", f"{PINGED}\n{PINGED}\n{PARIS}"])
def test_calls_of_json_arguments_are_taken(text: str) -> None:
    assert accepts(text, "required", HERMES)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Sure! " + PARIS,
        PARIS.replace("Paris", "Pa\nris"),
        PARIS.replace('"city": "Paris", ', ""),
        PARIS.replace("3", '"3"'),
        PARIS.replace("get_weather", "get_time"),
        PARIS.replace("days", "weeks"),
        PARIS.removesuffix("</tool_call>"),
        PINGED.replace("{}", '{"invented": 1}'),
    ],
)
def test_nothing_else_is(text: str) -> None:
    assert not accepts(text, "required", HERMES)


def test_a_named_tool_is_the_only_one() -> None:
    assert accepts(PINGED, "ping", HERMES) and not accepts(PARIS, "ping", HERMES)
    with pytest.raises(RequestError, match="get_time"):
        tool_grammar(TOOLS, "get_time", HERMES)


def test_one_call_where_several_are_not_wanted() -> None:
    assert accepts(PARIS, "required", HERMES, parallel=False)
    assert not accepts(f"{PARIS}\n{PARIS}", "required", HERMES, parallel=False)


def xml(*parameters: str) -> str:
    body = "".join(f"<parameter={each}\n</parameter>\n" for each in parameters)
    return f"<tool_call>\n<function=get_weather>\n{body}</function>\n</tool_call>"


def test_elements_hold_bare_text_and_json() -> None:
    assert accepts(xml("city>\nNew\nYork < 3", "unit>\nc", "days>\n3"), "required", CODER)
    assert accepts(xml("city>\nParis", "days>\n3"), "required", CODER)
    assert not accepts(xml("days>\n3"), "required", CODER)
    assert not accepts(xml("city>\nParis", "days>\nthree"), "required", CODER)
    assert not accepts(xml("city>\nParis", "unit>\nk"), "required", CODER)


def test_keywords_with_commas_between() -> None:
    assert accepts('[get_weather(city="Paris", days=3), ping()]', "required", PYTHON)
    assert accepts('[note(tags=["a", 1, {"b": None}])]', "required", PYTHON)
    assert accepts("[note(data=True)]", "required", PYTHON)
    assert not accepts("[get_weather(days=3)]", "required", PYTHON)
    assert not accepts('[get_weather(city="Paris" days=3)]', "required", PYTHON)
    assert not accepts('[get_weather(, city="Paris")]', "required", PYTHON)


def test_control_tokens_go_by_their_ids() -> None:
    call = '<|im_start|>[{"name": "ping", "arguments": {}}]'
    assert accepts(call, "required", MISTRAL)
    assert not accepts(call.removeprefix("<|im_start|>"), "required", MISTRAL)
    spelled = tool_grammar(TOOLS, "required", MISTRAL)
    assert "<[258]>" not in spelled.grammar and "<|im_start|>" in spelled.grammar


def test_quotes_in_a_name_stay_in_it() -> None:
    odd = Tool('a"b\\c')
    format = tool_grammar((odd,), "required", HERMES)
    matcher = LLMatcher(TOKENS.tokenizer, grammar_source(format).text)
    call = '<tool_call>\n{"name": "a\\"b\\\\c", "arguments": {}}\n</tool_call>'
    assert matcher.try_consume_tokens(list(call.encode())) == len(call)


def test_what_a_schema_asks_beyond_grammars_is_passed_over() -> None:
    tool = Tool("t", parameters={"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}})
    format = tool_grammar((tool,), "required", HERMES)
    assert not LLMatcher(TOKENS.tokenizer, grammar_source(format).text).is_error()


def test_a_malformed_schema_is_refused() -> None:
    with pytest.raises(RequestError):
        tool_grammar((Tool("t", parameters={"type": "frob"}),), "required", HERMES)
