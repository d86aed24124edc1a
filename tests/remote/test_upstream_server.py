"""What vLLM gives through `OpenAIServer`: a stand-in for it, and a real one as well where it is named.

`EDGELLM_TEST_UPSTREAM` is its address (docs/upstreams.md tells how vLLM runs on a processor), with a key in
`EDGELLM_TEST_UPSTREAM_KEY` if it asks for one. It needs a context of at most 4096 tokens.
"""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from edgellm.errors import ContextOverflow, KeyRefused, ModelNotFound, UpstreamTimeout
from edgellm.events import Event, Failed, Finished, Started, Text, ToolArguments, ToolEnd, ToolStart
from edgellm.messages import Tool
from edgellm.remote.clock import Patience
from edgellm.remote.openai_server import OpenAIServer
from edgellm.request import GREEDY, ChatRequest, GrammarFormat, SchemaFormat, ask
from tests.doubles.vllm_server import VllmServer, vllm_server

REAL = os.environ.get("EDGELLM_TEST_UPSTREAM", "")
WEATHER = Tool(
    "weather",
    "Tells the weather of a city.",
    {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]},
)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}


class Upstream:
    def __init__(self, url: str, key: str, double: VllmServer | None = None) -> None:
        self.url = url
        self.key = key
        self.double = double

    def model(self, name: str = "", key: str | None = None, **options: Any) -> OpenAIServer:
        return OpenAIServer(self.url, name, self.key if key is None else key, **options)

    def running(self) -> float:
        text = urllib.request.urlopen(f"{self.url.removesuffix('/v1')}/metrics", timeout=20).read().decode()
        lines = [line for line in text.splitlines() if line.startswith("vllm:num_requests_running{")]
        return sum(float(line.split()[-1]) for line in lines)


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="none is named"))])
def upstream(request: pytest.FixtureRequest) -> Iterator[Upstream]:
    if request.param == "real":
        yield Upstream(REAL, os.environ.get("EDGELLM_TEST_UPSTREAM_KEY", ""))
        return
    with vllm_server(key="good") as double:
        yield Upstream(double.url, "good", double)


@pytest.fixture
async def model(upstream: Upstream) -> AsyncIterator[OpenAIServer]:
    model = upstream.model()
    yield model
    await model.aclose()


async def collect(model: OpenAIServer, request: ChatRequest) -> list[Event]:
    return [event async for event in model.stream(request)]


