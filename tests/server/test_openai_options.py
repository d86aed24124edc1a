"""Each field of a body arrives in the `ChatRequest`, under llama-server's and vLLM's names too."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from edgellm.errors import Unsupported
from edgellm.messages import TextPart, Tool, ToolCall, ToolResult
from edgellm.request import (
    ChatRequest,
    Conversation,
    Infill,
    JsonFormat,
    Prompt,
    SamplingParams,
    SchemaFormat,
    TokenIds,
)
from edgellm.server.openai_chat import ChatBody
from edgellm.server.openai_text import TextBody

RECOMMENDED = SamplingParams(temperature=0.2, top_p=0.9)


def chat(recommended: SamplingParams = SamplingParams(), /, **fields: Any) -> ChatRequest:
    return ChatBody.model_validate({"messages": [{"role": "user", "content": "hi"}], **fields}).request(recommended)


def test_defaults_are_our_own() -> None:
    assert chat().sampling == SamplingParams()
    assert (chat().max_tokens, chat().n, chat().logprobs, chat().priority) == (None, 1, None, "interactive")


def test_who_guesses_ahead_can_be_named() -> None:
    assert chat().speculation == "auto"
    assert chat(speculation="off").speculation == "off"
    assert (
        TextBody.model_validate({"prompt": "x", "speculation": "ngram"}).requests(RECOMMENDED)[0].speculation == "ngram"
    )
    with pytest.raises(ValueError, match="speculation"):
        chat(speculation="always")


def test_what_is_not_named_is_as_the_model_recommends() -> None:
    assert chat(RECOMMENDED).sampling == RECOMMENDED
    assert chat(RECOMMENDED, top_p=None, top_k=3).sampling == SamplingParams(temperature=0.2, top_p=0.9, top_k=3)
    assert chat(RECOMMENDED, temperature=0.8, top_p=0.95).sampling == SamplingParams()


@pytest.mark.parametrize(
    ("field", "value", "name", "expected"),
    [
        ("temperature", 0, "temperature", 0),
        ("top_p", 0.5, "top_p", 0.5),
        ("top_k", 7, "top_k", 7),
        ("top_k", -1, "top_k", 0),
        ("min_p", 0.1, "min_p", 0.1),
        ("typical_p", 0.9, "typical_p", 0.9),
        ("repeat_penalty", 1.1, "repetition_penalty", 1.1),
        ("repetition_penalty", 1.2, "repetition_penalty", 1.2),
        ("repeat_last_n", 9, "penalty_window", 9),
        ("frequency_penalty", -1, "frequency_penalty", -1),
        ("presence_penalty", 1.5, "presence_penalty", 1.5),
        ("logit_bias", {"42": -100, "7": 0.5}, "logit_bias", {42: -100, 7: 0.5}),
        ("logit_bias", [[42, -100], [7, False]], "logit_bias", {42: -100, 7: -inf}),
        ("seed", 5, "seed", 5),
        ("seed", -1, "seed", None),
        ("seed", -2, "seed", 2**64 - 2),
    ],
)
def test_sampling(field: str, value: Any, name: str, expected: Any) -> None:
    assert getattr(chat(**{field: value}).sampling, name) == expected


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"stop": "x"}, "stop", ("x",)),
        ({"stop": ["x", "", "y"]}, "stop", ("x", "y")),
        ({"stop_token_ids": [3]}, "stop_token_ids", (3,)),
        ({"max_tokens": 9}, "max_tokens", 9),
        ({"max_tokens": 9, "max_completion_tokens": 4}, "max_tokens", 4),
        ({"max_tokens": -1}, "max_tokens", None),
        ({"ignore_eos": True}, "ignore_eos", True),
        ({"priority": "batch"}, "priority", "batch"),
        ({"logprobs": True}, "logprobs", 0),
        ({"logprobs": True, "top_logprobs": 4}, "logprobs", 4),
        ({"logprobs": False}, "logprobs", None),
        ({"n": 3}, "n", 3),
        ({"model": "m"}, "model", "m"),
        ({"response_format": {"type": "text"}}, "format", None),
        ({"response_format": {"type": "json_object"}}, "format", JsonFormat()),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"a": 1}, "strict": True}}},
            "format",
            SchemaFormat({"a": 1}, True),
        ),
        ({"tools": [{"type": "function", "function": {"name": "f", "description": "d"}}]}, "tools", (Tool("f", "d"),)),
        ({"functions": [{"name": "f"}]}, "tools", (Tool("f"),)),
        ({"tool_choice": "required"}, "tool_choice", "required"),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice", "f"),
        ({"function_call": {"name": "f"}}, "tool_choice", "f"),
        ({"chat_template_kwargs": {"enable_thinking": False}}, "template_args", {"enable_thinking": False}),
    ],
)
def test_other_fields(fields: dict[str, Any], name: str, expected: Any) -> None:
    assert getattr(chat(**fields), name) == expected


def test_messages_of_every_role() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    asked = chat(
        messages=[
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "4"},
        ]
    ).input
    assert isinstance(asked, Conversation)
    assert [message.role for message in asked.messages] == ["developer", "user", "assistant", "tool"]
    assert asked.messages[1].parts == (TextPart("a"), TextPart("b"))
    assert asked.messages[2].parts == (ToolCall("c", "f", "{}"),)
    assert asked.messages[3].parts == (ToolResult("c", "4"),)


@pytest.mark.parametrize("kind", ["image_url", "input_audio", "file"])
def test_other_parts_are_unsupported(kind: str) -> None:
    with pytest.raises(Unsupported, match=kind):
        chat(messages=[{"role": "user", "content": [{"type": kind}]}])


@pytest.mark.parametrize(
    ("fields", "inputs"),
    [
        ({"prompt": "a"}, [Prompt("a")]),
        ({"prompt": ""}, [Prompt("")]),
        ({"prompt": ["a", "b"]}, [Prompt("a"), Prompt("b")]),
        ({"prompt": [1, 2]}, [TokenIds((1, 2))]),
        ({"prompt": [[1], [2, 3]]}, [TokenIds((1,)), TokenIds((2, 3))]),
        ({"prompt": "a", "suffix": "z"}, [Infill("a", "z")]),
        ({"prompt": "a", "suffix": ""}, [Prompt("a")]),
    ],
)
def test_prompts(fields: dict[str, Any], inputs: list[Any]) -> None:
    requests = TextBody.model_validate(fields).requests(RECOMMENDED)
    assert [request.input for request in requests] == inputs
    assert {request.max_tokens for request in requests} == {16}
    assert all(request.sampling == RECOMMENDED for request in requests)
