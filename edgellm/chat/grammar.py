"""`grammar_source`: the output format a request asks for, as the text that is compiled, and what is not enforced."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from edgellm.chat.schema import fitted
from edgellm.errors import RequestError, Unsupported
from edgellm.request import Format, GrammarFormat, JsonFormat, SchemaFormat

MOST_CHARACTERS = 256 << 10
_MOST_BRACKETS = 200
_MOST_MEETING = 10
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\\n])*/')


class GrammarSource(NamedTuple):
    text: str
    warnings: tuple[str, ...] = ()


def grammar_source(format: Format) -> GrammarSource:
    """Takes milliseconds, up to a second for hostile ones: not for the event loop.

    Raises RequestError for what cannot be enforced, or is too large; see `schema.fitted` for JSON schemas.
    """
    from llguidance import LLMatcher

    match format:
        case JsonFormat():
            return _of_schema({"type": "object"}, strict=True)
        case SchemaFormat(schema=schema, strict=strict):
            return _of_schema(schema, strict)
        case GrammarFormat(grammar=grammar, syntax="regex"):
            return GrammarSource(LLMatcher.grammar_from_regex(_bounded(grammar)))
        case GrammarFormat(grammar=grammar):
            return GrammarSource(LLMatcher.grammar_from_lark(_bounded(grammar)))


def lark_expression(format: Format) -> GrammarSource:
    """The same as a part of a Lark grammar's rule. Raises Unsupported for a Lark grammar, which cannot be a part."""
    match format:
        case JsonFormat():
            return lark_expression(SchemaFormat({"type": "object"}, strict=True))
        case SchemaFormat(schema=schema, strict=strict):
            found = fitted(schema, strict=strict)
            return GrammarSource("%json " + msgspec.json.encode(found.schema).decode(), found.warnings)
        case GrammarFormat(grammar=grammar, syntax="regex"):
            return GrammarSource("/" + re.sub(r"\\.|/", _escaped_slash, _bounded(grammar)) + "/")
        case GrammarFormat():
            raise Unsupported("A grammar and tools cannot be combined; leave one out, or set tool_choice to 'none'.")


def _escaped_slash(found: re.Match[str]) -> str:
    return r"\/" if found[0] == "/" else found[0]


def _of_schema(schema: dict[str, object], strict: bool) -> GrammarSource:
    from llguidance import LLMatcher

    found = fitted(schema, strict=strict)
    text = LLMatcher.grammar_from_json_schema(msgspec.json.encode(found.schema).decode())
    return GrammarSource(text, found.warnings)


def _bounded(grammar: str) -> str:
    if not grammar.strip():
        raise RequestError("The grammar is empty; leave it out, or write one.")
    if len(grammar) > MOST_CHARACTERS:
        raise RequestError(f"The grammar is longer than {MOST_CHARACTERS:,} characters; make it smaller.")
    # As with JSON schemas: what must match several expressions at once takes time exponential in their number.
    if _QUOTED.sub("", grammar).count("&") > _MOST_MEETING or _json_meeting(grammar) > _MOST_MEETING:
        raise RequestError(f"The grammar combines more than {_MOST_MEETING} expressions; make it simpler.")
    depth = deepest = 0
    for character in grammar:
        depth += (character in "([{") - (character in ")]}")
        deepest = max(deepest, depth)
    if deepest > _MOST_BRACKETS:
        raise RequestError(f"The grammar has brackets more than {_MOST_BRACKETS} deep; make it flatter.")
    return grammar


def _json_meeting(grammar: str) -> int:
    """How many patterns its inline JSON schemas may combine, at most."""
    if '"allOf"' not in grammar and '"patternProperties"' not in grammar:
        return 0
    return grammar.count('"pattern"')