def text(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def ended(events: list[Event]) -> Finished:
    last = events[-1]
    assert isinstance(last, Finished), last
    return last


async def test_what_it_is(model: OpenAIServer) -> None:
    await model.start()
    assert model.flavour == "vllm" and model.info.backend == "vllm"
    assert model.info.name and model.info.context_length > 0
    assert await model.health()


async def test_a_chat(model: OpenAIServer) -> None:
    events = await collect(model, ask("Say hello.", sampling=GREEDY, max_tokens=8))
    assert isinstance(events[0], Started) and text(events).strip()
    assert len([event for event in events if isinstance(event, Text)]) > 1, "in pieces"
    finished = ended(events)
    assert finished.reason in ("stop", "length")
    assert finished.usage.prompt_tokens > 0 and 0 < finished.usage.completion_tokens <= 8
    assert finished.timings.predicted_n == finished.usage.completion_tokens
    assert finished.timings.prompt_ms > 0


async def test_log_probabilities(model: OpenAIServer) -> None:
    events = await collect(model, ask("Say hello.", sampling=GREEDY, max_tokens=6, logprobs=2))
    scores = [score for event in events if isinstance(event, Text) for score in event.logprobs]
    assert "".join(score.text for score in scores) == text(events)
    assert all(score.logprob <= 0 and len(score.top) == 2 for score in scores)


async def test_several_answers(model: OpenAIServer) -> None:
    events = await collect(model, ask("Say hello.", n=2, max_tokens=4))
    for choice in range(2):
        mine = [event for event in events if event.choice == choice]
        assert isinstance(mine[0], Started) and isinstance(mine[-1], Finished) and text(mine)


@pytest.mark.parametrize("choice", ["required", "weather"])
async def test_a_forced_call(model: OpenAIServer, choice: str) -> None:
    asked = ask("What is the weather in Paris?", tools=(WEATHER,), tool_choice=choice, sampling=GREEDY, max_tokens=150)
    events = await collect(model, asked)
    assert [type(event) for event in events if isinstance(event, ToolStart | ToolEnd)] == [ToolStart, ToolEnd]
    assert next(event for event in events if isinstance(event, ToolStart)).name == "weather"
    json.loads("".join(event.text for event in events if isinstance(event, ToolArguments)))
    assert ended(events).reason == "tool_calls"


async def test_output_formats(model: OpenAIServer) -> None:
    format = SchemaFormat(SCHEMA, strict=True)
    events = await collect(model, ask("Name a city.", format=format, sampling=GREEDY, max_tokens=100))
    assert list(json.loads(text(events))) == ["city"]
    grammar = GrammarFormat("[ab]{3}", "regex")
    assert set(text(await collect(model, ask("Which?", format=grammar, max_tokens=20)))) <= {"a", "b"}


async def test_tokens(model: OpenAIServer) -> None:
    assert len(await model.tokenize(ask("three plain words").input)) >= 3


async def test_leaving_stops_the_work_there(upstream: Upstream, model: OpenAIServer) -> None:
    if upstream.double is not None:
        upstream.double.pause_s = 0.1
    async with aclosing(model.stream(ask("Count.", max_tokens=400, ignore_eos=True))) as events:
        async for event in events:
            if isinstance(event, Text):
                break
        assert await asyncio.to_thread(upstream.running) > 0
    for _ in range(200):
        if not await asyncio.to_thread(upstream.running):
            break
        await asyncio.sleep(0.05)
    assert not await asyncio.to_thread(upstream.running)


async def test_words_that_do_not_come(upstream: Upstream) -> None:
    if upstream.double is not None:
        upstream.double.first_s, upstream.double.pings = 5.0, True
    model = upstream.model(patience=Patience(first_s=0.1 if upstream.double else 0.005))
    with pytest.raises(UpstreamTimeout, match="said nothing within"):
        await collect(model, ask("word " * 40, max_tokens=4))
    await model.aclose()


async def test_a_wrong_key(upstream: Upstream) -> None:
    if not upstream.key:
        pytest.skip("it asks for none")
    model = upstream.model(key="wrong", called="The upstream far", key_advice="Correct it.")
    with pytest.raises(KeyRefused, match=r"The upstream far answered 401: .*Correct it\."):
        await model.start()
    await model.aclose()


async def test_a_model_that_is_not_there(upstream: Upstream) -> None:
    model = upstream.model("nobody", only_listed=True)
    with pytest.raises(ModelNotFound, match="has no model 'nobody'"):
        await model.start()
    await model.aclose()
    model = upstream.model("nobody")
    with pytest.raises(ModelNotFound, match="404"):
        await collect(model, ask("hi"))
    await model.aclose()


async def test_a_prompt_that_is_too_long(model: OpenAIServer) -> None:
    with pytest.raises(ContextOverflow) as caught:
        await collect(model, ask("word " * 5000))
    assert caught.value.needed > caught.value.available > 0


async def test_it_is_killed_in_the_middle(upstream: Upstream, model: OpenAIServer) -> None:
    if upstream.double is None:
        pytest.skip("a real one is not ours to kill")
    upstream.double.break_after = 3
    events = await collect(model, ask("Say hello."))
    last = events[-1]
    assert isinstance(last, Failed) and last.code == "upstream_failed" and "broke off its answer" in last.message
    assert text(events) == "Hello there" and len(upstream.double.bodies) == 1, "never asked again"
