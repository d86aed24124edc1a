"""Every family's parser reads the calls that are written in its syntax, whatever their arguments."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from edgellm.chat.tools.family import FAMILIES, Family
from edgellm.chat.tools.parser import CallArguments, CallEnd, CallStart, Content, ParserContext
from edgellm.chat.written_call import written_call
from edgellm.messages import Tool

KINDS = {
    "text": st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<"), max_size=20),
    "count": st.integers(-(10**6), 10**6),
    "share": st.floats(allow_nan=False, allow_infinity=False),
    "on": st.booleans(),
    "nothing": st.none(),
    "words": st.lists(st.text(st.characters(categories=["L", "N", "Zs"]), max_size=5), max_size=3),
    "nested": st.fixed_dictionaries({"a": st.integers(0, 9), "b": st.lists(st.booleans(), max_size=2)}),
}
TYPES = dict(zip(KINDS, ("string", "integer", "number", "boolean", "null", "array", "object"), strict=True))
TOOL = Tool("do", parameters={"type": "object", "properties": {key: {"type": TYPES[key]} for key in KINDS}})


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_what_is_written_is_read(family: Family) -> None:
    @settings(max_examples=15, deadline=None)
    @given(st.fixed_dictionaries({}, optional=KINDS))
    def check(arguments: dict[str, object]) -> None:
        parser = family.parser(ParserContext(tools=(TOOL,)))
        text = "Well.\n" + written_call(family.syntax, "do", arguments)
        if family.flow.bare and family.name not in ("hermes", "generic"):
            text = text.removeprefix("Well.\n")  # where only an answer's beginning can be a call
        pieces = [*parser.feed(text), *parser.finish()]
        assert [piece.name for piece in pieces if isinstance(piece, CallStart)] == ["do"]
        assert [piece.text for piece in pieces if isinstance(piece, Content)] in ([], ["Well."])
        assert json.loads("".join(piece.text for piece in pieces if isinstance(piece, CallArguments))) == arguments
        assert sum(isinstance(piece, CallEnd) for piece in pieces) == 1

    check()
