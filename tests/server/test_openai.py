"""Both endpoints through the real OpenAI SDK, synchronous and asynchronous, streaming and not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from edgellm.errors import ContextOverflow, ModelNotFound, QueueFull, Unsupported
from edgellm.events import (
    Finished,
    Reasoning,
    Started,
    Text,
    Timings,
    TokenLogprob,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
)
from edgellm.request import Conversation, Infill, SamplingParams, TokenIds
from tests.doubles.echo_model import EchoModel
from tests.doubles.live_server import LiveServer, live_server

ASK = [{"role": "user", "content": "Grüße 👋🏽 aus  dem 東京 Wald\n"}]
SAID = ASK[0]["content"]
TIMING_NAMES = {
    "cache_n",
    "prompt_n",
    "prompt_ms",
    "prompt_per_token_ms",
    "prompt_per_second",
    "predicted_n",
    "predicted_ms",
    "predicted_per_token_ms",
    "predicted_per_second",
}


@pytest.fixture
def client(server: LiveServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_chat_whole(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="echo", messages=ASK)
    assert reply.object == "chat.completion"
    assert reply.model == "echo"
    assert reply.id.startswith("chatcmpl-")
    assert reply.choices[0].message.content == SAID
    assert reply.choices[0].message.role == "assistant"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].logprobs is None
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.prompt_tokens_details.cached_tokens == 2
    assert set(reply.timings) == TIMING_NAMES
    assert reply.timings["prompt_per_second"] == pytest.approx(100 * reply.usage.prompt_tokens)


def test_chat_stream_order(server: LiveServer) -> None:
    body = {"messages": ASK, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 2}
    reply = server.post("/v1/chat/completions", body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    lines = reply.body.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    first, *middle, finish, last = [json.loads(line[6:]) for line in lines[:-2]]
    assert {chunk["id"] for chunk in (first, *middle, finish, last)} == {first["id"]}
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [chunk["choices"][0]["delta"] for chunk in middle] == [{"content": "Grüße"}, {"content": " 👋🏽"}]
    assert all(chunk["choices"][0]["finish_reason"] is None and chunk["usage"] is None for chunk in (first, *middle))
    assert finish["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2
    assert set(last["timings"]) == TIMING_NAMES
    assert "timings" not in finish


def test_chat_stream_without_usage_ends_with_timings(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="parrot", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert set(chunks[-1].timings) == TIMING_NAMES
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("stream", [False, True])
async def test_async_client(server: LiveServer, stream: bool) -> None:
    async with openai.AsyncOpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0) as client:
        reply = await client.chat.completions.create(model="echo", messages=ASK, stream=stream)
        if stream:
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in reply]) == SAID
        else:
            assert reply.choices[0].message.content == SAID


def test_several_choices_count_the_prompt_once(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "a b c"}], n=3)
    assert [(choice.index, choice.message.content) for choice in reply.choices] == [(i, "a b c") for i in range(3)]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 9)
    chunks = list(client.chat.completions.create(model="echo", messages=ASK, n=2, stream=True))
    for index in (0, 1):
        mine = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert mine[0].delta.role == "assistant"
        assert "".join(choice.delta.content or "" for choice in mine) == SAID
    assert [hasattr(chunk, "timings") for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_chat_logprobs(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="echo", messages=ASK, logprobs=True, top_logprobs=2, max_tokens=1)
    (entry,) = reply.choices[0].logprobs.content
    assert (entry.token, bytes(entry.bytes).decode(), entry.logprob) == ("Grüße", "Grüße", -0.5)
    assert [other.logprob for other in entry.top_logprobs] == [-0.5, -9999.0]
    chunks = list(client.chat.completions.create(model="echo", messages=ASK, logprobs=True, stream=True, max_tokens=1))
    shown = [chunk.choices[0].logprobs.content for chunk in chunks if chunk.choices[0].logprobs]
    assert [(entries[0].token, entries[0].top_logprobs) for entries in shown] == [("Grüße", [])]


def test_completions_of_several_prompts(client: openai.OpenAI, model: EchoModel) -> None:
    reply = client.completions.create(model="echo", prompt=["a b", "c d e"], n=2, echo=True)
    assert [choice.text for choice in reply.choices] == ["a ba b"] * 2 + ["c d ec d e"] * 2
    assert [choice.index for choice in reply.choices] == [0, 1, 2, 3]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (5, 10)
    assert {request.max_tokens for request in model.requests} == {16}


def test_completions_stream(client: openai.OpenAI) -> None:
    chunks = list(client.completions.create(model="echo", prompt=["a b", "c d e"], stream=True, echo=True))
    for index, text in enumerate(("a ba b", "c d ec d e")):
        mine = [chunk.choices[0] for chunk in chunks if chunk.choices[0].index == index]
        assert "".join(choice.text for choice in mine) == text
        assert [choice.finish_reason for choice in mine] == [None] * (len(mine) - 1) + ["stop"]


def test_completions_logprobs(client: openai.OpenAI) -> None:
    whole = client.completions.create(model="echo", prompt="ab cde f", logprobs=1).choices[0].logprobs
    assert whole.tokens == ["ab", " cde", " f"]
    assert whole.text_offset == [0, 2, 6]
    assert whole.top_logprobs[0] == {"ab0": -0.5}
    chunks = client.completions.create(model="echo", prompt="ab cde f", logprobs=1, stream=True)
    pieces = [chunk.choices[0].logprobs for chunk in chunks if chunk.choices[0].logprobs]
    assert [piece.text_offset[0] for piece in pieces] == [0, 2, 6]


def test_what_is_not_named_is_sampled_as_the_model_recommends() -> None:
    advice = SamplingParams(temperature=0.2, top_p=0.9)
    model = EchoModel(sampling=advice)
    with live_server(model) as live:
        live.post("/v1/chat/completions", {"messages": ASK})
        live.post("/v1/completions", {"prompt": "a"})
        live.post("/v1/completions", {"prompt": "a", "top_p": 1})
    sampled = [request.sampling for request in model.requests]
    assert sampled == [advice, advice, SamplingParams(temperature=0.2, top_p=1.0)]


def test_token_ids_and_infill(client: openai.OpenAI, model: EchoModel) -> None:
    assert client.completions.create(model="echo", prompt=[1, 2, 3]).choices[0].text == "1 2 3"
    both = client.completions.create(model="echo", prompt=[[4, 5], [6]]).choices
    assert [choice.text for choice in both] == ["4 5", "6"]
    echoed = client.completions.create(model="echo", prompt=[[4], [1, 2]], echo=True).choices
    assert [choice.text for choice in echoed] == ["xxxx4", "xxx1 2"]  # the double's tokens have that many letters
    client.completions.create(model="echo", prompt="def f(", suffix="): pass")
    inputs = [request.input for request in model.requests]
    assert inputs[0] == TokenIds((1, 2, 3))
    assert inputs[-1] == Infill("def f(", "): pass")


def test_reasoning_and_tool_calls(client: openai.OpenAI, model: EchoModel) -> None:
    model.reply = [
        Started(3, 0),
        Reasoning("hm"),
        Text("Look:"),
        ToolStart("call_1", "weather", part=1),
        ToolArguments('{"city":', part=1),
        ToolArguments('"Bern"}', part=1),
        ToolEnd(part=1),
        ToolStart("call_2", "time", part=2),
        ToolArguments("{}", part=2),
        Finished("tool_calls", Usage(3, 9, 0), Timings()),
    ]
    choice = client.chat.completions.create(model="echo", messages=ASK).choices[0]
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls]
    assert calls == [("call_1", "weather", '{"city":"Bern"}'), ("call_2", "time", "{}")]
    assert choice.message.reasoning_content == "hm"
    assert choice.finish_reason == "tool_calls"
    with client.chat.completions.stream(model="echo", messages=ASK) as stream:
        final = stream.get_final_completion().choices[0].message
    assert [(call.id, call.function.arguments) for call in final.tool_calls] == [(c[0], c[2]) for c in calls]


def test_the_likeliest_of_several(client: openai.OpenAI, model: EchoModel) -> None:
    for choice, score in enumerate((-2.0, -0.1, -1.0)):
        scored = (TokenLogprob(7, "answer", b"answer", score),)
        model.reply += [Started(3, 0, choice), Text(f"answer {choice}", choice, logprobs=scored)]
        model.reply.append(Finished("stop", Usage(3, 1, 0), Timings(), choice=choice))
    reply = client.completions.create(model="echo", prompt="a", n=2, best_of=3)
    assert [(choice.index, choice.text) for choice in reply.choices] == [(0, "answer 1"), (1, "answer 2")]
    assert all(choice.logprobs is None for choice in reply.choices)
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (3, 3)
    assert (model.requests[0].n, model.requests[0].logprobs) == (3, 0)
    shown = client.completions.create(model="echo", prompt="a", best_of=3, logprobs=1).choices
    assert [choice.logprobs.token_logprobs for choice in shown if choice.logprobs] == [[-0.1]]
    wrong: list[Any] = [{"n": 3, "best_of": 2}, {"best_of": 2, "stream": True}, {"best_of": 0}]
    for each in wrong:
        with pytest.raises(openai.BadRequestError, match="best_of"):
            client.completions.create(model="echo", prompt="a", **each)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (QueueFull("64 requests wait already.", 2.2), openai.RateLimitError),
        (ContextOverflow("Too long.", 900, 512), openai.BadRequestError),
        (Unsupported("No tools yet."), openai.BadRequestError),
        (ModelNotFound("Gone."), openai.NotFoundError),
        (RuntimeError("a bug with a secret"), openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_refusals_have_their_own_status(
    client: openai.OpenAI, model: EchoModel, error: Exception, expected: type[Exception], stream: bool
) -> None:
    model.refuse = error
    with pytest.raises(expected) as caught:
        client.chat.completions.create(model="echo", messages=ASK, stream=stream)
    assert caught.value.body["message"]
    assert "secret" not in str(caught.value.body)
    if isinstance(error, QueueFull):
        assert caught.value.response.headers["retry-after"] == "3"
    if isinstance(error, ContextOverflow):
        assert caught.value.code == "context_length_exceeded"
        assert "900" in caught.value.body["message"]
        assert "512" in caught.value.body["message"]


def test_unknown_model_tells_the_known(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-99", messages=ASK)
    assert caught.value.code == "model_not_found"
    assert "echo" in caught.value.body["message"]
    assert "parrot" in caught.value.body["message"]
    assert "`edgellm alias gpt-99 MODEL`" in caught.value.body["message"]


def test_failure_in_mid_stream(client: openai.OpenAI, model: EchoModel) -> None:
    model.fail_after = 2
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model="echo", messages=ASK, stream=True):
            seen.append(chunk.choices[0].delta.content)
    assert seen == ["", "Grüße", " 👋🏽"]
    assert caught.value.body["message"] == "scripted"
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="echo", messages=ASK)


def test_a_crash_in_mid_stream_tells_no_secrets(server: LiveServer, model: EchoModel) -> None:
    model.crash_after = 1
    reply = server.post("/v1/chat/completions", {"messages": ASK, "stream": True})
    last = reply.body.decode().split("\n\n")[-2]
    assert json.loads(last[6:])["error"]["code"] == "internal_error"
    assert b"secret" not in reply.body
    assert b"[DONE]" not in reply.body


def test_raw_response_has_the_request_id(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=ASK)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse().choices[0].message.content == SAID
    mine = client.chat.completions.create(model="echo", messages=ASK, extra_headers={"x-request-id": "my-own.7"})
    assert mine._request_id == "my-own.7"


def test_models(client: openai.OpenAI) -> None:
    assert [entry.id for entry in client.models.list()] == ["echo"]
    assert client.models.retrieve("echo").meta["n_ctx"] == 512
    assert client.models.retrieve("parrot").id == "echo"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("org/other")


def test_continuation(client: openai.OpenAI, model: EchoModel) -> None:
    messages = [*ASK, {"role": "assistant", "content": "Once"}]
    client.chat.completions.create(model="echo", messages=messages, extra_body={"continue_final_message": True})
    asked = model.requests[0].input
    assert isinstance(asked, Conversation)
    assert asked.continue_last
    assert [message.role for message in asked.messages] == ["user", "assistant"]
