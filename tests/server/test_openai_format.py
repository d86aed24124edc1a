"""Output formats by every name they have in OpenAI's dialect, through the real SDK and an engine without weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pydantic
import pytest

from edgellm.backends.fake import FakeBackend
from edgellm.config import ModelSettings
from edgellm.errors import RequestError
from edgellm.model import ModelInfo
from edgellm.request import Format, GrammarFormat, JsonFormat, SamplingParams, SchemaFormat
from edgellm.runtime.local_model import LocalModel
from edgellm.server.openai_chat import ChatBody
from edgellm.server.openai_text import TextBody
from tests.doubles.live_server import live_server

ASK: Any = [{"role": "user", "content": "hi"}]
BAD = {"type": "array", "uniqueItems": True, "items": {"enum": [1]}, "minItems": 1, "maxItems": 2}
GBNF = 'root ::= "yes" | "no"'


class Answer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    count: int = pydantic.Field(ge=0, le=99)
    color: Literal["red", "green"]


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    model = LocalModel(FakeBackend, ModelSettings(), ModelInfo(name="fake"))
    with live_server(model) as live, openai.OpenAI(base_url=live.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"guided_json": {"type": "null"}}, SchemaFormat({"type": "null"})),
        ({"guided_json": '{"type": "null"}'}, SchemaFormat({"type": "null"})),
        ({"guided_regex": "a+"}, GrammarFormat("a+", "regex")),
        ({"guided_choice": ["a.", "b"]}, GrammarFormat(r"a\.|b", "regex")),
        ({"guided_grammar": 'start: "a"'}, GrammarFormat('start: "a"')),
        ({"structured_outputs": {"json": {"type": "null"}}}, SchemaFormat({"type": "null"})),
        ({"structured_outputs": {"json_object": True}}, JsonFormat()),
        ({"structured_outputs": {"regex": "a+"}}, GrammarFormat("a+", "regex")),
        ({"structured_outputs": {"choice": ["a"]}}, GrammarFormat("a", "regex")),
        ({"structured_outputs": {"grammar": 'start: "a"'}}, GrammarFormat('start: "a"')),
        ({"json_schema": {"type": "null"}}, SchemaFormat({"type": "null"})),
        ({"grammar": 'start: "a"'}, GrammarFormat('start: "a"')),
        ({"grammar": ""}, None),
        ({"response_format": {"type": "json_object", "schema": {"type": "null"}}}, SchemaFormat({"type": "null"})),
        ({"response_format": {"type": "text"}, "guided_regex": "a"}, GrammarFormat("a", "regex")),
    ],
)
def test_every_name_means_its_format(fields: dict[str, Any], expected: Format | None) -> None:
    assert ChatBody(messages=ASK, **fields).request(SamplingParams()).format == expected
    assert [each.format for each in TextBody(prompt="hi", **fields).requests(SamplingParams())] == [expected]


@pytest.mark.parametrize(
    "fields",
    [
        {"guided_regex": "a", "guided_choice": ["a"]},
        {"response_format": {"type": "json_object"}, "grammar": 'start: "a"'},
        {"structured_outputs": {"regex": "a", "grammar": 'start: "a"'}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"guided_json": "[1]"},
        {"guided_json": "{"},
        {"guided_choice": []},
        {"grammar": "root ::= ("},
    ],
)
def test_what_means_nothing_or_too_much_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        ChatBody(messages=ASK, **fields).request(SamplingParams())


def test_the_sdk_parses_its_own_models(client: openai.OpenAI) -> None:
    reply = client.chat.completions.parse(model="fake", messages=ASK, response_format=Answer)
    assert isinstance(reply.choices[0].message.parsed, Answer)
    assert not hasattr(reply, "warnings")


def test_choices_and_log_probabilities_come_with_a_format(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model="fake", messages=ASK, n=3, logprobs=True, top_logprobs=2, extra_body={"guided_regex": "[ab]{5}"}
    )
    for choice in reply.choices:
        assert re.fullmatch("[ab]{5}", choice.message.content or "")
        assert choice.logprobs is not None and len(choice.logprobs.content or ()) == 5
        assert choice.finish_reason == "stop"


@pytest.mark.parametrize("fields", [{"grammar": GBNF}, {"guided_choice": ["yes", "no"]}])
def test_completions_take_formats_too(client: openai.OpenAI, fields: dict[str, Any]) -> None:
    reply = client.completions.create(model="fake", prompt=["a", "b"], extra_body=fields)
    assert all(choice.text in ("yes", "no") for choice in reply.choices)


def schema(strict: bool) -> Any:
    return {"type": "json_schema", "json_schema": {"name": "bad", "schema": BAD, "strict": strict}}


@pytest.mark.parametrize("stream", [False, True])
def test_strict_is_400_and_names_the_keyword(client: openai.OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError, match="'uniqueItems'"):
        client.chat.completions.create(model="fake", messages=ASK, response_format=schema(True), stream=stream)


def test_not_strict_enforces_the_rest_and_says_so(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="fake", messages=ASK, response_format=schema(False))
    assert set(json.loads(reply.choices[0].message.content or "")) == {1}
    assert "uniqueItems" in reply.warnings[0]  # type: ignore[attr-defined]
    text = client.completions.create(model="fake", prompt="a", extra_body={"json_schema": BAD})
    assert "uniqueItems" in text.warnings[0]  # type: ignore[attr-defined]


@pytest.mark.parametrize("usage", [False, True])
def test_a_stream_ends_with_the_warnings(client: openai.OpenAI, usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = list(
        client.chat.completions.create(
            model="fake", messages=ASK, response_format=schema(False), stream=True, **options
        )
    )
    assert "uniqueItems" in chunks[-1].warnings[0]  # type: ignore[attr-defined]


def test_a_cut_answer_is_said_to_be_cut(client: openai.OpenAI) -> None:
    regex = {"guided_regex": "[ab]{50}"}
    reply = client.chat.completions.create(model="fake", messages=ASK, max_tokens=4, extra_body=regex)
    assert reply.choices[0].finish_reason == "length"
