"""Formats become the text that is compiled, within bounds; under generated schemas only valid documents are written."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings, strategies as st
from llguidance import LLMatcher

from edgellm.backends.fake import ByteVocabulary
from edgellm.chat.grammar import grammar_source
from edgellm.engine.grammar import Grammar, GrammarTokens
from edgellm.errors import RequestError
from edgellm.request import Format, GrammarFormat, JsonFormat, SchemaFormat

TOKENS = GrammarTokens(ByteVocabulary())


def takes(format: Format, text: str) -> bool:
    matcher = LLMatcher(TOKENS.tokenizer, grammar_source(format).text)
    return matcher.try_consume_tokens(list(text.encode())) == len(text.encode()) and matcher.is_accepting()


def test_json_is_an_object() -> None:
    assert takes(JsonFormat(), '{"a": [1, null, {"b": "c"}]}')
    assert not takes(JsonFormat(), "[1]") and not takes(JsonFormat(), '{"a": }')


def test_lines_are_indented_but_not_without_end() -> None:
    assert takes(JsonFormat(), '{\n  "a": [\n    1\n  ]\n}')
    assert not takes(JsonFormat(), '{\n\n\n\n"a": 1}') and not takes(JsonFormat(), '{"a":' + " " * 30 + "1}")


def test_regular_expressions_and_lark() -> None:
    assert takes(GrammarFormat(r"\d{3}-[A-Z]+", "regex"), "123-AB")
    assert not takes(GrammarFormat(r"\d{3}-[A-Z]+", "regex"), "123-ab")
    lark = GrammarFormat('start: "<" %json {"type": "integer"} ">" start?')
    assert takes(lark, "<1><22>") and not takes(lark, "<1><x>")


@pytest.mark.parametrize(
    "format",
    [
        GrammarFormat(""),
        GrammarFormat("  ", "regex"),
        GrammarFormat("a" * 300_000, "regex"),
        GrammarFormat("(" * 50_000 + ")" * 50_000, "regex"),
        GrammarFormat("start: " + "(" * 5000 + '"a"' + ")" * 5000),
        GrammarFormat("start: T\nT: " + " & ".join(f"/.*{'x' * i}.*/" for i in range(1, 40))),
        GrammarFormat(
            "start: %json " + json.dumps({"allOf": [{"type": "string", "pattern": ".*" + "x" * i} for i in range(30)]})
        ),
    ],
)
def test_what_is_too_much_is_refused(format: Format) -> None:
    with pytest.raises(RequestError):
        grammar_source(format)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "format",
    [
        GrammarFormat("((a{1,500}){1,500}){1,500}", "regex"),
        GrammarFormat("(x+x+)+y", "regex"),
        GrammarFormat('start: start start | "a" | start start start\n'),
        GrammarFormat(
            "start: " + " ".join(f"r{i}?" for i in range(300)) + "\n" + "\n".join(f'r{i}: "a"*' for i in range(300))
        ),
        GrammarFormat("start: a\n" + "".join(f"a{i}: a{i + 1} a{i + 1}\n" for i in range(60)) + 'a: a0\na60: "x"\n'),
    ],
    ids=["counts", "nested", "ambiguous", "nullable", "doubling"],
)
def test_hostile_grammars_end_in_a_mask_or_an_error(format: Format) -> None:
    try:
        state = Grammar(grammar_source(format).text, TOKENS).start(())
        for _ in range(30):
            mask = state.mask()
            state.advance(int(mask.argmax()))
            if state.ended:
                break
    except RequestError:
        pass


NAMES = st.text("abcdef", min_size=1, max_size=4)
SCALARS = st.one_of(
    st.builds(
        lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more},
        st.integers(-50, 50),
        st.integers(0, 99),
    ),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more},
        st.integers(0, 3),
        st.integers(0, 4),
    ),
    st.sampled_from([{"type": "string", "pattern": p} for p in ("^[a-c]{2}$", "x+y", "^(on|off)$")]),
    st.sampled_from([{"type": "string", "format": f} for f in ("date", "ipv4", "uuid", "email")]),
    st.builds(
        lambda values: {"enum": values},
        st.lists(st.one_of(NAMES, st.integers(), st.none(), st.booleans()), min_size=1, max_size=4),
    ),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["integer", "null"]}, {"const": {"a": [1]}}]),
)


def compounds(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def objects(properties: dict[str, Any], needed: int) -> dict[str, Any]:
        required = sorted(properties)[:needed]
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}

    return st.one_of(
        st.builds(objects, st.dictionaries(NAMES, inner, max_size=4), st.integers(0, 4)),
        st.builds(
            lambda items, low, more: {"type": "array", "items": items, "minItems": low, "maxItems": low + more},
            inner,
            st.integers(0, 2),
            st.integers(0, 2),
        ),
        st.builds(lambda these: {"anyOf": these}, st.lists(inner, min_size=1, max_size=3)),
    )


@settings(max_examples=150, deadline=None)
@given(schema=st.recursive(SCALARS, compounds, max_leaves=6), chance=st.randoms(use_true_random=False))
def test_a_random_walk_through_a_schema_writes_a_valid_document(schema: dict[str, Any], chance: Any) -> None:
    state = Grammar(grammar_source(SchemaFormat(schema, strict=True)).text, TOKENS).start({257})
    written = bytearray()
    while not state.ended and len(written) < 400:
        allowed = [token for token, good in enumerate(state.mask()) if good]
        token = chance.choice(allowed)
        if token > 255:  # an end token
            break
        state.advance(token)
        written.append(token)
    assume(len(written) < 400)
    jsonschema.validate(json.loads(written), schema, jsonschema.Draft202012Validator)
