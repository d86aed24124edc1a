"""Schemas are honoured, refused by keyword, or relaxed with a warning; none is too much to look at."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import pytest

from edgellm.chat.schema import fitted
from edgellm.chat.schema_bounds import MOST_DEPTH
from edgellm.errors import RequestError


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


HONOURED: tuple[dict[str, Any], ...] = (
    {},
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    {"type": "array", "prefixItems": [{"type": "string"}], "items": False, "minItems": 1},
    {"type": "string", "pattern": "^[a-z]+$", "maxLength": 5},
    {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    {"anyOf": [{"const": 1}, {"type": ["null", "boolean"]}]},
    {"type": "string", "format": "date", "description": "when", "examples": ["x"], "default": None},
    {"enum": [{"format": "date-time"}]},
)

BEYOND: tuple[tuple[dict[str, Any], str], ...] = (
    ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    ({"not": {"type": "string"}}, "not"),
    ({"if": {"type": "string"}, "then": {"minLength": 1}}, "if"),
    ({"type": "array", "contains": {"type": "string"}}, "contains"),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
    ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
    ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
    ({"type": "object", "maxProperties": 1, "properties": {"a": {}}}, "maxProperties"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "oneOf"),
    ({"type": "string", "format": "json-pointer"}, "format"),
    ({"type": "string", "pattern": "^(?!a)"}, "pattern"),
    ({"type": "string", "pattern": r"\bword"}, "pattern"),
    ({"type": "object", "properties": {"a": {"anyOf": [{"type": "string", "pattern": "(?=x)"}]}}}, "pattern"),
)

REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"$ref": "https://example.com/schema.json"}, r"\$ref"),
    ({"$ref": "file:///etc/passwd"}, r"\$ref"),
    ({"$ref": "#/$defs/nowhere"}, r"\$ref"),
    ({"type": "frob"}, "frob"),
    ({"type": "integer", "minimum": 5, "maximum": 1}, "nsatisfiable|minimum"),
    ({"enum": []}, "nsatisfiable"),
    ({"properties": 5}, "properties"),
    ({"type": "string", "minLength": -1}, "minLength"),
    (nested(MOST_DEPTH), "deep"),
    ({"enum": ["x" * 300_000]}, "KiB"),
    ({"enum": list(range(30_000))}, "parts"),
)


@pytest.mark.parametrize("schema", HONOURED)
def test_is_honoured_without_a_word(schema: dict[str, Any]) -> None:
    for strict in (True, False):
        found = fitted(schema, strict=strict)
        assert not found.warnings
        assert {key: value for key, value in found.schema.items() if key != "x-guidance"} == schema


@pytest.mark.parametrize(("schema", "keyword"), BEYOND)
def test_strict_names_the_keyword_and_lenient_reports_it(schema: dict[str, Any], keyword: str) -> None:
    with pytest.raises(RequestError, match=f"'{keyword}'"):
        fitted(schema, strict=True)
    warnings = fitted(schema, strict=False).warnings
    assert any(f"'{keyword}'" in warning for warning in warnings)


@pytest.mark.parametrize(("schema", "word"), REFUSED)
def test_is_refused_either_way(schema: dict[str, Any], word: str) -> None:
    for strict in (True, False):
        with pytest.raises(RequestError) as caught:
            fitted(schema, strict=strict)
        assert re.search(word, str(caught.value))


def test_digits_of_a_second_have_an_end() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "format": "date-time"}}}
    assert fitted(schema, strict=True).schema["properties"]["a"]["maxLength"] == 35
    longer = {"type": "string", "format": "date-time", "maxLength": 60}
    assert fitted(longer, strict=True).schema["maxLength"] == 60


def test_the_caller_cannot_switch_enforcement_off() -> None:
    off = {"type": "array", "uniqueItems": True, "x-guidance": {"lenient": True}}
    with pytest.raises(RequestError, match="uniqueItems"):
        fitted(off, strict=True)


def test_the_callers_schema_is_left_alone() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}
    fitted(schema, strict=False)
    assert schema == {"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}


def chain(length: int, **beside: Any) -> dict[str, Any]:
    """References that lead on, one to the next."""
    links = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}", **beside} for i in range(length)}
    return {"$defs": links | {f"d{length}": {}}, "$ref": "#/$defs/d0"}


LETTERS = {f"d{i}": {"pattern": f"x{i}"} for i in range(20)}
TWICE = {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)}
HOSTILE: tuple[dict[str, Any], ...] = (
    {"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"},
    {"type": "string", "pattern": "(.*a){30}" * 20},
    {"type": "string", "pattern": "(a|aa)+" * 500},
    {"type": "string", "pattern": "(a|b)*a(a|b){500}c"},
    {"allOf": [{"type": "string", "pattern": f".*{'x' * i}.*"} for i in range(1, 200)]},
    {"allOf": [{"properties": {"a": {"type": "string", "pattern": f".*{'x' * i}.*"}}} for i in range(1, 20)]},
    {
        "allOf": [{"$ref": f"#/$defs/d{i}"} for i in range(20)],
        "$defs": {f"d{i}": {"pattern": f"x{i}"} for i in range(20)},
    },
    {
        "$defs": {f"d{i}": {"pattern": f".*{i}", "$ref": f"#/$defs/d{i + 1}"} for i in range(30)} | {"d30": {}},
        "$ref": "#/$defs/d0",
    },
    {"type": "object", "patternProperties": {f".*{'x' * i}.*": {"type": "string"} for i in range(1, 40)}},
    {"allOf": [{"anyOf": [{"const": i}, {"type": "string"}]} for i in range(60)]},
    {
        "$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)} | {"d60": {}},
        "$ref": "#/$defs/d0",
    },
    {"$defs": {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(3000)} | {"d3000": {}}, "$ref": "#/$defs/d0"},
    {"type": "string", "maxLength": 2**40},
    {"type": "array", "minItems": 10**9},
    {"type": "integer", "minimum": 1, "maximum": 10**300, "multipleOf": 7 * 11 * 13 * 17 * 19 * 23},
    {"enum": [f"word{i}" for i in range(15_000)]},
    {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(3000)}},
    {"$ref": "#"},
)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("schema", HOSTILE, ids=lambda schema: str(schema)[:40])
def test_hostile_schemas_are_fitted_or_refused(schema: dict[str, Any]) -> None:
    with contextlib.suppress(RequestError):
        fitted(schema, strict=False)


def test_patterns_of_different_values_may_be_many() -> None:
    values = {f"p{i}": {"type": "string", "pattern": f"^[a-z]{{{i}}}$"} for i in range(1, 50)}
    base = {"type": "object", "properties": values}
    schema = {"allOf": [{"$ref": "#/$defs/base"}, {"required": ["p1"]}], "$defs": {"base": base}}
    assert fitted(schema, strict=True).warnings == ()


def test_a_panic_of_the_grammar_engine_is_a_refusal() -> None:
    """It cuts what it complains of after a hundred bytes, here in the middle of a character."""
    for start in ("", "x"):
        with pytest.raises(RequestError, match="cannot be enforced"):
            fitted({"required": {start + "é" * 80: 1}}, strict=False)
