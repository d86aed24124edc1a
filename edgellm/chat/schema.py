"""`fitted`: a JSON Schema as the grammar engine can enforce it, within bounds, and what had to be passed over."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from edgellm.chat.schema_bounds import check_bounds
from edgellm.errors import RequestError

# Between tokens one space, or a line's end and indentation: without an end to it a small model may never stop.
_WRITING = {"whitespace_flexible": True, "whitespace_pattern": r" |\n[ \t]{0,20}"}
_RELAXED = {"lenient": True, "coerce_one_of": True}
_LENGTHS = {"date-time": 35, "time": 24, "duration": 32}
_DATA = ("const", "enum", "default", "examples")
_UNIMPLEMENTED = re.compile(r"Unimplemented keys: (\[.*\])")
_KEYWORDS = (
    ("oneOf", re.compile(r"\boneOf\b")),
    ("format", re.compile(r"^Unknown format")),
    ("pattern", re.compile(r"\bregex\b|lookaround", re.IGNORECASE)),
    ("maxProperties", re.compile(r"min/maxProperties")),
    ("$ref", re.compile(r"^Pointer '|^Resource '|\$ref")),
)


class Fitted(NamedTuple):
    """`schema` with the options of the grammar engine in it; `warnings` name what of it is not enforced."""

    schema: dict[str, Any]
    warnings: tuple[str, ...] = ()


def fitted(schema: dict[str, Any], *, strict: bool) -> Fitted:
    """Check and prepare `schema`; takes milliseconds, up to a second for a hostile one.

    What cannot be enforced is a RequestError that names the keyword if `strict`, and is passed over with a warning if
    not. A schema that is too large or deep, contradicts itself or is malformed is a RequestError either way.
    """
    check_bounds(schema)
    exact = with_options(_with_ends(schema), _WRITING)
    problem, _ = _validated(exact)
    if problem is None:
        return Fitted(exact)
    if strict:
        raise RequestError(_refusal(problem) + " Change it, or leave `strict` out to have the rest enforced.")
    patterns: list[str] = []
    relaxed = with_options(_without_bad_patterns(_with_ends(schema), patterns), _WRITING | _RELAXED)
    still, passed_over = _validated(relaxed)
    if still is not None:
        raise RequestError(_refusal(still))
    return Fitted(relaxed, (*(f"not enforced: {_named(each)}" for each in passed_over), *patterns))


def with_options(schema: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The caller's own `x-guidance` never counts: it could switch the enforcement off."""
    return schema | {"x-guidance": options}


def _refusal(problem: str) -> str:
    return f"The JSON schema cannot be enforced: {_named(problem)}."


def _named(problem: str) -> str:
    """The engine's complaint, with the keyword it is about in front."""
    problem = problem.removesuffix(".")
    if (found := _UNIMPLEMENTED.search(problem)) is not None:
        return "keyword " + ", ".join(f"'{name}'" for name in msgspec.json.decode(found[1]))
    short = " ".join(problem.split())[:300]
    keyword = next((name for name, sign in _KEYWORDS if sign.search(problem)), None)
    return short if keyword is None else f"keyword '{keyword}' ({short})"


def _validated(schema: dict[str, Any]) -> tuple[str | None, list[str]]:
    """What makes it unusable, or None, and warnings."""
    from llguidance import LLMatcher, LLParserLimits

    try:
        grammar = LLMatcher.grammar_from_json_schema(_encoded(schema))
    except ValueError as error:
        return str(error), []
    limits = LLParserLimits(verbose_errors=False)
    try:
        failed, messages = LLMatcher.validate_grammar_with_warnings(grammar, limits=limits)
    except BaseException as error:
        # A Rust panic is no Exception. Seen where the engine cuts its own complaint in the middle of a character.
        if type(error).__name__ != "PanicException":
            raise
        return "the grammar engine cannot read it", []
    return (messages[0], []) if failed else (None, messages)


def _encoded(schema: dict[str, Any]) -> str:
    return msgspec.json.encode(schema).decode()


def _with_ends(node: Any) -> Any:
    """A copy in which formats that allow any number of digits have a greatest length: small models never stop there."""
    if isinstance(node, list):
        return [_with_ends(each) for each in node]
    if not isinstance(node, dict):
        return node
    length = _LENGTHS.get(str(node.get("format")))
    own = {} if length is None or "maxLength" in node else {"maxLength": length}
    return {key: value if key in _DATA else _with_ends(value) for key, value in node.items()} | own


def _without_bad_patterns(schema: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """A copy without the `pattern`s that the engine's regular expressions cannot express."""

    def copy(node: Any) -> Any:
        if isinstance(node, list):
            return [copy(each) for each in node]
        if not isinstance(node, dict):
            return node
        kept = {key: copy(value) for key, value in node.items()}
        pattern = kept.get("pattern")
        if isinstance(pattern, str) and _validated({"type": "string", "pattern": pattern})[0] is not None:
            del kept["pattern"]
            warnings.append(f"not enforced: keyword 'pattern' ({pattern[:100]!r} is beyond regular expressions)")
        return kept

    made = copy(schema)
    assert isinstance(made, dict)
    return made
