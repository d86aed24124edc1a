"""Whatever a model writes: no error, no difference by how it is cut, and under a family's grammar only calls."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from llguidance import LLMatcher

from edgellm.backends.fake import ByteVocabulary
from edgellm.chat.grammar import grammar_source
from edgellm.chat.tool_grammar import tool_grammar
from edgellm.chat.tools.family import FAMILIES, Family
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
from edgellm.engine.grammar import GrammarTokens
from edgellm.messages import Tool

TOKENS = GrammarTokens(ByteVocabulary())
WEATHER = Tool(
    "get_weather",
    parameters={
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"enum": ["c", "f"]},
            "days": {"type": "integer"},
            "detailed": {"type": "boolean"},
            "place": {
                "type": "object",
                "properties": {"lat": {"type": "number"}, "names": {"type": "array", "items": {"type": "string"}}},
                "required": ["lat"],
                "additionalProperties": False,
            },
        },
        "required": ["city", "days"],
    },
)
TOOLS = (WEATHER, Tool("get"), Tool("get_weather_at", parameters={"type": "object", "properties": {"any": {}}}))
BY_NAME = {tool.name: tool for tool in TOOLS}
MANY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
WORDS = ("get", "get_weather", "get_nothing", "city", "days", "name", "arguments", "parameters", "tool_name", "id")
WORDS += ("null", "True", "-1", "0.5e3", "all\n", "json", "{}", '": ', "</think>", "<think>", *"{}[]():=\",'\\\n <>`;")


def parsed(family: Family, chunks: Sequence[str], **options: object) -> list[Piece]:
    parser = family.parser(ParserContext(tools=TOOLS, **options))  # type: ignore[arg-type]
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return [*pieces, *parser.finish()]


def joined(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """Neighbours of one kind as one."""
    whole: list[tuple[str, str]] = []
    for piece in pieces:
        kind, text = type(piece).__name__, getattr(piece, "text", "") or getattr(piece, "name", "")
        if whole and whole[-1][0] == kind and isinstance(piece, Content | Thought | CallArguments):
            text = whole.pop()[1] + text
        whole.append((kind, text))
    return whole


def calls(pieces: Sequence[Piece]) -> list[tuple[str, str]]:
    """Each whole call's name and arguments. The order of the pieces is checked on the way."""
    found: list[tuple[str, str]] = []
    open_call: CallStart | None = None
    arguments = ""
    for piece in pieces:
        match piece:
            case CallStart():
                assert open_call is None
                open_call, arguments = piece, ""
            case CallArguments(text=text):
                assert open_call is not None and text
                arguments += text
            case CallEnd():
                assert open_call is not None
                found.append((open_call.name, arguments))
                open_call = None
            case CallBroken():
                assert open_call is not None
                open_call = None
            case Content(text=text) | Thought(text=text):
                assert open_call is None and text
    assert open_call is None
    return found


def cut(text: str, places: Sequence[float]) -> list[str]:
    at = sorted({0, len(text), *(int(place * len(text)) for place in places)})
    return [text[start:end] for start, end in pairwise(at)]


def shards(family: Family) -> st.SearchStrategy[str]:
    """Text out of the family's own spellings, pieces of JSON, tools' names and noise."""
    syntax = family.syntax
    spellings = [syntax.before, syntax.after, syntax.opening, syntax.closing, *syntax.element, *family.markers]
    own = [spelling.replace("{name}", name).replace("{key}", "city") for spelling in spellings for name in WORDS[:2]]
    call = syntax.opening + syntax.before.replace("{name}", "get") + "{}" + syntax.after
    part = st.sampled_from(own) | st.sampled_from(WORDS) | st.text(max_size=5) | st.just(call)
    return st.lists(part, max_size=25).map("".join)


@MANY
def test_any_cut_gives_the_same_pieces(family: Family) -> None:
    @settings(max_examples=25, deadline=None)
    @given(shards(family), st.lists(st.floats(0, 1), max_size=10), st.booleans(), st.booleans(), st.booleans())
    def check(text: str, places: list[float], opened: bool, forced: bool, early: bool) -> None:
        def read(chunks: Sequence[str]) -> list[Piece]:
            return parsed(family, chunks, thinking_open=opened, forced=forced, early=early)

        pieces = read([text])
        for name, arguments in calls(pieces):
            assert name in BY_NAME and isinstance(json.loads(arguments), dict)
        assert joined(read(text)) == joined(pieces)
        assert joined(read(cut(text, places))) == joined(pieces)
        if not early and not forced:
            assert not any(isinstance(piece, CallBroken) for piece in pieces)

    check()


@MANY
def test_without_tools_and_thoughts_there_is_only_content(family: Family) -> None:
    @settings(max_examples=10, deadline=None)
    @given(shards(family))
    def check(text: str) -> None:
        pieces = parsed(family, [text], parse_tools=False, split_thinking=False)
        assert all(isinstance(piece, Content) for piece in pieces)

    check()


def walk(family: Family, choice: str, parallel: bool, seed: int) -> str:
    """A text that the grammar of `choice` lets through, byte by byte, mostly at random."""
    format = tool_grammar(TOOLS, choice, family.syntax, parallel=parallel)
    matcher = LLMatcher(TOKENS.tokenizer, grammar_source(format).text)
    chance = random.Random(seed)
    text, aim = bytearray(), bytearray()
    endings = [family.syntax.quote, family.syntax.element[1].replace("{key}", "city"), '"', "}", "]", ")", "1"]
    while not matcher.is_accepting() or (chance.random() < 0.3 and not matcher.is_stopped()):
        mask = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little")[:256]
        allowed = bytes(np.flatnonzero(mask).tolist())
        # What ends something is written often and to its end, so that texts end at all.
        if not aim and chance.random() < 0.3:
            aim = bytearray(chance.choice(endings).encode())
        byte = chance.choice([byte for byte in allowed if 33 <= byte < 127] or list(allowed))
        if aim and aim[0] in allowed:
            byte = aim.pop(0)
        elif chance.random() < 0.05:
            byte = chance.choice(allowed)
        assert matcher.try_consume_tokens([byte]) == 1
        text.append(byte)
        if len(text) > 2000:
            return ""
    return text.decode()


def check_valid(family: Family, text: str) -> int:
    pieces = parsed(family, [text], forced=True)
    found = calls(pieces)
    assert found and not any(isinstance(piece, Content | Thought | CallBroken) for piece in pieces), text
    for name, arguments in found:
        jsonschema.validate(json.loads(arguments), BY_NAME[name].parameters)
    assert joined(parsed(family, text, forced=True)) == joined(pieces)
    return len(found)


@MANY
@pytest.mark.parametrize(("choice", "parallel"), [("required", True), ("required", False), ("get_weather", False)])
def test_what_the_grammar_lets_through_is_calls_that_validate(family: Family, choice: str, parallel: bool) -> None:
    walks = [text for seed in range(4) if (text := walk(family, choice, parallel, seed))]
    assert walks
    counts = [check_valid(family, text) for text in walks]
    assert parallel or set(counts) == {1}
