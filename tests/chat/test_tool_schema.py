"""CheckedTools: schemas of tools are refused by name and keyword, and looked at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from edgellm.chat import tool_schema
from edgellm.chat.tool_schema import CheckedTools, object_schema
from edgellm.errors import RequestError
from edgellm.messages import Tool

GOOD = Tool("good", "", {"type": "object", "properties": {"a": {"type": "integer"}}})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SCHEMAS = st.dictionaries(
    st.sampled_from(["type", "properties", "required", "enum", "$ref", "anyOf"]) | st.text(), JSON
)


def test_a_good_tool_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    fitted = tool_schema.fitted
    monkeypatch.setattr(
        tool_schema, "fitted", lambda schema, strict: seen.append(schema) or fitted(schema, strict=strict)
    )
    checked = CheckedTools()
    assert checked.check((GOOD,)) == checked.check((GOOD, GOOD)) == ()
    assert len(seen) == 1


def test_a_bad_tool_is_refused_again_and_again() -> None:
    checked = CheckedTools()
    for _ in range(2):
        with pytest.raises(RequestError, match=r"'bad'.*'properties'"):
            checked.check((GOOD, Tool("bad", "", {"properties": 1})))


def test_the_same_schema_may_be_strict_and_not() -> None:
    odd = {"type": "object", "properties": {"a": {"not": {}}}}
    checked = CheckedTools()
    (warning,) = checked.check((Tool("odd", "", odd),))
    assert "'odd'" in warning
    with pytest.raises(RequestError, match=r"'odd'.*'not'"):
        checked.check((Tool("odd", "", odd, strict=True),))


@given(SCHEMAS)
def test_whatever_is_sent_is_taken_or_refused(schema: dict[str, Any]) -> None:
    try:
        CheckedTools().check((Tool("any", "", schema),))
    except RequestError as error:
        assert "'any'" in str(error)


def test_parameters_are_an_object_of_the_named_ones_unless_more_are_let_in() -> None:
    assert object_schema({}) == {"type": "object", "properties": {}, "additionalProperties": False}
    assert object_schema({"type": None, "properties": None}) == object_schema({})
    assert "additionalProperties" not in object_schema({"anyOf": [{}]})
